"""A page of a shop that Django serves, and the ways to cache it: the worker of `django_page`.

`django_page` starts some and says when to begin. What is true of a shelf is in memory that all
of them share, so that each can tell whether an answer is out of date.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from time import monotonic, process_time_ns, sleep
from typing import Any

from tests.benchmarks.worker import check_build

View = Callable[..., Any]

WORKERS = 4
SHELVES = 50
# the first shelf is asked for and changed twice as often as the second, and so on
WEIGHTS = list(accumulate(1 / rank for rank in range(1, SHELVES + 1)))
MADE_IN_S = 0.005
CHANGES_A_SECOND = 10
TIMEOUT_S = 60


@dataclass(frozen=True)
class Way:
    """One way to serve the page.

    Attributes:
        name: in the tables.
        backend: of Django's CACHES.
        server: which one holds the pages; none for memory.
    """

    name: str
    backend: str
    server: str = ""

    @property
    def is_ours(self) -> bool:
        return self.backend.startswith("cachestorm.")


OURS = "cachestorm.contrib.django.CacheStormCache"
NO_CACHE, LOCMEM, DJANGO_REDIS, DJANGO_REDIS_PACKAGE, IN_MEMORY, ON_SERVER = WAYS = (
    Way("no cache", "django.core.cache.backends.dummy.DummyCache"),
    Way("locmem", "django.core.cache.backends.locmem.LocMemCache"),
    Way("Django's Redis", "django.core.cache.backends.redis.RedisCache", "redis"),
    Way("django-redis", "django_redis.cache.RedisCache", "redis"),
    Way("CacheStorm, memory", OURS),
    Way("CacheStorm, server", OURS, "cachestorm"),
)


class Shelves:
    """The number of the last change of each shelf, in memory that processes share.

    Attributes:
        changed: by number of the shelf, what is true.
        told: the same, of changes whose pages were deleted.

    Args:
        path: of a file of `SIZE` bytes, zeros at first.
    """

    SIZE = 2 * 8 * SHELVES

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.SIZE)
        numbers = memoryview(self._map).cast("Q")
        self.changed = numbers[:SHELVES]
        self.told = numbers[SHELVES:]

    def forget(self) -> None:
        """Puts all back to no change."""
        self._map[:] = bytes(self.SIZE)


@dataclass
class Answers:
    """What threads counted.

    Attributes:
        spent_us: on each request.
        made: how many pages were made.
        out_of_date: how many answers were.
        cpu_us: processor time of the process, all that it did meanwhile.
        until: when the last request was over, by the monotonic clock.
    """

    spent_us: list[int] = field(default_factory=list)
    made: int = 0
    out_of_date: int = 0
    cpu_us: float = 0.0
    until: float = 0.0

    def add(self, other: Answers) -> None:
        """Counts what another one counted too."""
        self.spent_us += other.spent_us
        self.made += other.made
        self.out_of_date += other.out_of_date
        self.cpu_us += other.cpu_us
        self.until = max(self.until, other.until)


class Measurer:
    """One process that serves the page, in a worker.

    Args:
        locations: of the caches, by the number of the way in `WAYS`.
        shelves: path of the shelves.
    """

    def __init__(self, locations: dict[str, str], shelves: str) -> None:
        import django
        from django.conf import settings

        check_build()
        settings.configure(
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="of the benchmarks",
            CACHES={
                "default": {"BACKEND": NO_CACHE.backend},
                **{
                    place: {"BACKEND": WAYS[int(place)].backend, "LOCATION": location}
                    for place, location in locations.items()
                },
            },
        )
        django.setup()
        from django.core.cache import caches
        from django.http import HttpRequest, HttpResponse
        from django.test import RequestFactory

        self._request = RequestFactory().get
        self._shelves = Shelves(shelves)
        self._made: list[int] = []

        def shelf(request: HttpRequest, number: int) -> HttpResponse:
            self._made.append(number)
            change = self._shelves.changed[number]
            sleep(MADE_IN_S)
            return HttpResponse(f"shelf {number} as of change {change}")

        self._caches = caches
        self._views = {place: _cached(place, shelf) for place in locations}

    def measure(
        self,
        way: int,
        seeds: Sequence[int] = (),
        begin: float = 0.0,
        seconds: float = 0.0,
        pace: float = 0.0,
        part: int = 0,
    ) -> dict[str, Any] | None:
        """Serves one thread for each seed, or gets ready.

        Args:
            way: how, by its number.
            seeds: of what each thread asks for; without any, all pages are made anew.
            begin: when, by the monotonic clock.
            seconds: for how long.
            pace: requests a second of each thread; 0 for as many as it can. Those that are
                due are asked until the end.
            part: the first of the changes that are made here; the others follow in steps of
                the processes.
        """
        self._made.clear()
        view, cache = self._views[str(way)], self._caches[str(way)]
        if not seeds:
            cache.clear()
            for number in range(SHELVES):
                view(self._request(f"/{number}/"), number=number)
            return None
        changes = range(part, int(seconds * CHANGES_A_SECOND), WORKERS // len(seeds))
        sleep(max(0.0, begin - monotonic()))
        answers = Answers()
        cpu_before_ns = process_time_ns()
        with ThreadPoolExecutor(len(seeds) + 1) as pool:
            changing = pool.submit(self._change, way, changes, begin)
            asking = [
                pool.submit(self._ask, view, Random(seed), begin, begin + seconds, pace)
                for seed in seeds
            ]
            for each in asking:
                answers.add(each.result())
            changing.result()
        answers.made = len(self._made)
        answers.cpu_us = (process_time_ns() - cpu_before_ns) / 1000
        return vars(answers)

    def _ask(
        self, view: View, chosen: Random, begin: float, end: float, pace: float
    ) -> Answers:
        """Asks for one page after the other."""
        make_request, told = self._request, self._shelves.told
        answers = Answers()
        due = begin
        while True:
            number = shelf_of(chosen)
            if pace:
                due += chosen.expovariate(pace)
                sleep(max(0.0, due - monotonic()))
            else:
                due = monotonic()
            if monotonic() >= end:
                break
            request = make_request(f"/{number}/")
            known = told[number]
            response = view(request, number=number)
            answers.spent_us.append(int((monotonic() - due) * 1e6))
            answers.out_of_date += int(response.content.rpartition(b" ")[2]) < known
        answers.until = monotonic()
        return answers

    def _change(self, way: int, changes: range, begin: float) -> None:
        """Changes shelves, each change at its time, and deletes what shows them."""
        cache = self._caches[str(way)]
        for change in changes:
            due = begin + (change + 0.5) / CHANGES_A_SECOND
            sleep(max(0.0, due - monotonic()))
            # the same changes, whoever makes them
            number = shelf_of(Random(change))
            self._shelves.changed[number] = change + 1
            if WAYS[way].is_ours:
                cache.invalidate_tags(f"shelf:{number}")
            else:
                cache.clear()
            self._shelves.told[number] = change + 1


def shelf_of(chosen: Random) -> int:
    """A number of a shelf, the first more often than the last."""
    return chosen.choices(range(SHELVES), cum_weights=WEIGHTS)[0]


def _cached(place: str, view: View) -> View:
    """The view, decorated as the way of this number asks for."""
    from django.views.decorators.cache import cache_page

    from cachestorm.contrib.django import cache_page as tagged_page

    way = WAYS[int(place)]
    if way is NO_CACHE:
        return view
    if way.is_ours:
        decorated: View = tagged_page(TIMEOUT_S, tags=["shelf:{number}"], cache=place)(view)
    else:
        decorated = cache_page(TIMEOUT_S, cache=place)(view)
    return decorated
