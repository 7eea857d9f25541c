"""The shadows: small copies of the cache without values, which simulate it on a sample of keys.

Made by the tournament and by the curve; told of each access to a sampled key.

1. A key is sampled by its hash, one in `ratio`, and a shadow has one in `ratio` of the
   capacity: so what a shadow hits is about what the whole cache would.
2. A sampled key has one record, whose number is its node in every shadow; it lives while
   a shadow holds it or the cache does. There are at most `MOST_RECORDS`.

Source: Waldspurger, Saemundson, Ahmad, Park: Cache modeling and optimization using
miniature simulations (2017).
"""

from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from cachestorm.eviction.queues import FIRST, MOST_HITS, Arm, Queues, extended

# The number of a record fits, with room to spare, into the access of an entry.
MOST_RECORDS: Final = 30_000
NOWHERE: Final = -1
# The sampling looks at bits of the hash that neither ghost nor sketch's place looks at.
SAMPLE_SHIFT: Final = 48


class Records:
    """The sampled keys: their hashes, and where the cache holds them."""

    def __init__(self) -> None:
        self.hashes: vec[i64] = vec[i64]()
        # the entry's place in the dense array, and its hits
        self.places: vec[i64] = vec[i64]()
        self.live_hits: vec[i64] = vec[i64]()
        # how many shadows hold it, and one more if the cache does
        self.holders: vec[i64] = vec[i64]()
        self.numbers: Final[dict[int, int]] = {}
        self._free: Final[list[int]] = []

    def find(self, hashed: i64) -> i64:
        """The record of a sampled key, made if there is none; or -1 if there are too many."""
        number = self.numbers.get(int(hashed))
        if number is not None:
            return number
        if self._free:
            taken: i64 = self._free.pop()
            self.hashes[taken] = hashed
            self.places[taken] = NOWHERE
            self.live_hits[taken] = 0
            self.holders[taken] = 0
        else:
            taken = len(self.hashes)
            if taken >= MOST_RECORDS:
                return NOWHERE
            self.hashes = append(self.hashes, hashed)
            self.places = append(self.places, NOWHERE)
            self.live_hits = append(self.live_hits, 0)
            self.holders = append(self.holders, 0)
        self.numbers[int(hashed)] = int(taken)
        return taken

    def release(self, record: i64) -> None:
        """One holder fewer; nobody's record is forgotten."""
        self.holders[record] -= 1
        if self.holders[record] == 0:
            del self.numbers[int(self.hashes[record])]
            self._free.append(int(record))


class Shadow(Queues):
    """The queues over records."""

    def __init__(self, arm: Arm, capacity: i64, records: Records) -> None:
        self._records: Final = records
        self._hits: vec[i64] = vec[i64]()
        super().__init__(arm, capacity, capacity)

    def hits(self, node: i64) -> i64:
        return self._hits[node]

    def set_hits(self, node: i64, hits: i64) -> None:
        self._hits[node] = hits

    def hashed(self, node: i64) -> i64:
        return self._records.hashes[node - FIRST]

    def access(self, record: i64) -> bool:
        """Does what the cache would by this arm. Returns whether it was a hit."""
        node = record + FIRST
        if self.is_in(node):
            if self._hits[node] < MOST_HITS:
                self._hits[node] += 1
            return True
        if len(self._hits) <= node:
            self._hits = extended(self._hits, node, 0)
        while self.count() >= self.capacity:
            self._leave(self.choose(), True)
        self._records.holders[record] += 1
        self._hits[node] = 0
        self.admit(node, self._records.hashes[record])
        return False

    def seed(self, record: i64, hits: i64) -> None:
        """Counts earlier hits of a key that was just asked for."""
        if self.is_in(record + FIRST):
            self._hits[record + FIRST] = hits

    def forget(self, record: i64) -> None:
        """Drops a key that was deleted."""
        node = record + FIRST
        if self.is_in(node):
            self._leave(node, False)

    def _leave(self, node: i64, evicted: bool) -> None:
        record = node - FIRST
        self.drop(node, self._records.hashes[record], self._hits[node], evicted)
        self._records.release(record)
