"""A quick look at our own policies: `python -m tests.benchmarks.hit_ratio adaptive`.

For whoever changes a policy: it prints the scores and where the first of them loses, runs no
peers, and writes no page.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.hit_ratio.contestants import own_policies
from tests.benchmarks.hit_ratio.judge import (
    QUICK_REQUESTS,
    board,
    losses,
    run,
    tasks,
    under_judgement,
    verdicts,
)
from tests.benchmarks.hit_ratio.scoreboard import score
from tests.benchmarks.hit_ratio.traces import RECIPES, recipes
from tests.benchmarks.page import draw_table, draw_verdicts
from tests.benchmarks.progress import Progress
from tests.benchmarks.worker import WorkerError


def main() -> int:
    """Runs the chosen policies."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hit_ratio")
    parser.add_argument("policies", nargs="*", metavar="policy", help=", ".join(own_policies()))
    parser.add_argument(
        "--trace",
        action="append",
        choices=list(recipes()),
        metavar="trace",
        help=f"may be given several times: {', '.join(recipes())} (all)",
    )
    parser.add_argument("--quick", action="store_true", help="the first requests only")
    chosen = parser.parse_args()
    if unknown := set(chosen.policies) - set(own_policies()):
        parser.error(f"no such policy: {', '.join(unknown)}")
    policies = chosen.policies or [under_judgement()]
    traces = chosen.trace or list(RECIPES if chosen.quick else recipes())
    length = QUICK_REQUESTS if chosen.quick else None
    progress = Progress("hit_ratio")
    try:
        cells, _ = run(list(tasks(traces, policies, peers=())), length, progress)
    except WorkerError as error:
        print(error, file=sys.stderr)
        return 1
    settled = [cell for cell in cells if not cell.is_short]
    print(draw_table(board(f"{len(settled)} cells", settled)), end="\n\n")
    if short := [cell for cell in cells if cell.is_short]:
        print(draw_table(board(f"{len(short)} short cells", short)), end="\n\n")
    print(draw_table(losses(policies[0], cells)), end="\n\n")
    if (found := score(policies[0], settled)) is not None:
        print(draw_verdicts(verdicts(policies[0], found)))
    progress.done()
    return 0


if __name__ == "__main__":
    sys.exit(main())
