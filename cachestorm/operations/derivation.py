"""The derivation: what a command works out of large values, aside, a slice at a time.

a long command, made by the commands that read or rebuild a value of many thousand elements
(SUNIONSTORE, COPY, LREM, SORT and their kin) and run by `Edge._run`; of small values they make
their result in one plain step. It is optimistic: it takes no hold of what it reads.

1. Before each slice it looks whether every key that it reads holds what it held: the same
   entry, of the same version. If not, it lets go of what it has made and begins again.
2. What it makes belongs to nobody else until the last slice puts it in, by the one way in
   and in the same visit in which it has looked for the last time. So the command is one
   step, which took place then; before, nobody sees anything of it.
3. After `ATTEMPTS` it goes to its end without a pause, so that it comes to an end although
   somebody writes all the time.
4. What it has made and does not need is large: it is freed lazily, also when it was
   abandoned or refused.
5. After each slice Python's collector looks at what is young, which is what that slice made. It
   would so at some time by itself, and at a million elements at once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.latch import HAS_GLOBAL_LOCK
from cachestorm.keyspace.lazy_free import UserValues, count_of
from cachestorm.keyspace.shared_state import SLICE_S
from cachestorm.keyspace.store import Store
from cachestorm.operations.long_command import LongCommand
from cachestorm.values.container import Container

# What reads no more elements than this is one plain step, of some milliseconds at most.
PLAIN: Final = 8192
# So many elements are worked on between two looks at the clock, and so many times in a slice:
# it is short also where a look or a hit is all that there is to a piece.
PIECE: Final = 512
PIECES: Final = 32
# How often it begins before it goes to its end in one slice.
ATTEMPTS: Final = 5
# What a slot of a list or dict that was made aside is taken to occupy.
_SLOT_BYTES: Final = 64
# Up to which generation things are young, as long as they have not been looked at twice.
_YOUNG: Final = 1 if sys.version_info < (3, 14) else 0


class Derivation(LongCommand):
    """A result on its way: begun, given up when a source changes, and put in at the end.

    Args:
        store: of the keys.
        space: the namespace of the keys.
        keys: all that it reads.
    """

    def __init__(self, store: Store, space: Keyspace, keys: list[str]) -> None:
        super().__init__(store)
        self._space: Final = space
        self._keys: Final = keys
        self._seen: list[Entry | None] = []
        self._versions: list[int] = []
        self._attempts: i64 = 0
        self._pieces: Iterator[None] | None = None
        # what it makes, and what it needs for that
        self._made: Container | None = None
        self._aside: list[object] = []

    # -- what a command says of itself

    def _work(self) -> Iterator[None]:
        """Works the result out of the entries that were seen, yielding after each piece.

        It runs under the latch, and what it reads stays as it is from its begin to its end.
        Whatever large it makes is `_made`, or was given to `_keep`.
        """
        raise NotImplementedError

    def _finish(self) -> None:
        """Puts the result in. A short step, right after the last piece."""

    # -- how it goes

    def step(self) -> bool:
        is_last = super().step()
        # without the global lock there are no generations, and all would be looked at
        if HAS_GLOBAL_LOCK and gc.isenabled():
            gc.collect(_YOUNG)
        return is_last

    def abandon(self) -> None:
        self._store.enter()
        try:
            self._drop()
        finally:
            self._store.leave()

    def _slice(self) -> bool:
        try:
            pieces = self._pieces
            if pieces is None or not self._is_as_seen():
                pieces = self._begin()
            pauses = self._attempts <= ATTEMPTS
            ends_at = wall_time() + SLICE_S
            left: i64 = PIECES
            for _ in pieces:
                left -= 1
                if pauses and (left <= 0 or wall_time() > ends_at):
                    return False
            self._finish()
        except BaseException:
            self._drop()
            raise
        self._drop()
        return True

    def _begin(self) -> Iterator[None]:
        self._drop()
        self._attempts += 1
        self._seen = [self._space.peek(key) for key in self._keys]
        self._versions = []
        for entry in self._seen:
            self._versions.append(0 if entry is None else int(entry.version))
        pieces = self._work()
        self._pieces = pieces
        return pieces

    def _is_as_seen(self) -> bool:
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

    def _release_result(self, part: list[object]) -> None:
        """A list that was kept is the result: it is no longer ours to let go of."""
        self._aside = [each for each in self._aside if each is not part]

    def _given_away(self) -> None:
        """What was made belongs to the keyspace now."""
        self._made = None

    def _drop(self) -> None:
        """Lets go of all that was made. The caller holds the latch."""
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
            shared.lazy_free.add(self._aside, slots * _SLOT_BYTES)
            self._aside = []
