"""A Django page under load: four workers, ten changes a second, and six ways to cache it.

Goals: with the workers in one process, in memory, more answers, more hits and a shorter p99
than locmem; with a process each, on our server, than Django's Redis backend and django-redis;
and no page out of date in either.
"""

from __future__ import annotations

import importlib.util
import mmap
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import quantiles
from time import monotonic, sleep
from typing import Any

from tests.benchmarks.bars import Panel, draw
from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_server
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server
from tests.benchmarks.worker import Worker, WorkerError, check_build

WORKERS = 4
SHELVES = 50
View = Callable[..., Any]

# the first shelf is asked for and changed twice as often as the second, and so on
WEIGHTS = list(accumulate(1 / rank for rank in range(1, SHELVES + 1)))
MADE_IN_S = 0.005
CHANGES_A_SECOND = 10
# requests a second of each worker: half of what it could answer without a cache
PACE = 100
TIMEOUT_S = 60
# until all workers have heard that they are to begin
BEGIN_IN_S = 0.2
PLOT = "django-page.svg"

RATE, HITS, MEDIAN, LATE, STALE = COLUMNS = (
    "requests a second",
    "hits, %",
    "p50, ms",
    "p99, ms",
    "out of date, %",
)

METHOD = f"""
A page shows one of {SHELVES} shelves of a shop, some asked for much more often than others.
To make it takes {MADE_IN_S * 1000:.0f} ms, which stand for its queries. It is served by
{WORKERS} workers, threads of one process or a process each. First all pages are there; then a
shelf changes {CHANGES_A_SECOND} times a second, as a request to one of the workers would change
it, to each in turn. Page and changes are those of `notebooks/django_page.ipynb`.

* *as fast as they can*: every worker asks for the next page when it has the one before, as in
  the notebook. Who is answered faster asks more often between two changes, so that more are
  hits; and where most are hits the workers take all processors, so that p99 is mostly what one
  waits for a processor.
* *{WORKERS * PACE} a second*: requests come at random, whether the one before is answered
  or not. A time is that from the moment a request was due, and its wait for a worker counts.

Times are milliseconds, of calls of the decorated view.

* Locmem and the Redis backends cannot delete pages by what they show: after a change
  everything is cleared. So their workers make all {SHELVES} pages anew ten times a second.
* CacheStorm's `cache_page(…, tags=["shelf:{{number}}"])` deletes one page a change.
* *Out of date* is an answer that shows a shelf as it was before a change whose deletion was
  done when the request began. What is true is a number for each shelf, in memory that all
  processes share. A cache in the memory of {WORKERS} processes hears only of the changes that
  its own worker makes, be it locmem or CacheStorm, and so has many hits of pages that should be
  gone. Others are of pages that were being made when their shelf changed, and cached after it.

The servers run on the same machine, without persistence.
"""


@dataclass(frozen=True)
class Setting:
    """How the page is served.

    Attributes:
        is_one_process: whether the workers are threads of one; else a process each.
        pace: requests a second of each worker; 0 for as many as it can.
    """

    is_one_process: bool
    pace: int

    @property
    def name(self) -> str:
        who = f"{WORKERS} threads" if self.is_one_process else f"{WORKERS} processes"
        return who + (
            f", {WORKERS * self.pace} a second" if self.pace else ", as fast as they can"
        )


FAST_THREADS, THREADS, FAST_PROCESSES, PROCESSES = SETTINGS = (
    Setting(True, 0),
    Setting(True, PACE),
    Setting(False, 0),
    Setting(False, PACE),
)


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


