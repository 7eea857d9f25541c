"""What waits: values that are on their way to a tier, and such as were read ahead."""

from __future__ import annotations

from typing import Final

from cachestorm.keyspace.tiering import Demoted, Held


class Pending:
    """A value that is on its way to a level."""

    def __init__(
        self, demoted: Demoted, place: int, kind: int, value: object, size: int
    ) -> None:
        self.demoted: Final = demoted
        self.place: Final = place
        self.kind: Final = kind
        self.value: Final = value
        self.size: Final = size


class Fetched:
    """A value that was read ahead; None if it could not be read where it was."""

    def __init__(self, demoted: Demoted, place: int, held: Held | None) -> None:
        # as long as this is kept, nothing else has its id
        self.demoted: Final = demoted
        self.place: Final = place
        self.held: Final = held
