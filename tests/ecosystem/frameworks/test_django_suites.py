"""Django's own test suites, from its source distribution, on our backend and our server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment
from upstream_sources import sources

HARNESS = Path(__file__).with_name("upstream_django.py")


def run(suite: str, location: str) -> tuple[int, int]:
    """How many tests ran and how many were skipped; fails if one of them did."""
    done = subprocess.run(
        [sys.executable, str(HARNESS), suite, str(sources("django")), location],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    skipped = re.search(r"skipped=(\d+)", done.stderr)
    assert ran is not None
    return int(ran[1]), int(skipped[1]) if skipped else 0


@pytest.mark.parametrize(
    ("suite", "count"),
    [("cache", 54), ("async", 54), ("sessions-cache", 70), ("sessions-cached-db", 70)],
)
def test_django_finds_no_fault_with_the_cache_in_memory(suite: str, count: int) -> None:
    ran, skipped = run(suite, "memory://suite")
    assert ran >= count
    assert skipped == 0


# the three that Django leaves out for its Redis backend as well: they cull
@pytest.mark.parametrize(
    ("suite", "count", "culling"),
    [
        ("cache", 54, 3),
        ("async", 54, 3),
        ("sessions-cache", 70, 0),
        ("sessions-cached-db", 70, 0),
        ("redis-backend", 62, 3),
    ],
)
def test_django_finds_no_fault_with_the_cache_on_our_server(
    suite: str, count: int, culling: int, port: int
) -> None:
    ran, skipped = run(suite, f"redis://127.0.0.1:{port}")
    assert ran >= count
    assert skipped == culling


@pytest.mark.parametrize(
    ("suite", "count", "culling"),
    [("cache", 54, 3), ("async", 54, 3), ("sessions-cache", 70, 0)],
)
def test_django_finds_no_fault_with_the_cache_that_processes_share(
    suite: str, count: int, culling: int, local: str
) -> None:
    ran, skipped = run(suite, local)
    assert ran >= count
    assert skipped == culling
