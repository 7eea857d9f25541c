"""Notes: what is kept of a load beside its value, for the loads after it.

Kept by the engine for calls that ask for more than a time to live; told by the flight log what
happened to the keys. A note holds the value as well: what has expired in the store is
absent there, and only a loader that allows stale values may still serve it.

1. A note goes when its key is written, deleted, evicted or invalidated; when it expires or
   goes stale by a soft invalidation it stays, until nobody may serve it any more.
2. There are at most MOST_NOTES in a namespace; the oldest go first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.markers import MISSING

if TYPE_CHECKING:
    from types import TracebackType

MOST_NOTES: Final = 10_000
NEVER: Final = 1 << 62


class Note:
    """What is known of the last load of a key.

    Attributes:
        value: what it gave; MISSING if it failed.
        tags: those of the value.
        kept_at_ms: when.
        expires_at_ms: until when it is fresh.
        stale_ms, error_ms: how long after that it may be served: see `Options`.
        kept_until_ms: until when it is of use.
        load_ms: how long the load took.
        etag, modified: what the loader said of its source.
        failed_until_ms: until when the source is not asked again.
        error: what is raised instead of asking, until then.
        traceback: where it was raised first: each time adds to its own.
    """

    __slots__ = (
        "error",
        "error_ms",
        "etag",
        "expires_at_ms",
        "failed_until_ms",
        "kept_at_ms",
        "kept_until_ms",
        "load_ms",
        "modified",
        "stale_ms",
        "tags",
        "traceback",
        "value",
    )

    def __init__(self) -> None:
        self.value: Any = MISSING
        self.tags: tuple[str, ...] = ()
        self.kept_at_ms = 0
        self.expires_at_ms = 0
        self.stale_ms = 0
        self.error_ms = 0
        self.kept_until_ms = 0
        self.load_ms = 0.0
        self.etag: Any = None
        self.modified: Any = None
        self.failed_until_ms = 0
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None

    def is_servable(self, now_ms: int, span_ms: int) -> bool:
        """Whether its value may be served so long after it was fresh."""
        return self.value is not MISSING and now_ms < self.expires_at_ms + span_ms

    def is_spent(self, now_ms: int) -> bool:
        """Whether nobody will want it any more."""
        return now_ms >= self.kept_until_ms and now_ms >= self.failed_until_ms


class Notes:
    """The notes of one namespace. Its methods are called with GATE held."""

    def __init__(self) -> None:
        self._notes: Final[dict[str, Note]] = {}
        self._tagged: Final[dict[str, dict[str, None]]] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def get(self, key: str) -> Note | None:
        """The note on a key."""
        return self._notes.get(key)

    def put(self, key: str, note: Note, now_ms: int) -> None:
        """Replaces the note that was kept before, and drops some that are spent."""
        self.drop(key)
        self._notes[key] = note
        self._link(key, note)
        for _ in range(2):
            oldest = next(iter(self._notes))
            if len(self._notes) > MOST_NOTES or self._notes[oldest].is_spent(now_ms):
                self.drop(oldest)
                if not self._notes:
                    break

    def drop(self, key: str) -> None:
        """Lets go of the note on a key."""
        note = self._notes.pop(key, None)
        if note is None:
            return
        self._unlink(key, note)

    def tag(self, key: str, tags: Iterable[str]) -> None:
        """Gives the note on a key other tags."""
        note = self._notes.get(key)
        if note is not None:
            self._unlink(key, note)
            note.tags = tags_in(tags)
            self._link(key, note)

    def _link(self, key: str, note: Note) -> None:
        for tag in note.tags:
            self._tagged.setdefault(tag, {})[key] = None

    def _unlink(self, key: str, note: Note) -> None:
        for tag in note.tags:
            keys = self._tagged[tag]
            del keys[key]
            if not keys:
                del self._tagged[tag]

    def clear(self) -> None:
        """Lets go of all."""
        self._notes.clear()
        self._tagged.clear()

    def invalidate(self, tag: str) -> None:
        """Lets go of those whose value bears a tag."""
        for key in list(self._tagged.get(tag, ())):
            self.drop(key)

    def soften(self, tag: str, now_ms: int) -> None:
        """Ends the freshness of those whose value bears a tag."""
        for key in self._tagged.get(tag, ()):
            note = self._notes[key]
            note.expires_at_ms = min(note.expires_at_ms, now_ms)

    def purge(self, now_ms: int) -> None:
        """Lets go of all that are spent. O(N)."""
        for key in [key for key, note in self._notes.items() if note.is_spent(now_ms)]:
            self.drop(key)

    def _check(self) -> None:
        """Asserts all invariants."""
        pairs = {(tag, key) for tag, keys in self._tagged.items() for key in keys}
        assert pairs == {(tag, key) for key, note in self._notes.items() for tag in note.tags}
        assert all(self._tagged.values())


def tags_in(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without duplicates, first order kept."""
    return tuple(dict.fromkeys(tags))
