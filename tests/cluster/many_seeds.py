"""Plays many seeds of the simulations, and names those that fail.

    PYTHONPATH=.:tests/cluster python tests/cluster/many_seeds.py 0 10000

A third of them are clusters with keys, clients and slots that move (`keyed_simulation.py`), a
third such as have replicas and an authority (`lease_simulation.py`), and the others clusters
that only have to agree (`simulation.py`).
"""

from __future__ import annotations

import sys
import time
import traceback

from keyed_simulation import play_with_keys
from lease_simulation import play as play_under_leases
from simulation import play


def run(seed: int) -> None:
    """Plays one seed."""
    kind, rest = seed % 3, seed // 3
    if kind == 0:
        play(seed, 3 + rest % 3, 12)
    elif kind == 1:
        play_with_keys(seed, 3 + rest % 2, 60)
    else:
        play_under_leases(seed, 2 + rest % 4, 12, replicas=rest % 3)


def main() -> int:
    first, last = map(int, sys.argv[1:])
    began_at, failed = time.monotonic(), 0
    for seed in range(first, last):
        try:
            run(seed)
        except Exception:
            failed += 1
            print(f"seed {seed}\n{traceback.format_exc()}", flush=True)
        if (seed + 1) % 100 == 0:
            took_s = time.monotonic() - began_at
            print(f"{seed + 1 - first} seeds, {failed} failed, {took_s:.0f} s", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
