"""Keys beyond ASCII: the accounts stay right, whichever way one comes and goes."""

from __future__ import annotations

import pytest

from cachestorm import Cache, ManualClock

WIDE = (
    "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel",
    "\N{KEY}",
    "\N{CJK UNIFIED IDEOGRAPH-9375}",
)


@pytest.fixture
def cache() -> Cache:
    """A cache of such keys and one of ASCII."""
    cache = Cache(clock=ManualClock())
    for key in (*WIDE, "plain"):
        cache.set(key, b"value")
    cache._check()
    return cache


def test_all_of_them_leave_nothing_behind_in_the_account(cache: Cache) -> None:
    cache.delete(*WIDE)
    cache._check()
    cache.delete("plain")
    cache._check()
    assert cache.store_stats().used_memory == Cache().store_stats().used_memory


def test_one_that_is_written_again_is_counted_once(cache: Cache) -> None:
    for key in WIDE:
        cache.set(key, b"a longer value", tags=["tag"])
        cache.set(key, b"a value without tags")
    cache._check()


def test_a_key_can_be_renamed_from_and_to_them(cache: Cache) -> None:
    cache.rename(WIDE[0], "ascii")
    cache.rename("plain", WIDE[1])
    cache._check()
    assert sorted(cache.keys()) == sorted([WIDE[1], WIDE[2], "ascii"])


def test_they_go_along_when_namespaces_are_swapped(cache: Cache) -> None:
    cache.database(1).set("other", 1)
    cache.swapdb(0, 1)
    cache._check()
    cache.delete("other")
    cache.database(1).delete(WIDE[2])
    cache._check()


def test_a_flush_forgets_them(cache: Cache) -> None:
    cache.flushdb()
    cache._check()
    cache.set("plain", 1)
    cache.delete("plain")
    assert cache._space.used_bytes == 0


@pytest.mark.parametrize("policy", ["adaptive", "allkeys-lru"])
def test_they_are_evicted_and_invalidated_like_others(policy: str) -> None:
    cache = Cache(max_entries=30, policy=policy)
    for number in range(200):
        key = f"{WIDE[number % 3]}:{number}" if number % 2 else f"plain:{number}"
        cache.set(key, b"value", tags=["odd"] if number % 5 == 0 else ())
        cache._check()
    cache.invalidate("odd")
    cache._check()
    assert 0 < len(cache) <= 30
