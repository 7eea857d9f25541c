"""Copying: COPY, whose value may be too large to be copied in one step.

A long command, made by the family of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mypy_extensions import i64

from cachestorm.entry import BUFFER, ZSET
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.operations.optimistic_result import PIECE, PLAIN, OptimisticResult
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.set import SetValue

# A list or dict is copied much faster as a whole than a ranking is.
_PLAIN_ELEMENTS: Final = 4 * PLAIN
_PLAIN_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 18


class Copying(OptimisticResult):
    """COPY. Its result: whether it was copied.

    Args:
        target: the namespace that it is copied into.
        replace: also if the destination exists.
    """

    def __init__(
        self, space: Keyspace, source: str, target: Keyspace, destination: str, replace: bool
    ) -> None:
        super().__init__(space, [source])
        self._target: Final = target
        self._destination: Final = destination
        self._replace: Final = replace
        self._followed: Hash | SetValue | None = None

    def _work(self) -> Iterator[None]:
        self._value = False
        space = self._space
        target = self._target
        entry = self._seen[0]
        if entry is None or self._is_in_the_way():
            return
        value = space.value(entry)
        if isinstance(value, Container):
            source = value
            if _is_long(source, entry.kind):
                twin = source.twin()
                self._made = twin
                if isinstance(source, (Hash, SetValue)):
                    self._followed = source
                    self._follow()
                piece: i64 = _PIECE_BYTES if entry.kind == BUFFER else PIECE
                start: i64 = 0
                while start < len(source):
                    source.copy_some(twin, start, min(start + piece, i64(len(source))))
                    start += piece
                    yield
                for _ in self._catch_up():
                    yield
                entry = self._seen[0]
                if entry is None:
                    return
                value = twin
                if self._is_in_the_way():
                    return
            else:
                value = source.copy()
        tags = tag_names_of(entry)
        idle = space.idle_of(entry)
        kind = entry.kind
        deadline = entry.expires_at_ms
        target.put(self._destination, value, kind, deadline, tags, idle, "copy_to", "")
        self._give_away()
        self._value = True

    def _revise(self, name: str) -> None:
        assert self._followed is not None and self._made is not None
        self._followed.revise(self._made, name)

    def _is_in_the_way(self) -> bool:
        """Whether the destination exists and is to stay."""
        return not self._replace and self._target.peek(self._destination) is not None


def _is_long(value: Container, kind: int) -> bool:
    """Whether a copy of it takes more than some milliseconds."""
    if kind == BUFFER:
        return len(value) > _PLAIN_BYTES
    return len(value) > (PLAIN if kind == ZSET else _PLAIN_ELEMENTS)
