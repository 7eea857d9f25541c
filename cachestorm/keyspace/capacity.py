"""The capacity: about how many entries fill a keyspace, by which its policy goes.

One job added to `holdings.py`. Called by what admits and removes entries, as their number
doubles or halves, and by the store, which can exchange the policy.

1. The policy is told of a capacity rarely, and for a bounded price; limits are kept without it.
2. Large dense arrays get their room here, as the number of entries doubles.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.eviction.policy import NEVER_SHIFT, STAMP_MASK, Policy
from cachestorm.keyspace.holdings import Holdings
from cachestorm.keyspace.reserve import LEAST_RESERVED, reserve

# More than there ever are; a limit beyond it is as good, and times their number it would wrap.
MOST_ENTRIES: Final[i64] = 2_147_483_648


class Sized(Holdings):
    """Holdings whose policy knows about how many there can be."""

    def go_by(self, policy: Policy) -> None:
        """Changes the eviction policy, with all entries in place. O(N).

        What both know of past hits is kept: two that go by recency share their stamps, two
        that go by frequency their counts. Else all entries begin alike.
        """
        former = self.policy
        shift = self._access_shift
        former.dismissed(self.dense)
        # the other one may spare it
        self._condemned = None
        # a reader without the latch may come in between: there is nobody to be told then
        self.policy = Policy()
        self._access_shift = NEVER_SHIFT
        if policy.access_shift == -1:
            for entry in self.dense:
                access: i64 = int(entry.access)
                # a new entry is as good as one of so many hits: not the same to both
                access += policy.first_access - former.first_access
                if shift != -1:
                    access = policy.first_access
                elif access < 0:
                    access = 0
                elif access > policy.access_cap:
                    access = policy.access_cap
                entry.access = int(access)
        elif policy.access_shift != NEVER_SHIFT:
            if 0 <= shift < NEVER_SHIFT:
                policy.access_shift = shift
            else:
                now = (self.hits + self.admitted) >> policy.access_shift
                for entry in self.dense:
                    entry.access = int(now & STAMP_MASK)
        policy.weighed_by(self)
        if policy.hears:
            for entry in self.dense:
                policy.admitted(entry)
        if policy.hears_deadlines:
            for entry in self.dense:
                if entry.expires_at_ms != 0:
                    policy.dated(entry)
        self.policy = policy
        self._resize_policy()

    def _resize_policy(self) -> None:
        size: i64 = 64
        while size < len(self.dense):
            size <<= 1
        capacity = self._capacity()
        half = capacity // 2 + 1
        # the policy is also told when the keyspace becomes half full
        self._policy_size = half if len(self.dense) < half < size else size
        self.policy.resized(self.dense, capacity)
        self._access_shift = self.policy.access_shift
        if len(self.dense) >= LEAST_RESERVED:
            reserve(self.dense, size)
            reserve(self.values, size)

    def _capacity(self) -> i64:
        """About how many entries fill this keyspace with their values; 0 without a limit."""
        shared = self.shared
        present: i64 = len(self.dense) - self.demoted_count
        demoted = self.demoted_bytes
        least: i64 = 0
        if present == 0:
            return 0
        if shared.max_entries != 0:
            # keyspaces keep their shares
            limit = shared.max_entries
            if limit > MOST_ENTRIES:
                limit = MOST_ENTRIES
            least = present * limit // shared.entry_count
        if self.max_bytes != 0:
            most = (self.max_bytes - demoted) // ((self.used_bytes - demoted) // present + 1)
            least = most if least == 0 or most < least else least
        if shared.max_bytes != 0:
            most = (shared.max_bytes - demoted) // (
                (shared.used_bytes - demoted) // present + 1
            )
            least = most if least == 0 or most < least else least
        if least > MOST_ENTRIES:
            return MOST_ENTRIES
        return least
