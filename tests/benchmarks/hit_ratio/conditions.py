"""The conditions: traces whose keys have deadlines, or sizes and a limit in bytes.

Called by the judge beside its cells of equal keys that last. What a key's deadline or size is
follows from its number alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cachestorm import Cache, ManualClock
from cachestorm.keyspace.holdings import ENTRY_BYTES
from cachestorm.values.weights import weigh
from tests.benchmarks.hit_ratio.contestants import WARM, Outcome
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.references.by_bytes import BY_BYTES

DEADLINES: Final = "deadlines"
SIZES: Final = "sizes"
TRACES: Final = ("web12", "zipf 0.9", "scan", "shifting", "phases")
# for how many requests a key lasts after it was set, each a third of the keys; 0 for ever
LIVES: Final = (0, 2_000, 20_000)
SMALLEST: Final = 16  # bytes
DOUBLINGS: Final = 9  # from the smallest value to the largest

METHOD: Final = f"""
Under **deadlines** a third of the keys lasts for {LIVES[1]:,} requests after it was set, a
third for {LIVES[2]:,}, and the others for ever; what is asked for later is a miss and is set
anew. The references do not know of deadlines: to them it is a hit. Under **sizes** the values
have {SMALLEST} to {SMALLEST << DOUBLINGS:,} bytes, as many keys in each doubling; the limit is
`max_memory`: as many bytes as the capacity's number of average keys is charged at. These cells
count for none of the goals.
"""


def contestants(condition: str) -> list[str]:
    """The references that know what to do there."""
    return list(FIXED if condition == DEADLINES else BY_BYTES)


def run_reference(condition: str, name: str, keys: Sequence[int], capacity: int) -> Outcome:
    """Sends a trace through a reference."""
    if condition == DEADLINES:
        return _outcome(_dying(name, keys, capacity), capacity)
    return _outcome(_sized(name, keys, capacity), capacity)


def run_own(
    condition: str, policy: str, keys: Sequence[int], names: Sequence[str], capacity: int
) -> Outcome:
    """Sends a trace through a `Cache` with one of our policies."""
    if condition == DEADLINES:
        return _outcome(_own_dying(policy, keys, names, capacity), capacity)
    return _outcome(_own_sized(policy, keys, names, capacity), capacity)


def _dying(name: str, keys: Sequence[int], capacity: int) -> Iterator[bool]:
    reference = FIXED[name](capacity)
    ends: dict[int, int] = {}
    for now, key in enumerate(keys):
        there = reference.request(key)
        life = life_of(key)
        is_hit = there and (life == 0 or now < ends[key])
        if not is_hit:
            ends[key] = now + life
        yield is_hit


def _own_dying(
    policy: str, keys: Sequence[int], names: Sequence[str], capacity: int
) -> Iterator[bool]:
    clock = ManualClock()
    cache = Cache(max_entries=capacity, policy=policy, clock=clock)
    for key, name in zip(keys, names, strict=True):
        clock.advance(1)
        is_hit = cache.get(name) is not None
        if not is_hit:
            cache.set(name, True, life_of(key) or None)
        yield is_hit


def _sized(name: str, keys: Sequence[int], capacity: int) -> Iterator[bool]:
    reference = BY_BYTES[name](limit(keys, capacity))
    for key in keys:
        yield reference.request(key, charge_of(key))


def _own_sized(
    policy: str, keys: Sequence[int], names: Sequence[str], capacity: int
) -> Iterator[bool]:
    cache = Cache(max_memory=limit(keys, capacity), policy=policy)
    for key, name in zip(keys, names, strict=True):
        is_hit = cache.get(name) is not None
        if not is_hit:
            cache.set(name, bytes(size_of(key)))
        yield is_hit


def _outcome(hits: Iterator[bool], capacity: int) -> Outcome:
    early = counted = 0
    for place, is_hit in enumerate(hits):
        if place == WARM * capacity:
            early = counted
        counted += is_hit
    return Outcome(early, counted)


def life_of(key: int) -> int:
    """For how many requests a key lasts; 0 for ever."""
    return LIVES[_mixed(key) % len(LIVES)]


def size_of(key: int) -> int:
    """Bytes of the value of a key."""
    mixed = _mixed(key)
    least = SMALLEST << mixed % DOUBLINGS
    return least + (mixed >> 8) % least


def charge_of(key: int) -> int:
    """What the cache charges for a key and its value."""
    return int(ENTRY_BYTES + weigh(f"key:{key}") + weigh(bytes(size_of(key))))


def limit(keys: Sequence[int], capacity: int) -> int:
    """The bytes of so many average keys."""
    distinct = set(keys)
    return capacity * sum(map(charge_of, distinct)) // len(distinct)


def _mixed(key: int) -> int:
    return (key * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 29
