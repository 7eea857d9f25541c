"""The judge: every contestant with every trace and capacity, and what the goals say of it.

Called by `python -m tests.benchmarks` as the case `hit_ratio`. A task is a contestant with a
trace, at all capacities; workers, one a processor, take tasks as they become idle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from typing import Final

from cachestorm.cache import DEFAULT_POLICY
from tests.benchmarks.builds import Build
from tests.benchmarks.hit_ratio import conditions
from tests.benchmarks.hit_ratio.contestants import (
    OPTIMUM,
    PEERS,
    WARM,
    Outcome,
    own_policies,
    run_own,
    run_peer,
    run_reference,
    spelt,
)
from tests.benchmarks.hit_ratio.plot import draw
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.remembered import Answer, Remembered
from tests.benchmarks.hit_ratio.scoreboard import Cell, Score, score
from tests.benchmarks.hit_ratio.traces import LONG, LONGEST, RECIPES, VARIABLE, Trace, recipes
from tests.benchmarks.hit_ratio.traces import trace as load
from tests.benchmarks.page import NOTHING, Page, Table, Verdict
from tests.benchmarks.progress import Progress
from tests.benchmarks.worker import Worker, check_build

PLOT: Final = "hit-ratio.svg"
PLOTTED_PEERS: Final = ("theine", "moka-py")
QUICK_REQUESTS: Final = 20_000
# of the policy under judgement: it draws random numbers, and str hash differently each time
RUNS: Final = 3
SHARES_GOAL: Final = {1: 0.80, 2: 0.90, 3: 0.95}
WORST_GOAL: Final = 7.0
BELOW_LRU_GOAL: Final = 4.0
SHOWN_LOSSES: Final = 20

METHOD = f"""
Each contestant is sent through a trace: it is asked for a key, and where it has none the
key is set. Capacities are counts of keys: 0.5, 1, 5, 10 and 25 % of the trace's distinct
ones, 20 at least, equal ones once. CacheStorm is a `Cache(max_entries=n, policy=name)` in
its compiled build where there is one. *LRU* to *W-TinyLFU* are the papers' policies,
simulated (`tests/benchmarks/hit_ratio/references`), all of them with the same constants for
every trace. *optimum* is Belady's, which knows the future; it may also pass by what is
asked for.

A **cell** is a trace with a capacity. The **gap** of a contestant in a cell is the hit
ratio of the best of the eight fixed references less its own, in points: below zero it beats
all eight. A cell with fewer requests than {WARM} capacities is short, and reported apart;
so are the first {WARM} capacities of requests of the others. The policy that the goals are for
makes {RUNS} runs, each with its own random numbers and hashes of `str`; its tables of gaps
count every run, and its hit ratio is the mean. Policies that evict only keys with a deadline
(`volatile-...`) are left out.

