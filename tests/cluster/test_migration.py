"""MIGRATE between two servers: what moves, what stays, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cachestorm import Cache, ManualClock
from cachestorm.operations.long_command import PIECES
from cachestorm_server.cluster.migration import PIECE, Migration, Target
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings

Story = Callable[[Redis, Redis, int], Awaitable[None]]


def between_two(story: Story, password: str = "") -> None:
    """Plays a story with a client of each of two servers, and the port of the second."""

    async def play() -> None:
        async with (
            RespServer(Cache(), Settings(port=0)) as one,
            RespServer(Cache(), Settings(port=0, password=password)) as other,
        ):
            here, there = Redis(port=one.port), Redis(port=other.port, password=password)
            async with here, there:
                await story(here, there, other.port)

    asyncio.run(play())


def test_keys_move_with_value_tags_and_time_to_live() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.execute_command("SETTAG", "a", "1", "t", "u")
        await here.expire("a", 100)
        await here.hset("h", "f", "v")
        await here.set("stays", "x")
        moved = await here.execute_command(
            "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", "a", "h", "missing"
        )
        assert moved == b"OK"
        assert await here.keys() == [b"stays"]
        assert await there.get("a") == b"1"
        assert await there.execute_command("TAGS", "a") == [b"t", b"u"]
        assert 90 < await there.ttl("a") <= 100
        assert await there.hgetall("h") == {b"f": b"v"}

    between_two(story)


def test_a_copy_stays_and_a_key_that_is_there_is_only_replaced_if_that_is_asked() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.set("k", "new")
        await there.set("k", "old")
        words = ["MIGRATE", "127.0.0.1", port, "k", 0, 5000]
        with pytest.raises(ResponseError, match=r"replied with error: BUSYKEY"):
            await here.execute_command(*words)
        assert await here.get("k") == b"new"
        assert await here.execute_command(*words, "COPY", "REPLACE") == b"OK"
        assert (await here.get("k"), await there.get("k")) == (b"new", b"new")

    between_two(story)


def test_of_several_keys_those_that_are_refused_stay() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.mset({"a": 1, "b": 2})
        await there.set("a", "old")
        with pytest.raises(ResponseError, match="BUSYKEY"):
            await here.execute_command(
                "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", "a", "b"
            )
        assert await here.keys() == [b"a"]
        assert await there.mget("a", "b") == [b"old", b"2"]

    between_two(story)


def test_a_password_is_given() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.mset({"a": 1, "b": 2})
        words = ["MIGRATE", "127.0.0.1", port]
        with pytest.raises(ResponseError, match="NOAUTH"):
            await here.execute_command(*words, "a", 0, 5000)
        assert await here.execute_command(*words, "a", 0, 5000, "AUTH", "pw") == b"OK"
        both = ["AUTH2", "default", "pw"]
        assert await here.execute_command(*words, "b", 0, 5000, *both) == b"OK"
        assert await there.dbsize() == 2

    between_two(story, "pw")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["k", 0, 100, "KEYS", "a"], "the key argument must be set to the empty string"),
        (["k", "x", 100], "not an integer"),
        (["k", 0, 100, "NOPE"], "syntax error"),
    ],
)
def test_words_that_are_wrong_are_refused(words: list[object], text: str) -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        with pytest.raises(ResponseError, match=text):
            await here.execute_command("MIGRATE", "127.0.0.1", port, *words)

    between_two(story)


def test_where_nobody_listens_nothing_moves() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.set("k", "v")
        with pytest.raises(ResponseError, match="IOERR error or timeout connecting"):
            await here.execute_command("MIGRATE", "127.0.0.1", 1, "k", 0, 500)
        assert await here.execute_command("MIGRATE", "127.0.0.1", 1, "x", 0, 500) == b"NOKEY"
        assert await here.get("k") == b"v"

    between_two(story)


def test_a_key_that_is_written_to_or_deleted_on_its_way_arrives_as_it_is_then() -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.mset({"written": 1, "deleted": 2})
        writer = Redis(port=here.connection_pool.connection_kwargs["port"])
        async with writer:
            await writer.ping()
            began = asyncio.Event()
            send = Migration._send

            async def slow(self: Migration, requests: list[bytes]) -> None:
                if not began.is_set():
                    began.set()
                    await writer.set("written", 3)
                    await writer.delete("deleted")
                await send(self, requests)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Migration, "_send", slow)
                words = ["MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS"]
                moved = await here.execute_command(*words, "written", "deleted")
        assert moved == b"OK"
        assert await here.dbsize() == 0
        assert await there.keys() == [b"written"]
        assert await there.get("written") == b"3"

    between_two(story)


def held(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Has migrations wait before they send; set when one does, and to be set to let them go."""
    began, goes_on = asyncio.Event(), asyncio.Event()
    send = Migration._send

    async def slow(self: Migration, requests: list[bytes]) -> None:
        began.set()
        await goes_on.wait()
        await send(self, requests)

    monkeypatch.setattr(Migration, "_send", slow)
    return began, goes_on


def test_a_key_that_two_move_at_once_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: Redis, there: Redis, port: int) -> None:
        await here.mset({"k": 1, "other": 2})
        began, goes_on = held(monkeypatch)
        words = ["MIGRATE", "127.0.0.1", port, "", 0, 5000, "REPLACE", "KEYS"]
        first = asyncio.create_task(here.execute_command(*words, "k"))
        await began.wait()
        began.clear()
        second = asyncio.create_task(here.execute_command(*words, "k"))
        third = asyncio.create_task(here.execute_command(*words, "other", "k"))
        # the others do not send anything before the first has ended
        while int((await here.info("clients"))["blocked_clients"]) < 3:
            await asyncio.sleep(0)
        assert not began.is_set()
        goes_on.set()
        assert await first == b"OK"
        assert {await second, await third} == {b"NOKEY", b"OK"}
        assert await here.dbsize() == 0
        assert await there.mget("k", "other") == [b"1", b"2"]

    between_two(story)


def test_others_are_served_while_many_keys_are_packed_and_taken_away() -> None:
    names = [f"k{number}" for number in range(3 * PIECE * PIECES)]
    cache = Cache()
    cache.set_many(dict.fromkeys(names, 1))
    # how many requests, and keys, there were after each slice
    seen: list[tuple[int, int]] = []

    async def play() -> None:
        migration = begun(cache, names)
        while not migration.step():
            seen.append((len(migration._requests), len(cache)))
            await asyncio.sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Migration, "_send", taken)
        asyncio.run(play())
    count = len(names)
    assert sum(packed < count for packed, _ in seen) >= 2
    assert sum(0 < left < count for _, left in seen) >= 2
    assert len(cache) == 0


def test_of_a_hash_all_of_whose_fields_are_due_nothing_is_said() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.hset("h", "f", "v")
    cache.hexpire("h", 1, "f")
    clock.advance(2)

    async def play() -> None:
        migration = begun(cache, ["h"])
        while not migration.step():
            await asyncio.sleep(0)
        assert migration._requests == []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Migration, "_send", taken)
        asyncio.run(play())


async def taken(self: Migration, requests: list[bytes]) -> None:
    """In the place of sending: the other server takes everything."""
    self._replies = [b"+OK"] * len(requests)


def begun(cache: Cache, names: list[str]) -> Migration:
    target = Target("127.0.0.1", 1, 0, 1000, ())
    space = cache._space
    return Migration(space, [space], names, target, b"RESTORE", False, False, lambda: "")
