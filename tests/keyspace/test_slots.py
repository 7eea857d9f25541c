"""The slots of a cluster, as a store counts and lists their keys."""

from __future__ import annotations

from binascii import crc_hqx
from random import Random

import pytest
from hypothesis import settings

from cachestorm import Cache, ManualClock
from cachestorm.keyspace.slot_index import LONG_BYTES, SLOTS, _crc16_of_plain, slot_of
from cachestorm.keyspace.slot_keys import count_keys, empty, keep_slots, keys_in
from cachestorm.keyspace.store import Store
from tests.keyspace.test_store_against_a_model import Model


class Slotted(Model):
    """The model of the store, with slots; `_check` looks at them."""

    def __init__(self) -> None:
        super().__init__()
        keep_slots(self.cache._store)


TestTheStoreWithSlotsAgainstAModel = Slotted.TestCase
TestTheStoreWithSlotsAgainstAModel.settings = settings(
    max_examples=10, stateful_step_count=40, deadline=None
)


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    keep_slots(cache._store)
    return cache


def store_of(cache: Cache) -> Store:
    return cache._store


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"{user1000}.following", 3443),
        (b"foo{}{bar}", 8363),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar", 15278),
        (b"{}foo", 9500),
        (b"", 0),
    ],
)
def test_the_slot_of_a_key_is_what_redis_says(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


def test_the_sum_that_is_reckoned_here_is_that_of_the_library() -> None:
    random = Random(1)
    for size in range(LONG_BYTES + 1):
        key = random.randbytes(size).replace(b"{", b"}")
        assert _crc16_of_plain(key) == crc_hqx(key, 0)
        assert slot_of(key) == crc_hqx(key, 0) % SLOTS
        assert _crc16_of_plain(b"{" + key) == -1
    long = random.randbytes(LONG_BYTES + 1).replace(b"{", b"}")
    assert (_crc16_of_plain(long), slot_of(long)) == (-1, crc_hqx(long, 0) % SLOTS)


def test_a_store_that_is_told_late_knows_the_keys_that_it_has() -> None:
    cache = Cache()
    cache.set("foo", 1)
    cache.namespace("n").set("{foo}2", 2)
    keep_slots(cache._store)
    assert keys_in(cache._store, 12182, 9) == ["foo", "{foo}2"]
    cache._check()


def test_a_name_in_several_namespaces_is_one_key_of_its_slot(cache: Cache) -> None:
    cache.set("foo", 1)
    cache.namespace("n").set("foo", 1)
    cache.namespace("n").set("{foo}", 1)
    assert count_keys(store_of(cache), 12182) == 2
    assert sorted(keys_in(store_of(cache), 12182, 9)) == ["foo", "{foo}"]
    assert keys_in(store_of(cache), 12182, 1) == ["foo"]


def test_what_is_dead_is_not_listed() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    keep_slots(cache._store)
    cache.set_many({f"{{foo}}{n}": n for n in range(100)}, ttl=1)
    cache.set("foo", 1, tags=["t"])
    cache.set("{foo}live", 1)
    clock.advance(2)
    cache.invalidate("t")
    assert keys_in(store_of(cache), 12182, 2) == ["{foo}live"]
    assert count_keys(store_of(cache), 12182) == 1
    cache._check()


def test_a_slot_is_emptied_in_all_namespaces(cache: Cache) -> None:
    cache.set("foo", 1, tags=["t"])
    cache.namespace("n").set("foo", [1])
    cache.set("bar", 1)
    assert empty(store_of(cache), 12182) == 1
    assert list(cache.keys()) == ["bar"]
    assert count_keys(store_of(cache), 12182) == 0
    cache._check()
    cache.namespace("n")._check()


def test_slots_follow_a_swap_a_rename_and_a_flush(cache: Cache) -> None:
    other = cache.database(1)
    cache.set("foo", 1)
    other.set("bar", 1)
    cache.swapdb(0, 1)
    cache.rename("bar", "hello")
    assert count_keys(store_of(cache), 5061) == 0
    assert count_keys(store_of(cache), 866) == 1
    other.flushdb()
    assert count_keys(store_of(cache), 12182) == 0
    cache._check()
    other._check()


def test_what_is_evicted_leaves_its_slot() -> None:
    cache = Cache(max_entries=50)
    keep_slots(cache._store)
    for number in range(1000):
        cache.set(f"k{number}", number)
    slots = {slot_of(b"k%d" % number) for number in range(1000)}
    assert sum(count_keys(cache._store, slot) for slot in slots) == 50
    cache._check()


def test_a_store_without_a_cluster_keeps_no_slots() -> None:
    assert Cache()._space.slots is None
