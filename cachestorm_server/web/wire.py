"""HTTP as aiohttp carries it, with each refusal as a problem: requests in, responses out.

Called by the HTTP endpoint, whose handler gets every request; calls aiohttp's low-level server,
which answers malformed HTTP by itself: here that is a problem, too.

A problem is of RFC 9457, and has the member `error` of the answers of commands: code and
message.

    {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such key",
     "error": {"code": "ERR", "message": "no such key"}}
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.json_commands import error_document
from cachestorm_server.turns import Turn

# how long a client may take to send a body
BODY_WITHIN_S: Final = 30.0
LONGEST_REASON: Final = 200
# past this many bytes of answers the rest of a pipeline is not run
LARGEST_ANSWER: Final = 16 * 1024 * 1024
PROBLEM: Final = "application/problem+json"

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# aiohttp writes a traceback for every line of a client that is not HTTP; whatever goes wrong
# on our side of it has been logged by the endpoint
_log = logging.getLogger("cachestorm.http.wire")
_log.setLevel(logging.CRITICAL)


class HttpError(CacheStormError):
    """A refusal that HTTP itself has a status for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status: Final = status


class JsonServer(web.Server):
    """aiohttp's server.

    Args:
        handler: answers each request.
        max_body_bytes: the largest body; 0 for no limit.
    """

    def __init__(self, handler: Answering, max_body_bytes: int) -> None:
        super().__init__(handler, request_factory=self._request)
        self._max_body_bytes: Final = max_body_bytes

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        return JsonConnection(self, loop=loop, access_log=_log, logger=_log)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        most = self._max_body_bytes
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=most
        )


class ClientGoneError(CacheStormError):
    """What a command that waits ends with when nobody is there for its answer."""

    def __init__(self) -> None:
        super().__init__("the client has gone")


class JsonConnection(web.RequestHandler):
    """One client of it.

    Attributes:
        visitor: who asks by the request that is being answered; None before it is known.
        waiting: the command of this client that waits; None when there is none. It ends when
            the client goes, for what it would take then belongs to others.
    """

    __slots__ = ("visitor", "waiting")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins without a command."""
        self.visitor: Visitor | None = None
        self.waiting: LongCommand | None = None
        super().connection_made(transport)

    def carry(self, long_command: LongCommand) -> None:
        """Has a command end with the client if it waits; `waiting` is to be reset after it."""
        if long_command.sleeps:
            self.waiting = long_command
            if self.transport is None:
                long_command.unblock(ClientGoneError())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends a command that waits; others have their effect all the same."""
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.unblock(ClientGoneError())

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what could not be read as HTTP, or what no handler was asked about."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        reason = (message or "").strip().partition("\n")[0][:LONGEST_REASON]
        text = f"this is not HTTP: {reason.rstrip(':')}" if status < 500 else "internal error"
        response = problem(status, HttpError(status, text))
        response.force_close()
        return response


def client_of(request: web.BaseRequest) -> JsonConnection:
    """Whose request it is."""
    client = request.protocol
    assert isinstance(client, JsonConnection)
    return client


async def body_of(request: web.BaseRequest, max_body_bytes: int) -> bytes:
    """The whole body; a client that waits to be asked for it is asked.

    Raises:
        HttpError: if it is too large, does not come, or is not what its headers say.
    """
    if request.headers.get("Expect") is not None and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # which is not part of the answer
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise HttpError(413, f"the body is larger than {max_body_bytes} bytes") from error
    except TimeoutError as error:
        raise HttpError(408, "the body did not come in time") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise HttpError(
            400, "the body is cut off, or not encoded as its headers say"
        ) from error


def refuse_expectations(request: web.BaseRequest) -> None:
    """Refuses a client that expects what is not done here.

    Raises:
        HttpError: for any expectation but 100-continue.
    """
    if request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise HttpError(417, "the Expect header may only say 100-continue")


def dumped(document: object) -> bytes:
    """A document as the bytes of its JSON."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    # a refusal may repeat a word of the client that is not UTF-8
    return text.encode("utf-8", "backslashreplace")


def json_response(body: bytes, status: int = 200, **headers: str) -> web.Response:
    """A response of JSON that no cache on its way keeps."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | headers,
    )


def problem(
    status: int,
    error: CacheStormError,
    headers: dict[str, str] | None = None,
    **members: object,
) -> web.Response:
    """An error as a response.

    Args:
        members: what else the problem tells.
    """
    return problem_of(status, error_document(error) | members, headers)


def problem_of(
    status: int, members: dict[str, object], headers: dict[str, str] | None = None
) -> web.Response:
    """What a refusal consists of, as a response.

    Args:
        members: `error`, as commands answer it, and what else is told.
    """
    error = members["error"]
    assert isinstance(error, dict)
    document: dict[str, object] = {
        "type": "about:blank",
        "title": _title(status),
        "status": status,
        "detail": error["message"],
    }
    response = json_response(dumped(document | members), status, **(headers or {}))
    response.content_type = PROBLEM
    return response


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


async def joined(documents: list[dict[str, object]]) -> bytes:
    """Answers as a list of JSON; others are served in between."""
    answers: list[bytes] = []
    size = 0
    turn = Turn()
    for document in documents:
        answers.append(NOT_SHOWN if size > LARGEST_ANSWER else dumped(document))
        size += len(answers[-1])
        await turn.end_if_due()
    return b"[" + b",".join(answers) + b"]"


NOT_SHOWN: Final = dumped(
    error_document(ArgumentError("not shown, but run: the answers before it are too large"))
)