# by setting, way and column
Samples = dict[Setting, dict[Way, dict[str, Sample]]]

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
        until: when the last request was over, by the monotonic clock.
    """

    spent_us: list[int] = field(default_factory=list)
    made: int = 0
    out_of_date: int = 0
    until: float = 0.0

    def add(self, other: Answers) -> None:
        """Counts what another one counted too."""
        self.spent_us += other.spent_us
        self.made += other.made
        self.out_of_date += other.out_of_date
        self.until = max(self.until, other.until)

    def figures(self, begin: float) -> dict[str, float]:
        """By column, of all that was asked from that moment on."""
        count = len(self.spent_us)
        hundredths = quantiles(self.spent_us, n=100)
        return {
            RATE: count / (self.until - begin),
            HITS: (1 - self.made / count) * 100,
            MEDIAN: hundredths[49] / 1000,
            LATE: hundredths[98] / 1000,
            STALE: self.out_of_date / count * 100,
        }


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
            pace: requests a second of each thread; 0 for as many as it can.
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
        return vars(answers)

    def _ask(
        self, view: View, chosen: Random, begin: float, end: float, pace: float
    ) -> Answers:
        """Asks for one page after the other."""
        make_request, told = self._request, self._shelves.told
        answers = Answers()
        due = begin
        while True:
            number = _shelf_of(chosen)
            if pace:
                due += chosen.expovariate(pace)
                sleep(max(0.0, due - monotonic()))
            else:
                due = monotonic()
            if due >= end:
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
            number = _shelf_of(Random(change))
            self._shelves.changed[number] = change + 1
            if WAYS[way].is_ours:
                cache.invalidate_tags(f"shelf:{number}")
            else:
                cache.clear()
            self._shelves.told[number] = change + 1


def _shelf_of(chosen: Random) -> int:
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


def serve(
    way: Way, setting: Setting, workers: Sequence[Worker], shelves: Shelves, seconds: float
) -> dict[str, float]:
    """The figures of one round."""
    shelves.forget()
    if setting.is_one_process:
        workers = workers[:1]
    place = WAYS.index(way)
    for worker in workers:
        worker.measure(way=place)
    begin = monotonic() + BEGIN_IN_S
    threads = WORKERS // len(workers)
    for part, worker in enumerate(workers):
        seeds = list(range(part, part + threads))
        worker.ask(
            way=place, seeds=seeds, begin=begin, seconds=seconds, pace=setting.pace, part=part
        )
    answers = Answers()
    for worker in workers:
        answers.add(Answers(**worker.answer()))
    return answers.figures(begin)


def locate(stack: ExitStack, page: Page, build: Build) -> dict[Way, str]:
    """Starts the servers; where each way has its pages. What cannot be had is noted.

    Args:
        stack: ends them.
        page: of the case.
        build: of our server.
    """
    addresses = {"": "pages"}
    redis = redis_server()
    if redis is not None:
        port = stack.enter_context(Server.of_redis(redis)).port
        addresses["redis"] = f"redis://127.0.0.1:{port}/0"
    port = stack.enter_context(Server.of_cachestorm(build)).port
    addresses["cachestorm"] = f"redis://127.0.0.1:{port}/0"
    found = {}
    for way in WAYS:
        package = way.backend.partition(".")[0]
        if importlib.util.find_spec(package) is None:
            page.missing.append(f"{way.name}: {package} is not installed")
        elif way.server not in addresses:
            page.missing.append(f"{way.name}: redis-server is not installed")
        else:
            found[way] = addresses[way.server]
    return found


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: one short round.
        progress: told of each step.
    """
    rounds, seconds = (1, 1.0) if quick else (5, 3.0)
    page = Page("django-page", "A Django page under load", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "shelves")
        path.write_bytes(bytes(Shelves.SIZE))
        shelves = Shelves(str(path))
        found = locate(stack, page, build)
        locations = {WAYS.index(way): location for way, location in found.items()}
        samples: Samples = {
            setting: {way: {column: Sample() for column in COLUMNS} for way in found}
            for setting in SETTINGS
        }
        try:
            workers = [
                stack.enter_context(
                    Worker("django_page", build, locations=locations, shelves=str(path))
                )
                for _ in range(WORKERS)
            ]
            for turn in range(rounds):
                for setting, by_way in samples.items():
                    for way, by_column in by_way.items():
                        progress.step(
                            f"round {turn + 1} of {rounds}, {setting.name}, {way.name}"
                        )
                        figures = serve(way, setting, workers, shelves, seconds)
                        for column, figure in figures.items():
                            by_column[column].add(figure)
        except WorkerError as error:
            page.missing.append(f"Django: {error}")
            return page
    tell(page, samples)
    return page


def tell(page: Page, samples: Samples) -> None:
    """Draws the tables, the plot and the verdicts."""
    panels = []
    for setting, by_way in samples.items():
        table = Table(["", *COLUMNS], title=setting.name)
        for way, by_column in by_way.items():
            table.add(way.name, *(spread(by_column[column]) for column in COLUMNS))
        page.tables.append(table)
        for column in (HITS, LATE, STALE) if setting.pace else (RATE,):
            bars = {way.name: by_way[way][column].median for way in by_way}
            panels.append(Panel(f"{column}: {setting.name}", bars))
    page.plots[PLOT] = draw(panels, [way.name for way in WAYS if way.is_ours], columns=2)
    for fast, paced, way, peers in (
        (FAST_THREADS, THREADS, IN_MEMORY, [LOCMEM]),
        (FAST_PROCESSES, PROCESSES, ON_SERVER, [DJANGO_REDIS, DJANGO_REDIS_PACKAGE]),
    ):
        if way in samples[paced]:
            beside = [peer for peer in peers if peer in samples[paced]]
            page.verdicts += verdicts(fast, way, beside, samples[fast])
            page.verdicts += verdicts(paced, way, beside, samples[paced])


def verdicts(
    setting: Setting, way: Way, peers: Sequence[Way], measured: dict[Way, dict[str, Sample]]
) -> list[Verdict]:
    """What one of ours has reached beside its peers, with a pace or as fast as it can."""
    found = []
    of_ours = f"{way.name}, {setting.name}"
    ours = {column: sample.median for column, sample in measured[way].items()}
    for peer in peers:
        theirs = {column: sample.median for column, sample in measured[peer].items()}
        if setting.pace == 0:
            goal = f"{of_ours}: more answers than {peer.name} ({number(theirs[RATE])} a second)"
            found.append(Verdict(goal, number(ours[RATE]), ours[RATE] > theirs[RATE]))
            continue
        goal = f"{of_ours}: more hits than {peer.name} ({theirs[HITS]:.1f} %)"
        found.append(Verdict(goal, f"{ours[HITS]:.1f} %", ours[HITS] > theirs[HITS]))
        goal = f"{of_ours}: p99 below that of {peer.name} ({number(theirs[LATE])} ms)"
        found.append(Verdict(goal, f"{number(ours[LATE])} ms", ours[LATE] < theirs[LATE]))
    # one round is enough to break the promise
    stale = measured[way][STALE].high
    goal = f"{of_ours}: no answer out of date"
    found.append(Verdict(goal, f"{number(stale)} %", stale == 0))
    return found
