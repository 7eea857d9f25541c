"""What eviction costs: a hit, a new key in a full cache, a new key in an empty one, the worst.

Goal: with the policy under judgement a hit takes at most 3 ns more than without any; a new
key in a full cache takes less than cachebox's and theine's; a cache that is not half full
pays nothing; and no single eviction takes longer than 100 microseconds.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat
from random import Random
from statistics import median, quantiles
from time import perf_counter_ns, process_time_ns
from typing import Final

from cachestorm import Cache
from cachestorm.replay import zipf_trace
from tests.benchmarks.builds import Build
from tests.benchmarks.hit_ratio.contestants import PEERS, REFUSES, own_policies
from tests.benchmarks.hit_ratio.judge import under_judgement
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.worker import Worker, WorkerError, check_build

FULL: Final = 10_000  # entries
ASKED: Final = 500  # keys that are timed one by one
TIMES: Final = 100  # gets of each in a row
PASSES: Final = 3  # of which the fastest counts
# Neither the dict of a cache of this size nor a smaller one grows within the measured writes.
LARGE, WRITES = 100_000, 20_000
QUICK_LARGE, QUICK_WRITES = 25_000, 10_000
AHEAD_OF: Final = ("cachebox LRU", "cachebox LFU", "theine")
HIT_GOAL_NS: Final = 3.0
HALF_FULL_GOAL: Final = 1.05
WORST_GOAL_US: Final = 100.0

METHOD = f"""
*Hit*: {ASKED} resident keys of a cache that is full with {FULL:,} and has evicted as many,
each asked for {TIMES} times in a row, turn by turn with a cache of the same keys that has
no policy (`{REFUSES}`), the fastest of {PASSES} turns. What a key costs more is the
difference; the median key, and the one that only 1 % exceed, which for `adaptive` are keys
of its sample. *All keys*: the mean over all resident keys in random order, the loop
included. *New key, full*: `set` of keys that were never seen into a cache of {FULL:,}, each
of which evicts. *New key, not half full*: `set` into a fresh cache until 40 % of {FULL:,}.
These count the processor's time of the whole process, so that work in another thread counts
and other processes do not.

