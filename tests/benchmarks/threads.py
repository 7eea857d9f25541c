"""Many threads on one cache: what they get done together, and how long one call waits.

Goal: compiled, eight threads get nearly as much done as one, no increment is lost, and no
cache that is safe for threads does more than ours.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from time import perf_counter, perf_counter_ns, sleep

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, number
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.subjects import (
    CacheboxLru,
    CacheStorm,
    CachetoolsLru,
    Dict,
    LruFunction,
    Moka,
    Subject,
    Theine,
)
from tests.benchmarks.worker import Worker, WorkerError

KEYS = 10_000
COUNTERS = 16
THREADS = (1, 2, 4, 8)
OPERATIONS = ("get", "set", "mixed", "incr")
# one call in so many of the mixed ones is a set
SET_EVERY = 10
BATCH = 100
# eight threads are to get so much of the work of one done
LEAST_LEFT = 0.8
MOST_TIMES = 20_000

METHOD = f"""
Operations a second, of all threads together. Each thread goes through {KEYS:,} `str` keys, in
an order of its own, and calls the subject's bound method from an interpreted loop; the loop is
part of the number. *mixed* is nine gets and a set; *incr* adds one to one of {COUNTERS}
counters, and what they hold in the end is compared with what was added. A `dict`, and
cachetools, which is not safe for threads, stand behind a `threading.Lock`, as its documentation
says; `functools.lru_cache` can be read only, and the others have no step that adds. Every
subject is a process of its own, and they take turns in every round.

The waits are of single calls, *mixed*, timed one by one: the longest of a thousand (99.9 %) and
the longest of all, in microseconds. An interpreter with a global lock lets each thread run for
5 ms before it insists on a change, so that a call during which its thread loses that lock waits
for all the others: that is most of the longest waits here, whoever the subject is.
"""

Work = Callable[[list[str]], None]


class LockedDict(Dict):
    """What many write instead of a cache."""

    def __init__(self) -> None:
        super().__init__()
        behind_a_lock(self)


class LockedCachetools(CachetoolsLru):
    def __init__(self) -> None:
        super().__init__()
        behind_a_lock(self)


def behind_a_lock(subject: Dict | CachetoolsLru) -> None:
    """Gives a subject methods that hold a lock, and `incr`."""
    lock = threading.Lock()
    cache = subject.cache

    def get(key: str) -> object:
        with lock:
            return cache.get(key)

    def set_(key: str, value: object) -> None:
        with lock:
            cache[key] = value

    def incr(key: str) -> None:
        with lock:
            cache[key] = cache.get(key, 0) + 1

    subject.get = get
    subject.set = set_
    subject.incr = incr


SUBJECTS: dict[str, type[Subject]] = {
    "dict + Lock": LockedDict,
    "cachetools LRU + Lock": LockedCachetools,
    "cachebox LRU": CacheboxLru,
    "moka-py": Moka,
    "theine": Theine,
    "functools.lru_cache": LruFunction,
}


class Measurer:
    """One subject, in a worker.

    Args:
        subject: a name in SUBJECTS, or anything else for CacheStorm of the worker's build.
    """

    def __init__(self, subject: str) -> None:
        self._cache = SUBJECTS.get(subject, CacheStorm)()
        if isinstance(self._cache, CacheStorm):
            self._incr = self._cache.cache.incr
        else:
            self._incr = getattr(self._cache, "incr", None)
        self._keys = [f"key:{number}" for number in range(KEYS)]
        for key in self._keys:
            self._cache.fill(key, bytes(100))
        self._counters = [f"counter:{number}" for number in range(COUNTERS)]
        self._added = 0

    def measure(self, operation: str, threads: int, seconds: float) -> object:
        """Operations a second; of "waits" microseconds, of "lost" what counters lack.

        Returns:
            None where the subject has no such operation.
        """
        if operation == "waits":
            return self._waits(threads, seconds)
        if operation == "lost":
            return self._lost()
        work = self._work(operation)
        if work is None:
            return None
        done = [0] * threads
        elapsed = self._run(threads, seconds, lambda turn: self._repeat(turn, work, done))
        if operation == "incr":
            self._added += sum(done)
        return sum(done) / elapsed

    def _lost(self) -> int:
        """How many increments the counters lack."""
        found = sum(int(str(self._cache.get(name) or 0)) for name in self._counters)
        return self._added - found

    def _work(self, operation: str) -> Work | None:
        get, set_, incr = self._cache.get, self._cache.set, self._incr
        value = bytes(100)

        def do_get(keys: list[str]) -> None:
            for key in keys:
                get(key)

        def do_set(keys: list[str]) -> None:
            assert set_ is not None
            for key in keys:
                set_(key, value)

        def do_mixed(keys: list[str]) -> None:
            assert set_ is not None
            for start in range(0, len(keys), SET_EVERY):
                set_(keys[start], value)
                for key in keys[start + 1 : start + SET_EVERY]:
                    get(key)

        def do_incr(keys: list[str]) -> None:
            assert incr is not None
            for key in keys:
                incr(key)

        if operation == "get":
            return do_get
        if operation == "incr":
            return None if incr is None else do_incr
        return None if set_ is None else {"set": do_set, "mixed": do_mixed}[operation]

    def _repeat(self, turn: int, work: Work, done: list[int]) -> None:
        names = self._counters * (KEYS // COUNTERS) if "incr" in work.__name__ else self._keys
        keys = random.Random(turn).sample(names, len(names))
        batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
        self._begin.wait()
        count = 0
        while not self._stop:
            for batch in batches:
                work(batch)
                count += len(batch)
                if self._stop:
                    break
        done[turn] = count

    def _run(self, threads: int, seconds: float, role: Callable[[int], None]) -> float:
        self._stop = False
        self._begin = threading.Barrier(threads + 1)
        running = [threading.Thread(target=role, args=(turn,)) for turn in range(threads)]
        for thread in running:
            thread.start()
        self._begin.wait()
        began = perf_counter()
        sleep(seconds)
        self._stop = True
        for thread in running:
            thread.join()
        return perf_counter() - began

    def _waits(self, threads: int, seconds: float) -> list[float] | None:
        """The 99.9th of a hundred, and the longest of all, in microseconds."""
        get, set_ = self._cache.get, self._cache.set
        if set_ is None:
            return None
        times: list[list[int]] = [[] for _ in range(threads)]
        value = bytes(100)

        def role(turn: int) -> None:
            mine = times[turn]
            keys = random.Random(turn).sample(self._keys, KEYS)
            self._begin.wait()
            while not self._stop and len(mine) < MOST_TIMES * 50:
                for place, key in enumerate(keys):
                    began = perf_counter_ns()
                    if place % SET_EVERY:
                        get(key)
                    else:
                        set_(key, value)
                    mine.append(perf_counter_ns() - began)
                    if self._stop:
                        break

        self._run(threads, seconds, role)
        waits = sorted(wait for mine in times for wait in mine)
        return [waits[len(waits) * 999 // 1000] / 1e3, waits[-1] / 1e3]


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: one shorter round.
        progress: told of each step.
    """
    rounds, seconds = (1, 0.05) if quick else (3, 0.08)
    page = Page("threads", "Many threads on one cache", METHOD)
    workers = {
        build.subject: Worker("threads", build, subject="CacheStorm") for build in builds()
    }
    workers |= {name: Worker("threads", subject=name) for name in SUBJECTS}
    found: dict[tuple[str, str, int], Sample] = {}
    waits: dict[tuple[str, int], tuple[Sample, Sample]] = {}
    lost = 0
    try:
        for turn in range(rounds):
            for operation in (*OPERATIONS, "waits"):
                for threads in THREADS:
                    progress.step(f"round {turn + 1} of {rounds}, {operation}, {threads}")
                    for name in list(workers):
                        request = {"operation": operation, "threads": threads}
                        try:
                            told = workers[name].measure(**request, seconds=seconds)
                        except WorkerError as error:
                            page.missing.append(f"{name}: {error}")
                            workers.pop(name).close()
                            continue
                        if told is None:
                            continue
                        if operation == "waits":
                            pair = waits.setdefault((name, threads), (Sample(), Sample()))
                            pair[0].add(told[0])
                            pair[1].add(told[1])
                        else:
                            found.setdefault((name, operation, threads), Sample()).add(told)
        for build in builds():
            lost += workers[build.subject].measure(operation="lost", threads=1, seconds=0.0)
    finally:
        for worker in workers.values():
            worker.close()
    tell(page, [*workers], found, waits, lost)
    return page