The traces of the web shop and of the object-relational mapper are those of the [cache2k
benchmark project](https://github.com/cache2k/cache2k-benchmark), © Jens Wilke, headissue
GmbH, licensed under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); of the long
ones the first {LONGEST:,} requests are taken, to bound the time. The other traces are made up
from fixed seeds.
{conditions.METHOD}"""


@dataclass(frozen=True, slots=True)
class Task:
    """One contestant with one trace, maybe under a condition."""

    kind: str
    name: str
    trace: str
    condition: str = ""

    @property
    def label(self) -> str:
        """What the cells are called."""
        return f"{self.trace}, {self.condition}" if self.condition else self.trace


class Measurer:
    """Runs tasks in a worker; keeps the trace of the last one."""

    def __init__(self) -> None:
        check_build()
        self._trace = Trace("", [])
        self._names: list[str] = []

    def measure(
        self, kind: str, name: str, trace: str, condition: str, length: int | None
    ) -> Answer | None:
        """Requests, early hits and hits by capacity; None for who is not installed."""
        if self._trace.name != trace:
            self._trace = load(trace, length)
            self._names = spelt(self._trace.keys)
        found = {}
        for capacity in self._trace.capacities():
            try:
                outcome = self._run(kind, name, condition, capacity)
            except ImportError:
                return None
            found[str(capacity)] = [len(self._names), outcome.early, outcome.hits]
        return found

    def _run(self, kind: str, name: str, condition: str, capacity: int) -> Outcome:
        keys = self._trace.keys
        if condition and kind == "reference":
            return conditions.run_reference(condition, name, keys, capacity)
        if condition:
            return conditions.run_own(condition, name, keys, self._names, capacity)
        if kind == "reference":
            return run_reference(name, keys, capacity)
        if kind == "peer":
            return run_peer(name, self._names, capacity)
        return run_own(name, self._names, capacity)


def under_judgement() -> str:
    """The policy that the goals are for."""
    return "adaptive" if "adaptive" in own_policies() else DEFAULT_POLICY


def tasks(
    traces: Iterable[str], policies: Iterable[str], peers: Iterable[str]
) -> Iterator[Task]:
    """All there is to do, trace by trace, so that a worker seldom makes one anew."""
    for name in traces:
        for reference in (OPTIMUM, *FIXED):
            yield Task("reference", reference, name)
        for peer in peers:
            yield Task("peer", peer, name)
        for policy in policies:
            for _ in range(RUNS if policy == under_judgement() else 1):
                yield Task("own", policy, name)


def conditional_tasks(policies: Iterable[str]) -> Iterator[Task]:
    """What there is to do under conditions."""
    for condition in (conditions.DEADLINES, conditions.SIZES):
        for name in conditions.TRACES:
            for reference in conditions.contestants(condition):
                yield Task("reference", reference, name, condition)
            for policy in policies:
                yield Task("own", policy, name, condition)


def run(
    todo: list[Task], length: int | None, progress: Progress
) -> tuple[list[Cell], list[str]]:
    """Runs all tasks.

    Args:
        length: requests of a trace at most; None for all that its recipe makes.

    Returns:
        The cells, by trace and ascending capacity, and who is not installed.
    """
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    remembered = Remembered()
    idle: SimpleQueue[Worker] = SimpleQueue()
    workers = [Worker("hit_ratio", build) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        idle.put(worker)

    def perform(task: Task) -> Answer | None:
        found = remembered.get(task.name, task.label, length)
        if found is None:
            worker = idle.get()
            progress.step(f"{task.label}, {task.name}")
            try:
                found = worker.measure(**asdict(task), length=length)
            finally:
                idle.put(worker)
        return found

    cells: dict[tuple[str, int], Cell] = {}
    missing = []
    with ThreadPoolExecutor(len(workers)) as pool:
        try:
            for task, found in zip(todo, pool.map(perform, todo), strict=True):
                if found is None:
                    missing.append(task.name)
                    continue
                if task.kind == "reference":
                    remembered.put(task.name, task.label, length, found)
                for capacity, (requests, early, hits) in found.items():
                    cell = cells.setdefault(
                        (task.label, int(capacity)), Cell(task.label, requests, int(capacity))
                    )
                    cell.outcomes.setdefault(task.name, []).append(Outcome(early, hits))
        finally:
            # a worker that is ended answers its thread with an error, so the pool ends too
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.close()
            remembered.save()
    return list(cells.values()), list(dict.fromkeys(missing))


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: the first requests of the short traces only.
        progress: told of each step.
    """
    page = Page("hit-ratio", "Hit ratios", METHOD)
    traces = list(RECIPES) if quick else list(recipes())
    todo = list(tasks(traces, own_policies(), PEERS))
    cells, missing = run(todo, QUICK_REQUESTS if quick else None, progress)
    page.missing += [f"{name}: not installed" for name in missing]
    page.missing += [
        f"{name} ({about}): set {VARIABLE} to the folder with {name}.trace.xz"
        for name, about in LONG.items()
        if name not in traces
    ]
    tell(page, cells)
    conditional, _ = run(
        list(conditional_tasks(own_policies())), QUICK_REQUESTS if quick else None, progress
    )
    tell_conditions(page, conditional)
    return page


def tell_conditions(page: Page, cells: list[Cell]) -> None:
    """Draws the tables of the cells under conditions."""
    for condition in (conditions.DEADLINES, conditions.SIZES):
        found = [each for each in cells if each.trace.endswith(condition) and not each.is_short]
        if found:
            page.tables.append(board(f"Under {condition}: {len(found)} cells", found))
            page.tables.append(losses(under_judgement(), found))


