"""A near cache never serves what has changed, and says how often it was asked."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from caches import SERVERS, cache_at
from real_servers import HOST, RealServer, free_port, redis_binary, running
from servers import our_server

from cachestorm import connect
from cachestorm.errors import ConfigError
from cachestorm.remote import invalidations
from cachestorm.remote.invalidations import HEARTBEAT_S, Telling
from cachestorm.remote.near import Near
from cachestorm.remote.refusals import UnreachableError

PATIENCE_S = 60.0
NEVER = 1e9


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


class Talking:
    """A connection that tells of a change every so often, and answers until it falls silent."""

    def __init__(self, scene: Scene, every_s: float, silent_at: float, behind_s: float) -> None:
        self.scene = scene
        self.every_s, self.silent_at, self.behind_s = every_s, silent_at, behind_s
        self.told_at = 0.0
        self.answers: list[float] = []
        self._sock = self

    def send_command(self, *words: str) -> None:
        if self.scene.now < self.silent_at:
            self.answers.append(self.scene.now + self.behind_s)

    def next_at(self) -> float:
        tells_at = self.told_at + self.every_s
        return min(tells_at if tells_at < self.silent_at else math.inf, *self.answers, math.inf)

    def can_read(self, timeout: float) -> bool:
        assert timeout == 0
        return self.next_at() <= self.scene.now

    def read_response(self, *, push_request: bool) -> Any:
        assert push_request
        if self.answers and self.answers[0] <= self.scene.now:
            self.answers.pop(0)
            return b"PONG"
        self.told_at = self.scene.now
        return None


class Scene:
    """Connections under a clock that goes on only while something is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def wait(self, connections: Sequence[Talking], timeout_s: float) -> None:
        until = min(each.next_at() for each in connections)
        self.now = min(until, self.now + timeout_s)

    def lost_after(self, *talking: Talking) -> float:
        """Seconds from the first silence, or from the beginning, until one is lost."""
        told = Telling(talking, now=lambda: self.now, wait=self.wait)
        with pytest.raises(redis.TimeoutError):
            while self.now < 100:
                told.hear()
        silent_at = min(each.silent_at for each in talking)
        return self.now - (silent_at if silent_at < NEVER else 0)


@pytest.fixture
def usual(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a connection be asked as often as it is for users."""
    monkeypatch.setattr(invalidations, "HEARTBEAT_S", HEARTBEAT_S)


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize("silent_at", [0.0, 0.001, 0.7, 1.0, 1.5, 3.999])
@pytest.mark.parametrize("every_s", [0.3, 0.9, 0.99, 7.0])
@pytest.mark.parametrize("place", [0, 1])
def test_of_several_one_that_falls_silent_is_noticed_in_time(
    silent_at: float, every_s: float, place: int
) -> None:
    scene = Scene()
    dying = Talking(scene, 0.4, silent_at, 0.01)
    others = [Talking(scene, every_s, NEVER, 0.01), Talking(scene, 5.0, NEVER, 0.5)]
    others.insert(place, dying)
    assert scene.lost_after(*others) <= HEARTBEAT_S


@pytest.mark.usefixtures("usual")
def test_one_that_tells_without_end_and_is_behind_is_lost_too() -> None:
    scene = Scene()
    assert scene.lost_after(Talking(scene, 0.001, NEVER, 1.6)) <= HEARTBEAT_S
    # in time, however much it tells
    scene = Scene()
    told = Telling([Talking(scene, 0.01, NEVER, 1.4)], now=lambda: scene.now, wait=scene.wait)
    while scene.now < 20:
        told.hear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the limit is another one there")
def test_it_hears_by_any_descriptor(redis_server: RealServer) -> None:
    resource = pytest.importorskip("resource")
    fcntl = pytest.importorskip("fcntl")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] != resource.RLIM_INFINITY and limits[1] < 2048:
        pytest.skip("the system allows no descriptor so high")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    try:
        with (
            socket.create_connection((HOST, redis_server.port)) as low,
            socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD, 1500)) as high,
        ):
            high.sendall(b"PING\r\n")
            invalidations._wait([high], PATIENCE_S)
            assert high.recv(100, socket.MSG_DONTWAIT) == b"+PONG\r\n"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


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
        (connection,) = near._invalidations.connect()._connections
        try:
            # each a message of its own, and none of them read
            for number in range(1200):
                other.set("k", number)
            other.set("last", 1)
            connection.send_command("PING")
            assert invalidations.reply_of(connection) == b"PONG"
        finally:
            connection.disconnect()
        until(lambda: fill.is_void)


def test_whatever_ends_the_thread_that_listens_another_connection_follows(
    monkeypatch: pytest.MonkeyPatch, redis_server: RealServer
) -> None:
    heard: list[int] = []
    hear = Telling.hear

    def failing(self: Telling) -> None:
        heard.append(1)
        if len(heard) == 1:
            raise RecursionError
        hear(self)

    monkeypatch.setattr(Telling, "hear", failing)
    with connect(f"redis://{HOST}:{redis_server.port}", near=True) as near:
        near.get("none")
        until(lambda: len(heard) > 1 and near.near.is_live)
        assert near.near.losses == 1
