"""What becomes of values in a warm tier whose disk fails, and of those on their way there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broken_stores import flush, on_memory
from overfull import value

from cachestorm import Cache


@pytest.mark.parametrize("read", ["get", "strlen", "getdel", "entry"])
def test_a_damaged_value_is_a_miss_that_is_counted(read: str, tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    cache.set("k", value(1), tags=["t"])
    cache.demote("k")
    flush(cache)
    store.damage = lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])
    assert getattr(cache, read)("k") in (None, 0)
    assert (cache.exists("k"), tier.losses, cache.tagkeys("t")) == (0, 1, [])
    cache._check()


def test_a_disk_that_does_not_answer_costs_the_value_and_nothing_else(tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    cache.set("k", value(1))
    cache.demote("k")
    flush(cache)
    store.is_unreadable = True
    assert cache.incr("k") == 1
    assert tier.losses == 1
    cache._check()


def test_values_that_cannot_be_read_cost_no_others(tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    for number in range(8):
        cache.set(f"k{number}", value(number))
        cache.demote(f"k{number}")
    flush(cache)
    store.is_unreadable = True
    assert [cache.get(f"k{number}") for number in range(4)] == [None] * 4
    store.is_unreadable = False
    assert [cache.get(f"k{number}") for number in range(4, 8)] == list(map(value, range(4, 8)))
    assert (len(cache), tier.losses) == (4, 4)
    cache._check()


def test_a_disk_that_refuses_makes_eviction_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tier, store = on_memory(tmp_path, max_memory="256kb")
    store.refuses = True
    for number in range(1000):
        cache.set(f"k{number}", value(number))
    cache._check()
    assert tier.failures == 1 and cache.stats().evicted > 700
    assert cache.get("k999") == value(999)
    # some time later it takes values again
    store.refuses = False
    tier.retry_at = 1e-9
    for number in range(1000, 1500):
        cache.set(f"k{number}", value(number))
    assert len(store.blobs) > 200
    cache._check()


def test_a_key_may_be_written_while_its_value_is_on_its_way(tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path)
    for key in "abc":
        cache.set(key, value(1))
        cache.demote(key)
    cache.rpush("l", *range(100))
    cache.demote("l")

    def meddle() -> None:
        store.on_write = int
        cache.set("a", "new")
        cache.delete("b")
        cache.rpush("l", "more")

    store.on_write = meddle
    flush(cache)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("new", None, value(1))
    assert cache.lrange("l", -2, -1) == [99, "more"] and cache.llen("l") == 101
    cache._check()
    flush(cache)
    assert len(store.blobs) == 1


def test_a_codec_that_uses_the_cache_is_no_deadlock(tmp_path: Path) -> None:
    class Codec:
        cache: Cache[Any] | None = None

        def encode(self, given: object) -> bytes:
            return repr(given).encode()

        def decode(self, raw: bytes) -> object:
            if self.cache is not None:
                self.cache.set("decoded", 1)
            return eval(raw)

    codec = Codec()
    cache, _, _ = on_memory(tmp_path, codec=codec)
    codec.cache = cache
    cache.set("k", [1] * 100)
    cache.demote("k")
    flush(cache)
    assert cache.get("k") == [1] * 100
