"""What evicts the worst of a random sample, as Redis does: the base of seven policies.

Each of them says what an entry is worth; this class draws the sample.

1. `allkeys-*` draws from all entries, `volatile-*` from those that have a deadline, and
   gives no victim where none has.
2. A draw costs the same whatever the number of entries: those with a deadline have a dense
   array of their own.

Source: https://redis.io/docs/latest/develop/reference/eviction/ (approximated LRU).
"""

from __future__ import annotations

from typing import Final

from librt.random import Random
from librt.vecs import append, vec
from mypy_extensions import i64

from cachestorm.entry import DEMOTED, Entry
from cachestorm.eviction.policy import Policy

# How many entries are drawn for one victim, unless the configuration says otherwise.
SAMPLE_SIZE: Final = 8
# `victim` stays bounded: each draw is a random place in memory.
MOST_SAMPLES: Final = 64
# For each of them, where most values are in a colder tier.
MOST_DRAWS: Final = 16
NOWHERE: Final = -1


class Sampled(Policy):
    """The worst of a random sample.

    Args:
        volatile: whether only entries with a deadline are evicted.
        sample_size: how many are drawn for a victim.
        seed: for a sequence of draws that can be had again.
    """

    def __init__(
        self, volatile: bool, sample_size: i64 = SAMPLE_SIZE, seed: int | None = None
    ) -> None:
        super().__init__()
        self._random: Final = Random(seed)
        self._sample_size: Final = sample_size
        self._is_volatile: Final = volatile
        self.hears = volatile
        self.hears_deadlines = volatile
        # the entries with a deadline, and where each entry of the dense array stands there
        self._dated: list[Entry] = []
        self._places: vec[i64] = vec[i64]()

    def worth(self, entry: Entry) -> i64:
        """What an entry is worth; the least is evicted."""
        return 0

    def spared(self, entry: Entry) -> None:
        """An entry was drawn and stays."""

    def victim(
        self, dense: list[Entry], accesses: i64, now_ms: i64, kept: Entry | None
    ) -> Entry | None:
        drawn_from = self._dated if self._is_volatile else dense
        size: i64 = len(drawn_from)
        if size == 0:
            return None
        found: Entry | None = None
        least: i64 = 0
        left = self._sample_size
        for _draw in range(self._sample_size * MOST_DRAWS):
            if left == 0:
                break
            entry = drawn_from[self._random.randrange(size)]
            if entry.kind >= DEMOTED:
                continue
            left -= 1
            if entry is kept or entry is found:
                continue
            if entry.expires_at_ms != 0 and entry.expires_at_ms <= now_ms:
                return entry
            worth = self.worth(entry)
            if found is None:
                found = entry
                least = worth
            elif worth < least:
                self.spared(found)
                found = entry
                least = worth
            else:
                self.spared(entry)
        if found is not None:
            return found
        if left == self._sample_size:
            # about all that is there has its value elsewhere
            return None
        # each draw met the one that is kept
        first = drawn_from[0]
        if first is not kept:
            return first
        return drawn_from[1] if size > 1 else None

    # -- who has a deadline

    def admitted(self, entry: Entry) -> None:
        index: i64 = int(entry.index)
        if index < len(self._places):
            self._places[index] = NOWHERE
        else:
            self._places = append(self._places, NOWHERE)

    def dated(self, entry: Entry) -> None:
        index: i64 = int(entry.index)
        if entry.expires_at_ms == 0:
            self._withdraw(index)
        elif self._places[index] == NOWHERE:
            self._places[index] = len(self._dated)
            self._dated.append(entry)

    def moved(self, entry: Entry, former_index: i64) -> None:
        index: i64 = int(entry.index)
        self._places[index] = self._places[former_index]

    def removed(self, entry: Entry, evicted: bool) -> None:
        index: i64 = int(entry.index)
        self._withdraw(index)

    def replaced(self, entry: Entry, copy: Entry) -> None:
        index: i64 = int(copy.index)
        place = self._places[index]
        if place != NOWHERE:
            self._dated[place] = copy

    def cleared(self, dense: list[Entry]) -> None:
        self._dated = []
        self._places = vec[i64]()

    def _withdraw(self, index: i64) -> None:
        place = self._places[index]
        if place == NOWHERE:
            return
        self._places[index] = NOWHERE
        last = self._dated.pop()
        if place != len(self._dated):
            self._dated[place] = last
            last_index: i64 = int(last.index)
            self._places[last_index] = place

    def _check(self, dense: list[Entry]) -> None:
        if not self._is_volatile:
            assert not self._dated and not len(self._places)
            return
        for index, entry in enumerate(dense):
            place = self._places[index]
            if entry.expires_at_ms == 0:
                assert place == NOWHERE
            else:
                assert self._dated[place] is entry
        assert len(self._dated) == sum(1 for entry in dense if entry.expires_at_ms)