def tell(
    page: Page,
    names: list[str],
    found: dict[tuple[str, str, int], Sample],
    waits: dict[tuple[str, int], tuple[Sample, Sample]],
    lost: int,
) -> None:
    """Draws the tables and the verdicts."""
    columns = [f"{threads} threads" if threads > 1 else "1 thread" for threads in THREADS]
    for operation in OPERATIONS:
        table = Table(["operations a second", *columns], title=operation)
        for name in names:
            samples = [found.get((name, operation, threads)) for threads in THREADS]
            if any(samples):
                table.add(name, *(number(each.median) if each else NOTHING for each in samples))
        page.tables.append(table)
    table = Table(["microseconds, 99.9 % / longest", *columns], title="Waits of one call")
    for name in names:
        pairs = [waits.get((name, threads)) for threads in THREADS]
        if any(pairs):
            cells = [
                f"{number(pair[0].median)} / {number(pair[1].median)}" if pair else NOTHING
                for pair in pairs
            ]
            table.add(name, *cells)
    page.tables.append(table)

    page.verdicts.append(Verdict("incr: no increment is lost", f"{lost} lost", lost == 0))
    ours = Build.COMPILED.subject
    most = THREADS[-1]
    for operation in OPERATIONS:
        alone, together = found.get((ours, operation, 1)), found.get((ours, operation, most))
        if alone is None or together is None:
            continue
        share = together.median / alone.median
        page.verdicts.append(
            Verdict(
                f"{operation}: {most} threads do {LEAST_LEFT} of what one does",
                f"{share:.2f}",
                share >= LEAST_LEFT,
            )
        )
        peers = [
            (sample.median, name)
            for name in SUBJECTS
            if (sample := found.get((name, operation, most))) is not None
        ]
        if peers:
            best, name = max(peers)
            page.verdicts.append(
                Verdict(
                    f"{operation}, {most} threads: ahead of all peers ({name}, {number(best)})",
                    number(together.median),
                    together.median > best,
                )
            )
