"""Help for tests of programs that use CacheStorm: a plugin of pytest.

`pytest_plugins = ["cachestorm.testing"]` in a `conftest.py` brings all fixtures. What is
installed is known to pytest without that, but for `cache`: pytest has a fixture of that name
itself, which is nobody's to replace unasked.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachestorm.cache import Cache
from cachestorm.testing.plugin import cachestorm_cache, manual_clock

__all__ = ["cache", "cachestorm_cache", "manual_clock"]


@pytest.fixture
def cache(cachestorm_cache: Cache) -> Iterator[Cache]:
    """A fresh cache on the clock of `manual_clock`; checked when the test is over."""
    yield cachestorm_cache
