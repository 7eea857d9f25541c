"""The wire for tasks of asyncio: see `wire.py`. Each event loop has connections of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.exceptions import NoScriptError

from cachestorm.remote.dialect import LOADING, Dialect
from cachestorm.remote.introducing import Introduction
from cachestorm.remote.recovery import AsyncRecovery
from cachestorm.remote.refusals import (
    UnreachableError,
    UnsupportedError,
    refusal,
)
from cachestorm.remote.spaces import Space
from cachestorm.remote.steps import Ask, Await, Course, Step, Watch
from cachestorm.remote.wire import After, Wire, checked

if TYPE_CHECKING:
    from cachestorm.remote.cluster_dialect import ClusterDialect
    from cachestorm.remote.courses import Courses


class AsyncWire:
    """The connections of tasks to the namespace of a server that a wire of threads leads to."""

    # how commands are said in a cluster, if this is the wire to one
    cluster: ClusterDialect | None = None

    def __init__(self, wire: Wire) -> None:
        self.address: Final = wire.address
        self.namespace: Final = wire.namespace
        self._recovery: Final = wire.recovery
        self._telling: Final = AsyncRecovery(wire.recovery)
        self._is_held_back: Final = wire.is_held_back
        self.after: After | None = None
        self.asking: Courses | None = None
        self.dialect: Dialect | None = None
        self.space: Space | None = None
        # of each loop a client, and one for commands that wait for others
        self._clients: dict[tuple[asyncio.AbstractEventLoop, bool], Any] = {}

    async def run(self, course: Course, is_asking: bool = False) -> Any:
        """Sends the steps of a course: see `Wire.run`."""
        pinned: Any = None
        error: Exception | None = None
        replies: list[Any] = []
        try:
            step = next(course)
            while True:
                try:
                    if isinstance(step, Watch) and pinned is None:
                        pinned = self.client().pipeline(transaction=True)
                    replies = await self._done(step, pinned, is_asking)
                    error = None
                except redis.RedisError as caught:
                    error = refusal(caught, self.address.shown)
                    error.__cause__ = caught
                step = course.send(replies) if error is None else course.throw(error)
        except StopIteration as end:
            return end.value
        finally:
            course.close()
            if pinned is not None:
                await pinned.reset()

    async def _done(self, step: Step | Await, pinned: Any, is_asking: bool) -> list[Any]:
        try:
            if isinstance(step, Await):
                return await self._sent(step, pinned)
            if self.asking is not None and not is_asking:
                await self._learn(self.asking)
            if self._recovery.is_waiting and not is_asking and self._is_held_back(step):
                await self._telling.apply()
            return await self._answered(step, pinned)
        except BaseException as error:
            self._recovery.failed(step.writes, error)
            raise
        finally:
            if self.after is not None:
                self.after(step.commands)

    async def _learn(self, courses: Courses) -> None:
        try:
            await self.run(courses.asked(assumes=False), True)
        except UnreachableError as error:
            raise error.__cause__ or error from None
        self.dialect = self.dialect or courses.dialect
        self.space = self.space or courses.space
        self.asking = None

    async def _answered(self, step: Step, pinned: Any) -> list[Any]:
        sent = step if self.space is None else self.space.named(step)
        if self.dialect is None:
            replies = await self._sent(sent, pinned)
        else:
            replies = await self._said(self.dialect, sent, pinned)
        return replies if self.space is None else self.space.read(step.commands, replies)

    async def _said(self, dialect: Dialect, step: Step, pinned: Any) -> list[Any]:
        steps, read = dialect.steps(step)
        try:
            replies = [await self._sent(each, pinned) for each in steps]
        except NoScriptError:
            await self.client().execute_command(*LOADING)
            if pinned is not None and isinstance(step, Ask):
                raise redis.WatchError from None
            replies = [await self._sent(each, pinned) for each in steps]
        found: list[Any] = read(replies[-1])
        return found

    async def _sent(self, step: Step | Await, pinned: Any) -> list[Any]:
        if isinstance(step, Await):
            return [await step.awaitable]
        if isinstance(step, Watch):
            await pinned.reset()
            await pinned.watch(*step.keys)
            return [await pinned.execute_command(*words) for words in step.commands]
        if pinned is not None and step.atomic:
            pinned.multi()
            return await _executed(pinned, step)
        if len(step.commands) == 1:
            return [await self.client(step.blocks).execute_command(*step.commands[0])]
        async with self.client().pipeline(transaction=step.atomic) as pipe:
            return await _executed(pipe, step)

    def client(self, is_patient: bool = False) -> Any:
        """The client of the running loop.

        Raises:
            UnsupportedError: where there is none of asyncio.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UnsupportedError(
                f"cache.aio of {self.address.shown} needs a running event loop of asyncio"
            ) from None
        client = self._clients.get((loop, is_patient))
        if client is None:
            client = self._made({"socket_timeout": None} if is_patient else {})
            # each step is one for all threads; a lock might be found taken in a child of a fork
            for other in list(self._clients):
                if other[0].is_closed():
                    # a client keeps its loop, and its sockets, alive
                    self._clients.pop(other, None)
            self._clients[loop, is_patient] = client
        return client

    async def close(self) -> None:
        """Closes the connections of the running loop."""
        loop = asyncio.get_running_loop()
        for is_patient in (False, True):
            client = self._clients.pop((loop, is_patient), None)
            if client is not None:
                await client.aclose()

    def _made(self, options: dict[str, Any]) -> Any:
        settings = {"protocol": 3, **self.address.options, **options}
        introduction = Introduction(self.address, self.namespace, lambda: self.space is None)
        if introduction.is_needed:
            settings["redis_connect_func"] = introduction.awaited
        client = self.address.async_client(**settings)
        client.response_callbacks.clear()
        return client


async def _executed(pipe: Any, step: Ask) -> list[Any]:
    for words in step.commands:
        pipe.execute_command(*words)
    return checked(await pipe.execute(raise_on_error=False))