def tell(page: Page, cells: list[Cell]) -> None:
    """Draws verdicts, tables and the plot of these cells."""
    judged = under_judgement()
    settled = [cell for cell in cells if not cell.is_short]
    short = [cell for cell in cells if cell.is_short]
    of_judged = score(judged, settled)
    if of_judged is not None:
        page.verdicts += verdicts(judged, of_judged)
    first = f"The first {WARM} capacities of requests in the same cells"
    page.tables += [
        board(f"Gaps in points: {len(settled)} cells", settled),
        board(first, settled, early=True),
    ]
    if short:
        title = f"Short cells: {len(short)} with fewer than {WARM} capacities of requests"
        page.tables.append(board(title, short))
    page.tables += [losses(judged, cells), about_traces(cells)]
    for name in dict.fromkeys(cell.trace for cell in cells):
        page.tables.append(ratios(name, [cell for cell in cells if cell.trace == name]))
    plotted = [OPTIMUM, *FIXED, *PLOTTED_PEERS, judged]
    page.plots[PLOT] = draw(cells, plotted, judged)


def verdicts(judged: str, of_judged: Score) -> list[Verdict]:
    """What came of the goals."""
    found = [
        Verdict(
            f"`{judged}`: within {points} of the best of eight on {goal:.0%} of the cells",
            f"{share:.0%}",
            share >= goal,
        )
        for (points, goal), share in zip(SHARES_GOAL.items(), of_judged.within, strict=True)
    ]
    worst, below = of_judged.worst, of_judged.worst_below_lru
    return [
        *found,
        Verdict(
            f"`{judged}`: never more than {WORST_GOAL:.0f} points below the best of eight",
            f"{worst:.1f} at {of_judged.worst_at}",
            worst <= WORST_GOAL,
        ),
        Verdict(
            f"`{judged}`: never more than {BELOW_LRU_GOAL:.0f} points below LRU",
            f"{below:.1f}",
            below <= BELOW_LRU_GOAL,
        ),
    ]


def contestants() -> list[str]:
    """All but the optimum, in the order of the tables."""
    return [*own_policies(), *FIXED, *PEERS]


def board(title: str, cells: list[Cell], early: bool = False) -> Table:
    """The scores of all contestants over some cells."""
    table = Table(
        ["", "mean gap", "within 1", "within 2", "within 3", "worst", "at", "below LRU, worst"],
        title=title,
    )
    for name in contestants():
        found = score(name, cells, early)
        if found is not None:
            table.add(
                shown(name),
                f"{found.mean:.2f}",
                *(f"{share:.0%}" for share in found.within),
                f"{found.worst:.1f}",
                found.worst_at,
                f"{found.worst_below_lru:.1f}",
            )
    return table


def losses(judged: str, cells: list[Cell]) -> Table:
    """The cells in which the judged policy loses the most."""
    table = Table(
        ["cell", "gap, mean of the runs", "gap, worst run", "best", "its ratio", "LRU's"],
        title=f"Where `{judged}` loses most",
    )
    found = sorted(
        (sum(gaps) / len(gaps), index)
        for index, cell in enumerate(cells)
        if (gaps := cell.gaps(judged))
    )
    for gap, index in found[: -SHOWN_LOSSES - 1 : -1]:
        cell = cells[index]
        best, name = cell.best()
        table.add(
            f"{cell.trace}@{cell.capacity}" + (", short" if cell.is_short else ""),
            f"{gap:.2f}",
            f"{max(cell.gaps(judged)):.2f}",
            name,
            f"{best:.2f} %",
            f"{cell.ratios('LRU')[0]:.2f} %",
        )
    return table


def about_traces(cells: list[Cell]) -> Table:
    """What was asked for."""
    table = Table(["trace", "requests", "what"], title="The traces")
    known = recipes()
    for name, requests in {cell.trace: cell.requests for cell in cells}.items():
        table.add(name, f"{requests:,}", known[name].about)
    return table


def ratios(name: str, cells: list[Cell]) -> Table:
    """The hit ratios of one trace."""
    table = Table(["hits in %", *(f"{cell.capacity:,} keys" for cell in cells)], title=name)
    for contestant in (OPTIMUM, *contestants()):
        found = [cell.ratio(contestant) for cell in cells]
        if any(ratio is not None for ratio in found):
            table.add(
                shown(contestant),
                *(NOTHING if ratio is None else f"{ratio:.1f}" for ratio in found),
            )
    return table


def shown(name: str) -> str:
    """A contestant as tables name it: our policies as code."""
    return f"`{name}`" if name in own_policies() else name
