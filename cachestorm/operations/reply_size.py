"""How large one reply may be, and who counts it.

Called by the commands that can give the same thing many times over (MGET of one key, a
negative count of SRANDMEMBER, SORT with GET): what they give may be larger than what the
cache holds. Whatever else is given is bounded by what is there.

1. The bound is `max_reply` of the cache; where none is set, its limit of memory, but at least
   `LEAST_BYTES`; `MOST_BYTES` where there is no limit.
2. It is looked at before the reply is built, or while a part of it is.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.errors import ReplyTooLargeError
from cachestorm.keyspace.keyspace import Keyspace

LEAST_BYTES: Final = 64 << 20
MOST_BYTES: Final = 1 << 30
# of an element, in a list and on the wire, beside its bytes
ELEMENT_BYTES: Final = 16


class ReplySize:
    """What there is still room for in one reply.

    Attributes:
        most: the bound in bytes.
    """

    def __init__(self, space: Keyspace) -> None:
        shared = space.shared
        most = shared.max_reply_bytes
        if most == 0:
            most = MOST_BYTES
            if shared.max_bytes != 0:
                most = max(shared.max_bytes, LEAST_BYTES)
        self.most: Final[i64] = most
        self._left: i64 = most

    def take(self, size: i64) -> None:
        """Counts an element of so many bytes.

        Raises:
            ReplyTooLargeError: if the reply would be too large by it.
        """
        self._left -= size + ELEMENT_BYTES
        if self._left < 0:
            raise ReplyTooLargeError(int(self.most))

    def take_many(self, count: int, size: i64) -> None:
        """Counts so many elements of about so many bytes each.

        Raises:
            ReplyTooLargeError: if the reply would be too large by them.
        """
        # Python's integers: a count may be of 64 bits
        each: int = size + ELEMENT_BYTES
        room: int = self._left
        if count * each > room:
            raise ReplyTooLargeError(int(self.most))
