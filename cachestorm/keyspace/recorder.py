"""The recorder: what a journal is told of all that changes in a store.

Told by the namespaces, with the latch held, and by the shared state as the latch is given back.
What it does with it is in `cachestorm/durability/`. A store without a journal has none.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
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
