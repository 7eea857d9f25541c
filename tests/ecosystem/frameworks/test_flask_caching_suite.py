"""Flask-Caching's generic tests for backends, from its source distribution, on ours."""

from __future__ import annotations

import importlib.util
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from upstream_sources import sources

from cachestorm.contrib.flask import CacheStormCache


def _upstream() -> Any:
    path = sources("flask_caching") / "tests" / "test_backend_cache.py"
    spec = importlib.util.spec_from_file_location("flask_caching_backend_tests", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class TestInMemory(_upstream().GenericCacheTests):  # type: ignore[misc]
    """In this process."""

    _can_use_fast_sleep = False

    @pytest.fixture
    def sleep(self) -> Callable[[float], None]:
        return time.sleep

    @pytest.fixture
    def make_cache(self) -> Callable[[], CacheStormCache]:
        return lambda: CacheStormCache(f"memory://{secrets.token_hex(4)}")


class TestOnOurServer(TestInMemory):
    """On a server."""

    @pytest.fixture
    def make_cache(self, url: str) -> Callable[[], CacheStormCache]:
        def make() -> CacheStormCache:
            cache = CacheStormCache(url, secrets=["of the tests"])
            cache.clear()
            return cache

        return make
