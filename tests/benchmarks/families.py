"""The families: operations on containers of ten, a thousand and a million elements, or keys.

Goals: no operation grows in a way that Redis does not document; in process none is slower
than fakeredis; on the wire none takes ten times as long as on redis-server or Valkey.
"""

from __future__ import annotations

import csv
import io
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.family_operations import (
    FAMILIES,
    SIZES,
    Operation,
    fill,
    filling,
    name_of,
    plain_container,
)
from tests.benchmarks.machine import redis_benchmark
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.servers import Server, pipe_to_all
from tests.benchmarks.wire import CLIENTS, start_servers
from tests.benchmarks.worker import Worker, WorkerError, check_build

QUICK_SIZES = (10, 1_000)
CALLS_A_PASS = 1_000
DEPTH = 16
# of redis-benchmark: enough to see how fast an operation is, then as many as fit
FIRST_REQUESTS, MOST_REQUESTS = 1_000, 20_000
SECONDS_A_RUN = 0.1
# a million of anything is slower than a thousand: it does not fit into the processor's caches
GROWTH_LIMIT = 10.0
WIRE_LIMIT = 10.0
PLAIN, FAKE = "plain Python", "fakeredis"

METHOD = f"""
Every operation leaves its container as large as it was. *In process*: nanoseconds a
call, from an interpreted loop over random members; a lambda is part of the number, for all
subjects alike. Plain Python is a `bytearray`, `dict`, `list` and `set`, and
for a sorted set a `dict` with a sorted `list` of pairs. Every subject is a process of its own.
The pure build is not measured at a million. *On the wire*: requests a second of
`redis-benchmark -c {CLIENTS} -P {DEPTH} -r <size>` with the command given; `__rand_int__` is
drawn anew for each. All servers run at the same time and are measured in turn. `half` is half
of the size. A cell with a dash: there is no such thing.
"""

# family, size, number of the operation
Case = tuple[str, int, int]


class Measurer:
    """One subject, in a worker; it holds one container at a time.

    Args:
        subject: PLAIN, FAKE, or anything else for CacheStorm of the worker's build.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._held: tuple[str, int] | None = None
        self._target: Any = None
        if subject == FAKE:
            import fakeredis  # noqa: F401  where there is none, say so at once
        elif subject != PLAIN:
            check_build()

    def measure(
        self, family: str, size: int, operation: int | None, at_least_ms: float
    ) -> float | None:
        """Nanoseconds a call, or None where the subject has no such call.

        Args:
            operation: its number; None only makes the container.
        """
        if self._held != (family, size):
            self._target = None
            self._target = self._made(family, size)
            self._held = (family, size)
        if operation is None:
            return None
        asked = FAMILIES[family][operation]
        make = asked.plain if self._subject == PLAIN else asked.client
        if make is None:
            return None
        call = make(self._target, size)
        names = [name_of(random.randrange(size)) for _ in range(CALLS_A_PASS)]
        slowest_ns = max(timed(call, names[:10]), 1.0)
        fitting = int(at_least_ms * 1e6 / slowest_ns)
        names = names[: max(10, fitting)]
        return nanoseconds_a_call(lambda: timed(call, names), at_least_ms)

    def _made(self, family: str, size: int) -> Any:
        if self._subject == PLAIN:
            return plain_container(family, size)
        client: Any
        if self._subject == FAKE:
            import fakeredis

            client = fakeredis.FakeRedis()
        else:
            from cachestorm import Cache

            client = Cache(max_memory="8gb")
        fill(client, family, size)
        return client


def timed(call: Any, names: list[str]) -> float:
    """Nanoseconds a call, over all names once."""
    start = perf_counter_ns()
    for name in names:
        call(name)
    return (perf_counter_ns() - start) / len(names)


def cases(sizes: tuple[int, ...]) -> Iterator[Case]:
    """All that is measured, so that a container is made once."""
    for family, operations in FAMILIES.items():
        for size in sizes:
            for operation in range(len(operations)):
                yield family, size, operation


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: smaller containers, fewer and shorter rounds.
        progress: told of each step.
    """
    sizes = QUICK_SIZES if quick else SIZES
    page = Page("families", "The families of commands", METHOD)
    in_process = measure_in_process(sizes, 1 if quick else 3, page, progress)
    on_wire = measure_on_wire(sizes, page, progress)
    tell(page, sizes, in_process, on_wire)
    return page


def measure_in_process(
    sizes: tuple[int, ...], rounds: int, page: Page, progress: Progress
) -> dict[str, dict[Case, Sample]]:
    """Nanoseconds a call, by subject."""
    subjects = {build.subject: build for build in builds()}
    samples: dict[str, dict[Case, Sample]] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in (*subjects, PLAIN, FAKE):
            build = subjects.get(name, Build.PURE)
            workers[name] = stack.enter_context(Worker("families", build, subject=name))
            samples[name] = {}
        for case in cases(sizes):
            family, size, operation = case
            taking_part = [
                name
                for name in workers
                if name != Build.PURE.subject or size <= QUICK_SIZES[-1]
            ]
            if operation == 0:
                progress.step(f"{family} of {size:,} are made")
                # all at the same time: one takes as long as the others together
                request = {"family": family, "size": size, "at_least_ms": 0.0}
                for name in taking_part:
                    workers[name].ask(operation=None, **request)
                for name in taking_part:
                    ask(workers, name, page, None)
            progress.step(f"{FAMILIES[family][operation].words} of {size:,}")
            request = {"family": family, "size": size, "at_least_ms": 8.0}
            for _ in range(rounds):
                for name in taking_part:
                    if name in workers:
                        measured = ask(workers, name, page, {"operation": operation, **request})
                        if measured is not None:
                            samples[name].setdefault(case, Sample()).add(measured)
    return samples


