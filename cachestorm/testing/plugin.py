"""The fixtures that pytest knows wherever CacheStorm is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachestorm.cache import Cache
from cachestorm.clock import ManualClock


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test moves it: `manual_clock.advance(60)`."""
    return ManualClock()


@pytest.fixture
def cachestorm_cache(manual_clock: ManualClock) -> Iterator[Cache]:
    """A fresh cache on the clock of `manual_clock`; checked when the test is over."""
    made = Cache(clock=manual_clock)
    yield made
    made._check()
