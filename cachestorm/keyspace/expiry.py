"""The expiry index: which entries are due, without a heap and without a scan.

Told by the keyspace of every deadline that comes and goes, asked by it for what is due.
It removes nothing itself.

1. Every live entry with a deadline is in exactly one bucket, and its deadline says in which: so
   nothing stale is ever left behind, and moving one is two dict writes.
2. Near deadlines lie in fine buckets of about a second, far ones in coarse buckets of
   about seventeen minutes. A coarse bucket is opened, in bounded steps, when its time
   begins: a million keys with a month to live cost a few thousand dicts.
3. A fine bucket is reaped once all of it is due, so the backlog is one bucket's width
   plus what the callers' steps have not reached. Reads do not depend on it: they look
   at the deadline itself.
4. What is due leaves its bucket before it is returned, because reading a dict from its start
   walks over everything that was deleted there. What the caller has not removed is filed again
   at the next look.
5. An entry with an idle time is filed under the deadline that it had when it was filed
   last. A hit only notes when it came; the later deadline that follows from it is worked
   out when somebody asks, and the entry is filed anew when the old one has come.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from cachestorm.entry import Entry
from cachestorm.values.bulk import Bulk

FINE_BITS: Final = 10
COARSE_BITS: Final = 20
# Past this many empty seconds it is cheaper to look for the next bucket than to walk.
LONGEST_WALK: Final = 4096


@mypyc_attr(acyclic=True)
class Idle:
    """What an entry that ends when nobody asks for it has beside its deadline.

    Attributes:
        idle_ms: how long it outlives a hit.
        ends_at_ms: when it ends at the latest; 0 for never.
        hit_at_ms: when the last hit came.
    """

    def __init__(self, idle_ms: i64, ends_at_ms: i64, hit_at_ms: i64) -> None:
        self.idle_ms: Final[i64] = idle_ms
        self.ends_at_ms: Final[i64] = ends_at_ms
        self.hit_at_ms: i64 = hit_at_ms

    def deadline_ms(self) -> i64:
        """When it ends if no other hit comes."""
        deadline = self.hit_at_ms + self.idle_ms
        if self.ends_at_ms != 0 and self.ends_at_ms < deadline:
            return self.ends_at_ms
        return deadline

    def copy(self) -> Idle:
        """The same for another entry."""
        return Idle(self.idle_ms, self.ends_at_ms, self.hit_at_ms)


class ExpiryIndex(Bulk):
    """The deadlines of one keyspace.

    Attributes:
        count: how many entries have one.
        idle: what those have that end when nobody asks for them.
    """

    def __init__(self, now_ms: i64) -> None:
        self._fine: dict[int, dict[str, Entry]] = {}
        self._coarse: dict[int, dict[str, Entry]] = {}
        self._opened: i64 = now_ms >> COARSE_BITS
        self._opening: dict[str, Entry] = {}
        # what the last call of `due` returned, as far as it is still here
        self._taken: dict[str, Entry] = {}
        self._cursor: i64 = now_ms >> FINE_BITS
        self.count: i64 = 0
        self.idle: dict[str, Idle] = {}
        # How many entries the last call of `due` moved from a coarse bucket.
        self.moved: i64 = 0

    def bulk(self) -> i64:
        return self.count

    def take_apart(self) -> list[object]:
        parts: list[object] = [self._fine, self._coarse, self._opening, self.idle]
        self._fine = {}
        self._coarse = {}
        self._opening = {}
        self._taken = {}
        self.idle = {}
        self.count = 0
        return parts

    def add(self, entry: Entry) -> None:
        """Files an entry under its deadline. O(1)."""
        self.count += 1
        self._file(entry)

    def _file(self, entry: Entry) -> None:
        deadline = entry.expires_at_ms
        period = deadline >> COARSE_BITS
        if period > self._opened:
            buckets = self._coarse
            number = period
        else:
            buckets = self._fine
            number = deadline >> FINE_BITS
            if number < self._cursor:
                self._cursor = number
        bucket = buckets.get(number)
        if bucket is None:
            bucket = {}
            buckets[number] = bucket
        bucket[entry.key] = entry

    def remove(self, entry: Entry) -> None:
        """Takes an entry out, by the deadline it was filed under. O(1)."""
        self.count -= 1
        deadline = entry.expires_at_ms
        period = deadline >> COARSE_BITS
        if period > self._opened:
            buckets = self._coarse
            number = period
        else:
            loose = self._loose(entry.key)
            if loose is not None:
                del loose[entry.key]
                return
            buckets = self._fine
            number = deadline >> FINE_BITS
        bucket = buckets[number]
        del bucket[entry.key]
        if not bucket:
            del buckets[number]

    def _loose(self, key: str) -> dict[str, Entry] | None:
        """What holds an entry that is in none of the buckets."""
        if self._taken and key in self._taken:
            return self._taken
        if self._opening and key in self._opening:
            return self._opening
        return None

    def replace(self, entry: Entry) -> None:
        """Files an entry in the place of another one of the same key and deadline. O(1)."""
        bucket = self._loose(entry.key)
        if bucket is None:
            period = entry.expires_at_ms >> COARSE_BITS
            if period > self._opened:
                bucket = self._coarse[period]
            else:
                bucket = self._fine[entry.expires_at_ms >> FINE_BITS]
        bucket[entry.key] = entry

    def move(self, entry: Entry, expires_at_ms: i64) -> None:
        """Gives an entry another deadline. O(1), and nothing if the bucket stays."""
        old = entry.expires_at_ms
        period = expires_at_ms >> COARSE_BITS
        if old >> COARSE_BITS == period and (
            period > self._opened or old >> FINE_BITS == expires_at_ms >> FINE_BITS
        ):
            entry.expires_at_ms = expires_at_ms
            return
        self.remove(entry)
        entry.expires_at_ms = expires_at_ms
        self.add(entry)

    def deadline_ms(self, entry: Entry) -> i64:
        """When an entry that has a deadline ends, as far as is known now. O(1)."""
        idle = self.idle.get(entry.key)
        return entry.expires_at_ms if idle is None else idle.deadline_ms()

    def hit(self, key: str, now_ms: i64) -> None:
        """Puts off the end of an entry that has an idle time. O(1)."""
        idle = self.idle.get(key)
        if idle is not None and now_ms > idle.hit_at_ms:
            idle.hit_at_ms = now_ms

    def due(self, now_ms: i64, limit: i64) -> list[Entry]:
        """Entries whose bucket is due, at most `limit`; and a bounded step of opening.

        The caller removes each of them, which takes them out of here, or moves it.
        O(1) for each, amortised.
        """
        while self._taken:
            self._file(self._taken.popitem()[1])
        self._open(now_ms >> COARSE_BITS, limit)
        found: list[Entry] = []
        present = now_ms >> FINE_BITS
        if present - self._cursor > LONGEST_WALK:
            self._cursor = min(min(self._fine, default=present), present)
        while self._cursor < present:
            bucket = self._fine.get(self._cursor)
            if bucket is not None:
                while bucket and len(found) < limit:
                    key, entry = bucket.popitem()
                    self._taken[key] = entry
                    found.append(entry)
                if not bucket:
                    del self._fine[self._cursor]
                if len(found) >= limit:
                    return found
            if self._opening:
                # an entry still to be moved may belong here or before
                return found
            if found and present - self._cursor > LONGEST_WALK:
                # a deadline long past, as a client may set one: the next call goes on
                return found
            self._cursor += 1
        return found

    def overdue(self, now_ms: i64) -> i64:
        """How many entries are filed under deadlines that are past. O(seconds with some)."""
        found: i64 = len(self._taken)
        present = now_ms >> FINE_BITS
        for second, bucket in self._fine.items():
            if second < present:
                found += len(bucket)
        period = now_ms >> COARSE_BITS
        if self._opened < period:
            found += len(self._opening)
        for number, bucket in self._coarse.items():
            if number < period:
                found += len(bucket)
        return found

    def may_be_due(self, now_ms: i64) -> bool:
        """Whether `due` might find something, or would move something. O(1)."""
        return self.count != 0 and (
            self._cursor < now_ms >> FINE_BITS
            or self._opened < now_ms >> COARSE_BITS
            or bool(self._opening)
            or bool(self._taken)
        )

    def _open(self, period: i64, limit: i64) -> None:
        self.moved = 0
        while self.moved < limit:
            if not self._opening:
                if self._opened >= period:
                    return
                if period - self._opened > LONGEST_WALK:
                    self._opened = min(min(self._coarse, default=period) - 1, period - 1)
                self._opened += 1
                opened = self._coarse.pop(self._opened, None)
                if opened is None:
                    continue
                self._opening = opened
            _, entry = self._opening.popitem()
            self._file(entry)
            self.moved += 1

    def _check(self, entries: dict[str, Entry]) -> None:
        filed: i64 = len(self._opening) + len(self._taken)
        for number, bucket in self._fine.items():
            assert bucket, f"empty fine bucket {number}"
            filed += len(bucket)
            for key, entry in bucket.items():
                assert entries[key] is entry
                assert entry.expires_at_ms >> FINE_BITS == number
                assert entry.expires_at_ms >> COARSE_BITS <= self._opened
                assert number >= self._cursor
        for number, bucket in self._coarse.items():
            assert bucket, f"empty coarse bucket {number}"
            filed += len(bucket)
            for key, entry in bucket.items():
                assert entries[key] is entry
                assert entry.expires_at_ms >> COARSE_BITS == number > self._opened
        for key, entry in (*self._opening.items(), *self._taken.items()):
            assert entries[key] is entry
        assert filed == self.count
        for key, idle in self.idle.items():
            assert entries[key].expires_at_ms <= idle.deadline_ms()
        assert filed == sum(1 for entry in entries.values() if entry.expires_at_ms)
