"""The fixtures of the contract, and where helpers of other folders are found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for folder in ("server", "remote"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from caches import PLACES, WITH_TAGS, cache_at  # noqa: E402


@pytest.fixture(params=PLACES)
def cache(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty cache at each place."""
    with cache_at(request.param, request) as cache:
        yield cache


@pytest.fixture(params=WITH_TAGS)
def tagged(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty cache at each place that knows tags."""
    with cache_at(request.param, request) as cache:
        yield cache
