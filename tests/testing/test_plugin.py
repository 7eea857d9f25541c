"""The plugin of pytest: fixtures for programs that use CacheStorm."""

from __future__ import annotations

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.testing import cache, cachestorm_cache, manual_clock

__all__ = ["cache", "cachestorm_cache", "manual_clock"]


def test_a_cache_runs_on_the_manual_clock(cache: Cache, manual_clock: ManualClock) -> None:
    cache.set("k", 1, ttl=60)
    manual_clock.advance(60)
    assert cache.get("k") is None


def test_each_test_gets_a_fresh_cache(cache: Cache, cachestorm_cache: Cache) -> None:
    assert (cache.keys(), cache is cachestorm_cache) == ([], True)


def test_the_plugin_leaves_the_fixture_of_pytest_alone() -> None:
    import cachestorm.testing.plugin as plugin

    fixtures = {name for name, each in vars(plugin).items() if type(each) is type(manual_clock)}
    assert fixtures == {"manual_clock", "cachestorm_cache"}
    assert pytest is not None
