"""Servers of this process that follow each other, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.replication.follower import State
from cachestorm_server.replication.replication import Replication

PATIENCE_S = 60.0


def node(primary: Application | None = None, **more: object) -> Application:
    """A server that is not started yet; with a primary it follows that."""
    given: dict[str, object] = {"server.port": 0, "http.enabled": False}
    if primary is not None:
        given["replication.replica_of"] = f"127.0.0.1:{primary.resp.port}"
    given |= {name.replace("__", "."): value for name, value in more.items()}
    return Application(load(None, {}, {name: ("test", each) for name, each in given.items()}))


def of(served: Application) -> Replication:
    assert served.replication is not None
    return served.replication


async def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.002)


async def complaint(replica: Application) -> str:
    """Why a replica does not follow, once it says so."""
    following = of(replica).following
    assert following is not None
    await until(lambda: following.follower.why != "")
    return following.follower.why


async def caught_up(primary: Application, replica: Application) -> None:
    """Waits until a replica has all that its primary has."""

    def is_so() -> bool:
        following = of(replica).following
        assert following is not None
        follower, stream = following.follower, of(primary).stream
        offset = stream.flush()
        is_same = (follower.history, follower.offset) == (stream.history, offset)
        return follower.state is State.CONNECTED and is_same

    await until(is_so)


class Client:
    """One connection."""

    @classmethod
    async def of(cls, served: Application) -> Client:
        client = cls()
        streams = await asyncio.open_connection("127.0.0.1", served.resp.port)
        client.reader, client.writer = streams
        return client

    async def ask(self, line: str) -> Any:
        """The reply to a line: bytes, numbers and lists; of errors the text, with its minus."""
        self.writer.write(line.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> Any:
        line = (await self.reader.readline()).rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$" and rest != b"-1":
            return (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*" and rest != b"-1":
            return [await self._reply() for _ in range(int(rest))]
        return None if rest == b"-1" else (line if kind == b"-" else rest)

    async def heard(self) -> Any:
        """What comes without being asked for."""
        return await self._reply()

    async def asks_until(self, line: str, reply: object) -> None:
        """Asks the same until the reply is this."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.ask(line) != reply:
                await asyncio.sleep(0.002)

    def close(self) -> None:
        self.writer.close()


Scene = Callable[[], Coroutine[Any, Any, None]]


def on_a_loop(scene: Scene) -> None:
    asyncio.run(scene())


def fill(served: Application) -> None:
    cache = served.cache
    cache.set("a", "text", tags=["t", "u"])
    cache.set("n", 12, ttl=1000)
    cache.set("o", {"x": [1, None]})
    cache.hset("h", mapping={"f": 1, "g": b"\xff"})
    cache.rpush("l", 1, 2, 3)
    cache.sadd("s", "x", "y")
    cache.zadd("z", {"m": 1.5})
    cache.set("idle", "x", idle=100)
    cache.taglink("parent", "t")
    cache.namespace("other", default_ttl=50, max_memory=1 << 20).set("k", "v")


def change(served: Application) -> None:
    cache = served.cache
    cache.hset("h", "f", 2)
    cache.lpush("l", 0)
    cache.rename("a", "b")
    cache.persist("n")
    cache.srem("s", "x")
    cache.zincrby("z", 1, "m")
    cache.set("c", 1, tags=["v"])
    cache.invalidate("v")
    cache.append("p", "q")
    cache.setbit("p", 100, 1)
    cache.swapdb(0, 1)
    cache.swapdb(0, 1)
    cache.namespace("other").flushdb()
    with cache.transaction():
        cache.set("x", 1)
        cache.set("y", 2)
