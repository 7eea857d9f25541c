"""A near cache never serves what has changed, and says how often it was asked."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from caches import SERVERS, cache_at
from real_servers import HOST, RealServer, free_port, redis_binary, running
from servers import our_server

from cachestorm import connect
from cachestorm.errors import ConfigError
from cachestorm.remote import invalidations
from cachestorm.remote.near import Near
from cachestorm.remote.refusals import UnreachableError

PATIENCE_S = 20.0


def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def live(cache: Any) -> Any:
    """A near cache that is told what changes."""
    cache.get("none")
    assert cache.near.wait_until_live(PATIENCE_S)
    return cache


def settled(cache: Any) -> Any:
    """A near cache that has been told of all that was written so far."""
    fill = cache.near.begin("sentinel")
    with connect(cache.address.url) as other:
        other.set("sentinel", 1)
        until(lambda: fill.is_void)
        other.delete("sentinel")
    cache.near.give_up(fill)
    return cache


def keeping(cache: Any, value: Any, **options: Any) -> Any:
    """A near cache that has the key `k` at hand."""
    cache.set("k", value, **options)
    settled(cache)
    # in a cluster each node tells of its own keys, this one perhaps later than of the sentinel
    until(lambda: cache.get("k") == cache.near.values.get("k") == value)
    return cache


@pytest.fixture(params=SERVERS)
def near(request: pytest.FixtureRequest) -> Iterator[Any]:
    with cache_at(request.param, request, near=True) as cache:
        yield live(cache)


@pytest.fixture(params=["cachestorm", "local", "redis", "cluster"])
def tagged_near(request: pytest.FixtureRequest) -> Iterator[Any]:
    with cache_at(request.param, request, near=True) as cache:
        yield live(cache)


def test_what_was_read_is_at_hand(near: Any) -> None:
    near.set("k", {"a": 1})
    # the server's word of that write is not to take away what is read after it
    settled(near)
    assert [near.get("k"), near["k"], near.get_many(["k"])] == [
        {"a": 1},
        {"a": 1},
        {"k": {"a": 1}},
    ]
    # the first of them asked the server
    assert near.stats().hits == 2
    assert near.stats().hit_ratio > 0


def test_what_was_read_of_many_is_at_hand(near: Any) -> None:
    near.set_many({"a": 1, "b": 2}, 60)
    assert settled(near).get_many(["a", "b", "none"]) == {"a": 1, "b": 2}
    assert sorted(near.near.values.keys()) == ["a", "b"]
    assert near.near.values.ttl("a") <= 60


def test_what_another_client_writes_is_seen(near: Any) -> None:
    keeping(near, 1)
    with connect(near.address.url) as other:
        other.set("k", 2)
        until(lambda: near.get("k") == 2)
        other.flushall()
        until(lambda: near.get("k") is None)


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set("k", 2),
    "delete": lambda cache: cache.delete("k"),
    "incr": lambda cache: cache.incr("k"),
    "set_many": lambda cache: cache.set_many({"k": 2}),
    "rename": lambda cache: cache.rename("k", "{k}other"),
    "modify": lambda cache: cache.modify("k", lambda value: value + 1),
    "clear": lambda cache: cache.clear(),
    "pop": lambda cache: cache.pop("k"),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_this_process_writes_is_seen_at_once(tagged_near: Any, write: str) -> None:
    near = tagged_near
    keeping(near, 1)
    WRITES[write](near)
    # not even a moment later
    assert near.near.values.keys() == []


def test_a_write_that_fails_is_forgotten_too() -> None:
    with our_server() as server:
        cache = live(connect(f"redis://{HOST}:{server.port}", near=True))
        keeping(cache, 1)
        with pytest.raises(TypeError):
            cache.set("k", 2, unknown=True)
        assert cache.near.values.keys() == ["k"]
    with pytest.raises(UnreachableError):
        cache.set("k", 2)
    assert cache.near.values.keys() == []
    cache.close()


@pytest.mark.parametrize(
    "options", [{}, {"soft": True}, {"cascade": True}], ids=["plain", "soft", "cascade"]
)
def test_a_key_that_leaves_with_its_tag_leaves_here(
    tagged_near: Any, options: dict[str, bool]
) -> None:
    near = tagged_near
    keeping(near, 1, tags=["t"])
    with connect(near.address.url) as other:
        other.invalidate("t", **options)
        until(lambda: near.get("k") is None)
    keeping(near, 1, tags=["t"])
    near.invalidate("t")
    assert near.near.values.keys() == []


def test_an_entry_never_outlives_its_key() -> None:
    near = Near({})
    near.ready()
    fill = near.begin("k")
    near.end(fill, "v", 50)
    assert near.values.ttl("k", 0) <= 0.05
    fill = near.begin("gone")
    fill.began_at -= 1
    near.end(fill, "v", 900)
    assert near.values.get("gone") is None


def test_an_invalidation_beats_a_fill_that_is_on_its_way() -> None:
    near = Near({})
    near.ready()
    for keys in (["k"], None):
        fill = near.begin("k")
        near.forget(keys)
        near.end(fill, "old", -1)
        assert near.values.get("k") is None
    near.end(near.begin("k"), "new", -1)
    assert near.values.get("k") == "new"


def test_a_fill_that_began_before_the_connection_was_lost_is_void() -> None:
    near = Near({})
    near.ready()
    fill = near.begin("k")
    near.lost()
    near.ready()
    near.end(fill, "old", -1)
    assert (near.values.get("k"), near.losses) == (None, 1)


def test_nothing_is_kept_while_nobody_tells_what_changes() -> None:
    near = Near({})
    near.end(near.begin("k"), "v", -1)
    assert near.values.get("k") is None


def test_a_lost_connection_empties_it_and_another_follows(near: Any) -> None:
    keeping(near, 1)
    with connect(near.address.url) as other:
        client = other._wire.client
        if other.capabilities.cluster:
            client = client.get_redis_connection(client.get_node_from_key("k"))
        for line in client.execute_command("CLIENT", "LIST").splitlines():
            facts = dict(fact.split(b"=", 1) for fact in line.split() if b"=" in fact)
            if b"t" in facts.get(b"flags", b"") or b"B" in facts.get(b"flags", b""):
                client.execute_command("CLIENT", "KILL", "ID", facts[b"id"])
    until(lambda: near.near.losses == 1)
    until(lambda: near.near.is_live)
    assert near.near.values.keys() == []
    assert settled(near).get("k") == 1
    assert near.near.values.keys() == ["k"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system stops no process")
def test_a_server_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidations, "HEARTBEAT_S", 0.2)
    with running("redis", redis_binary()) as server:
        cache = live(connect(f"redis://{HOST}:{server.port}", near=True))
        keeping(cache, 1)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            until(lambda: not cache.near.is_live)
            assert cache.near.values.keys() == []
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: cache.near.is_live)
        cache.close()


def test_it_holds_no_more_than_it_may() -> None:
    with our_server() as server:
        url = f"redis://{HOST}:{server.port}"
        with connect(url, near={"max_entries": 3}) as cache:
            live(cache)
            cache.set_many({f"k{number}": number for number in range(10)})
            settled(cache)
            for number in range(10):
                assert cache.get(f"k{number}") == number
            assert len(cache.near.values) == 3


def test_a_setting_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="near has no setting size"):
        connect(f"redis://{HOST}:{free_port()}", near={"size": 3})


def test_a_task_reads_what_a_thread_has_read(near: Any) -> None:
    async def read() -> Any:
        async with near.aio as tasks:
            first = await tasks.get("k")
            await tasks.set("k", 2)
            return first, await tasks.get("k"), await tasks.get_many(["k"])

    keeping(near, 1)
    hits = near.stats().hits
    assert asyncio.run(read()) == (1, 2, {"k": 2})
    assert near.stats().hits > hits


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_the_child_of_a_fork_is_told_by_a_connection_of_its_own(tagged_near: Any) -> None:
    near = tagged_near
    keeping(near, 1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = near.near.values.keys()
            found = [near.get("k"), near.near.wait_until_live(PATIENCE_S), near.get("k")]
            os.write(write, repr((before, found, near.near.values.keys())).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == repr(([], [1, True, 1], ["k"]))
    assert near.get("k") == 1


def test_what_was_closed_is_empty_and_begins_anew(tagged_near: Any) -> None:
    near = tagged_near
    near.set("k", 1)
    near.get("k")
    near.close()
    assert near.near.values.keys() == []
    assert live(near).get("k") == 1


def test_more_is_heard_before_a_sign_of_life_than_the_stack_is_deep(
    redis_server: RealServer,
) -> None:
    far = f"redis://{HOST}:{redis_server.port}"
    with connect(far, near=True) as near, connect(far) as other:
        live(near)
        fill = near.near.begin("last")
        connection = near._invalidations.connect()
        try:
            # each a message of its own, and none of them read
            for number in range(1200):
                other.set("k", number)
            other.set("last", 1)
            invalidations.ask_for_a_sign(connection)
        finally:
            connection.disconnect()
        until(lambda: fill.is_void)


def test_whatever_ends_the_thread_that_listens_another_connection_follows(
    monkeypatch: pytest.MonkeyPatch, redis_server: RealServer
) -> None:
    heard: list[int] = []
    listen = invalidations._listen

    def failing(connection: Any) -> None:
        heard.append(1)
        if len(heard) == 1:
            raise RecursionError
        listen(connection)

    monkeypatch.setattr(invalidations, "_listen", failing)
    with connect(f"redis://{HOST}:{redis_server.port}", near=True) as near:
        near.get("none")
        until(lambda: len(heard) > 1 and near.near.is_live)
        assert near.near.losses == 1