def ask(
    workers: dict[str, Worker], name: str, page: Page, request: dict[str, Any] | None
) -> float | None:
    """What a worker measures, or has been asked before; one that fails is left out then."""
    try:
        measured = (
            workers[name].answer() if request is None else workers[name].measure(**request)
        )
    except WorkerError as error:
        page.missing.append(f"{name}: {error}")
        del workers[name]
        return None
    assert measured is None or isinstance(measured, float)
    return measured


def measure_on_wire(
    sizes: tuple[int, ...], page: Page, progress: Progress
) -> dict[str, dict[Case, Sample]]:
    """Requests a second, by server, each measured once."""
    tool = redis_benchmark()
    if tool is None:
        page.missing.append("the wire: redis-benchmark is not installed (package redis-tools)")
        return {}
    with ExitStack() as stack:
        servers = start_servers(stack, page, [builds()[0]])
        samples: dict[str, dict[Case, Sample]] = {name: {} for name in servers}
        filled: tuple[str, int] | None = None
        for case in cases(sizes):
            family, size, operation = case
            if filled != (family, size):
                filled = (family, size)
                progress.step(f"{family} of {size:,} are made on the wire")
                pipe_to_all(
                    list(servers.values()),
                    chain([[(b"FLUSHALL",)]], ([each] for each in filling(family, size))),
                )
            asked = FAMILIES[family][operation]
            progress.step(f"{asked.words} of {size:,} on the wire")
            for name, server in servers.items():
                rate = load(tool, server, asked, size)
                samples[name].setdefault(case, Sample()).add(rate)
    return samples


def load(tool: Path, server: Server, asked: Operation, size: int) -> float:
    """Requests a second of one operation.

    Raises:
        subprocess.CalledProcessError: when redis-benchmark gives up.
    """
    words = [str(size // 2) if word == "half" else word for word in asked.words.split()]
    requests = FIRST_REQUESTS
    rate = 0.0
    while True:
        command = [str(tool), "-p", str(server.port), "-c", str(CLIENTS), "-P", str(DEPTH)]
        command += ["-r", str(size), "-n", str(requests), "--csv", *words]
        output = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=300
        ).stdout
        rate = next(float(row["rps"]) for row in csv.DictReader(io.StringIO(output)))
        wanted = min(MOST_REQUESTS, int(rate * SECONDS_A_RUN))
        if wanted <= requests * 2:
            return rate
        requests = wanted


def tell(
    page: Page,
    sizes: tuple[int, ...],
    in_process: dict[str, dict[Case, Sample]],
    on_wire: dict[str, dict[Case, Sample]],
) -> None:
    """Draws tables and verdicts."""
    for family, operations in FAMILIES.items():
        for title, samples in (("ns a call", in_process), ("requests a second", on_wire)):
            if not samples:
                continue
            table = Table([title, "size", *samples], title=f"{family}, {title}")
            for operation, asked in enumerate(operations):
                for size in sizes:
                    case = (family, size, operation)
                    cells = [spread(by_case.get(case)) for by_case in samples.values()]
                    table.add(asked.words, f"{size:,}", *cells)
            page.tables.append(table)
    ours = Build.COMPILED.subject if Build.COMPILED.is_there else Build.PURE.subject
    page.verdicts.extend(growth_verdicts(in_process[ours], sizes))
    page.verdicts.append(fake_verdict(in_process[ours], in_process.get(FAKE, {})))
    for peer, rates in on_wire.items():
        if peer != ours and ours in on_wire:
            page.verdicts.append(wire_verdict(on_wire[ours], peer, rates))


def growth_verdicts(ours: dict[Case, Sample], sizes: tuple[int, ...]) -> Iterator[Verdict]:
    """How much longer an operation takes on the largest container than on the one before.

    By the fastest rounds: the sizes do not take turns, and a machine may slow down between.
    """
    least, most = sizes[-2:]
    for family, operations in FAMILIES.items():
        worst, words = 0.0, ""
        for operation, asked in enumerate(operations):
            small, large = (
                ours.get((family, least, operation)),
                ours.get((family, most, operation)),
            )
            if asked.linear or small is None or large is None:
                continue
            if large.low / small.low > worst:
                worst, words = large.low / small.low, asked.words
        yield Verdict(
            f"{family}: at {most:,} at most {GROWTH_LIMIT:.0f} times as long as at {least:,}, "
            "but for what Redis documents as linear",
            f"{number(worst)} ({words})",
            worst <= GROWTH_LIMIT,
        )


def fake_verdict(ours: dict[Case, Sample], fake: dict[Case, Sample]) -> Verdict:
    """Whether anything is slower than in fakeredis."""
    ratios = {case: ours[case].median / fake[case].median for case in fake if case in ours}
    return _worst("in process: nothing slower than fakeredis", ratios, 1.0)


def wire_verdict(ours: dict[Case, Sample], peer: str, theirs: dict[Case, Sample]) -> Verdict:
    """Whether anything is out of proportion on the wire."""
    ratios = {case: theirs[case].median / ours[case].median for case in theirs if case in ours}
    return _worst(
        f"wire: nothing {WIRE_LIMIT:.0f} times slower than {peer}", ratios, WIRE_LIMIT
    )


def _worst(goal: str, ratios: dict[Case, float], limit: float) -> Verdict:
    if not ratios:
        return Verdict(goal, "not measured", False)
    case = max(ratios, key=lambda each: ratios[each])
    family, size, operation = case
    words = FAMILIES[family][operation].words
    return Verdict(goal, f"{number(ratios[case])} ({words}, {size:,})", ratios[case] <= limit)
