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
        disk: about what the engine takes on the disk.
        demotions: values that went there.
        promotions: values that came back into memory.
        hits: reads that found a value there.
        losses: values that were damaged, or could not be read; their keys are gone.
        unfit: values without an exact form in bytes, which were evicted instead.
        failures: writes that the engine has refused.
        written: bytes that were written to the engine.
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
    unfit: int
    failures: int
    written: int
    read_us: float

    def as_dict(self) -> dict[str, object]:
        """The counts by name, as for JSON."""
        return asdict(self)
