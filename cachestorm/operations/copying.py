"""Copying: COPY of a value that is too large to be copied in one step.

A derivation, made by the family of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mypy_extensions import i64

from cachestorm.entry import BUFFER, ZSET
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.operations.derivation import PIECE, PLAIN, Derivation
from cachestorm.values.container import Container

# A list or dict is copied much faster as a whole than a ranking is.
_PLAIN_ELEMENTS: Final = 4 * PLAIN
_PLAIN_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 18


def is_long_copy(value: Container, kind: int) -> bool:
    """Whether a copy of it takes more than some milliseconds."""
    if kind == BUFFER:
        return len(value) > _PLAIN_BYTES
    return len(value) > (PLAIN if kind == ZSET else _PLAIN_ELEMENTS)


class Copying(Derivation):
    """COPY. Its result: whether it was copied.

    Args:
        target: the namespace that it is copied into.
        replace: also if the destination exists.
    """

    def __init__(
        self,
        store: Store,
        space: Keyspace,
        source: str,
        target: Keyspace,
        destination: str,
        replace: bool,
    ) -> None:
        super().__init__(store, space, [source])
        self._target: Final = target
        self._destination: Final = destination
        self._replace: Final = replace
        self._value: object = None
        self._is_done: bool = False

    def _work(self) -> Iterator[None]:
        self._value = None
        entry = self._seen[0]
        if entry is None:
            return
        self._value = self._space.value(entry)
        if not isinstance(self._value, Container):
            return
        found = self._value
        twin = found.twin()
        self._value = twin
        self._made = twin
        piece: i64 = _PIECE_BYTES if entry.kind == BUFFER else PIECE
        length = i64(len(found))
        start: i64 = 0
        while start < length:
            found.copy_some(twin, start, min(start + piece, length))
            start += piece
            yield

    def _finish(self) -> None:
        space = self._space
        entry = self._seen[0]
        if entry is None:
            return
        target = self._target
        if not self._replace and target.peek(self._destination) is not None:
            return
        tags = space.tags.names(entry)
        idle = space.idle_of(entry)
        target.put(self._destination, self._value, entry.kind, entry.expires_at_ms, tags, idle)
        self._given_away()
        self._is_done = True

    def result(self) -> object:
        return self._is_done
