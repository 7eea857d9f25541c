"""HTTP as aiohttp carries it, with each refusal as a problem: requests in, responses out.

Called by the HTTP endpoint, whose handler gets every request; calls aiohttp's low-level server,
which answers malformed HTTP by itself: here that is a problem, too.

A problem is of RFC 9457, and has the member `error` of the answers of commands: code and
message.

    {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such key",
     "error": {"code": "ERR", "message": "no such key"}}

1. Clients beyond `max_http_clients` are told so and disconnected, so that those of RESP find
   descriptors.
2. A client has `http_header_timeout_s` for a header: of the first request from when it has
   connected, of another one from its first byte, for which it has `http_keepalive_timeout_s`
   after each answer. While one is answered, as by a stream of events, no time is counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import error_document
from cachestorm_server.listening import serving
from cachestorm_server.net import is_this_host
from cachestorm_server.turns import Turn

# of a timeout that never comes: aiohttp has none without an end
_NEVER_S: Final = 365 * 24 * 3600.0
# how long a client may take to send a body
BODY_WITHIN_S: Final = 30.0
LONGEST_REASON: Final = 200
# past this many bytes of answers the rest of a pipeline is not run
LARGEST_ANSWER: Final = 16 * 1024 * 1024
PROBLEM: Final = "application/problem+json"
# it is not copied to stand behind its header
_LARGE_BODY: Final = 64 * 1024

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
        endpoint: whose settings say who is let in, and who counts them.
    """

    def __init__(self, handler: Answering, max_body_bytes: int, endpoint: Endpoint) -> None:
        super().__init__(handler, request_factory=self._request)
        self._max_body_bytes: Final = max_body_bytes
        self._endpoint: Final = endpoint

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        return JsonConnection(self._endpoint, self, loop)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, JsonConnection)
        protocol.stop_timer()
        loop = asyncio.get_running_loop()
        most = self._max_body_bytes
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=most
        )


class Listener(web.SockSite):
    """Where clients come in."""

    async def start(self) -> None:
        """Listens."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None
        self._server = await serving(server, self._sock, self._ssl_context)


class ClientGoneError(CacheStormError):
    """What a command that waits ends with when nobody is there for its answer."""

    def __init__(self) -> None:
        super().__init__("the client has gone")


class JsonConnection(web.RequestHandler):
    """One client of it.

    Attributes:
        default: the default user, as this client; None before it was asked for.
        visitor: who asks by the request that is being answered; None before it is known.
        waiting: the command of this client that waits; None when there is none. It ends when
            the client goes, for what it would take then belongs to others.
    """

    __slots__ = (
        "_endpoint",
        "_is_counted",
        "_is_of_this_host",
        "_timer",
        "default",
        "visitor",
        "waiting",
    )

    def __init__(
        self, endpoint: Endpoint, server: JsonServer, loop: asyncio.AbstractEventLoop
    ) -> None:
        keepalive_s = endpoint.settings.http_keepalive_timeout_s
        super().__init__(
            server,
            loop=loop,
            access_log=_log,
            logger=_log,
            keepalive_timeout=keepalive_s or _NEVER_S,
        )
        self._endpoint: Final = endpoint
        self._is_counted = False
        # what disconnects a client that asks nothing
        self._timer: asyncio.TimerHandle | None = None
        self._is_of_this_host: bool | None = None
        self.default: Visitor | None = None
        self.visitor: Visitor | None = None
        self.waiting: LongCommand | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepts the client, or tells it that there are too many."""
        endpoint = self._endpoint
        if not endpoint.admit_http():
            # one of uvloop is a Transport by its methods, not by descent
            cast("asyncio.Transport", transport).write(TOO_MANY_CLIENTS)
            transport.close()
            # nothing is read that comes yet
            self.force_close()
            return
        endpoint.http_connections += 1
        self._is_counted = True
        self._wait_for_header()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Takes in what has come; a header that has begun is to end in time."""
        super().data_received(data)
        # what waits for a request is there between two of them, and done when the next is whole
        waiter = self._waiter
        is_between = waiter is not None and not waiter.done()
        if is_between and self._timer is None and data.strip():
            self._wait_for_header()

    def _wait_for_header(self) -> None:
        header_s = self._endpoint.settings.http_header_timeout_s
        if header_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(header_s, self._give_up)

    def is_of_this_host(self) -> bool:
        """Whether the client's address is one of this host."""
        if self._is_of_this_host is None:
            self._is_of_this_host = is_this_host(self.peername)
        return self._is_of_this_host

    def stop_timer(self) -> None:
        """The client has sent a header, or what is none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        """Disconnects a client that has sent no whole header in time."""
        self._timer = None
        self._endpoint.http_timed_out += 1
        self.force_close()

    def carry(self, long_command: LongCommand) -> None:
        """Has a command end with the client if it waits; `waiting` is to be reset after it."""
        if long_command.sleeps:
            self.waiting = long_command
            if self.transport is None:
                long_command.unblock(ClientGoneError())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends a command that waits; others have their effect all the same."""
        self.stop_timer()
        if self._is_counted:
            self._is_counted = False
            self._endpoint.http_connections -= 1
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


class SpelledResponse(web.StreamResponse):
    """An answer whose header is one string already, which takes less time than aiohttp's own.

    Only where `may_be_spelled` says so.

    Args:
        lines: of the header, each with its end; aiohttp's own are added.
    """

    def __init__(self, lines: str, body: bytes) -> None:
        super().__init__()
        self._lines: Final = lines
        self._whole_body: Final = body

    @property
    def keep_alive(self) -> bool:
        """The client stays."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Sends all of it."""
        writer = request.writer
        body = self._whole_body
        head = (
            f"HTTP/1.1 200 OK\r\n{self._lines}Content-Length: {len(body)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        ).encode()
        if len(body) <= _LARGE_BODY:
            await writer.write(head + body)
        else:
            await writer.write(head)
            await writer.write(body)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""


def may_be_spelled(request: web.BaseRequest) -> bool:
    """Whether the answer has a body, and the client need not be told that it may stay."""
    return request.method == "GET" and request.version == HttpVersion11 and request.keep_alive


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


def _too_many_clients() -> bytes:
    """What a client is sent that has asked nothing yet."""
    refusal = problem(503, CacheStormError("max number of clients reached"))
    body = refusal.body
    assert isinstance(body, bytes)
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        f"Content-Type: {PROBLEM}",
        f"Content-Length: {len(body)}",
        "Retry-After: 1",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


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
TOO_MANY_CLIENTS: Final = _too_many_clients()
