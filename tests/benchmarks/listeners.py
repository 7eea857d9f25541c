"""Listeners: what they cost the operations they hear of, those they do not, and who waits.

Goals, compiled: an operation that a listener is not told of costs at most a tenth more, and
SETBIT on a large string no more than that if the listener asks for no values; of w threads
that write beside a slow listener, none waits for more than w + 2 of its calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, perf_counter_ns, process_time_ns, sleep
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.worker import Worker, check_build

# a pass of so many calls is timed as a whole
CALLS = 1000
# one of these may copy the string
LARGE_CALLS = 100
LARGE_BYTES = 1 << 20
MOST_RATIO = 1.1

WRITERS = (1, 4, 16)
WRITES = 10_000
QUICK_WRITES = 1000
LISTENER_S = 0.0001
# waits beside those for one call of each writer
MORE_CALLS = 2

VALUE = bytes(100)
KEYS = [f"key:{number:04d}" for number in range(CALLS)]

METHOD = rf"""
*Operations*: processor time in nanoseconds a call, in process, of a cache without a listener
and of another with one, which is a Python function that does nothing. Passes of {CALLS:,}
calls ({LARGE_CALLS} on 1 MB) take turns between the two, and the fastest pass of each counts.

| listener of | added by | is told of |
| --- | --- | --- |
| evictions | `on_removed(…, causes=[Cause.EVICTED])` | nothing here |
| removals, of a set | `on_removed(…)` | nothing here |
| removals, of SETBIT | `listen(…, Interest.REMOVED)` | nothing here |
| changes | `listen(…, Interest.CHANGED)` | every SETBIT |
| changes and values | `listen(…, Interest.CHANGED \| Interest.VALUES)` | that, and a copy |
| hits, misses | `on("hit", …)`, `on("miss", …)` | every get of a key that is there; none |

SETBIT is the method `setbit`, and each call changes the bit. While somebody listens to hits or
misses every get takes the lock.

