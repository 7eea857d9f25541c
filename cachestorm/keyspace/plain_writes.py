"""The plain writes: an untagged scalar is put in one step, where that is all there is to do.

Called by commands, with or without the latch, and by the writes above, which do all the rest.

1. Compiled, a step neither gives up the GIL nor frees anything that has a finalizer: so its
   caller may do without the latch while nobody holds it.
2. A step that cannot do all of it has done nothing, but for room that it may have made;
   `put` is the way then.
3. What enters is written to the dense arrays first and to the dict last, so that they agree
   at every step another thread could see.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, u8

from cachestorm.codec import is_ascii
from cachestorm.entry import OBJECT, Entry
from cachestorm.events import EXPIRY, NEW, PUT, REPLACED
from cachestorm.keyspace.budget import NOWHERE, Budget
from cachestorm.keyspace.holdings import ENTRY_BYTES, KEY_DEADLINE_BYTES
from cachestorm.values.weights import is_shared, weigh, weight_of_ascii, weight_of_bytes

# A write in this many, a power of two, also does a step of reaping.
WRITES_A_STEP: Final = 32


class PlainWrites(Budget):
    """Holdings that plain values are put into."""

    def put_plain(
        self,
        key: str,
        value: object,
        kind: u8,
        expires_at_ms: i64,
        now_ms: i64,
        is_latched: bool,
    ) -> bool:
        """Puts an untagged scalar or `Boxed` value, if that takes one step.

        Args:
            kind: STRING or OBJECT.
            now_ms: the time if the caller has looked, else 0.
            is_latched: whether the caller holds the latch.

        Returns:
            Whether it was done; else `put` is the way.
        """
        entry = self.entries.get(key)
        if entry is None:
            return self.put_new(key, value, kind, expires_at_ms, now_ms, is_latched)
        return self.overwrite(entry, value, kind, expires_at_ms, now_ms, is_latched)

    def put_new(
        self,
        key: str,
        value: object,
        kind: u8,
        expires_at_ms: i64,
        now_ms: i64,
        is_latched: bool,
    ) -> bool:
        """`put_plain` of a key that there is not, for who has looked."""
        if expires_at_ms != 0 and expires_at_ms <= now_ms:
            return False
        interest = self.interest & (PUT | EXPIRY | NEW)
        if interest != 0 and (
            interest & NEW != 0
            or not self.can_record_plain(PUT | EXPIRY, key, value, is_latched)
        ):
            return False
        if (
            (self.admitted + 1) & (WRITES_A_STEP - 1) == 0
            or len(self.dense) >= self._policy_size
            or not is_ascii(key)
            # a chain that is made may run a finalizer
            or (self.slots is not None and not is_latched)
        ):
            return False
        letters: i64 = len(key)
        charge = weigh(value) + ENTRY_BYTES + weight_of_ascii(letters)
        place: i64 = NOWHERE
        if self._is_bounded() and self._is_short_of(charge + KEY_DEADLINE_BYTES, 1):
            shared = self.shared
            if is_latched:
                now_ms = shared.now_ms()
            elif now_ms == 0:
                if not shared.has_plain_clock:
                    return False
                now_ms = shared.time_ms()
            place = self._vacate(charge + KEY_DEADLINE_BYTES, now_ms, is_latched)
            if place == NOWHERE:
                return False
        entry = self._admit(key, value, kind, charge, place)
        if expires_at_ms != 0:
            self._file(entry, expires_at_ms)
        if interest != 0:
            self.record_plain(key, value, expires_at_ms, is_latched)
        return True

    def overwrite(
        self,
        entry: Entry,
        value: object,
        kind: u8,
        expires_at_ms: i64,
        now_ms: i64,
        is_latched: bool,
    ) -> bool:
        """`put_plain` over an entry of this keyspace, dead or alive."""
        interest = self.interest & (PUT | EXPIRY | REPLACED)
        if (
            entry.kind > OBJECT
            or entry.tags is not None
            or (expires_at_ms != 0 and expires_at_ms <= now_ms)
        ):
            return False
        shared = self.shared
        deadline = entry.expires_at_ms
        if deadline != 0:
            if now_ms == 0:
                if not (is_latched or shared.has_plain_clock):
                    return False
                now_ms = shared.time_ms()
            if deadline <= now_ms or self.expiry.idle:
                return False
        index: int = entry.index
        former = self.values[index]
        if entry.kind == OBJECT and not is_shared(former):
            return False
        if interest != 0 and (
            (interest & REPLACED != 0 and former is not value)
            or (
                interest & (PUT | EXPIRY) != 0
                and not self.can_record_plain(PUT | EXPIRY, entry.key, value, is_latched)
            )
        ):
            return False
        delta: i64 = 0
        if isinstance(value, bytes) and isinstance(former, bytes):
            # the common case, without a call
            if len(value) != len(former):
                delta = weight_of_bytes(len(value)) - weight_of_bytes(len(former))
        else:
            delta = weigh(value) - weigh(former)
        if delta != 0 or deadline != expires_at_ms:
            growth = delta if deadline != 0 else delta + KEY_DEADLINE_BYTES
            if growth > 0 and self._is_bounded() and self._is_short_of(growth, 0):
                return False
            self.charge(delta)
        self.values[index] = value
        entry.kind = kind
        if deadline != expires_at_ms:
            self._file(entry, expires_at_ms)
        self._count_access(entry)
        shared.sequence += 1
        entry.version = shared.sequence
        if interest & (PUT | EXPIRY) != 0:
            self.record_plain(entry.key, value, expires_at_ms, is_latched)
        return True

    def _admit(self, key: str, value: object, kind: u8, charge: i64, gap: i64) -> Entry:
        """Adds an entry, at the end of the dense arrays or in a gap there."""
        shared = self.shared
        shared.sequence += 1
        if gap == NOWHERE:
            entry = Entry(key, len(self.dense), kind, shared.sequence)
            self.values.append(value)
            self.dense.append(entry)
        else:
            entry = Entry(key, int(gap), kind, shared.sequence)
            self.values[gap] = value
            self.dense[gap] = entry
        self.entries[key] = entry
        if self.slots is not None:
            self.slots.add(entry)
        self.listed = True
        self.admitted += 1
        shared.entry_count += 1
        self.charge(charge)
        if self._access_shift >= 0:
            self._count_access(entry)
        else:
            entry.access = int(self.policy.first_access)
        if self.policy.hears:
            self.policy.admitted(entry)
        if len(self.dense) > self._policy_size:
            self._resize_policy()
        if self.admitted & (WRITES_A_STEP - 1) == 0:
            self.reap_step()
        return entry
