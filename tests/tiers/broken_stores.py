"""Engines that fail: what the tests of tiers put in the place of a good one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cachestorm import Cache
from cachestorm.errors import DurabilityError
from cachestorm.tiers.warm import WarmTier


class MemoryStore:
    """Blobs in a dict, and switches for what goes wrong.

    Attributes:
        reads: how many there were.
        damage: changes what is read.
        gate: reads wait for it.
        refuses: whether writes fail.
        is_unreadable: whether reads do.
        on_write: called in the middle of a write.
    """

    engine = "memory"

    def __init__(self) -> None:
        self.blobs: dict[int, bytes] = {}
        self.reads = 0
        self.damage: Callable[[bytes], bytes] = bytes
        self.gate = threading.Event()
        self.gate.set()
        self.refuses = False
        self.is_unreadable = False
        self.on_write: Callable[[], object] = int

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        self.on_write()
        if self.refuses:
            raise DurabilityError("the disk is full")
        for number, blob in blobs:
            assert number not in self.blobs
            self.blobs[number] = blob
        for number in deleted:
            self.blobs.pop(number, None)

    def get(self, number: int) -> bytes | None:
        self.reads += 1
        assert self.gate.wait(20)
        if self.is_unreadable:
            raise DurabilityError("the disk does not answer")
        blob = self.blobs.get(number)
        return None if blob is None else self.damage(blob)

    def numbers(self) -> Iterator[int]:
        return iter(sorted(self.blobs))

    def size_bytes(self) -> int:
        return sum(map(len, self.blobs.values()))

    def forked(self) -> None:
        pass

    def close(self) -> None:
        pass


def on_memory(folder: object, **settings: Any) -> tuple[Cache[Any], WarmTier, MemoryStore]:
    """A cache with a warm tier on a `MemoryStore`, to which it writes each value at once."""
    cache: Cache[Any] = Cache(**settings)
    store = MemoryStore()
    tier = WarmTier(cache._store, cache._forms, str(folder), opener=lambda *_: store)
    cache._store.tiering = tier
    return cache, tier, store