*The slowest*: a cache of {LARGE:,} entries, each asked for three times, so that a clock's
hand finds them all used; then {WRITES:,} new keys, each write timed alone, with the garbage
collector off. It is done three times, and of each write the fastest of the three counts, so
that what the operating system took is left out. The numbers of entries are such that the
cache's dict does not grow meanwhile.
"""


class Measurer:
    """One contestant, in a worker.

    Args:
        name: one of our policies, or a peer.
    """

    def __init__(self, name: str) -> None:
        check_build()
        self._name = name
        self._fresh = (f"new:{number}" for number in count())
        if name in PEERS:
            self._full_set = PEERS[name](FULL)[1]
            fill(self._full_set, names("old", FULL))
            return
        if name == REFUSES:
            return
        # a cache of its own: what is asked for below has to stay
        churned = Cache(max_entries=FULL, policy=name)
        self._full_set = churned.set
        fill(self._full_set, names("old", FULL))
        full = Cache(max_entries=FULL, policy=name)
        # some keys are popular, so that whatever a policy does for those has been done
        asked = [f"key:{key}" for key in zipf_trace(10 * FULL, 4 * FULL)]
        for key in asked:
            if full.get(key) is None:
                full.set(key, True)
        self._resident = [key for key in dict.fromkeys(asked) if full.exists(key)]
        self._gets = (without_policy(asked, set(self._resident)).get, full.get)
        Random(1).shuffle(self._resident)

    def measure(self, column: str, large: int = 0, writes: int = 0) -> list[float] | None:
        """The numbers of a column; None where the contestant has none.

        Args:
            column: `hit` (nanoseconds over no policy: median key, 99th percentile), `all keys`
                (nanoseconds over no policy), `new key, full`, `new key, not half full`
                (nanoseconds), or `slowest` (microseconds: median, 99.9th percentile, maximum).
        """
        if column == "new key, full":
            if self._name == REFUSES:
                return None
            return [time_set(self._full_set, take(self._fresh, FULL // 2))]
        if column == "slowest":
            return None if self._name == REFUSES else self._slowest(large, writes)
        if self._name in PEERS:
            return None
        if column == "new key, not half full":
            cache = Cache(max_entries=FULL, policy=self._name)
            return [time_set(cache.set, take(self._fresh, FULL * 2 // 5))]
        if self._name == REFUSES:
            return None
        return self._hit() if column == "hit" else self._all_keys()

    def _hit(self) -> list[float]:
        plain, ours = self._gets
        more = []
        for key in self._resident[:ASKED]:
            pairs = [(time_one(plain, key), time_one(ours, key)) for _ in range(PASSES)]
            without, with_ = (min(times) for times in zip(*pairs, strict=True))
            more.append(with_ - without)
        return [median(more), quantiles(more, n=100)[-1]]

    def _all_keys(self) -> list[float]:
        plain, ours = self._gets
        pairs = [
            (time_get(plain, self._resident), time_get(ours, self._resident))
            for _ in range(PASSES)
        ]
        without, with_ = (min(times) for times in zip(*pairs, strict=True))
        return [with_ - without]

    def _slowest(self, large: int, writes: int) -> list[float]:
        rounds = []
        for _ in range(3):
            if self._name in PEERS:
                get, set_ = PEERS[self._name](large)
            else:
                cache = Cache(max_entries=large, policy=self._name)
                get, set_ = cache.get, cache.set
            keys = names("old", large)
            fill(set_, keys)
            for key in keys * 3:
                get(key)
            rounds.append(time_each(set_, names("new", writes)))
        fastest = sorted(min(times) / 1000 for times in zip(*rounds, strict=True))
        return [fastest[len(fastest) // 2], fastest[len(fastest) * 999 // 1000], fastest[-1]]


def without_policy(asked: list[str], resident: set[str]) -> Cache:
    """A cache of the resident keys that has no policy.

    It has seen the other keys come and go as well, so that its entries lie scattered in memory
    like those of a cache that evicts.
    """
    plain = Cache(policy=REFUSES)
    passing: deque[str] = deque()
    for kept, key in enumerate(dict.fromkeys(asked)):
        plain.set(key, True)
        if key not in resident:
            passing.append(key)
        if kept >= FULL and passing:
            plain.delete(passing.popleft())
    if passing:
        plain.delete(*passing)
    return plain


def names(prefix: str, size: int) -> list[str]:
    return [f"{prefix}:{number}" for number in range(size)]


def take(keys: Iterator[str], size: int) -> list[str]:
    return [next(keys) for _ in range(size)]


def fill(set_: Callable[[str, object], object], keys: Iterable[str]) -> None:
    for key in keys:
        set_(key, True)


def time_one(get: Callable[[str], object], key: str) -> float:
    """Nanoseconds a get of one key."""
    start = process_time_ns()
    for _ in repeat(None, TIMES):
        get(key)
    return (process_time_ns() - start) / TIMES


def time_get(get: Callable[[str], object], keys: list[str]) -> float:
    """Nanoseconds a get, over all keys once."""
    start = process_time_ns()
    for key in keys:
        get(key)
    return (process_time_ns() - start) / len(keys)


def time_set(set_: Callable[[str, object], object], keys: list[str]) -> float:
    """Nanoseconds a set, over all keys once."""
    start = process_time_ns()
    for key in keys:
        set_(key, True)
    return (process_time_ns() - start) / len(keys)


def time_each(set_: Callable[[str, object], object], keys: list[str]) -> list[int]:
    """Nanoseconds of each set, the clock's own included."""
    times = []
    gc.collect()
    gc.disable()
    try:
        for key in keys:
            start = perf_counter_ns()
            set_(key, True)
            times.append(perf_counter_ns() - start)
    finally:
        gc.enable()
    return times


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer rounds, and a smaller cache for the slowest write.
        progress: told of each step.
    """
    page = Page("eviction-cost", "What eviction costs", METHOD)
    rounds = 3 if quick else 15
    sizes = {
        "large": QUICK_LARGE if quick else LARGE,
        "writes": QUICK_WRITES if quick else WRITES,
    }
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    contestants = [REFUSES, *own_policies(), *PEERS]
    workers = {name: Worker("eviction_cost", build, name=name) for name in contestants}
    samples: dict[tuple[str, str], list[Sample]] = {}

    def ask(name: str, column: str, **sizes: int) -> None:
        if name not in workers:
            return
        try:
            measured: list[float] | None = workers[name].measure(column=column, **sizes)
        except WorkerError as error:
            page.missing.append(f"{name}: {error}")
            workers.pop(name).close()
            return
        if measured is not None:
            kept = samples.setdefault((name, column), [Sample() for _ in measured])
            for sample, value in zip(kept, measured, strict=True):
                sample.add(value)

    try:
        for turn in range(rounds):
            for column in ("hit", "all keys", "new key, full", "new key, not half full"):
                progress.step(f"round {turn + 1} of {rounds}, {column}")
                for name in contestants:
                    ask(name, column)
        for name in contestants:
            progress.step(f"slowest, {name}")
            ask(name, "slowest", **sizes)
    finally:
        for worker in workers.values():
            worker.close()
    tell(page, contestants, samples, sizes["large"])
    return page


def tell(
    page: Page,
    contestants: list[str],
    samples: dict[tuple[str, str], list[Sample]],
    large: int,
) -> None:
    """Draws the tables and the verdicts of these samples, by contestant and column."""

    def cell(name: str, column: str, place: int = 0) -> str:
        found = samples.get((name, column))
        return spread(found[place]) if found else NOTHING

    costs = Table(
        [
            "ns",
            "hit over no policy, median key",
            "99th percentile",
            "all keys, over no policy",
            "new key, full",
            "new key, not half full",
        ]
    )
    slowest = Table(
        ["µs a write", "median", "99.9 %", "slowest"],
        title=f"{large:,} entries, all of them used",
    )
    for name in contestants:
        shown = name if name in PEERS else f"`{name}`"
        costs.add(
            shown,
            cell(name, "hit"),
            cell(name, "hit", 1),
            cell(name, "all keys"),
            cell(name, "new key, full"),
            cell(name, "new key, not half full"),
        )
        if (name, "slowest") in samples:
            slowest.add(shown, *(number(each.median) for each in samples[name, "slowest"]))
    page.tables += [costs, slowest]
    page.verdicts += verdicts(samples)


def verdicts(samples: dict[tuple[str, str], list[Sample]]) -> list[Verdict]:
    """What came of the goals."""
    judged = under_judgement()

    def value(name: str, column: str, place: int = 0) -> float | None:
        found = samples.get((name, column))
        return found[place].median if found else None

    found = []
    if (more := value(judged, "hit")) is not None:
        goal = f"`{judged}`: a hit at most {HIT_GOAL_NS:.0f} ns over no policy, median key"
        found.append(Verdict(goal, f"{number(more)} ns", more <= HIT_GOAL_NS))
    full = value(judged, "new key, full")
    for peer in AHEAD_OF:
        theirs = value(peer, "new key, full")
        if full is not None and theirs is not None:
            goal = f"`{judged}`: new key in a full cache ahead of {peer} ({number(theirs)} ns)"
            found.append(Verdict(goal, f"{number(full)} ns", full < theirs))
    ours, plain = (value(name, "new key, not half full") for name in (judged, REFUSES))
    if ours is not None and plain is not None:
        goal = f"`{judged}`: new key before it is half full within 5 % of no policy"
        found.append(Verdict(goal, f"{ours / plain - 1:+.0%}", ours / plain <= HALF_FULL_GOAL))
    if (worst := value(judged, "slowest", 2)) is not None:
        goal = f"`{judged}`: no write that evicts above {WORST_GOAL_US:.0f} µs"
        found.append(Verdict(goal, f"{number(worst)} µs", worst <= WORST_GOAL_US))
    return found