*Threads*: {WRITES:,} sets in all by so many threads, each timed, beside a listener that sleeps
for {LISTENER_S * 1000:.1f} ms and is told of all of them, one after the other. A set returns
when the listener has been told of it. The multiple is that of the longest set and the longest
call of the listener; in both is what the machine does to a thread.
"""

Pass = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """An operation and a listener.

    Attributes:
        name: in the tables.
        listen: adds the listener to a cache.
        passes: makes what times a pass, of a function that makes a cache.
        has_goal: whether it is to cost no more than without the listener.
    """

    name: str
    listen: Callable[[Any], object]
    passes: Callable[[Callable[[], Any]], Pass]
    has_goal: bool = False


def nothing(*told: object) -> None:
    """The listener."""


def of(**interest: bool) -> Callable[[Any], object]:
    """What adds a listener of these interests."""

    def listen(cache: Any) -> None:
        from cachestorm import Interest

        wanted = Interest(0)
        for name in interest:
            wanted |= Interest[name]
        cache.listen(nothing, wanted)

    return listen


def on(event: str) -> Callable[[Any], object]:
    """What adds a listener of this event."""
    return lambda cache: cache.on(event, nothing)


def on_evicted(cache: Any) -> None:
    """Adds a listener that is told of evictions only."""
    from cachestorm import Cause

    cache.on_removed(nothing, causes=[Cause.EVICTED])


def on_removed(cache: Any) -> None:
    """Adds a listener that is told of everything that leaves."""
    cache.on_removed(nothing)


def time_set(cache: Any) -> float:
    """Nanoseconds a set, over all keys once."""
    set_, value = cache.set, VALUE
    start = process_time_ns()
    for key in KEYS:
        set_(key, value)
    return (process_time_ns() - start) / CALLS


def time_get(cache: Any) -> float:
    """Nanoseconds a get, over all keys once."""
    get = cache.get
    start = process_time_ns()
    for key in KEYS:
        get(key)
    return (process_time_ns() - start) / CALLS


def sets(make: Callable[[], Any]) -> Pass:
    """Sets of keys that are there."""
    cache = make()
    time_set(cache)
    return lambda: time_set(cache)


def new_sets(make: Callable[[], Any]) -> Pass:
    """Sets of keys that are not there, each pass in a cache of its own."""
    return lambda: time_set(make())


def gets(make: Callable[[], Any]) -> Pass:
    """Gets of keys that are there."""
    cache = make()
    time_set(cache)
    return lambda: time_get(cache)


def setbits(size: int, calls: int) -> Callable[[Callable[[], Any]], Pass]:
    """SETBIT on a string of so many bytes; each changes a bit."""

    def passes(make: Callable[[], Any]) -> Pass:
        cache = make()
        cache.set("string", bytes(size))
        bits = [(place % 8, 1 - place // 8 % 2) for place in range(calls // 16 * 16)]

        def time_setbit() -> float:
            setbit = cache.setbit
            start = process_time_ns()
            for offset, bit in bits:
                setbit("string", offset, bit)
            return (process_time_ns() - start) / len(bits)

        return time_setbit

    return passes


SMALL, LARGE = setbits(1, CALLS), setbits(LARGE_BYTES, LARGE_CALLS)
CASES = (
    Case("set, key is there; listener of evictions", on_evicted, sets, has_goal=True),
    Case("set, key is new; listener of removals", on_removed, new_sets, has_goal=True),
    Case("SETBIT, 1 byte; listener of removals", of(REMOVED=True), SMALL),
    Case("SETBIT, 1 byte; listener of changes", of(CHANGED=True), SMALL),
    Case(
        "SETBIT, 1 byte; listener of changes and values", of(CHANGED=True, VALUES=True), SMALL
    ),
    Case("SETBIT, 1 MB; listener of removals", of(REMOVED=True), LARGE, has_goal=True),
    Case("SETBIT, 1 MB; listener of changes", of(CHANGED=True), LARGE, has_goal=True),
    Case("SETBIT, 1 MB; listener of changes and values", of(CHANGED=True, VALUES=True), LARGE),
    Case("get; listener of hits", on("hit"), gets),
    Case("get; listener of misses", on("miss"), gets),
    Case("set, key is there; listener of hits", on("hit"), sets),
)


class Measurer:
    """One build, in a worker."""

    def __init__(self) -> None:
        check_build()

    def measure(
        self, case: int = -1, at_least_ms: float = 0.0, writers: int = 0, writes: int = 0
    ) -> dict[str, float]:
        """Nanoseconds a call without and with a listener, or the waits of writers.

        Args:
            case: by its number; none for writers.
            at_least_ms: how long to go on.
            writers: so many threads.
            writes: of all of them.
        """
        if writers:
            return waits(writers, writes)
        return compare(CASES[case], at_least_ms)


def compare(case: Case, at_least_ms: float) -> dict[str, float]:
    """Nanoseconds of the fastest pass, without the listener and with it."""
    from cachestorm import Cache

    def with_listener() -> Cache:
        cache = Cache()
        case.listen(cache)
        return cache

    without, heard = case.passes(Cache), case.passes(with_listener)
    fastest = {"without": without(), "with": heard()}
    end = perf_counter_ns() + int(at_least_ms * 1e6)
    while perf_counter_ns() < end:
        fastest["without"] = min(fastest["without"], without())
        fastest["with"] = min(fastest["with"], heard())
    return fastest


def waits(writers: int, writes: int) -> dict[str, float]:
    """Milliseconds that writes and calls of the listener took."""
    from cachestorm import Cache, Interest

    cache = Cache()
    calls: list[float] = []

    def listener(effect: object) -> None:
        began = perf_counter()
        sleep(LISTENER_S)
        calls.append(perf_counter() - began)

    cache.listen(listener, Interest.PUT)
    taken: list[list[float]] = [[] for _ in range(writers)]
    together = threading.Barrier(writers)

    def write(own: list[float], key: str) -> None:
        together.wait()
        for _ in range(writes // writers):
            began = perf_counter()
            cache.set(key, VALUE)
            own.append(perf_counter() - began)

    threads = [
        threading.Thread(target=write, args=(own, f"key:{place}"))
        for place, own in enumerate(taken)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = [each for own in taken for each in own]
    assert len(calls) == len(spent), "a write was not told"
    return {
        "median write": median(spent) * 1e3,
        "longest write": max(spent) * 1e3,
        "median call": median(calls) * 1e3,
        "longest call": max(calls) * 1e3,
        "multiple": max(spent) / max(calls),
    }


WAITS = ("median write", "longest write", "median call", "longest call", "multiple")
# by case, without and with its listener; by writers, what they waited
Costs = dict[Case, dict[str, Sample]]
Waits = dict[int, dict[str, Sample]]


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds, and fewer writes.
        progress: told of each step.
    """
    rounds, at_least_ms, writes = (1, 20.0, QUICK_WRITES) if quick else (9, 100.0, WRITES)
    page = Page("listeners", "What a listener costs", METHOD)
    costs: dict[Build, Costs] = {
        build: {case: {"without": Sample(), "with": Sample()} for case in CASES}
        for build in builds()
    }
    waited: dict[Build, Waits] = {
        build: {writers: {name: Sample() for name in WAITS} for writers in WRITERS}
        for build in builds()
    }
    workers = {build: Worker("listeners", build) for build in builds()}
    try:
        for turn in range(rounds):
            for place, case in enumerate(CASES):
                for build, worker in workers.items():
                    progress.step(f"round {turn + 1} of {rounds}, {case.name}, {build.value}")
                    _add(
                        costs[build][case],
                        worker.measure(case=place, at_least_ms=at_least_ms),
                    )
            for writers in WRITERS:
                for build, worker in workers.items():
                    progress.step(f"round {turn + 1} of {rounds}, {writers} writers")
                    _add(
                        waited[build][writers],
                        worker.measure(writers=writers, writes=writes),
                    )
    finally:
        for worker in workers.values():
            worker.close()
    for build in builds():
        tell(page, build, costs[build], waited[build])
    return page


