"""Keys, deadlines and OBJECT in process: what no server could compare."""

from __future__ import annotations

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import ArgumentError, OutOfMemoryError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_a_deadline_long_past_does_not_hold_up_the_reaper(cache: Cache) -> None:
    cache.execute("SET", "past", "v", "PXAT", 1)
    cache.set("present", "v", ttl=1000)
    while cache.reap():
        pass
    assert cache.keys() == ["present"]
    assert cache.dbsize() == 1
    cache._check()


def test_milliseconds_are_exact_to_the_end_of_time(cache: Cache) -> None:
    cache.set("k", "v")
    cache.execute("PEXPIREAT", "k", (1 << 63) - 1)
    assert cache.pexpiretime("k") == (1 << 63) - 1
    assert cache.pttl("k") == (1 << 63) - 1 - 1_700_000_000_000


def test_no_key_and_no_deadline_are_told_apart(cache: Cache) -> None:
    cache.set("k", "v")
    for ask in (cache.ttl, cache.pttl, cache.expiretime, cache.pexpiretime):
        assert (ask("k", MISSING), ask("nokey", MISSING)) == (None, MISSING)
        assert ask("nokey") is None


def test_a_moved_key_takes_deadline_and_tags_along(cache: Cache) -> None:
    cache.set("k", "v", ttl=60, tags=["t"])
    assert cache.move("k", 1)
    there = cache.database(1)
    assert (there.get("k"), there.ttl("k"), there.tags("k")) == ("v", 60.0, ["t"])
    assert (cache.keys(), cache.tagkeys("t")) == ([], [])
    assert not cache.move("k", 1)
    cache.set("k", "w")
    assert not cache.move("k", 1)
    with pytest.raises(ArgumentError, match="source and destination objects are the same"):
        cache.move("k", 0)
    cache._check()


def test_a_key_that_finds_no_room_stays_where_it_was() -> None:
    cache = Cache(max_memory=2048, policy="noeviction")
    cache.set("k", b"x" * 1200, tags=["t"])
    with pytest.raises(OutOfMemoryError):
        cache.rename("k", "k" * 1000)
    # it takes its own room along, but may be too large for the quota there
    cache.namespace("db1", max_memory=1000)
    with pytest.raises(OutOfMemoryError):
        cache.move("k", 1)
    assert (cache.get("k"), cache.tags("k")) == (b"x" * 1200, ["t"])
    assert cache.database(1).dbsize() == 0
    cache._check()


def test_a_moved_key_may_be_the_one_that_makes_room() -> None:
    cache = Cache(max_memory=2048)
    cache.set("k", b"x" * 1200)
    assert cache.move("k", 1)
    assert cache.database(1).get("k") == b"x" * 1200
    assert cache.dbsize() == 0
    cache._check()


def test_help_lists_what_there_is(cache: Cache) -> None:
    lines = cache.execute("OBJECT", "HELP")
    assert lines[0] == "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert {"ENCODING <key>", "FREQ <key>", "IDLETIME <key>", "REFCOUNT <key>"} < set(lines)
    assert lines[-2:] == ["HELP", "    Print this help."]
