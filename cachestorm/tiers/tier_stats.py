"""What a tier has counted at one moment: what `Cache.tier_stats` gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStats:
    """The counts of one tier.

    Attributes:
        engine: what keeps the values.
        path: where.
        values: how many keys have their values there.
        used: what these values take there, in bytes, compressed.
        max_size: the most that they may; 0 for no limit.
        pending: bytes of values that are on their way there, and still in memory.
        disk: about what the engine takes for them, with what is not deleted yet.
        demotions: values that came there.
        promotions: values that went from there back into memory.
        hits: reads that found a value there.
        losses: values that were damaged or gone; their keys are gone, too.
        unanswered: reads that got no answer; they were misses.
        unfit: values that were evicted, as they have no exact form in bytes or are too large.
        skipped: values that were evicted, as the tier could not keep up.
        passed_over: values that were evicted, as nobody had asked for them and all is full.
        failures: writes that the engine has refused.
        written: bytes that were written to the engine.
        writes: requests that wrote them, or deleted others.
        read: bytes that were read from the engine.
        reads: requests that read them.
        read_us: microseconds that a read from the engine has taken, on the average.
    """

    engine: str
    path: str
    values: int
    used: int
    max_size: int
    pending: int
    disk: int
    demotions: int
    promotions: int
    hits: int
    losses: int
    unanswered: int
    unfit: int
    skipped: int
    passed_over: int
    failures: int
    written: int
    writes: int
    read: int
    reads: int
    read_us: float

    def as_dict(self) -> dict[str, object]:
        """The counts by name, as for JSON."""
        return asdict(self)
