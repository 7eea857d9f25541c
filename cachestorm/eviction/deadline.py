"""`volatile-ttl`: of a sample of entries with a deadline, the one that has least to live."""

from __future__ import annotations

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.eviction.sampled import Sampled


class NearestDeadline(Sampled):
    """The nearest deadline of a sample."""

    def worth(self, entry: Entry) -> i64:
        return entry.expires_at_ms
