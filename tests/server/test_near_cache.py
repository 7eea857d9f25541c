"""Clients that keep what they have read: told of tags, limits and threads of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis
from conversing import Inbox, session_of, turn
from redis.cache import CacheConfig
from servers import RunningServer, our_server

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

K_IS_GONE = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
ALL_IS_GONE = b">2\r\n$10\r\ninvalidate\r\n_\r\n"


class Scene:
    """A cache with one client that tracks keys in RESP3."""

    def __init__(self, options: str = "", cache: Cache | None = None) -> None:
        self.cache = cache or Cache()
        self.endpoint = Endpoint(self.cache, REGISTRY, Settings())
        self.session: Session
        self.inbox: Inbox
        self.session, self.inbox = session_of(self.endpoint)
        self.ask("HELLO 3")
        assert self.ask(f"CLIENT TRACKING ON {options}") == b"+OK\r\n"

    def ask(self, line: str) -> bytes:
        return self.session.receive(line.encode() + b"\r\n")

    def heard(self) -> bytes:
        """What the client was told unasked."""
        turn(self.endpoint)
        data, self.inbox.data = self.inbox.data, b""
        return data


def test_a_key_that_leaves_with_its_tag_is_told() -> None:
    scene = Scene()
    scene.cache.set("k", "v", tags=["t"])
    scene.ask("GET k")
    scene.cache.invalidate("t")
    assert scene.heard() == K_IS_GONE


def test_a_key_that_leaves_with_the_parent_of_its_tag_is_told() -> None:
    scene = Scene()
    scene.cache.set("k", "v", tags=["child"])
    scene.ask("GET k")
    session, _ = session_of(scene.endpoint)
    session.receive(b"TAGLINK parent child\r\n")
    session.receive(b"INVALIDATE parent CASCADE\r\n")
    assert scene.heard() == K_IS_GONE


def test_a_key_whose_tag_is_softened_is_told() -> None:
    scene = Scene()
    scene.cache.set("k", "v", tags=["t"])
    scene.ask("GET k")
    session, _ = session_of(scene.endpoint)
    session.receive(b"INVALIDATE t SOFT\r\n")
    assert scene.heard() == K_IS_GONE


def test_a_tag_that_a_key_is_given_later_counts() -> None:
    scene = Scene()
    scene.cache.set("k", "v")
    scene.ask("GET k")
    session, _ = session_of(scene.endpoint)
    session.receive(b"ADDTAG k t\r\n")
    assert scene.heard() == K_IS_GONE
    scene.ask("GET k")
    session.receive(b"INVALIDATE t\r\n")
    assert scene.heard() == K_IS_GONE


def test_a_key_that_expires_is_told_when_it_is_removed() -> None:
    clock = ManualClock()
    scene = Scene(cache=Cache(clock=clock))
    scene.cache.set("k", "v", ttl=1)
    scene.ask("GET k")
    clock.advance(2)
    assert scene.heard() == b""
    scene.cache.reap()
    assert scene.heard() == K_IS_GONE


def test_a_key_that_is_evicted_is_told() -> None:
    scene = Scene(cache=Cache(max_entries=1))
    scene.cache.set("k", "v")
    scene.ask("GET k")
    scene.cache.set("other", "v")
    assert scene.heard() == K_IS_GONE


def test_a_flush_is_told_once() -> None:
    scene = Scene()
    for name in ("one", "two"):
        scene.cache.namespace(name).set("k", "v")
    scene.cache.flushall()
    assert scene.heard() == ALL_IS_GONE
    scene.cache.flushall()
    assert scene.heard() == ALL_IS_GONE


@pytest.mark.parametrize("line", [b"NAMESPACEDEL db1\r\n", b"SWAPDB 0 1\r\n"])
def test_a_namespace_that_goes_takes_its_keys_along(line: bytes) -> None:
    scene = Scene()
    scene.ask("SELECT 1")
    scene.ask("SET k v")
    scene.ask("GET k")
    scene.ask("SELECT 0")
    session, _ = session_of(scene.endpoint)
    session.receive(line)
    assert scene.heard() == ALL_IS_GONE


def test_keys_of_another_namespace_are_other_keys() -> None:
    scene = Scene()
    scene.ask("GET k")
    scene.cache.namespace("other").set("k", "v")
    assert scene.heard() == b""


def test_a_broadcasting_client_drops_all_when_a_tag_is_softened() -> None:
    scene = Scene("BCAST PREFIX k")
    scene.cache.set("k", "v", tags=["t"])
    assert scene.heard() == K_IS_GONE
    session, _ = session_of(scene.endpoint)
    session.receive(b"INVALIDATE t SOFT\r\n")
    assert scene.heard() == ALL_IS_GONE


def test_beyond_the_limit_the_oldest_keys_are_told_and_forgotten() -> None:
    scene = Scene()
    session, _ = session_of(scene.endpoint)
    session.receive(b"CONFIG SET tracking-table-max-keys 2\r\n")
    assert scene.ask("GET k") == scene.ask("GET l") == b"_\r\n"
    assert scene.ask("GET m") == b"_\r\n" + K_IS_GONE
    assert scene.endpoint.tracking.counts() == (2, 2, 0)


def test_what_a_key_is_told_of_is_forgotten_with_its_tags() -> None:
    scene = Scene()
    scene.cache.set("k", "v", tags=["t", "u"])
    scene.ask("GET k")
    scene.cache.delete("k")
    tracking = scene.endpoint.tracking
    assert tracking.counts() == (0, 0, 0)
    assert (tracking._keys_of, tracking._tags_of) == ({"default": {}}, {"default": {}})


def test_nothing_listens_once_the_last_client_has_gone() -> None:
    scene = Scene()
    assert scene.cache._space.interest != 0
    scene.session.close()
    assert scene.cache._space.interest == 0


def test_a_client_that_was_to_be_told_and_has_gone_is_told_of() -> None:
    scene = Scene()
    other, _ = session_of(scene.endpoint)
    for nobody in ("ON REDIRECT 0", "OFF REDIRECT 0"):
        assert scene.ask(f"CLIENT TRACKING {nobody}").startswith(b"-ERR The client ID")
    assert scene.ask(f"CLIENT TRACKING ON REDIRECT {other.id}") == b"+OK\r\n"
    scene.ask("GET k")
    other.close()
    scene.cache.set("k", "v")
    assert scene.heard() == b">2\r\n$21\r\ntracking-redir-broken\r\n:%d\r\n" % other.id
    assert b"broken_redirect" in scene.ask("CLIENT TRACKINGINFO")


def test_a_change_by_another_thread_during_a_read_comes_after_the_reply() -> None:
    scene = Scene()
    scene.cache.set("k", "old")
    stale: list[bytes] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            scene.cache.set("k", str(number))

    thread = threading.Thread(target=write)
    thread.start()
    kept = None
    try:
        for _ in range(300):
            data = scene.ask("GET k") + scene.heard()
            kept = None if K_IS_GONE in data.partition(b"\r\n")[2] else data
    finally:
        stop.set()
        thread.join()
    told = scene.heard()
    now = scene.ask("GET k")
    if kept is not None and K_IS_GONE not in told and not now.startswith(kept):
        stale.append(kept)
    assert stale == []


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with our_server() as server:
        yield server


def test_redis_py_serves_nothing_that_was_invalidated(server: RunningServer) -> None:
    near = redis.Redis(
        port=server.port, protocol=3, decode_responses=True, cache_config=CacheConfig()
    )
    cache = server.endpoint.cache
    for number in range(50):
        cache.set("page", str(number), tags=["site"])
        assert near.get("page") == str(number)
        assert near.get("page") == str(number)
        cache.invalidate("site")
        deadline = time.monotonic() + 60
        # the message is on its way when `invalidate` returns
        while near.get("page") is not None:
            assert time.monotonic() < deadline
    assert near.get_cache() is not None
    near.close()


def test_redis_py_asks_no_server_for_what_it_keeps(server: RunningServer) -> None:
    near = redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig())
    near.set("k", "v")
    near.get("k")
    before = int(server.endpoint.commands)
    assert [near.get("k") for _ in range(5)] == [b"v"] * 5
    assert int(server.endpoint.commands) == before
    near.close()


def test_redis_py_is_told_of_keys_that_a_script_has_read(server: RunningServer) -> None:
    near = redis.Redis(port=server.port, protocol=3, decode_responses=True)
    told: list[object] = []
    with near.client() as client:
        connection = client.connection
        connection._parser.set_invalidation_push_handler(told.append)
        client.execute_command("CLIENT", "TRACKING", "ON")
        server.endpoint.cache.set("page", "1")
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "page") == "1"
        server.endpoint.cache.set("page", "2")
        deadline = time.monotonic() + 60
        while not told:
            client.ping()
            assert time.monotonic() < deadline
    near.close()
    assert told[0][1] == ["page"]  # type: ignore[index]
