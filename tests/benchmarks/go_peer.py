"""The shapes in which a known Go cache of this kind measures itself, in Python.

Goal: on a machine where that peer gave 130 ns for GET, 670 to 850 ns for SET and 17 ns for
TAGCOUNT, compiled CacheStorm stays under 170 (50 with the keys built before), 500 and 50.
"""

from __future__ import annotations

from time import perf_counter_ns

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.subjects import CacheStorm, Dict
from tests.benchmarks.worker import Worker

KEYS = 10_000
TAGGED = 1_000

# shape, what the peer gave, and the limit, in nanoseconds
SHAPES = (
    ("GET, key built in the loop", "130", 170.0),
    ("GET, keys built before", "130", 50.0),
    ("SET, every key new", "670-850", 500.0),
    ("TAGCOUNT", "17", 50.0),
)

METHOD = f"""
Nanoseconds a call, the interpreted loop around it included. GET: {KEYS:,} keys `key:<i>` with
values of 5 bytes, the key string built by an f-string inside of the loop, and again with the
strings built before. SET: every key new and built inside of the loop, one shared value of 15
bytes, into a cache that grows to the number of keys that the table's title says. TAGCOUNT:
one tag with {TAGGED:,} keys. The column *Go peer* repeats what that cache gave on another
day, on a machine of this kind; it is not run here. A dict shows what the loop and the strings
alone cost.
"""


class Measurer:
    """One subject, in a worker."""

    def __init__(self, subject: str) -> None:
        self._kind = Dict if subject == "dict" else CacheStorm
        self._subject = self._kind()
        for index in range(KEYS):
            self._subject.fill(f"key:{index}", b"v%04d" % (index % 10_000))
        if self._kind is CacheStorm:
            for index in range(TAGGED):
                self._subject.cache.set(f"tagged:{index}", b"value", tags=("tag",))

    def measure(self, shape: str, at_least_ms: float, new_keys: int) -> float | None:
        """Nanoseconds a call of this shape, or None where the subject has no such call."""
        if shape == "GET, key built in the loop":
            return nanoseconds_a_call(self._get_building, at_least_ms)
        if shape == "GET, keys built before":
            keys = [f"key:{index}" for index in range(KEYS)]
            return nanoseconds_a_call(lambda: self._get_built(keys), at_least_ms)
        if shape == "SET, every key new":
            return self._set_new(new_keys)
        if self._kind is Dict:
            return None
        return nanoseconds_a_call(self._count, at_least_ms)

    def _get_building(self) -> float:
        get = self._subject.get
        start = perf_counter_ns()
        for index in range(KEYS):
            get(f"key:{index}")
        return (perf_counter_ns() - start) / KEYS

    def _get_built(self, keys: list[str]) -> float:
        get = self._subject.get
        start = perf_counter_ns()
        for key in keys:
            get(key)
        return (perf_counter_ns() - start) / KEYS

    def _set_new(self, new_keys: int) -> float:
        set_ = self._kind().set
        value = b"benchmark_value"
        start = perf_counter_ns()
        for index in range(new_keys):
            set_(f"key:{index}", value)
        return (perf_counter_ns() - start) / new_keys

    def _count(self) -> float:
        tagcount = self._subject.cache.tagcount
        assert tagcount("tag") == TAGGED
        start = perf_counter_ns()
        for _ in range(KEYS):
            tagcount("tag")
        return (perf_counter_ns() - start) / KEYS


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms, new_keys = (3, 10.0, 200_000) if quick else (11, 50.0, 1_000_000)
    workers = {build.subject: Worker("go_peer", build, subject="") for build in builds()}
    workers["dict"] = Worker("go_peer", subject="dict")
    samples: dict[str, dict[str, Sample]] = {name: {} for name in workers}
    try:
        for turn in range(rounds):
            for shape, _, _ in SHAPES:
                progress.step(f"round {turn + 1} of {rounds}, {shape}")
                for name, worker in workers.items():
                    measured = worker.measure(
                        shape=shape, at_least_ms=at_least_ms, new_keys=new_keys
                    )
                    if measured is not None:
                        samples[name].setdefault(shape, Sample()).add(measured)
    finally:
        for worker in workers.values():
            worker.close()

    page = Page("go-peer", "The shapes of a Go peer", METHOD)
    table = Table(["ns a call", *samples, "Go peer"], title=f"SET: {new_keys:,} keys")
    for shape, peer, limit in SHAPES:
        table.add(shape, *(spread(measured.get(shape)) for measured in samples.values()), peer)
        compiled = samples.get(Build.COMPILED.subject, {}).get(shape)
        if compiled is not None:
            goal = f"{shape}: under {number(limit)} ns"
            page.verdicts.append(
                Verdict(goal, f"{number(compiled.median)} ns", compiled.median < limit)
            )
    page.tables.append(table)
    return page
