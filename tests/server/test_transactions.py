"""Transactions on the wire: what real servers cannot be asked, and clients of redis-py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest
import redis
from real_servers import HOST
from servers import our_server

from cachestorm import Cache, ManualClock
from cachestorm.declare.declaration import DECLARATIONS, Declaration, Declarations
from cachestorm.declare.registry import REGISTRY, Registry
from cachestorm.keyspace.shared_state import SLICE
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import REPLY_CHUNK_BYTES, Session
from cachestorm_server.settings import Settings

assert declares_commands


def two_sessions(cache: Cache) -> tuple[Session, Session]:
    endpoint = Endpoint(cache, REGISTRY, Settings())
    return Session(endpoint, "1.1.1.1:1"), Session(endpoint, "2.2.2.2:2")


def say(session: Session, *lines: str) -> bytes:
    replies = session.receive("".join(f"{line}\r\n" for line in lines).encode())
    while session.backlog:
        replies += session.receive(b"")
    return replies


def is_aborted(cache: Cache, key: str, touch: Callable[[], object]) -> bool:
    """Whether EXEC runs nothing when something happens while a key is watched."""
    session, _ = two_sessions(cache)
    session.cache = cache
    assert say(session, f"WATCH {key}", "MULTI", "PING") == b"+OK\r\n+OK\r\n+QUEUED\r\n"
    touch()
    replies = say(session, "EXEC")
    assert replies in (b"*-1\r\n", b"*1\r\n+PONG\r\n")
    cache._check()
    assert cache._space.watches is None
    return replies == b"*-1\r\n"


# -- watches


def test_an_invalidation_touches_the_keys_that_bear_the_tag() -> None:
    cache = Cache()
    cache.set("k", "v", tags=["t"])
    cache.set("other", "v")
    assert not is_aborted(cache, "other", lambda: cache.invalidate("t"))
    cache.set("k", "v", tags=["t"])
    assert is_aborted(cache, "k", lambda: cache.invalidate("t"))
    cache.set("k", "v", tags=["t"])
    assert is_aborted(cache, "k", lambda: cache.invalidate("t", soft=True))
    assert not is_aborted(cache, "k", cache.reap)


def test_tagging_touches_the_key() -> None:
    cache = Cache()
    cache.set("k", "v", tags=["t"])
    assert is_aborted(cache, "k", lambda: cache.addtag("k", "u"))
    assert is_aborted(cache, "k", lambda: cache.remtag("k", "u"))


def test_a_key_whose_end_comes_is_touched_and_one_that_was_dead_is_not() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("k", "v", ttl=10)
    assert is_aborted(cache, "k", lambda: clock.advance(20))
    cache.set("k", "v", ttl=10)
    clock.advance(20)
    assert not is_aborted(cache, "k", cache.reap)


def test_an_expired_field_touches_its_hash() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.hset("h", mapping={"f": 1, "g": 2})
    cache.hexpire("h", 10, "f")
    assert is_aborted(cache, "h", lambda: clock.advance(20))


def test_eviction_touches_the_key() -> None:
    cache = Cache(max_entries=1, policy="allkeys-lru")
    cache.set("k", "v")
    assert is_aborted(cache, "k", lambda: cache.set("other", "v"))
    assert is_aborted(cache, "k", lambda: (cache.set("k", "v"), cache.set("other", "v")))


def test_a_deleted_namespace_touches_what_was_there_and_watches_what_comes() -> None:
    shop = Cache().namespace("shop")
    shop.set("k", "v")
    assert is_aborted(shop, "k", lambda: shop.namespacedel("shop"))
    shop.set("x", "v")
    assert not is_aborted(shop, "none", lambda: shop.namespacedel("shop"))
    shop.set("x", "v")

    def come_and_go() -> None:
        shop.namespacedel("shop")
        shop.set("none", "v")
        shop.delete("none")

    assert is_aborted(shop, "none", come_and_go)


def test_a_write_of_the_process_touches_the_key() -> None:
    cache = Cache()
    assert is_aborted(cache, "k", lambda: cache.set("k", object()))
    assert is_aborted(cache, "k", lambda: cache.set("k", 1))
    assert not is_aborted(cache, "k", lambda: cache.get("k"))
    assert is_aborted(cache, "none", lambda: (cache.set("none", 1), cache.delete("none")))


def test_a_client_that_goes_leaves_no_watch() -> None:
    cache = Cache()
    session, other = two_sessions(cache)
    say(session, "WATCH k", "MULTI", "SET k 1")
    say(other, "WATCH k")
    session.close()
    say(other, "UNWATCH")
    assert cache._space.watches is None
    assert cache.get("k") is None


# -- the queue


def test_a_stranger_cannot_queue() -> None:
    session = Session(Endpoint(Cache(), REGISTRY, Settings(password="sesame")))
    refused = b"-NOAUTH Authentication required.\r\n"
    assert say(session, "MULTI", "GET k", "EXEC") == refused * 2 + (
        b"-EXECABORT Transaction discarded because of: Authentication required.\r\n"
    )


def test_what_may_not_be_queued_lets_the_transaction_be_refused() -> None:
    session, _ = two_sessions(Cache())
    assert say(session, "MULTI", "CLIENT REPLY OFF", "SET k 1", "EXEC", "GET k") == (
        b"+OK\r\n-ERR Command not allowed inside a transaction\r\n+QUEUED\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n$-1\r\n"
    )


def test_who_queues_without_end_is_disconnected() -> None:
    session, _ = two_sessions(Cache())
    session.endpoint.settings.max_query_bytes = 2000
    say(session, "MULTI")
    for _ in range(9):
        assert not session.closing
        # of 248 bytes each, with what an argument costs beside its own
        say(session, "SET k " + "v" * 100)
    assert session.closing


def test_client_list_tells_of_a_transaction() -> None:
    session, other = two_sessions(Cache())
    say(session, "MULTI", "SET key value")
    line = say(other, "CLIENT LIST ID 1").decode()
    assert " flags=x " in line
    assert " multi=1 " in line
    assert " multi-mem=155 " in line
    say(session, "DISCARD")
    assert " multi=-1 " in say(other, "CLIENT LIST ID 1").decode()


def test_a_discarded_transaction_is_no_longer_guarded() -> None:
    session, _ = two_sessions(Cache())
    say(session, "MULTI")
    assert session.guarded
    say(session, "DISCARD")
    assert not session.guarded
    say(session, "MULTI", "RESET")
    assert not session.guarded


# -- running


def test_a_large_reply_is_not_cut_within_a_transaction() -> None:
    cache = Cache()
    cache.set("big", b"x" * 400_000)
    session, _ = two_sessions(cache)
    replies = session.receive(b"MULTI\r\n" + b"GET big\r\n" * 9 + b"EXEC\r\nPING\r\n")
    expected = b"+OK\r\n" + b"+QUEUED\r\n" * 9 + b"*9\r\n"
    expected += (b"$400000\r\n" + b"x" * 400_000 + b"\r\n") * 9
    assert len(replies) > REPLY_CHUNK_BYTES
    assert replies == expected
    assert session.receive(b"") == b"+PONG\r\n"


def test_a_long_command_runs_to_its_end_within_a_transaction() -> None:
    cache = Cache()
    for number in range(3 * SLICE):
        cache.set(f"k{number}", b"v", tags=["t"])
    session, _ = two_sessions(cache)
    assert session.receive(b"MULTI\r\nINVALIDATE t\r\nDBSIZE\r\nEXEC\r\n") == (
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:%d\r\n:0\r\n" % (3 * SLICE)
    )
    assert session.long_command is None


def test_a_write_without_room_fails_alone() -> None:
    cache = Cache(max_memory="2kb", policy="noeviction")
    session, _ = two_sessions(cache)
    replies = say(session, "MULTI", "SET a 1", "SET b " + "x" * 4000, "INCR a", "EXEC")
    assert replies.endswith(
        b"*3\r\n+OK\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n:2\r\n"
    )
    cache._check()


def test_a_command_that_breaks_breaks_alone() -> None:
    declarations = Declarations()
    for declaration in DECLARATIONS:
        declarations.add(declaration)

    def breaks(session: Session) -> object:
        raise RuntimeError("broken")

    def gives_no_reply(session: Session) -> object:
        return [1, object()]

    command = partial(
        Declaration,
        group="test",
        complexity="",
        summary="",
        connection=True,
        declarations=declarations,
    )
    command("BREAK")(breaks)
    command("GARBLE")(gives_no_reply)
    session = Session(Endpoint(Cache(), Registry(declarations), Settings()))
    assert say(session, "MULTI", "BREAK", "GARBLE", "PING", "EXEC").endswith(
        b"*3\r\n-ERR internal error\r\n-ERR internal error\r\n+PONG\r\n"
    )
    assert not session.cache._store.transaction


def test_replies_that_are_switched_off_stay_so() -> None:
    session, _ = two_sessions(Cache())
    assert say(session, "CLIENT REPLY OFF", "MULTI", "SET k 1", "EXEC") == b""
    assert say(session, "CLIENT REPLY ON", "GET k") == b"+OK\r\n$1\r\n1\r\n"


def test_the_commands_of_a_transaction_are_counted() -> None:
    session, _ = two_sessions(Cache())
    say(session, "MULTI", "SET k 1", "INCR x y", "GET k", "EXEC")
    say(session, "MULTI", "SET k 1", "GET k", "EXEC")
    assert b"total_commands_processed:11\r\n" in say(session, "INFO stats")


def test_listeners_are_told_after_the_transaction() -> None:
    cache = Cache()
    seen: list[object] = []
    cache.listen(lambda effect: seen.append(cache.get("b")))
    session, _ = two_sessions(cache)
    say(session, "MULTI", "SET a 1", "SET b 2", "EXEC")
    assert set(seen) == {b"2"}


def test_threads_see_all_of_a_transaction_or_nothing() -> None:
    cache = Cache()
    cache.mset({"a": 0, "b": 0})
    session, _ = two_sessions(cache)
    ending = threading.Event()
    halves: list[object] = []

    def look() -> None:
        while not ending.is_set():
            first, second = cache.mget("a", "b")
            if int(str(first)) != int(str(second)):
                halves.append((first, second))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(500):
        say(session, "MULTI", "INCR a", "INCR b", "EXEC")
    ending.set()
    thread.join()
    assert halves == []


# -- redis-py


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_pipeline_of_redis_py_is_a_transaction(protocol: int) -> None:
    with our_server() as server:
        client = redis.Redis(HOST, server.port, protocol=protocol)
        with client.pipeline() as pipe:
            pipe.set("a", 1).incr("a").lpush("a", 1).get("a")
            replies = pipe.execute(raise_on_error=False)
        assert [replies[0], replies[1], replies[3]] == [True, 2, b"2"]
        assert isinstance(replies[2], redis.ResponseError)
        with client.pipeline() as pipe:
            pipe.watch("a")
            client.set("a", 5)
            pipe.multi()
            pipe.incr("a")
            with pytest.raises(redis.WatchError):
                pipe.execute()

        def double(pipe: redis.client.Pipeline) -> None:
            value = int(pipe.get("a") or 0)
            pipe.multi()
            pipe.set("a", value * 2)

        client.transaction(double, "a")
        assert client.get("a") == b"10"
        client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_pipeline_of_asyncio_is_a_transaction(protocol: int) -> None:
    async def converse(port: int) -> None:
        async with redis.asyncio.Redis(host=HOST, port=port, protocol=protocol) as client:
            async with client.pipeline() as pipe:
                pipe.set("a", 1).incr("a")
                assert await pipe.execute() == [True, 2]
            async with client.pipeline() as pipe:
                await pipe.watch("a")
                await client.set("a", 5)
                pipe.multi()
                pipe.incr("a")
                with pytest.raises(redis.WatchError):
                    await pipe.execute()

    with our_server() as server:
        asyncio.run(converse(server.port))


def test_counting_clients_lose_no_count() -> None:
    def count(port: int) -> None:
        client = redis.Redis(HOST, port)

        def step(pipe: redis.client.Pipeline) -> None:
            value = int(pipe.get("n") or 0)
            pipe.multi()
            pipe.set("n", value + 1)

        for _ in range(30):
            client.transaction(step, "n")
        client.close()

    with our_server() as server:
        threads = [threading.Thread(target=count, args=(server.port,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.endpoint.cache.get("n") == b"120"
