"""Slots: where a cluster of Redis or Valkey keeps a key.

Called by `Dialect` and by the wires of a cluster.
"""

from __future__ import annotations

import binascii
import itertools
from functools import lru_cache
from typing import Final

SLOTS: Final = 16384
# of the marks, in bytes
WIDTH: Final = 5


def slot_of(key: bytes) -> int:
    """The slot of a key, by what is between its first `{` and the next `}`, if anything is.

    Source: Redis cluster specification, "Hash tags".
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) % SLOTS


@lru_cache(maxsize=1)
def marks() -> list[bytes]:
    """A mark for each slot: WIDTH bytes that lie in that slot, to be put between braces."""
    found: list[bytes] = [b""] * SLOTS
    left = SLOTS
    for number in itertools.count():
        mark = b"%0*x" % (WIDTH, number)
        slot = binascii.crc_hqx(mark, 0) % SLOTS
        if not found[slot]:
            found[slot] = mark
            left -= 1
            if left == 0:
                break
    return found
