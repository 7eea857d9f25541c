"""Engines that fail: what the tests of tiers put in the place of a good one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from cachestorm import Cache
from cachestorm.errors import DurabilityError
from cachestorm.tiers.tiers import Tiers
from cachestorm.tiers.warm import WarmLevel


class MemoryStore:
    """Blobs in a dict, and switches for what goes wrong.

    Attributes:
        reads: how many there were.
        damage: changes what is read.
        gate: reads wait for it.
        refuses: whether writes fail.
        is_unreadable: whether reads do.
        on_write, on_read: called in the middle of a write, or a read.
        held: for a test to note something of each read.
    """

    engine = "memory"

    def __init__(self) -> None:
        self.blobs: dict[int, bytes] = {}
        self.reads = 0
        self.writes = 0
        self.is_synced = True
        self._numbers = count(1)
        self.damage: Callable[[bytes], bytes] = bytes
        self.gate = threading.Event()
        self.gate.set()
        self.refuses = False
        self.is_unreadable = False
        self.on_write: Callable[[], object] = int
        self.on_read: Callable[[], object] = int
        self.held: list[bool] = []

    def places(self, sizes: Sequence[int]) -> Sequence[int]:
        return [next(self._numbers) for _ in sizes]

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        self.on_write()
        if self.refuses:
            raise DurabilityError("the disk is full")
        for number, blob in blobs:
            assert number not in self.blobs
            self.blobs[number] = blob
        for number in deleted:
            self.blobs.pop(number, None)
        self.writes += 1

    def get(self, number: int) -> bytes | None:
        self.reads += 1
        self.on_read()
        assert self.gate.wait(60)
        if self.is_unreadable:
            raise DurabilityError("the disk does not answer")
        blob = self.blobs.get(number)
        return None if blob is None else self.damage(blob)

    def size_bytes(self) -> int:
        return sum(map(len, self.blobs.values()))

    def sync(self) -> None:
        pass

    def offset_of(self, place: int) -> int:
        return 0

    def adopt(self, place: int, size: int, offset: int) -> None:
        pass

    def discard_others(self, adopted: Sequence[int]) -> Iterator[int]:
        yield from ()

    def forked(self) -> None:
        pass

    def close(self) -> None:
        pass


def on_memory(folder: object, **settings: Any) -> tuple[Cache[Any], WarmLevel, MemoryStore]:
    """A cache with a warm tier on a `MemoryStore`; what is in that tier, and its engine."""
    cache: Cache[Any] = Cache(**settings)
    store = MemoryStore()
    warm = WarmLevel(cache._store, str(folder), opener=lambda *_: store)
    cache._store.tiering = Tiers(cache._store, cache._forms, warm)
    return cache, warm, store


def tiers_of(cache: Cache[Any]) -> Tiers:
    """The tiers of a cache."""
    tiers = cache._store.tiering
    assert isinstance(tiers, Tiers)
    return tiers


def flush(cache: Cache[Any]) -> None:
    """Has a cache write all that is on its way to a tier."""
    tiers_of(cache).flush()
