"""The misses: a sample of the latest reads that found nothing, and why their keys were missing.

Noted by the keyspace, one in `EVERY`, with or without the latch; asked by `Cache.miss_causes`.
Which removal a key is missing for is looked up only when somebody asks, in the ledger.

1. Noting allocates nothing. A reader that is interrupted in the middle leaves a key under the
   number of another namespace, for which the ledger then has no removal.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.keyspace.ledger import LONGEST_KEY, Ledger

# powers of two
EVERY: Final = 16
KEPT: Final = 256

UNKNOWN: Final = "unknown"


class Misses:
    """The last `KEPT` that were noted."""

    def __init__(self) -> None:
        self._keys: Final[list[str]] = [""] * KEPT
        self._books: Final[list[int]] = [0] * KEPT
        self._count: i64 = 0

    def note(self, book: i64, key: str) -> None:
        """Notes one."""
        if len(key) > LONGEST_KEY:
            return
        place = self._count & (KEPT - 1)
        self._count += 1
        self._keys[place] = key
        self._books[place] = book

    def causes(self, ledger: Ledger) -> dict[str, int]:
        """How many of them are missing for which cause; UNKNOWN: never there, or long ago.

        The caller holds the latch.
        """
        size = min(self._count, KEPT)
        wanted = {self._keys[place] for place in range(size)}
        latest = ledger.latest_causes(wanted)
        found: dict[str, int] = {}
        for place in range(size):
            cause = latest.get((self._books[place], self._keys[place]), UNKNOWN)
            found[cause] = found.get(cause, 0) + 1
        return found