def _add(samples: dict[str, Sample], measured: dict[str, float]) -> None:
    for name, figure in measured.items():
        samples[name].add(figure)


def tell(page: Page, build: Build, costs: Costs, waited: Waits) -> None:
    """Draws the tables of a build, and the verdicts of the compiled one."""
    header = ["ns of CPU a call", "without", "with", "ratio"]
    table = Table(header, title=f"{build.subject}: operations")
    for case, samples in costs.items():
        table.add(
            case.name,
            *(spread(sample) for sample in samples.values()),
            f"{_ratio(samples):.2f}",
        )
    threads = Table(
        ["ms", *WAITS], title=f"{build.subject}: threads beside a listener that sleeps"
    )
    for writers, samples in waited.items():
        threads.add(_threads(writers), *(spread(samples[name]) for name in WAITS))
    page.tables += [table, threads]
    if build is Build.COMPILED:
        page.verdicts += verdicts(costs, waited)


def verdicts(costs: Costs, waited: Waits) -> Sequence[Verdict]:
    """What came of the goals."""
    found = []
    for case, samples in costs.items():
        if case.has_goal:
            ratio = _ratio(samples)
            goal = f"{case.name}: at most {MOST_RATIO} of the time without"
            found.append(Verdict(goal, f"{ratio:.2f}", ratio <= MOST_RATIO))
    for writers, samples in waited.items():
        multiple, most = samples["multiple"].median, writers + MORE_CALLS
        goal = f"{_threads(writers)}: no set takes more than {most} calls of the listener"
        found.append(Verdict(goal, number(multiple), multiple <= most))
    return found


def _ratio(samples: dict[str, Sample]) -> float:
    return samples["with"].median / samples["without"].median


def _threads(writers: int) -> str:
    return "1 thread" if writers == 1 else f"{writers} threads"
