"""Snapshots: all that a store holds, recorded while others go on writing; and read back.

Called by the cache (`save`, `load`) and by the data directory, whose journal is begun anew by
one. Calls the store, a slice at a time, and the journal.

1. A snapshot is a journal: images of all keys, and between them what is changed meanwhile, in
   the order in which it happens. Replayed, that is the state at its end. A change of a key
   whose image is still to come does nothing in the replay; the image has it already.
2. So there is no second copy of anything, and no fork; what is recorded of a slice is written
   before the next one begins.
3. The walk goes over the dense arrays from their end down, as SCAN does, and misses no key
   that stays. A key that moves is recorded with its value meanwhile. SWAPDB would carry keys
   past the walk, so the walk begins anew.
4. A slice holds the latch for SLICE keys, or fewer that have SLICE_BYTES. A container that has
   more is recorded in parts: the dense list of its elements is walked over like that of the
   keys. Should the positions of a list change meanwhile, all of it is recorded at once.
5. In the files of a data directory a value that is in a colder tier is named, and not written
   again. Any other snapshot has all values.
6. What is written of it is forced to the disk every HELD_BYTES, as it is kept in memory until
   then.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.folder import JOURNAL
from cachestorm.durability.journal import Journal
from cachestorm.durability.parts import Parts, begin
from cachestorm.durability.recording import COMPLETE, LINKED
from cachestorm.durability.replay import Replay, arm, settle
from cachestorm.durability.segments import Segment
from cachestorm.errors import CodecError, DurabilityError, PayloadError
from cachestorm.keyspace.holdings import size_of
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.shared_state import PAUSE_S
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import COLD, WARM, Demoted
from cachestorm.values.container import Container
from cachestorm.values.forms import Forms

SLICE: Final = 256
SLICE_BYTES: Final = 1 << 20
HELD_BYTES: Final = 8 << 20
MOST_WALKS: Final = 100
# A load looks at the clock after so many frames, and lets others in after so long.
LOAD_LOOK: Final = 16
LOAD_SLICE_S: Final = 0.01

TIER_NAMES: Final = {WARM: "warm", COLD: "cold"}

_ENDS_EARLY: Final = "it ends before the snapshot does"


def record_all(store: Store, journal: Journal, path: str, refers: bool = False) -> None:
    """Records images of all that is there, and that they are complete.

    The caller has become one of the `walkers`, in the visit in which the journal began.

    Args:
        path: of the file that the journal is to be in by now.
        refers: whether values in colder tiers are named only.

    Raises:
        DurabilityError: if they cannot be written; or if namespaces were exchanged again and
            again meanwhile.
    """
    try:
        # what was recorded before goes where it belongs, or nothing does
        journal.flush()
        if journal.path != path:
            raise DurabilityError(f"{path} cannot be written")
        for _ in walk(store, journal, None, refers):
            if not store.in_transaction():
                if journal.unsynced_bytes > HELD_BYTES:
                    journal.force()
                time.sleep(PAUSE_S)
    finally:
        store.enter()
        try:
            journal.walkers -= 1
        finally:
            store.leave()


def walk(
    store: Store,
    journal: Journal,
    take: Callable[[bytes], object] | None,
    refers: bool = False,
) -> Iterator[None]:
    """Records images of all that is there, a slice at a time, and that they are complete.

    The caller is one of the `walkers` all the while.

    Args:
        take: gets the frames, as of an `Aside`.
        refers: as of `record_all`.

    Raises:
        DurabilityError: if namespaces are exchanged again and again meanwhile.
    """
    for _ in range(MOST_WALKS):
        if (yield from _walk(store, journal, take, refers)):
            return
    raise DurabilityError("namespaces are exchanged too often to take a snapshot")


def _walk(
    store: Store, journal: Journal, take: Callable[[bytes], object] | None, refers: bool
) -> Generator[None, None, bool]:
    """One walk. Returns whether it is complete: nothing has come in its way."""
    store.enter()
    try:
        swaps = journal.swaps
        names = [space.name for space in store.spaces()]
    finally:
        store.leave()
    for name in names:
        place = -1
        while place != 0:
            store.enter()
            try:
                if journal.swaps != swaps:
                    return False
                space = store.space(name)
                if place < 0:
                    _record_settings(space, journal)
                    place = len(space.dense)
                place, parts = _record_slice(
                    space, journal, min(place, len(space.dense)), refers
                )
                _set_aside(store, journal, take)
            finally:
                store.leave()
            yield
            while parts is not None and not parts.is_done:
                store.enter()
                try:
                    if journal.swaps != swaps:
                        return False
                    parts.record(store.space(name), journal)
                    _set_aside(store, journal, take)
                finally:
                    store.leave()
                yield
    store.enter()
    try:
        if journal.swaps != swaps:
            return False
        journal.add(COMPLETE, "", "")
        _set_aside(store, journal, take)
        return True
    finally:
        store.leave()


def _set_aside(store: Store, journal: Journal, take: Callable[[bytes], object] | None) -> None:
    # in a transaction it is a part of that, which is not torn apart
    if not store.in_transaction():
        journal.set_aside(store.now_ms(), take)


def _record_settings(space: Keyspace, journal: Journal) -> None:
    journal.configured(space.name, space.default_ttl_ms, space.max_bytes)
    for parent, child in space.tags.hierarchy.links():
        journal.add(LINKED, space.name, parent).other = child


def _record_slice(
    space: Keyspace, journal: Journal, place: int, refers: bool
) -> tuple[int, Parts | None]:
    """Records some keys; the last one maybe only as a beginning, to go on with."""
    stop = max(place - SLICE, 0)
    left = SLICE_BYTES
    while place > stop and left > 0:
        place -= 1
        entry = space.dense[place]
        if space.is_live(entry):
            idle = None if entry.expires_at_ms == 0 else space.idle_of(entry)
            reference = space.reference_of(entry) if refers else None
            if reference is not None:
                journal.refer(space.name, entry, reference, idle)
                continue
            held = space.look(entry)
            if held is None:
                # it was in a colder tier, and is lost
                continue
            size = size_of(held.kind, held.value)
            if size > SLICE_BYTES and held.kind == entry.kind:
                parts = begin(space, journal, entry, held, idle)
                if parts is not None:
                    return place, parts
            journal.image(space.name, entry, held.value, idle)
            left -= size
    return place, None


def record_places(store: Store, journal: Journal) -> None:
    """Records where values are that no file names yet, as a journal is about to be closed."""
    if store.tiering is None:
        return
    store.tiering.sync()
    for space in store.spaces():
        place = len(space.dense)
        while place > 0:
            store.enter()
            try:
                place = min(place, len(space.dense))
                stop = max(place - SLICE, 0)
                while place > stop:
                    place -= 1
                    _record_place(space, journal, place)
            finally:
                store.leave()


def _record_place(space: Keyspace, journal: Journal, place: int) -> None:
    entry, demoted, tiering = space.dense[place], space.values[place], space.shared.tiering
    if not isinstance(demoted, Demoted) or tiering is None or tiering.is_named(demoted):
        return
    reference = space.reference_of(entry)
    if reference is not None and space.is_live(entry):
        idle = None if entry.expires_at_ms == 0 else space.idle_of(entry)
        journal.refer(space.name, entry, reference, idle)


@contextmanager
def naming(store: Store, refers: bool) -> Iterator[None]:
    """While files are begun anew that name values in colder tiers.

    Args:
        refers: whether they do; else nothing happens.
    """
    tiering = store.tiering
    if tiering is None or not refers:
        yield
        return
    tiering.sync()
    is_complete = False
    store.enter()
    try:
        tiering.begin_naming()
    finally:
        store.leave()
    try:
        yield
        is_complete = True
    finally:
        store.enter()
        try:
            tiering.end_naming(is_complete)
        finally:
            store.leave()


def save(store: Store, path: str, disk: Disk = DISK, refers: bool = False) -> tuple[int, int]:
    """Writes a snapshot into a file, which is there whole or not at all.

    Args:
        refers: as of `record_all`; within `naming`.

    Returns:
        How many bytes it has, and the number of its last frame.

    Raises:
        DurabilityError: if it cannot be written.
    """
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        with suppress(FileNotFoundError):
            disk.remove(unfinished)
        journal = _attach(store, unfinished, disk)
    except OSError as error:
        raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error
    try:
        try:
            try:
                record_all(store, journal, unfinished, refers)
                journal.force()
                size, number = journal.size, journal.number
            finally:
                _detach(store, journal)
        finally:
            journal.abandon()
        disk.rename(unfinished, path)
        disk.sync_folder(path)
        return size, number
    except BaseException as error:
        with suppress(OSError):
            disk.remove(unfinished)
        if isinstance(error, OSError):
            raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error
        raise


def _attach(store: Store, path: str, disk: Disk) -> Journal:
    """A journal for a file; where replicas are fed, theirs."""
    feeding = store.recorder
    is_own = not isinstance(feeding, Journal) or feeding.path != ""
    if isinstance(feeding, Journal) and not is_own:
        journal = feeding
    else:
        journal = Journal(path, 0, "no", disk)
    store.enter()
    try:
        if store.recorder is not (None if is_own else journal):
            raise DurabilityError("another snapshot is being written")
        if is_own:
            store.record_by(journal)
        else:
            journal.switch(path)
        journal.walkers += 1
        return journal
    except DurabilityError:
        if is_own:
            journal.abandon()
        raise
    finally:
        store.leave()


def _detach(store: Store, journal: Journal) -> None:
    store.enter()
    try:
        if journal.feed is None:
            store.record_by(None)
        else:
            journal.switch("")
    finally:
        store.leave()
    if journal.feed is not None:
        journal.flush()
        return
    for space in store.spaces():
        place = len(space.values)
        while place > 0:
            store.enter()
            try:
                stop = max(min(place, len(space.values)) - SLICE, 0)
                for held in space.values[stop:place]:
                    if isinstance(held, Container) and store.recorder is None:
                        held.diary = None
                place = stop
            finally:
                store.leave()


class Loading:
    """Reads files into a store that nobody changes meanwhile.

    Attributes:
        frames: how many were read.
        number: that of the last one.
        is_complete: whether the images of all keys were among them.
    """

    def __init__(self, store: Store, forms: Forms | None, disk: Disk = DISK) -> None:
        self._store: Final = store
        self._disk: Final = disk
        self._replay: Final = Replay(store, forms)
        self._limits: Final = (store.max_bytes, store.max_entries)
        store.limit(0, 0)
        self.frames = 0
        self.number = 0

    @property
    def is_complete(self) -> bool:
        return self._replay.completed != 0

    @property
    def unknown_tier(self) -> str:
        """The tier that values are in, and the store has not; empty for none."""
        return TIER_NAMES.get(self._replay.unknown_tier, "")

    def read(self, path: str, may_be_torn: bool) -> Segment:
        """Does again what a file says, all of it.

        Raises:
            DurabilityError: if it is damaged, of another version or cannot be read.
        """
        segment = Segment(path, self.number, may_be_torn, self._disk)
        for _ in self.slices(segment):
            pass
        return segment

    def slices(self, segment: Segment) -> Iterator[None]:
        """Does again what a file says, for LOAD_SLICE_S at a time.

        Raises:
            DurabilityError: as `read`.
        """
        path = segment.path
        bodies = segment.bodies()
        try:
            while self._slice(bodies):
                yield
        except PayloadError as error:
            raise segment.damaged("a record says what there is not") from error
        except CodecError as error:
            raise DurabilityError(f"{path} cannot be loaded: {error}") from error
        except OSError as error:
            raise DurabilityError(f"{path} cannot be read: {error.strerror}") from error
        self.number = segment.number
        if not path.endswith(JOURNAL) and not self.is_complete:
            # it got its name when it was complete, and on the disk
            raise segment.damaged(_ENDS_EARLY)

    def _slice(self, bodies: Iterator[bytes]) -> bool:
        """Does again what some frames say. Returns whether there may be more."""
        ends_at = time.monotonic() + LOAD_SLICE_S
        apply = self._replay.apply
        # all that is made stays: to look for circles in it would be most of the work
        is_collecting = gc.isenabled()
        gc.disable()
        # what is replaced is let go as the transaction ends
        self._store.begin()
        try:
            for place, body in enumerate(bodies):
                apply(body)
                self.frames += 1
                if place % LOAD_LOOK == 0 and time.monotonic() >= ends_at:
                    return True
            return False
        finally:
            self._store.end()
            if is_collecting:
                gc.enable()

    def finish(self) -> None:
        """Ends the load of all files: from now on what is not asked for is idle."""
        store = self._store
        store.begin()
        try:
            for space in store.spaces():
                space.resume_limits()
            settle(store, store.clock.now_ms())
        finally:
            store.end()

    def arm(self) -> None:
        """Has every container keep a diary, for a journal that goes on with them. O(N)."""
        self._store.begin()
        try:
            arm(self._store)
        finally:
            self._store.end()

    def limit(self) -> None:
        """Gives the store back the limits that it was made with, and evicts what is beyond."""
        self._store.enter()
        try:
            self._store.limit(*self._limits)
        finally:
            self._store.leave()


def load(store: Store, forms: Forms | None, path: str) -> None:
    """Reads what `save` has written into a store that is empty.

    Raises:
        DurabilityError: if it is damaged, incomplete or cannot be read.
    """
    for _ in reading(store, forms, path):
        pass


def reading(store: Store, forms: Forms | None, path: str) -> Iterator[None]:
    """Does what `load` does, for LOAD_SLICE_S at a time.

    Raises:
        DurabilityError: as `load`.
    """
    loading = Loading(store, forms)
    segment = Segment(path, 0, may_be_torn=False)
    yield from loading.slices(segment)
    if not loading.is_complete:
        raise segment.damaged(_ENDS_EARLY)
    loading.finish()
    loading.limit()
