"""The statistics of a connected cache: what this process has counted of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from cachestorm.remote.absence import Absence
from cachestorm.remote.recovery import Recovery
from cachestorm.stats import Stats


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectedStats(Stats):
    """The counts of the near cache, all 0 without one, and of what the server has missed.

    What the server holds is not among them: `len(cache)` asks it for the number of its keys.

    Attributes:
        ignored_errors: errors that were answered as a miss (`on_error="miss"`).
        pending: keys, tags and flushes that the server is told of when it is back.
        recovered: those that it was told of.
        emptied: how often there were too many, so that it was to be emptied.
    """

    ignored_errors: int
    pending: int
    recovered: int
    emptied: int

    def _facts(self) -> dict[str, object]:
        # shown without a near cache, `keys=0` would be taken for the server's
        facts = Stats._facts(self)
        if any(facts[name] for name in _NOTHING):
            return facts
        return {name: facts[name] for name in facts if name not in (*_NOTHING, "hit_ratio")}


_NOTHING = dict.fromkeys((each.name for each in fields(Stats)), 0)


def stats_of(near: Stats | None, absence: Absence, recovery: Recovery) -> ConnectedStats:
    """The statistics of one connected cache."""
    return ConnectedStats(
        **(_NOTHING if near is None else asdict(near)),
        ignored_errors=absence.ignored,
        pending=len(recovery),
        recovered=recovery.applied,
        emptied=recovery.flushes,
    )
