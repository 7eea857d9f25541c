"""Why reads miss: a sample of them, judged by the removals that are remembered."""

from __future__ import annotations

from cachestorm.cache import Cache
from cachestorm.clock import ManualClock
from cachestorm.keyspace.ledger import CAPACITY, LONGEST_KEY
from cachestorm.keyspace.misses import EVERY, KEPT, Misses


def miss(cache: Cache, key: str) -> None:
    """As many reads as it takes for one to be looked at."""
    for _ in range(EVERY):
        assert cache.get(key) is None


def test_each_cause_has_its_share() -> None:
    clock = ManualClock()
    cache = Cache(max_entries=5, policy="allkeys-lru", clock=clock)
    assert cache.miss_causes() == {}
    cache.set("expired", 1, ttl=1)
    clock.advance(2)
    cache.set("deleted", 1)
    cache.delete("deleted")
    cache.set("tagged", 1, tags=["t"])
    cache.invalidate("t")
    for key in "abcdefg":
        cache.set(key, 1)
    for key in ("expired", "deleted", "tagged", "a", "never"):
        miss(cache, key)
    assert cache.miss_causes() == {
        "expired": 0.2,
        "deleted": 0.2,
        "invalidated": 0.2,
        "evicted": 0.2,
        "unknown": 0.2,
    }


def test_a_key_of_another_namespace_is_another_key() -> None:
    cache = Cache()
    cache.set("k", 1)
    cache.delete("k")
    miss(cache.namespace("other"), "k")
    assert cache.miss_causes() == {"unknown": 1.0}


def test_the_last_removal_of_a_key_counts() -> None:
    cache = Cache()
    cache.set("k", 1)
    cache.delete("k")
    cache.set("k", 1, tags=["t"])
    cache.invalidate("t")
    miss(cache, "k")
    assert cache.miss_causes() == {"invalidated": 1.0}


def test_only_the_latest_are_kept() -> None:
    cache = Cache()
    misses = Misses()
    for number in range(3 * KEPT):
        misses.note(1, f"k{number}")
    misses.note(1, "x" * (LONGEST_KEY + 1))
    assert misses.causes(cache._store.ledger) == {"unknown": KEPT}


def test_a_removal_in_the_place_of_an_invalidated_key_names_no_tag() -> None:
    cache = Cache()
    for number in range(CAPACITY):
        cache.set(f"tagged:{number}", 1, tags=["t"])
    cache.invalidate("t")
    assert (cache.why("tagged:0") or {})["tag"] == "t"
    cache.set("plain", 1)
    cache.delete("plain")
    assert (cache.why("plain") or {}).get("tag") is None
