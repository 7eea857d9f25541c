"""A Django page under load: four workers, ten changes a second, and six ways to cache it.

Goals: with the workers in one process, in memory, more answers, more hits and a shorter p99
than locmem; with a process each, on our server, than Django's Redis backend and django-redis;
and no page out of date in either.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic

from tests.benchmarks.bars import Panel, draw
from tests.benchmarks.builds import Build
from tests.benchmarks.django_shop import (
    CHANGES_A_SECOND,
    DJANGO_REDIS,
    DJANGO_REDIS_PACKAGE,
    IN_MEMORY,
    LOCMEM,
    MADE_IN_S,
    ON_SERVER,
    SHELVES,
    WAYS,
    WORKERS,
    Answers,
    Shelves,
    Way,
)
from tests.benchmarks.machine import cpu_seconds, redis_server
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server
from tests.benchmarks.worker import Worker, WorkerError

# requests a second of each worker: a quarter of what it could answer without a cache
PACE = 50
# until all workers have heard that they are to begin
BEGIN_IN_S = 0.2
PLOT = "django-page.svg"

RATE, HITS, MEDIAN, LATE, STALE, COST = COLUMNS = (
    "requests a second",
    "hits, %",
    "p50, ms",
    "p99, ms",
    "out of date, %",
    "CPU, µs a request",
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
  Where fewer are answered, the workers are not able to.

Times are milliseconds, of calls of the decorated view. The processor time is that of workers
and server, with the client's share of a worker; a busy machine changes it least.

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


# by setting, way and column
Samples = dict[Setting, dict[Way, dict[str, Sample]]]


def figures(answers: Answers, begin: float, server_cpu_s: float) -> dict[str, float]:
    """What a round comes to, by column.

    Args:
        answers: of all workers.
        begin: of the round.
        server_cpu_s: processor time of the server.
    """
    count = len(answers.spent_us)
    hundredths = quantiles(answers.spent_us, n=100)
    return {
        RATE: count / (answers.until - begin),
        HITS: (1 - answers.made / count) * 100,
        MEDIAN: hundredths[49] / 1000,
        LATE: hundredths[98] / 1000,
        STALE: answers.out_of_date / count * 100,
        COST: (answers.cpu_us + server_cpu_s * 1e6) / count,
    }


def serve(
    way: Way,
    setting: Setting,
    workers: Sequence[Worker],
    shelves: Shelves,
    seconds: float,
    server: Server | None = None,
) -> dict[str, float]:
    """The figures of one round."""
    shelves.forget()
    if setting.is_one_process:
        workers = workers[:1]
    place = WAYS.index(way)
    for worker in workers:
        worker.measure(way=place)
    before_s = cpu_seconds(server.process_id) if server else 0.0
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
    spent_s = cpu_seconds(server.process_id) - before_s if server else 0.0
    return figures(answers, begin, spent_s)


def start(stack: ExitStack, build: Build) -> dict[str, Server]:
    """Starts the servers there are, by name.

    Args:
        stack: ends them.
        build: of ours.
    """
    servers = {"cachestorm": stack.enter_context(Server.of_cachestorm(build))}
    redis = redis_server()
    if redis is not None:
        servers["redis"] = stack.enter_context(Server.of_redis(redis))
    return servers


def locations(servers: Mapping[str, Server], page: Page) -> dict[Way, str]:
    """Where each way has its pages; a way that cannot be had is noted in the page."""
    found = {}
    for way in WAYS:
        package = way.backend.partition(".")[0]
        server = servers.get(way.server)
        if importlib.util.find_spec(package) is None:
            page.missing.append(f"{way.name}: {package} is not installed")
        elif not way.server:
            found[way] = "pages"
        elif server is None:
            page.missing.append(f"{way.name}: redis-server is not installed")
        else:
            found[way] = f"redis://127.0.0.1:{server.port}/0"
    return found


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: one short round.
        progress: told of each step.
    """
    rounds, seconds = (1, 1.0) if quick else (5, 2.0)
    page = Page("django-page", "A Django page under load", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "shelves")
        path.write_bytes(bytes(Shelves.SIZE))
        shelves = Shelves(str(path))
        servers = start(stack, build)
        found = locations(servers, page)
        samples: Samples = {
            setting: {way: {column: Sample() for column in COLUMNS} for way in found}
            for setting in SETTINGS
        }
        try:
            workers = [
                stack.enter_context(
                    Worker(
                        "django_shop",
                        build,
                        locations={WAYS.index(way): where for way, where in found.items()},
                        shelves=str(path),
                    )
                )
                for _ in range(WORKERS)
            ]
            for turn in range(rounds):
                for setting, by_way in samples.items():
                    for way, by_column in by_way.items():
                        progress.step(
                            f"round {turn + 1} of {rounds}, {setting.name}, {way.name}"
                        )
                        measured = serve(
                            way, setting, workers, shelves, seconds, servers.get(way.server)
                        )
                        for column, figure in measured.items():
                            by_column[column].add(figure)
        except WorkerError as error:
            page.missing.append(f"Django: {error}")
            return page
    tell(page, samples)
    return page


def tell(page: Page, samples: Samples) -> None:
    """Draws the tables, the plot and the verdicts."""
    panels: dict[bool, list[Panel]] = {True: [], False: []}
    for setting, by_way in samples.items():
        table = Table(["", *COLUMNS], title=setting.name)
        for way, by_column in by_way.items():
            table.add(way.name, *(spread(by_column[column]) for column in COLUMNS))
        page.tables.append(table)
        for column in (HITS, LATE, STALE) if setting.pace else (RATE, COST):
            bars = {way.name: by_way[way][column].median for way in by_way}
            panels[setting.is_one_process].append(Panel(f"{column}: {setting.name}", bars))
    # threads on the left, processes on the right
    pairs = zip(panels[True], panels[False], strict=True)
    ours = [way.name for way in WAYS if way.is_ours]
    page.plots[PLOT] = draw([panel for pair in pairs for panel in pair], ours, columns=2)
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
