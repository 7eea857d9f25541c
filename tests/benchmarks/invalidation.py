"""Invalidation of a large tag: how fast the keys go, and how long another thread waits.

Goal: compiled, 3 million keys a second with one tag a key, time linear in the tags of a key,
and no other thread waits for more than 10 ms meanwhile.
"""

from __future__ import annotations

import threading
from time import perf_counter, sleep

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, counted, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.subjects import CacheStorm
from tests.benchmarks.worker import Worker

KEYS_A_SECOND = 3_000_000
LONGEST_WAIT_MS = 10.0
TAGS = (1, 10)
# so many keys take the pure build half a minute, and it has no goal: one round will do
ONCE_IF_PURE = 1_000_000

METHOD = """
Every key bears the same tags, one or ten, and a value of 100 bytes; `cache.invalidate` of one
of the tags removes all keys, and the call's time is divided by their number. *wait* is
another run of the same, in which a second thread gets one other key in a loop: the longest
time from one get to the next while the invalidation goes on. *wait without* is the longest
such time when nothing else runs, for as long: what the machine alone does to a thread.
"""


class Measurer:
    """One build, in a worker."""

    def measure(self, keys: int, tags: int) -> dict[str, float]:
        """One invalidation alone, and one that a second thread watches."""
        cache = self._tagged(keys, tags)
        start = perf_counter()
        removed = cache.invalidate("tag:0")
        seconds = perf_counter() - start
        assert removed == keys, removed
        del cache

        cache = self._tagged(keys, tags)
        watcher = Watcher(cache.get)
        with watcher:
            watcher.begin()
            cache.invalidate("tag:0")
            wait_s = watcher.longest_s()
            watcher.begin()
            sleep(seconds)
            without_s = watcher.longest_s()
        return {"seconds": seconds, "wait_ms": wait_s * 1e3, "without_ms": without_s * 1e3}

    def _tagged(self, keys: int, tags: int):
        cache = CacheStorm().cache
        names = tuple(f"tag:{index}" for index in range(tags))
        for index in range(keys):
            cache.set(f"key:{index:012d}", bytes(100), tags=names)
        cache.set("other", b"value")
        return cache


class Watcher:
    """A thread that gets a key in a loop and keeps the longest time between two gets.

    Args:
        get: the cache's method.
    """

    def __init__(self, get) -> None:
        self._get = get
        self._longest_s = 0.0
        self._last = perf_counter()
        self._stop = False
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop = True
        self._thread.join()

    def begin(self) -> None:
        """Forgets what was seen; starts when the thread is running."""
        sleep(0.02)
        self._longest_s = 0.0

    def longest_s(self) -> float:
        """The longest time since `begin`, up to the first get after now."""
        seen = self._last
        while self._last == seen:
            sleep(0.0005)
        return self._longest_s

    def _watch(self) -> None:
        get = self._get
        last = perf_counter()
        while not self._stop:
            get("other")
            now = perf_counter()
            if now - last > self._longest_s:
                self._longest_s = now - last
            self._last = last = now


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: the smaller sizes only, fewer rounds.
        progress: told of each step.
    """
    sizes = {10_000: 3, 50_000: 1} if quick else {10_000: 11, 1_000_000: 3}
    page = Page("invalidation", "Invalidation of a large tag", METHOD)
    table = Table(
        ["", "keys", "tags a key", "keys a second", "wait, ms", "wait without, ms"],
    )
    medians: dict[tuple[Build, int, int], float] = {}
    for keys, rounds in sizes.items():
        for tags in TAGS:
            speed, wait, without = ({build: Sample() for build in builds()} for _ in range(3))
            for turn in range(rounds):
                for build in builds():
                    if build is Build.PURE and keys >= ONCE_IF_PURE and turn > 0:
                        continue
                    progress.step(
                        f"{keys:,} keys, {counted(tags)}, {build.value}, {turn + 1} of {rounds}"
                    )
                    with Worker("invalidation", build) as worker:
                        measured = worker.measure(keys=keys, tags=tags)
                    speed[build].add(keys / measured["seconds"])
                    wait[build].add(measured["wait_ms"])
                    without[build].add(measured["without_ms"])
            for build in builds():
                table.add(
                    build.subject,
                    f"{keys:,}",
                    str(tags),
                    *(spread(sample[build]) for sample in (speed, wait, without)),
                )
                medians[build, keys, tags] = speed[build].median
            if Build.COMPILED in wait:
                longest = wait[Build.COMPILED].median
                page.verdicts.append(
                    Verdict(
                        f"{keys:,} keys, {counted(tags)}: waits up to {LONGEST_WAIT_MS:.0f} ms",
                        f"{number(longest)} ms",
                        longest <= LONGEST_WAIT_MS,
                    )
                )
    page.tables.append(table)
    for keys in sizes:
        if Build.COMPILED not in builds():
            break
        one, ten = (medians[Build.COMPILED, keys, tags] for tags in TAGS)
        page.verdicts += [
            Verdict(
                f"{keys:,} keys: {KEYS_A_SECOND:,} a second with one tag",
                number(one),
                one >= KEYS_A_SECOND,
            ),
            Verdict(
                f"{keys:,} keys: ten tags cost at most ten times one",
                f"{one / ten:.1f} times",
                one / ten <= TAGS[1],
            ),
        ]
    return page
