"""Runs the benchmarks and writes their pages: `python -m tests.benchmarks`.

Called by `make bench`. It knows the cases by name and calls the `measure` of each; it keeps
what they tell in results.json beside the pages, so that one case can be run again alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.builds import ROOT, Build
from tests.benchmarks.machine import command_line, run_facts
from tests.benchmarks.page import Page, draw_index, draw_page, draw_verdicts
from tests.benchmarks.progress import Progress
from tests.benchmarks.worker import WorkerError

# in the order of the index; each is a module with `measure(quick, progress) -> Page`
CASES = (
    "in_process",
    "families",
    "decorators",
    "go_peer",
    "invalidation",
    "stalls",
    "listeners",
    "due",
    "threads",
    "memory",
    "tiers",
    "hit_ratio",
    "eviction_cost",
    "wire",
    "connected",
    "plain_redis",
    "conversations",
    "persistence",
    "replication",
    "cluster",
    "operating",
    "django_cache",
    "django_page",
    "dispatch",
    "people",
    "startup",
)


def arguments() -> argparse.Namespace:
    """The command line, read."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measures CacheStorm, compiled and pure, beside its peers.",
    )
    parser.add_argument(
        "cases", nargs="*", metavar="case", help=f"which to run: {' '.join(CASES)} (all)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a minute in all, less exact, into build/benchmarks",
    )
    parser.add_argument("--output", type=Path, help="where to write (docs/benchmarks)")
    chosen = parser.parse_args()
    # a page's name will do as well
    chosen.cases = [name.replace("-", "_") for name in chosen.cases]
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    return chosen


def measure_of(case: str) -> Callable[[bool, Progress], Page]:
    """The function that runs a case."""
    measure: Callable[[bool, Progress], Page]
    measure = importlib.import_module(f"tests.benchmarks.{case}").measure
    return measure


def main() -> int:
    """Runs the chosen cases; 0, whether goals are reached or not."""
    chosen = arguments()
    # by way of an exception, so that workers and servers are ended too
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    folder = chosen.output or ROOT / ("build" if chosen.quick else "docs") / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    if not Build.COMPILED.is_there:
        print(
            "only the pure build is measured: `make compiled` makes the other", file=sys.stderr
        )
    facts = run_facts(command_line())
    store = folder / "results.json"
    results: dict[str, Any] = json.loads(store.read_text("utf-8")) if store.exists() else {}
    for case in chosen.cases or CASES:
        progress = Progress(case)
        try:
            page = measure_of(case)(chosen.quick, progress)
        except WorkerError as error:
            print(f"{case}: not measured: {error}", file=sys.stderr)
            continue
        finally:
            progress.done()
        results[case] = {"facts": facts, "page": page.as_json()}
        (folder / f"{page.name}.md").write_text(draw_page(page, facts), "utf-8")
        for name, picture in page.plots.items():
            (folder / name).write_text(picture, "utf-8")
        print(f"\n{page.title}\n{draw_verdicts(page.verdicts)}\n", flush=True)
        # after every case: a run that is broken off leaves what it had
        store.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    pages = [Page.from_json(results[case]["page"]) for case in CASES if case in results]
    (folder / "index.md").write_text(draw_index(pages), "utf-8")
    print(folder.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
