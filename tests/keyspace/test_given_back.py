"""Namespaces that nobody can reach are given back; those that somebody can reach stay."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import FEW_SPACES, MOST_SPACES
from cachestorm_server import clients, configuration, connection, introspection
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import JsonCommands
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

COMMANDS = (clients, configuration, connection, introspection)  # imported: declared
MANY = 3 * FEW_SPACES


def a_crowd(cache: Cache, count: int = MANY) -> None:
    """Makes the store look for what it can give back."""
    for number in range(count):
        cache.namespace(f"crowd:{number}")


def test_deleted_names_are_given_back() -> None:
    cache = Cache()
    for number in range(MOST_SPACES + 100):
        cache.namespace(f"tenant:{number}").set("a", 1)
        cache.namespacedel(f"tenant:{number}")
    assert cache.namespaces() == ["default"]
    assert len(cache._store._spaces) == 1
    cache._check()


def test_emptied_names_are_given_back() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    for number in range(MANY):
        cache.namespace(f"tenant:{number}").set("a", 1, ttl=1)
        clock.advance(2)
        while cache.reap():
            pass
    assert cache.namespaces() == ["default"]
    assert len(cache._store._spaces) <= FEW_SPACES
    cache._check()


def test_a_read_over_http_makes_no_namespace_that_stays() -> None:
    cache = Cache()
    endpoint = JsonCommands(cache, REGISTRY)
    for number in range(MANY):
        assert endpoint.answer({"command": ["GET", "k"]}, f"n{number}")[1] == {"result": None}
        assert cache.namespaces() == ["default"]
    assert len(cache._store._spaces) <= FEW_SPACES


def test_a_read_over_resp_makes_no_namespace_that_stays() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    for number in range(MANY):
        session = Session(endpoint)
        asked = b"NAMESPACE n%d\r\nGET k\r\n" % number
        assert session.receive(asked) == b"+OK\r\n$-1\r\n"
        session.close()
    gc.collect()
    assert endpoint.cache.namespaces() == ["default"]
    a_crowd(endpoint.cache)
    assert len(endpoint.cache._store._spaces) <= FEW_SPACES


def test_a_session_stands_in_a_namespace_that_stays() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    session = Session(endpoint)
    session.receive(b"NAMESPACE n\r\n")
    assert endpoint.cache.namespaces() == ["default", "n"]
    a_crowd(endpoint.cache)
    endpoint.cache.namespace("n").set("k", b"v")
    assert session.receive(b"GET k\r\n") == b"$1\r\nv\r\n"


def test_a_view_that_is_alive_sees_what_another_one_writes() -> None:
    cache = Cache()
    view = cache.namespace("n")
    a_crowd(cache)
    other = cache.namespace("n")
    other.set("k", 1)
    assert view.get("k") == 1
    cache.namespacedel("n")
    a_crowd(cache)
    view.set("k", 2)
    assert other.get("k") == 2
    assert cache.namespaces() == ["default", "n"]
    cache._check()


def test_a_view_of_a_view_keeps_the_namespace_as_well() -> None:
    cache = Cache()
    view = cache.namespace("n").serving_others()
    a_crowd(cache)
    cache.namespace("n").set("k", 1)
    assert view.get("k") == 1


def test_what_holds_something_or_has_settings_stays() -> None:
    cache = Cache()
    cache.namespace("keys").set("k", 1)
    cache.namespace("links").taglink("a", "b")
    cache.namespace("timed", default_ttl=60)
    cache.namespace("small", max_memory="1mb")
    a_crowd(cache)
    assert cache.namespaces() == ["default", "keys", "links", "small", "timed"]
    assert cache.namespace("keys").get("k") == 1
    assert cache.namespace("links").tagchildren("a") == ["b"]
    assert cache.namespace_stats("timed")["default_ttl"] == 60
    assert cache.namespace_stats("small")["max_memory"] == 1 << 20
    for name in ("keys", "links", "timed", "small"):
        cache.namespacedel(name)
    assert cache.namespaces() == ["default"]


def test_databases_have_their_places_whatever_else_there_is() -> None:
    cache = Cache()
    views = [cache.namespace(f"n{number}") for number in range(MOST_SPACES - 1)]
    with pytest.raises(NamespaceError, match="there are 10000 namespaces"):
        cache.namespace("one-more")
    for number in range(1, 16):
        cache.database(number).set("k", number)
    assert cache.swapdb(1, 2)
    assert cache.move("k", 3) is False
    del views[-1000:]
    cache.namespace("one-more").set("k", 1)
    assert cache.namespace("one-more").get("k") == 1


def test_a_full_house_is_empty_after_a_flush() -> None:
    cache = Cache()
    for number in range(MOST_SPACES - 1):
        cache.namespace(f"n{number}").set("k", 1)
    with pytest.raises(NamespaceError, match="there are 10000 namespaces"):
        cache.namespace("one-more")
    cache.flushall()
    cache.namespace("one-more")
    assert len(cache._store._spaces) < 10


def test_counters_do_not_go_back() -> None:
    cache = Cache()
    view = cache.namespace("n")
    view.set("k", 1, tags=["t"])
    view.get("k")
    view.get("none")
    view.invalidate("t")
    before = cache.store_stats()
    assert (before.hits, before.sets, before.invalidated) == (1, 1, 1)
    del view
    a_crowd(cache)
    assert list(cache._store._spaces)[:1] == ["default"] and "n" not in cache._store._spaces
    assert replace(before, namespaces=1) == cache.store_stats()
