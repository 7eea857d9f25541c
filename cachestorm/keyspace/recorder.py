"""The recorder: what a journal is told of all that changes in a store.

Told by the namespaces, with the latch held, and by the shared state as the latch is given back.
What it does with it is in `cachestorm/durability/`. A store without a journal has none.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.errors import DurabilityError
from cachestorm.events import (
    CHANGED,
    DELETED,
    EMPTIED,
    EVICTED,
    EXPIRED,
    EXPIRY,
    PUT,
    RENAMED,
    SPACE,
    TAG_EVENTS,
    TAGS,
)
from cachestorm.keyspace.expiry import Idle

# What leaves on its own; what an invalidation, a flush or a write takes along is told as that.
GONE: Final = DELETED | EXPIRED | EVICTED | EMPTIED
# Of what a recorder has to be told.
RECORDED: Final = PUT | CHANGED | EXPIRY | TAGS | TAG_EVENTS | SPACE | GONE | RENAMED


class Recorder:
    """What is told of every change. No method but `commit` is called without the latch.

    Attributes:
        is_dirty: whether this visit of the store has changed anything.
        is_owed: whether a visit has since `hold` that somebody has asked for, and is to be told
            if it cannot be written. What expires or is evicted is nobody's.
        is_strict: whether what could not be written must not be acknowledged.
        failure: why nothing can be written at the moment; empty if it can.
    """

    def __init__(self) -> None:
        self.is_dirty: bool = False
        self.is_owed: bool = False
        self.failure: str = ""
        self.is_strict: bool = False

    def end_visit(self, now_ms: i64) -> bool:
        """The latch is about to be given back. Returns whether the visit `is_owed`."""
        raise NotImplementedError

    def commit(self, is_owed: bool) -> None:
        """Has written what the visits have changed that have ended.

        Args:
            is_owed: what `end_visit` has said.

        Raises:
            DurabilityError: if it is owed and cannot be written; it is kept, and will be.
        """
        raise NotImplementedError

    def hold(self) -> None:
        """Has what this thread changes written by `flush`, and not before."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Ends `hold`, and leaves what it has held back to the next one who writes."""
        raise NotImplementedError

    def flush(self) -> None:
        """Writes all there is, and ends `hold`.

        Raises:
            DurabilityError: if it cannot be written; it is kept, and will be.
        """
        raise NotImplementedError

    def told(
        self,
        space: str,
        kind: i64,
        event: str,
        entry: Entry,
        held: object,
        delta: object,
        idle: Idle | None,
    ) -> None:
        """An entry was put or changed, or its deadline or its tags were."""
        raise NotImplementedError

    def put_plain(self, space: str, key: str, value: object, expires_at_ms: i64) -> None:
        """A scalar or a `Boxed` value was put, which has neither tags nor an idle time."""
        raise NotImplementedError

    def joins(self, space: str, key: str, value: object) -> bool:
        """Whether `join` can tell of a scalar without the latch. Compiled only."""
        return False

    def join(self, key: str, value: object, expires_at_ms: i64) -> None:
        """A scalar was put as by `put_plain`, in one step which is a visit of its own.

        The caller has asked `joins` in the same step. Makes nothing that the garbage collector
        tracks.
        """
        raise NotImplementedError

    def removed(self, space: str, kind: i64, key: str) -> None:
        """An entry has left."""
        raise NotImplementedError

    def emitted(self, space: str, kind: i64, event: str, key: str) -> None:
        """A tag was invalidated, or a namespace was flushed or exchanged with another."""
        raise NotImplementedError

    def linked(self, space: str, event: str, parent: str, child: str) -> None:
        """A tag was linked to another, or unlinked."""
        raise NotImplementedError

    def configured(self, space: str, default_ttl_ms: i64, max_bytes: i64) -> None:
        """A namespace was given other settings."""
        raise NotImplementedError

    def forked(self) -> None:
        """In a child process, which is refused what needs room from now on."""
        raise NotImplementedError


class Refusing(Recorder):
    """In a child process of one with colder tiers: writes are refused, and nothing is kept.

    As with a journal, what needs no room has happened, in the child's memory, when it is told.

    Args:
        failure: why.
    """

    def __init__(self, failure: str) -> None:
        super().__init__()
        self.failure = failure
        self._owes: bool = False

    def _note(self) -> None:
        self.is_dirty = True
        self._owes = True

    def end_visit(self, now_ms: i64) -> bool:
        owes = self._owes
        self.is_dirty = self._owes = False
        return owes

    def commit(self, is_owed: bool) -> None:
        if is_owed:
            raise DurabilityError(self.failure)

    def hold(self) -> None:
        self.is_owed = False

    def let_go(self) -> None:
        return

    def flush(self) -> None:
        return

    def told(
        self,
        space: str,
        kind: i64,
        event: str,
        entry: Entry,
        held: object,
        delta: object,
        idle: Idle | None,
    ) -> None:
        self._note()

    def removed(self, space: str, kind: i64, key: str) -> None:
        # what leaves on its own is nobody's write
        if kind & (EXPIRED | EVICTED) == 0:
            self._note()

    def emitted(self, space: str, kind: i64, event: str, key: str) -> None:
        self._note()

    def linked(self, space: str, event: str, parent: str, child: str) -> None:
        self._note()

    def configured(self, space: str, default_ttl_ms: i64, max_bytes: i64) -> None:
        self._note()

    def forked(self) -> None:
        return
