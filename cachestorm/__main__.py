"""`python -m cachestorm`: a real access trace through a cache, to see what it does.

Called from the command line; calls the replay. Needs nothing but the core: where rich is
installed the progress bar is rich's.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from cachestorm import COMPILED, Cache, CacheStormError, __version__
from cachestorm.cache import DEFAULT_POLICY
from cachestorm.eviction.policies import POLICIES
from cachestorm.replay import Outcome, read_trace, replay, zipf_trace

TRACE = Path("tests", "data", "web12.trace.xz")
# where the source tree may be: at hand, or around this file
TREES = (Path(), Path(__file__).resolve().parent.parent)
# the working set of the trace that lies in the source tree is some four times as large
DEFAULT_MEMORY = "4mb"
ZIPF_REQUESTS, ZIPF_KEYS = 200_000, 20_000
BAR = 30


class PlainBar:
    """A progress bar of ASCII on the standard error; silent where nobody watches."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Callable[[int], None]:
        return self._show

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            print(file=sys.stderr)

    def _show(self, done: int) -> None:
        if self._live:
            filled = BAR * done // self._total
            bar = "#" * filled + "." * (BAR - filled)
            print(f"\r[{bar}] {done:,} requests", end="", file=sys.stderr, flush=True)


def run(trace: list[int], cache: Cache) -> Outcome:
    """Replays under a progress bar."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        with PlainBar(len(trace)) as show:
            return replay(trace, cache, show)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("requests", total=len(trace))
        return replay(trace, cache, lambda done: bar.update(task, completed=done))


def options() -> argparse.ArgumentParser:
    """What may be given."""
    parser = argparse.ArgumentParser(
        prog="python -m cachestorm",
        description="Replays an access trace through a tagged cache of limited memory.",
    )
    parser.add_argument(
        "trace",
        nargs="?",
        help="array of big-endian 32-bit keys, .xz or bare; by default tests/data/"
        "web12.trace.xz, and without it a made-up trace ('zipf' asks for that one)",
    )
    parser.add_argument("--max-memory", default=DEFAULT_MEMORY, metavar="SIZE")
    parser.add_argument("--entries", type=int, metavar="N", help="limit in keys as well")
    policies = ", ".join(POLICIES)
    parser.add_argument("--policy", default=DEFAULT_POLICY, help=f"one of {policies}")
    return parser


def choose(given: str | None) -> tuple[str, list[int]]:
    """A trace and what it is called.

    Raises:
        CacheStormError: for a file that is not a trace.
    """
    if given is None:
        found = [tree / TRACE for tree in TREES if (tree / TRACE).is_file()]
        given = str(found[0]) if found else None
    if given is not None and given != "zipf":
        return os.path.basename(given), read_trace(given)
    if given is None:
        print(
            f"no trace was given and there is no {TRACE} here, as in the source tree: "
            "a made-up one is replayed",
            file=sys.stderr,
        )
    return f"zipf over {ZIPF_KEYS:,} keys", zipf_trace(ZIPF_REQUESTS, ZIPF_KEYS)


def main(arguments: list[str] | None = None) -> int:
    """Runs the replay. Returns an exit code."""
    chosen = options().parse_args(arguments)
    try:
        cache = Cache(chosen.max_memory, chosen.entries, policy=chosen.policy)
        name, trace = choose(chosen.trace)
        outcome = run(trace, cache)
    except CacheStormError as error:
        print(f"cachestorm: {error}", file=sys.stderr)
        return error.exit_code
    mode = "compiled" if COMPILED else "pure"
    limit = f"{chosen.max_memory} of memory"
    if chosen.entries:
        limit += f", {chosen.entries:,} keys"
    print(f"CacheStorm {__version__} ({mode}): {name} through {limit}, {cache.policy}")
    print(outcome.report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
