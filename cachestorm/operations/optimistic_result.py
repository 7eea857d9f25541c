"""The optimistic result: what a command works out of large values, aside, a slice at a time.

A long command, made by the commands that read or rebuild a value of many thousand elements
(SUNIONSTORE, COPY, LREM, SORT and others like them). It holds nothing that it reads back from
others.

1. Before each slice it looks whether every key that it reads holds what it held: the same
   entry, of the same version. If not, it lets go of what it has made and begins again.
2. What it makes belongs to nobody else until it is put in, by the one way in, behind the last
   yield, and so in the same visit in which it has looked for the last time. So the command is
   one step, which took place then; before, nobody sees anything of it.
3. After `ATTEMPTS` it goes to its end without a pause, so that it comes to an end although
   somebody writes all the time.
4. What it has made and does not need may be large: it is freed lazily then, also when it was
   abandoned or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import HASH, Entry
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.lazy_free import SMALL, UserValues, count_of
from cachestorm.operations.long_command import LongCommand
from cachestorm.values.container import Container

# So many elements are a piece of work.
PIECE: Final = 512
# Sources of so many elements in all are worked on without a look at the clock.
SMALL_SOURCES: Final = 2048
# What touches no more elements than this may be one piece, where that is the faster way.
PLAIN: Final = 8192
# How often it begins before it goes to its end in one slice.
ATTEMPTS: Final = 5
# What a slot of a list or dict that was made aside is taken to occupy.
_SLOT_BYTES: Final = 64


class OptimisticResult(LongCommand):
    """A result on its way: begun, given up when a source changes, and put in at the end.

    Args:
        space: the namespace of the keys.
        keys: all that it reads.
    """

    def __init__(self, space: Keyspace, keys: list[str]) -> None:
        super().__init__(space)
        self._keys: Final = keys
        self._seen: list[Entry | None] = []
        self._versions: list[int] = []
        self._attempts: i64 = 0
        self._is_small: bool = False
        # what it makes, and what it needs for that
        self._made: Container | None = None
        self._aside: list[object] = []

    def _pauses(self) -> bool:
        return not self._is_small and self._attempts <= ATTEMPTS

    def _begin(self) -> Iterator[None]:
        self._drop()
        space = self._space
        # the command is one access to each key, however often it begins
        if self._attempts == 0:
            self._seen = [space.find(key) for key in self._keys]
        else:
            self._seen = [space.peek(key) for key in self._keys]
        self._attempts += 1
        self._versions = []
        size: i64 = 0
        for entry in self._seen:
            if entry is None:
                self._versions.append(0)
                continue
            self._versions.append(int(entry.version))
            if entry.kind >= HASH:
                size += len(cast(Container, space.value(entry)))
        self._is_small = size <= SMALL_SOURCES
        return self._work()

    def _is_current(self) -> bool:
        for place, key in enumerate(self._keys):
            entry = self._space.peek(key)
            if entry is not self._seen[place]:
                return False
            if entry is not None and entry.version != self._versions[place]:
                return False
        return True

    def _keep(self, part: list[object] | dict[str, object]) -> None:
        """Remembers a list or dict that may become large, to let go of it slowly."""
        self._aside.append(part)

    def _keep_values(self, values: list[object]) -> None:
        """The same for a list of values that may be a user's."""
        self._aside.append(UserValues(values))

    def _give_away(self) -> None:
        """What was made belongs to the keyspace now."""
        self._made = None

    def _drop(self) -> None:
        # first, as it holds what is to be taken apart
        self._pieces = None
        shared = self._space.shared
        made = self._made
        self._made = None
        if made is not None:
            shared.drop_later(made)
        if self._aside:
            slots: i64 = 0
            for part in self._aside:
                slots += count_of(part)
            if slots > SMALL:
                shared.lazy_free.add(self._aside, slots * _SLOT_BYTES)
            else:
                shared.to_drop.append(self._aside)
            self._aside = []
