"""The price of one call in process: six columns, every cache a subject.

Goal: compiled CacheStorm, with all duties of the store on, is ahead of every peer in every
column, and a get takes at most 1.5 times that of a dict.
"""

from __future__ import annotations

from time import perf_counter_ns

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.subjects import NO_CACHES, PEERS, CacheStorm, Get, Set, SetTtl, Subject
from tests.benchmarks.worker import Worker, WorkerError

KEYS = 10_000
COLUMNS = ("get hit", "get miss", "set", "set new key", "set with TTL", "get with TTL")
GET_LIMIT = 1.5  # times the get of a dict

METHOD = f"""
Nanoseconds a call. The subject's own bound method is called from an interpreted loop over
{KEYS:,} `str` keys, in the order in which they were set; the values are 100 `bytes`. The loop
is part of the number, for all subjects alike, and the garbage collector stays on. *get miss*
asks for keys that are not there; *set* overwrites; *set new key* fills a new cache; no cache
is full. Keys with a TTL live for a minute. Every subject is a process of its own, and they
take turns in every round. `functools.lru_cache` has no set: its new key is a call that
misses, the wrapped function included. cachetools' TTL cache gives every key the same time to
live, so its set is a set with TTL. *dict, behind a compiled method* is compiled as
CacheStorm is and has no duty of a cache: the floor under it.
"""


class Measurer:
    """One subject, in a worker.

    Args:
        subject: a name in PEERS, or anything else for CacheStorm of the worker's build.
    """

    def __init__(self, subject: str) -> None:
        self._kind = PEERS.get(subject, CacheStorm)
        self._keys = [f"key:{number}" for number in range(KEYS)]
        self._absent = [f"absent:{number}" for number in range(KEYS)]
        self._plain = self._kind()
        self._volatile = self._kind()
        for key in self._keys:
            self._plain.fill(key, bytes(100))
            if self._has_ttl:
                self._volatile.fill_ttl(key, bytes(100))

    @property
    def _has_ttl(self) -> bool:
        return self._volatile.set_ttl is not None or self._volatile.always_ttl

    def measure(self, column: str, at_least_ms: float) -> float | None:
        """Nanoseconds a call in this column, or None where the subject has no such call."""
        plain, volatile = self._plain, self._volatile
        if column == "get hit":
            return nanoseconds_a_call(lambda: time_get(plain.get, self._keys), at_least_ms)
        if column == "get miss":
            if isinstance(plain, PEERS["functools.lru_cache"]):
                return None
            return nanoseconds_a_call(lambda: time_get(plain.get, self._absent), at_least_ms)
        if column == "set":
            set_ = plain.set
            return set_ and nanoseconds_a_call(lambda: time_set(set_, self._keys), at_least_ms)
        if column == "set new key":
            return nanoseconds_a_call(self._time_new, at_least_ms)
        if not self._has_ttl:
            return None
        if column == "get with TTL":
            return nanoseconds_a_call(lambda: time_get(volatile.get, self._keys), at_least_ms)
        return nanoseconds_a_call(lambda: self._time_ttl(volatile), at_least_ms)

    def _time_new(self) -> float:
        fresh = self._kind()
        if fresh.set is None:
            return time_get(fresh.get, self._keys)
        return time_set(fresh.set, self._keys)

    def _time_ttl(self, volatile: Subject) -> float:
        if volatile.set_ttl is not None:
            return time_set_ttl(volatile.set_ttl, self._keys, volatile.ttl)
        assert volatile.set is not None
        return time_set(volatile.set, self._keys)


def time_get(get: Get, keys: list[str]) -> float:
    """Nanoseconds a get, over all keys once."""
    start = perf_counter_ns()
    for key in keys:
        get(key)
    return (perf_counter_ns() - start) / len(keys)


def time_set(set_: Set, keys: list[str]) -> float:
    """Nanoseconds a set, over all keys once."""
    value = bytes(100)
    start = perf_counter_ns()
    for key in keys:
        set_(key, value)
    return (perf_counter_ns() - start) / len(keys)


def time_set_ttl(set_ttl: SetTtl, keys: list[str], ttl: object) -> float:
    """Nanoseconds a set with a time to live, over all keys once."""
    value = bytes(100)
    start = perf_counter_ns()
    for key in keys:
        set_ttl(key, value, ttl)
    return (perf_counter_ns() - start) / len(keys)


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms = (3, 5.0) if quick else (15, 40.0)
    page = Page("in-process", "The price of one call in process", METHOD)
    workers = {
        build.subject: Worker("in_process", build, subject="CacheStorm") for build in builds()
    }
    workers |= {name: Worker("in_process", subject=name) for name in PEERS}
    samples: dict[str, dict[str, Sample]] = {name: {} for name in workers}
    try:
        for turn in range(rounds):
            for column in COLUMNS:
                progress.step(f"round {turn + 1} of {rounds}, {column}")
                for name in list(workers):
                    try:
                        measured = workers[name].measure(column=column, at_least_ms=at_least_ms)
                    except WorkerError as error:
                        page.missing.append(f"{name}: {error}")
                        workers.pop(name).close()
                        continue
                    if measured is not None:
                        samples[name].setdefault(column, Sample()).add(measured)
    finally:
        for worker in workers.values():
            worker.close()
    tell(page, samples)
    return page


def tell(page: Page, samples: dict[str, dict[str, Sample]]) -> None:
    """Draws the table and the verdicts of these samples, by subject and column."""
    best = {column: best_peer(samples, column) for column in COLUMNS}
    table = Table(["ns a call", *COLUMNS])
    for name, measured in samples.items():
        if measured:
            table.add(name, *(spread(measured.get(column)) for column in COLUMNS))
    page.tables.append(table)

    ratios = Table(["time, best peer = 1", *COLUMNS])
    for build in builds():
        measured = samples[build.subject]
        ratios.add(
            build.subject,
            *(
                f"{measured[column].median / best[column][1]:.2f} of {best[column][0]}"
                if column in measured and best[column]
                else NOTHING
                for column in COLUMNS
            ),
        )
    page.tables.append(ratios)

    compiled = samples.get(Build.COMPILED.subject, {})
    for column, sample in compiled.items():
        name, nanoseconds = best[column]
        page.verdicts.append(
            Verdict(
                f"{column}: ahead of every peer ({name}, {number(nanoseconds)} ns)",
                f"{number(sample.median)} ns",
                sample.median < nanoseconds,
            )
        )
    if compiled and samples["dict"]:
        ratio = compiled["get hit"].median / samples["dict"]["get hit"].median
        page.verdicts.append(
            Verdict(
                f"get hit: at most {GET_LIMIT} of a dict", f"{ratio:.2f}", ratio <= GET_LIMIT
            )
        )


def best_peer(samples: dict[str, dict[str, Sample]], column: str) -> tuple[str, float]:
    """Name and time of the fastest cache that is not ours."""
    peers = [
        (sample.median, name)
        for name in PEERS
        if name not in NO_CACHES and (sample := samples[name].get(column)) is not None
    ]
    nanoseconds, name = min(peers, default=(float("inf"), "none"))
    return name, nanoseconds
