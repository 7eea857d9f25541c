"""The room that large lists are given before they need it."""

from __future__ import annotations

import sys

from cachestorm import Cache
from cachestorm.keyspace.reserve import LEAST_RESERVED, reserve


def test_a_list_fills_its_room_without_growing() -> None:
    items = list(range(LEAST_RESERVED))
    reserve(items, 2 * LEAST_RESERVED)
    size = sys.getsizeof(items)
    assert items == list(range(LEAST_RESERVED))
    items.extend(range(LEAST_RESERVED, 2 * LEAST_RESERVED))
    assert sys.getsizeof(items) == size
    items.append(0)
    assert sys.getsizeof(items) > size


def test_a_list_with_room_enough_stays_as_it_is() -> None:
    items = list(range(LEAST_RESERVED))
    size = sys.getsizeof(items)
    reserve(items, 100)
    assert (len(items), sys.getsizeof(items)) == (LEAST_RESERVED, size)


def test_the_arrays_of_a_large_cache_have_room_for_twice_as_many() -> None:
    cache = Cache()
    for number in range(LEAST_RESERVED):
        cache.set(f"key:{number}", number)
    assert sys.getsizeof(cache._space.dense) < 12 * LEAST_RESERVED
    cache.set("one more", 1)
    for array in (cache._space.dense, cache._space.values):
        assert sys.getsizeof(array) >= 16 * LEAST_RESERVED
        assert len(array) == LEAST_RESERVED + 1
    assert cache.get("one more") == 1
