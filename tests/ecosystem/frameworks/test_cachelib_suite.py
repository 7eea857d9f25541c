"""cachelib's own tests for backends, from its source distribution, on ours."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from typing import Any

import pytest
from upstream_sources import sources

from cachestorm.contrib.cachelib import CacheStormCache

TESTS = sources("cachelib") / "tests"


def _upstream(name: str) -> Any:
    """A module of cachelib's tests, which import `conftest`: theirs, while they are loaded."""
    ours = sys.modules.get("conftest")
    try:
        sys.modules["conftest"] = _loaded("conftest")
        return _loaded(name)
    finally:
        if ours is not None:
            sys.modules["conftest"] = ours


def _loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"cachelib_{name}", TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _All(  # type: ignore[misc]
    _upstream("common").CommonTests, _upstream("has").HasTests, _upstream("clear").ClearTests
):
    """The mixins that are about any cache."""


class TestInMemoryByCachelib(_All):
    """In this process."""

    def cache_factory(self, *args: Any, **kwargs: Any) -> CacheStormCache:
        return CacheStormCache(f"memory://{secrets.token_hex(4)}", *args, **kwargs)


class TestSharedByCachelib(_All):
    """Shared by the processes of a machine."""

    @pytest.fixture(autouse=True)
    def _at(self, local: str) -> None:
        self.url = local

    def cache_factory(self, *args: Any, **kwargs: Any) -> CacheStormCache:
        cache = CacheStormCache(self.url, *args, secrets=["of the tests"], **kwargs)
        cache.clear()
        return cache


class TestOnOurServerByCachelib(_All):
    """On a server."""

    @pytest.fixture(autouse=True)
    def _at(self, url: str) -> None:
        self.url = url

    def cache_factory(self, *args: Any, **kwargs: Any) -> CacheStormCache:
        cache = CacheStormCache(self.url, *args, secrets=["of the tests"], **kwargs)
        cache.clear()
        return cache
