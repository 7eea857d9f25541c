"""Django's cache API on one backend object: ours in memory, beside those that Django brings.

Goals: `str` and `int` twice as fast as locmem, a dict of ten 1.3 times, coroutines 50 times.
"""

from __future__ import annotations

import asyncio
from time import process_time_ns
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.worker import Worker, WorkerError, check_build

CALLS = 2000
AWAITED = 100
VALUES: dict[str, Any] = {
    "str": "x" * 100,
    "int": 12345,
    "dict of ten": {f"field {number}": number for number in range(10)},
}
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
OURS = "cachestorm.contrib.django.CacheStormCache"
OPERATIONS = ("get", "set", "aget")
# times as fast as locmem: by operation, value
GOALS = {
    ("get", "str"): 2.0,
    ("get", "int"): 2.0,
    ("get", "dict of ten"): 1.3,
    ("set", "str"): 2.0,
    ("set", "int"): 2.0,
    ("set", "dict of ten"): 1.3,
    ("aget", "str"): 50.0,
}

METHOD = f"""
Processor time in nanoseconds a call of a backend object, {CALLS} calls in a row over a hundred
keys: what `caches["default"]` returns, called directly. Through `django.core.cache.cache` each
call takes 1.4 microseconds more, whatever the backend: a proxy does. `aget` is awaited
{AWAITED} times in a row on one event loop.
"""


class Measurer:
    """One backend, in a worker."""

    def __init__(self, backend: str) -> None:
        from django.conf import settings

        if backend == OURS:
            check_build()
        settings.configure(SECRET_KEY="of the benchmarks", CACHES={"default": {}})
        from django.utils.module_loading import import_string

        self._cache = import_string(backend)("benchmark", {})
        self._keys = [f"key {number:03}".replace(" ", ":") for number in range(100)]

    def measure(self, operation: str, value: str, at_least_ms: float) -> float:
        """Nanoseconds of processor time a call."""
        for key in self._keys:
            self._cache.set(key, VALUES[value])
        run = {"get": self._get, "set": self._set, "aget": self._aget}[operation]
        return nanoseconds_a_call(lambda: run(VALUES[value]), at_least_ms)

    def _get(self, value: object) -> float:
        get, keys = self._cache.get, self._keys
        start = process_time_ns()
        for _ in range(CALLS // len(keys)):
            for key in keys:
                get(key)
        return (process_time_ns() - start) / CALLS

    def _set(self, value: object) -> float:
        put, keys = self._cache.set, self._keys
        start = process_time_ns()
        for _ in range(CALLS // len(keys)):
            for key in keys:
                put(key, value)
        return (process_time_ns() - start) / CALLS

    def _aget(self, value: object) -> float:
        async def run() -> float:
            get, key = self._cache.aget, self._keys[0]
            await get(key)
            start = process_time_ns()
            for _ in range(AWAITED):
                await get(key)
            return (process_time_ns() - start) / AWAITED

        return asyncio.run(run())


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms = (3, 20.0) if quick else (9, 100.0)
    page = Page("django-cache", "Django's cache API in memory", METHOD)
    cells = [(operation, value) for operation in OPERATIONS for value in VALUES]
    try:
        workers = {"Django locmem": Worker("django_cache", Build.PURE, backend=LOCMEM)}
        workers |= {
            build.subject: Worker("django_cache", build, backend=OURS) for build in builds()
        }
        samples = {name: {cell: Sample() for cell in cells} for name in workers}
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}")
            for operation, value in cells:
                for name, worker in workers.items():
                    spent = worker.measure(
                        operation=operation, value=value, at_least_ms=at_least_ms
                    )
                    samples[name][operation, value].add(spent)
    except WorkerError as error:
        page.missing.append(f"Django: {error}")
        return page
    for worker in workers.values():
        worker.close()
    for operation in OPERATIONS:
        table = Table(["ns of CPU a call", *VALUES], title=operation)
        for name, by_cell in samples.items():
            table.add(name, *(spread(by_cell[operation, value]) for value in VALUES))
        page.tables.append(table)
    ours = samples.get(Build.COMPILED.subject, samples[Build.PURE.subject])
    for cell, goal in GOALS.items():
        ratio = samples["Django locmem"][cell].median / ours[cell].median
        name = f"{' of a '.join(cell)}: {number(goal)} times as fast as locmem"
        page.verdicts.append(Verdict(name, f"{number(ratio)} times", ratio >= goal))
    return page
