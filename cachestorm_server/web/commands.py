"""Commands over HTTP: one, a pipeline or a transaction, as `json_commands` reads them.

Called by the endpoint; calls `json_commands` and `json_transactions`. What takes long is done
in slices, between which others are served.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import partial
from typing import Final

from aiohttp import web

from cachestorm.aio.values_away import with_values
from cachestorm.codec import bytes_of
from cachestorm.errors import ArgumentError
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import (
    OK_STATUS,
    BadJsonError,
    Held,
    JsonCommands,
    Pending,
    count_values,
    error_document,
    read_document,
)
from cachestorm_server.json_transactions import WATCH_S, Batch, JsonTransactions, read_batch
from cachestorm_server.settings import COMMANDS_PATH
from cachestorm_server.turns import Turn, end_of, next_turn
from cachestorm_server.web.routes import Call, Parameter, Route, serves
from cachestorm_server.web.wire import (
    LARGEST_ANSWER,
    HttpError,
    body_of,
    client_of,
    dumped,
    joined,
    json_response,
    problem_of,
)

NAMESPACE_HEADER: Final = "X-CacheStorm-Namespace"
LONGEST_PIPELINE: Final = 10_000
NAMESPACE: Final = Parameter(
    NAMESPACE_HEADER, "The namespace; `default` if it is left out.", header=True
)


class Commands:
    """Runs what is posted.

    Args:
        max_body_bytes: the largest document; 0 for no limit.

    Attributes:
        json: what runs commands, and counts them.
    """

    def __init__(self, endpoint: Endpoint, max_body_bytes: int) -> None:
        self.json: Final = JsonCommands(
            endpoint.cache, endpoint.registry, endpoint.pause, endpoint.availability
        )
        self.json.hooks = endpoint.hooks
        self.json.router = None if endpoint.cluster is None else endpoint.cluster.router
        self._endpoint: Final = endpoint
        self._max_body_bytes: Final = max_body_bytes
        self._transactions: Final = JsonTransactions(endpoint.cache, self.json)

    def close(self) -> None:
        """Ends what is watched."""
        self._transactions.end_all()

    @serves(
        Route(
            "POST",
            COMMANDS_PATH,
            "Runs a command, a pipeline, or a transaction.",
            group="commands",
            parameters=(NAMESPACE,),
            takes="application/json",
            answers={200: "What the command returns; of many, a list of answers."},
        )
    )
    async def run(self, call: Call) -> web.Response:
        """Runs a document."""
        request = call.request
        if request.content_type != "application/json":
            raise HttpError(415, "the Content-Type of a command is application/json")
        body = await body_of(request, self._max_body_bytes)
        for _ in count_values(body):
            await asyncio.sleep(0)
        document = read_document(body)
        namespace = call.query.text(NAMESPACE_HEADER)
        if isinstance(document, list):
            return json_response(await self._pipeline(document, namespace, request))
        if isinstance(document, dict) and "commands" in document:
            return json_response(await self._batch(document, namespace, request))
        return answered(*await self.answer(document, namespace, request))

    async def _batch(
        self, document: dict[str, object], namespace: str | None, request: web.BaseRequest
    ) -> bytes:
        """Runs many commands, in one step if that is asked for."""
        batch = read_batch(document, namespace)
        _check_length(batch.commands)
        visitor = client_of(request).visitor
        token = self._transactions.watch(batch, visitor)
        if batch.is_atomic:
            answers = await joined(await self._run_batch(batch, visitor))
        else:
            answers = await self._pipeline(batch.commands, batch.namespace, request)
        if not token:
            return b'{"results":%b}' % answers
        asyncio.get_running_loop().call_later(WATCH_S, self._transactions.end_due)
        return b'{"results":%b,"watch":%b}' % (answers, dumped(token))

    async def _run_batch(
        self, batch: Batch, visitor: Visitor | None
    ) -> list[dict[str, object]]:
        """Runs commands in one step, when they are not held back any more."""
        while True:
            try:
                ask = partial(self._transactions.run, batch, visitor)
                return await with_values(self._endpoint.cache, ask)
            except Held:
                await end_of(self._endpoint.pause)

    async def _pipeline(
        self, commands: list[object], namespace: str | None, request: web.BaseRequest
    ) -> bytes:
        """Runs commands one after the other."""
        _check_length(commands)
        answers: list[bytes] = []
        size = 0
        turn = Turn()
        for command in commands:
            if size > LARGEST_ANSWER:
                answers.append(_NOT_RUN)
                continue
            answers.append(dumped((await self.answer(command, namespace, request))[1]))
            size += len(answers[-1])
            await turn.end_if_due()
        return b"[" + b",".join(answers) + b"]"

    async def answer(
        self, command: object, namespace: str | None, request: web.BaseRequest
    ) -> tuple[int, dict[str, object]]:
        """Runs one command; other clients are served between the slices of a long one."""
        while True:
            try:
                visitor = client_of(request).visitor
                ask = partial(self.json.answer, command, namespace, visitor)
                return await with_values(self._endpoint.cache, ask)
            except Held:
                await end_of(self._endpoint.pause)
            except Pending as unfinished:
                pending = unfinished
                break
        client = client_of(request)
        client.carry(pending.long_command)
        try:
            while True:
                await next_turn(pending.long_command)
                answer = self.json.go_on(pending)
                if answer is not None:
                    return answer
        except BaseException:
            pending.long_command.abandon()
            raise
        finally:
            client.waiting = None


def answered(status: int, answer: dict[str, object]) -> web.Response:
    """The answer of one command as a response; a refusal is a problem."""
    if status == OK_STATUS:
        return json_response(dumped(answer))
    return problem_of(status, answer)


def wire_of(text: str) -> object:
    """A key or a tag as a word of a command in JSON, whatever its bytes."""
    return {"base64": b64encode(bytes_of(text)).decode("ascii")}


def _check_length(commands: list[object]) -> None:
    if len(commands) > LONGEST_PIPELINE:
        raise BadJsonError(f"a pipeline has at most {LONGEST_PIPELINE} commands")


_NOT_RUN: Final = dumped(
    error_document(
        ArgumentError("not run: the answers before it are too large; ask for less at once")
    )
)
