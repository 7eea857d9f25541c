"""The price of importing: what a program pays before its first call.

Goal: `import cachestorm` takes less than 50 ms.
"""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample

LIMIT_MS = 50.0
GOAL = "import cachestorm"
STATEMENTS = (
    (GOAL, Build),
    ("from cachestorm import Cache; Cache().set('key', b'value')", Build),
    ("import cachebox", None),
    ("import cachetools", None),
)
TIMED = "from time import perf_counter as t; start = t(); {}; print((t() - start) * 1e3)"

METHOD = """
Milliseconds from before the statement to after it, in a fresh interpreter each time, the byte
code and the files in the operating system's cache: the first round is not counted.
"""


def statement_ms(statement: str, build: Build) -> float:
    """Milliseconds that a statement takes in a fresh interpreter.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    run = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)],
        env=build.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer rounds.
        progress: told of each step.
    """
    rounds = 5 if quick else 25
    page = Page("startup", "The price of importing", METHOD)
    rows = [
        (f"`{statement}`" + (f", {build.value}" if kind else ""), statement, build)
        for statement, kind in STATEMENTS
        for build in (builds() if kind else [Build.PURE])
    ]
    samples: dict[str, Sample] = {}
    for turn in range(rounds + 1):
        progress.step(f"round {turn} of {rounds}")
        for name, statement, build in list(rows):
            try:
                measured = statement_ms(statement, build)
            except subprocess.CalledProcessError as error:
                page.missing.append(f"{name}: {error.stderr.strip().splitlines()[-1]}")
                rows.remove((name, statement, build))
                continue
            if turn:
                samples.setdefault(name, Sample()).add(measured)
    table = Table(["", "ms"])
    for name, sample in samples.items():
        table.add(name, spread(sample))
        if GOAL in name and "from" not in name:
            page.verdicts.append(
                Verdict(
                    f"{name}: under {number(LIMIT_MS)} ms",
                    f"{number(sample.median)} ms",
                    sample.median < LIMIT_MS,
                )
            )
    page.tables.append(table)
    return page
