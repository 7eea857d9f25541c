"""The context of a load: what a loader may look at, and say, while it runs.

Made by the engine for each load; found by a loader as its argument, or by `current_load`.
It also links a load to the one that it is part of, for tags and for who waits for whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from cachestorm.declare.kinds import Lifetime
from cachestorm.errors import ArgumentError
from cachestorm.loading.options import Options, _lifetime
from cachestorm.markers import MISSING, Missing, Unset
from cachestorm.operations.names import checked_tags

if TYPE_CHECKING:
    from cachestorm.loading.flight import Flight
    from cachestorm.loading.notes import Note

# one element for each loader at work in this process: while there is none, nobody has to look
# into the variable below, which takes longer
at_work: Final[list[None]] = []
# the load that the code at hand is part of; tasks and copied contexts inherit it
running: Final[ContextVar[LoadContext | None]] = ContextVar("cachestorm_load", default=None)


class LoadContext:
    """One load, for its loader.

    Attributes:
        key: what is loaded.
        keep: whether the value is to be kept; a loader sets it to False if not.
        etag, modified: whatever a loader sets, the next load of this key finds: the mark by
            which a source says whether it has changed.
    """

    def __init__(
        self,
        home: object,
        flight: Flight,
        options: Options,
        note: Note | None,
        parent: LoadContext | None,
    ) -> None:
        # the namespace: its tags mean nothing in another one
        self.home: Final = home
        self.key: Final = flight.key
        self.keep = True
        self.etag: Any = None if note is None else note.etag
        self.modified: Any = None if note is None else note.modified
        self._stale: Final = MISSING if note is None else note.value
        self._stale_tags: Final = () if note is None else note.tags
        self._ttl: Lifetime | Unset | None = options.ttl
        self._has_ttl = False
        self._tags: dict[str, None] = {}
        self.stale_ms: int = options.stale_ms
        self.error_ms: int = options.error_ms
        self.flight: Final = flight
        self.parent: Final = parent

    @property
    def stale_value(self) -> Any:
        """The value that was kept last and is no longer fresh; MISSING if there is none."""
        return self._stale

    @property
    def ttl(self) -> Lifetime | Unset | None:
        """How long the value is to be fresh. A loader may set it, spelled as in `set`."""
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: object) -> None:
        self._ttl = _lifetime(ttl)
        self._has_ttl = True

    @property
    def has_ttl(self) -> bool:
        """Whether the loader has set a time to live."""
        return self._has_ttl

    @property
    def has_mark(self) -> bool:
        """Whether the loader has set a mark of its source."""
        return self.etag is not None or self.modified is not None

    def limit_stale(self, stale: float, stale_if_error: float) -> None:
        """Has the value be served stale for no longer than this, and than the call allows.

        Args:
            stale: seconds after its end, while it is loaded anew; 0 for not at all.
            stale_if_error: seconds after its end, if the loader fails.
        """
        self.stale_ms = min(self.stale_ms, int(stale * 1000))
        self.error_ms = min(self.error_ms, int(max(stale, stale_if_error) * 1000))

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that the value gets beside those of the call."""
        return tuple(self._tags)

    def add_tags(self, *tags: str) -> None:
        """Gives the value more tags."""
        self.lend(checked_tags(tags))

    def lend(self, tags: Iterable[str]) -> None:
        """Takes over the tags of a part."""
        for tag in tags:
            self._tags[tag] = None

    def unchanged(self) -> Any:
        """What to return when the source says that the stale value still holds.

        Its tags are kept, its time to live begins anew.

        Raises:
            ArgumentError: if there is no stale value.
        """
        if isinstance(self._stale, Missing):
            raise ArgumentError("there is no stale value that could be unchanged")
        self.lend(self._stale_tags)
        return self._stale


def current_load() -> LoadContext | None:
    """The load that the code at hand is part of, or None outside of any."""
    return running.get()
