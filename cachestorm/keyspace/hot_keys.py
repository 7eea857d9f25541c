"""The hot keys: which keys are asked for most, lately, in bounded memory.

Told by the keyspace, read by HOTKEYS. A hit counts in its entry, one byte of it; only
when that byte reaches a limit are the hits noted here, under the key, all at once. So a
hit costs an increment, keys that are asked for now and then never get here, and what a
hot key is counted with is exact.

1. At most `CAPACITY` keys are counted. When there are as many, the half with the lowest counts
   is dropped, and `_floor` becomes the most that one of them may have had.
2. A key's true count lies between its `count` and `count + missed`, where `missed` was
   the floor when it came in. With N hits noted in all, the floor is at most
   N / (CAPACITY / 2). To that come the hits that its entry still holds (HOTKEYS adds
   those) and those that left with an entry: fewer than the limit, which is at most 128.
3. A compiled reader notes without the latch. Nothing else runs in the middle of it, but for
   finalizers when the garbage collector strikes: what they read is then not counted, and a walk
   over the counts uses a copy.
4. Counts halve every `HALF_LIFE_MS`. They are kept in units that grow with time instead,
   so that nothing has to be touched while time passes.

Source: Anderson, Bevan, Lang, Liberty, Rhodes, Thaler: "A High-Performance Algorithm for
Identifying Frequent Items in Data Streams" (2017), the purge by the median; Cormode,
Shkapenyuk, Srivastava, Xu: "Forward Decay" (2009).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

CAPACITY: Final = 512
HALF_LIFE_MS: Final = 300_000
# The unit is brought back to one before it becomes too large for what is counted in it.
MOST_HALVINGS: Final = 40.0
# So many notes may come before they are rationed.
FREE_NOTES: Final = 1024


@mypyc_attr(acyclic=True)
class HotKey:
    """What is known of one key, in units of `HotKeys`."""

    def __init__(self, missed: float) -> None:
        self.count: float = 0.0
        self.missed: float = missed


class HotKeys:
    """The keys of one keyspace that are asked for most."""

    def __init__(self, now_ms: i64) -> None:
        self._counts: Final[dict[str, HotKey]] = {}
        self._floor: float = 0.0
        self._since_ms: i64 = now_ms
        self._busy: bool = False
        self._notes: i64 = 0

    def note(self, key: str, hits: int, now_ms: i64) -> None:
        """Adds hits to a key. O(1), amortised."""
        self._notes += 1
        if self._busy:
            return
        self._busy = True
        hot = self._counts.get(key)
        if hot is None:
            if len(self._counts) >= CAPACITY:
                self._purge()
            hot = HotKey(self._floor)
            self._counts[key] = hot
        hot.count += hits * self._unit(now_ms)
        self._busy = False

    def are_dear(self, accesses: i64) -> bool:
        """Whether notes come too often for so many accesses of the keyspace.

        A note costs as much as a few hits do: it is to be one in 64 at most.
        """
        return (self._notes - FREE_NOTES) * 64 > accesses

    def top(self, count: int, now_ms: i64) -> list[tuple[str, float]]:
        """The hottest keys and their counts, hottest first."""
        unit = self._unit(now_ms)
        ranked = sorted((-hot.count, key) for key, hot in self._counts.copy().items())
        return [(key, -counted / unit) for counted, key in ranked[:count]]

    def clear(self) -> None:
        """Drops everything."""
        self._counts.clear()
        self._floor = 0.0

    def _unit(self, now_ms: i64) -> float:
        """What one hit counts now."""
        elapsed: int = now_ms - self._since_ms
        if elapsed <= 0:
            # a clock that was set back
            return 1.0
        halvings = elapsed / HALF_LIFE_MS
        if halvings <= MOST_HALVINGS:
            return float(2.0**halvings)
        self._since_ms = now_ms
        shrink = float(0.5 ** min(halvings, 1000.0))
        self._floor *= shrink
        for hot in self._counts.copy().values():
            hot.count *= shrink
            hot.missed *= shrink
        return 1.0

    def _purge(self) -> None:
        counts = self._counts.copy()
        bounds = sorted([hot.count + hot.missed for hot in counts.values()])
        self._floor = bounds[len(bounds) // 2]
        for key, hot in counts.items():
            if hot.count + hot.missed <= self._floor:
                self._counts.pop(key, None)
