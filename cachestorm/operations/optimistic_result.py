"""The optimistic result: what a command works out of large values, aside, a slice at a time.

A long command, made by the commands that read or rebuild a value of many thousand elements
(SUNIONSTORE, COPY, LREM, SORT and others like them). It keeps nobody from using what it reads.

1. Before each slice it looks whether every key that it reads holds what it held: the same
   entry, of the same version. If not, it drops what it has made and begins again.
2. What comes to something member by member (the algebra of sets and sorted sets, a copy of a
   set or hash) does not begin again because of a change in place. It follows its sources: they
   note the names that are touched, and behind the work these are looked at again
   (`_catch_up`). A member that is not among them has stayed what and where it was, and was met
   once.
3. What it makes belongs to nobody else until it is put in, by the one way in, behind the last
   yield, and so in the same visit in which it has looked for the last time. So the command is
   one step, which took place then; before, nobody sees anything of it.
4. After `ATTEMPTS` it goes to its end without a pause, so that it comes to an end although
   somebody writes all the time.
5. What it has made and does not need may be large: it is freed lazily then, also when it was
   abandoned or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import DEMOTED, HASH, Entry
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.lazy_free import SMALL, UserValues, count_of
from cachestorm.operations.long_command import LongCommand
from cachestorm.values.container import Container
from cachestorm.values.placed import Placed, Touched

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
        # what it follows, by key, and what was touched there; None where it follows nothing
        self._sources: list[Placed | None] = []
        self._touched: Touched | None = None
        # what is read has been read: changes of the sources do not matter any more
        self._is_settled: bool = False
        # what it makes, and what it needs for that
        self._made: Container | None = None
        self._aside: list[object] = []

    def _pauses(self) -> bool:
        return not self._is_small and self._attempts <= ATTEMPTS

    def _begin(self) -> Iterator[None]:
        space = self._space
        # the command is one access to each key, however often it begins
        if self._attempts == 0:
            self._seen = [space.find(key) for key in self._keys]
        else:
            self._drop()
            self._is_settled = False
            self._seen = [space.peek_value(key) for key in self._keys]
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
        if self._is_settled:
            return True
        touched = self._touched
        if touched is not None and touched.is_all:
            return False
        space = self._space
        for place, key in enumerate(self._keys):
            entry = space.peek(key)
            seen = self._seen[place]
            if entry is not None and entry.kind >= DEMOTED:
                return False
            if entry is seen and (entry is None or entry.version == self._versions[place]):
                continue
            if touched is None or entry is None or seen is None:
                return False
            if space.value(entry) is not self._sources[place]:
                return False
            self._seen[place] = entry
            self._versions[place] = int(entry.version)
        return True

    def _follow(self) -> None:
        """Follows the sets and sorted sets of all keys; changes in them do not end the work.

        Not those that are small, as their work has no pauses.
        """
        if self._is_small:
            return
        touched = Touched()
        self._touched = touched
        for entry in self._seen:
            source: Placed | None = None
            if entry is not None:
                source = cast(Placed, self._space.value(entry))
                source.follow(touched)
            self._sources.append(source)

    def _catch_up(self) -> Iterator[None]:
        """Revises what was touched, and yields after each piece, but not after the last."""
        touched = self._touched
        while touched is not None and touched.names:
            for name in touched.take(PIECE):
                self._revise(name)
            if touched.names:
                yield

    def _revise(self, name: str) -> None:
        """Works out anew what a name comes to."""
        raise NotImplementedError

    def _begin_again(self) -> Iterator[None]:
        """Waits for the end of the slice, after which the work begins anew."""
        touched = self._touched
        assert touched is not None
        touched.is_all = True
        while True:
            yield

    def _settle(self) -> None:
        """What only reads took place now: what becomes of the sources no longer matters."""
        self._unfollow()
        self._is_settled = True

    def _unfollow(self) -> None:
        touched = self._touched
        if touched is None:
            return
        for source in self._sources:
            if source is not None:
                source.unfollow(touched)
        self._sources = []
        self._touched = None

    def _keep(self, part: list[object] | dict[str, object]) -> None:
        """Remembers a list or dict that may become large, to free it lazily."""
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
        self._unfollow()
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
