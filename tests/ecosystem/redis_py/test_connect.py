"""Caches near and far with each redis-py: shared by workers, and on a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_owners import kill_owner, owners_folder

import cachestorm


@pytest.fixture(params=["local", "server"])
def cache(
    request: pytest.FixtureRequest, port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    if request.param == "server":
        with cachestorm.connect(f"redis://127.0.0.1:{port}") as cache:
            cache.flushall()
            yield cache
        return
    pytest.importorskip("fcntl", reason="local:// is refused on this system")
    with owners_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        with cachestorm.connect("local://clients") as cache:
            yield cache


def test_values_tags_loads_and_locks(cache: Any) -> None:
    assert cache.set("k", {"a": 1}, 60, tags=["t"]) is True
    assert (cache.get("k"), cache.tags("k"), cache.get_many(["k"])) == (
        {"a": 1},
        ["t"],
        {"k": {"a": 1}},
    )
    assert cache.get_or_set("loaded", lambda: "text", tags=["t"]) == "text"
    assert cache.modify("n", lambda number: (number or 0) + 1) == 1
    assert (cache.invalidate("t"), cache.keys()) == (2, ["n"])
    with cache.lock("l"):
        assert cache.lock("l").acquire(timeout=0) is False
    space = cache.namespace("space")
    space.set("k", 1)
    assert (space.get("k"), cache.get("k")) == (1, None)


def test_tasks(cache: Any) -> None:
    async def course() -> list[Any]:
        async with cache.aio as tasks:
            await tasks.set("k", "text", tags=["t"])
            found = [await tasks.get("k"), await tasks.incr("n"), await tasks.invalidate("t")]
            return [*found, await tasks.get_or_set("loaded", lambda: 1)]

    assert asyncio.run(course()) == ["text", 1, 1, 1]


def test_an_owner_that_has_died_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl", reason="local:// is refused on this system")

    async def course(cache: Any, path: Path) -> list[Any]:
        async with cache.aio as tasks:
            await tasks.set("k", 1)
            kill_owner(path)
            return [await tasks.get("k"), await tasks.set("k", 2), await tasks.get("k")]

    with owners_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        path = folder / "cachestorm" / "clients.sock"
        with cachestorm.connect("local://clients") as cache:
            cache.set("k", 1)
            assert kill_owner(path) is not None
            assert (cache.get("k"), cache.set("k", 2), cache.get("k")) == (None, True, 2)
            assert asyncio.run(course(cache, path)) == [None, True, 2]
