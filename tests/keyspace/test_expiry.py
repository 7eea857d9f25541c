"""The expiry index: which entries it gives when they are due, and at what cost."""

from __future__ import annotations

from random import Random
from time import process_time

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.entry import STRING, Entry
from cachestorm.keyspace.expiry import ExpiryIndex

KEYS = 60_000


@pytest.mark.parametrize("way", ["eviction", "reaping"])
def test_letting_go_of_what_is_due_is_linear_in_it(way: str) -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    began_at = process_time()
    for number in range(KEYS):
        cache.set(f"k{number}", b"v", ttl=1)
    filling_s = process_time() - began_at
    clock.advance(3)
    began_at = process_time()
    if way == "eviction":
        cache.max_entries = 10
    else:
        while cache.reap():
            pass
    assert process_time() - began_at < 5 * filling_s
    assert cache.dbsize() == (10 if way == "eviction" else 0)


def test_what_is_handed_out_and_not_removed_is_handed_out_again() -> None:
    index = ExpiryIndex(0)
    entries = {key: Entry(key, place, STRING, 0) for place, key in enumerate("abcde")}
    for entry in entries.values():
        entry.expires_at_ms = 1
        index.add(entry)
    first = index.due(5000, 3)
    index._check(entries)
    assert index.overdue(5000) == 5
    assert len(first) == 3
    index.remove(first[0])
    index.move(first[1], 9_000_000_000)
    entries.pop(first[0].key)
    index._check(entries)
    again = {entry.key for entry in index.due(5000, 10)}
    assert again == set(entries) - {first[1].key}
    index._check(entries)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_done_between_two_looks_each_entry_is_due_once(seed: int) -> None:
    dice = Random(seed)
    index = ExpiryIndex(0)
    entries: dict[str, Entry] = {}
    now = 1
    for number in range(3000):
        action = dice.randrange(6)
        if action < 2:
            entry = Entry(f"k{number}", number, STRING, 0)
            entry.expires_at_ms = now + dice.choice((1, 900, 5_000, 3_000_000))
            entries[entry.key] = entry
            index.add(entry)
        elif action == 2:
            now += dice.choice((1, 700, 40_000, 2_000_000))
        elif action == 3 and entries:
            index.move(dice.choice(list(entries.values())), now + dice.randrange(5_000))
        elif action == 4 and entries:
            index.remove(entries.pop(dice.choice(list(entries))))
        else:
            for entry in index.due(now, dice.randrange(1, 8)):
                assert entry.expires_at_ms <= now
                if dice.randrange(4):
                    index.remove(entries.pop(entry.key))
        index._check(entries)
