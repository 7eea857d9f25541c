"""The wire to a cluster for tasks of asyncio: see `cluster_wire.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisClusterException, TryAgainError

from cachestorm.remote.async_wire import AsyncWire
from cachestorm.remote.cluster_dialect import (
    PATIENCE_S,
    PAUSE_S,
    AtNode,
    ClusterDialect,
    Everywhere,
    Part,
    Pause,
)
from cachestorm.remote.cluster_wire import leave_replies, plain_error, primaries, refuse_late
from cachestorm.remote.dialect import LOADING, Dialect
from cachestorm.remote.steps import Ask, Step, Watch
from cachestorm.remote.wire import Wire


class AsyncClusterWire(AsyncWire):
    """The connections of tasks to the nodes of one cluster."""

    def __init__(self, wire: Wire, dialect: ClusterDialect) -> None:
        super().__init__(wire)
        self.dialect = self.cluster = dialect
        self.space = wire.space

    def _made(self, options: dict[str, Any]) -> Any:
        client = self.address.async_cluster_client(protocol=3, **options)
        leave_replies(client.response_callbacks)
        client.result_callbacks.clear()
        return client

    async def _said(self, dialect: Dialect, step: Step, pinned: Any) -> list[Any]:
        assert isinstance(dialect, ClusterDialect)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self._spread(dialect, step, pinned)
            except NoScriptError:
                await self._part(Everywhere(lambda _: LOADING), None)
                if pinned is not None and isinstance(step, Ask):
                    raise redis.WatchError from None
            except (TryAgainError, redis.exceptions.ClusterError) as error:
                refuse_late(error, deadline)
                await self._part(Pause(PAUSE_S), None)

    async def _spread(self, dialect: ClusterDialect, step: Step, pinned: Any) -> list[Any]:
        course = dialect.spread(step)
        try:
            part = next(course)
            while True:
                part = course.send(await self._part(part, pinned))
        except StopIteration as end:
            found: list[Any] = end.value
            return found

    async def _part(self, part: Part, pinned: Any) -> list[Any]:
        client = self.client()
        await awaited(client.initialize)
        if isinstance(part, (Ask, Watch)):
            return await awaited(lambda: self._sent(part, pinned))  # type: ignore[no-any-return]
        if isinstance(part, Pause):
            await asyncio.sleep(part.seconds)
            await awaited(client.nodes_manager.initialize)
            return []
        nodes, slots = primaries(client)
        if isinstance(part, AtNode):
            node = nodes[part.index % len(nodes)]
            return [await _at(client, node, part.words), len(nodes)]
        pairs = [(node, part.words_of(slots[node.name])) for node in nodes]
        return list(
            await asyncio.gather(
                *[_at(client, node, words) for node, words in pairs if words is not None]
            )
        )


async def _at(client: Any, node: Any, words: list[Any]) -> Any:
    return await awaited(lambda: client.execute_command(*words, target_nodes=node))


async def awaited(call: Callable[[], Awaitable[Any]]) -> Any:
    """As `translated`, for what is awaited."""
    try:
        return await call()
    except RedisClusterException as error:
        raise plain_error(error) from error
