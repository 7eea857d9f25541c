"""One type for a cache near and far: it has what both have, with the types of `Cache`."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cachestorm
from cachestorm import AsyncCacheLike, Cache, CacheLike, connect

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = Path(cachestorm.__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "docs"))

import cache_like  # noqa: E402

PROGRAM = """\
from __future__ import annotations

import cachestorm
from cachestorm import AsyncCacheLike, Cache, CacheLike, connect
from cachestorm.remote.connected import AsyncConnectedCache, ConnectedCache
from cachestorm.remote.near_caches import NearCache


class User: ...


async def tasks(aio: AsyncCacheLike[User]) -> None:
    reveal_type(await aio.get("k"))  # User | None
    reveal_type(await aio.zrange("z", withscores=True))  # list[tuple[str, float]]
    reveal_type(await aio.set("k", User()))  # bool
    await aio.set("k", 5)  # refused
    async for key in aio.scan_iter():
        reveal_type(key)  # str
    async with aio.namespace("n") as space:
        reveal_type(await space.get("k"))  # User | None
        reveal_type((await space.capabilities()).tags)  # bool


def near_or_far(cache: CacheLike[User]) -> None:
    reveal_type(cache.get("k"))  # User | None
    reveal_type(cache.get("k", 3))  # User | int
    reveal_type(cache["k"])  # User
    reveal_type(cache.get_or_set("n", lambda: 5))  # int
    reveal_type(cache.hgetall("h"))  # dict[str, Any]
    reveal_type(cache.smembers("s"))  # set[str]
    reveal_type(cache.namespace("n").ttl("k"))  # float | None
    reveal_type(cache.invalidate("t", "u", soft=True))  # int
    reveal_type(cache.capabilities.near)  # bool
    cache.set("k", 5)  # refused
    cache.set("k", User(), colour="red")  # refused
    cache.transaction()  # refused
    cache.get(5)  # refused


def untyped(cache: cachestorm.CacheLike) -> None:
    @cache.memoize
    def square(x: int) -> int:
        return x * x

    reveal_type(square(3))  # int
    reveal_type(cache.get("k"))  # Any | None
    with cache as entered, entered.lock("k", 30):
        pass


async def all_of_them(
    here: Cache[User], there: ConnectedCache, near: NearCache, aio: AsyncConnectedCache
) -> None:
    near_or_far(here)
    near_or_far(there)
    near_or_far(near)
    near_or_far(connect("memory://"))
    untyped(here)
    await tasks(here.aio)
    await tasks(there.aio)
    await tasks(aio)
    reveal_type(await here.aio.get("k"))  # User | None
    reveal_type(await there.aio.get("k"))  # Any | None
    reveal_type(connect("memory://", on_error="miss"))  # CacheLike[Any]
    connect("memory://", on_error="hide")  # refused
"""
QUALIFIED = re.compile(r"\b(?:\w+\.)+(?=\w)")
LINES = dict(enumerate(PROGRAM.splitlines(), 1))
REVEALED = {
    number: line.rpartition("# ")[2] for number, line in LINES.items() if "reveal_type" in line
}
REFUSED = {number for number, line in LINES.items() if line.endswith("# refused")}


@pytest.mark.either_build
def test_the_types_are_those_of_the_source() -> None:
    assert cache_like.TARGET.read_text("utf-8") == cache_like.text()


def test_what_is_typed_is_there_and_takes_the_same_arguments() -> None:
    here, there = Cache(), connect("redis://nowhere")
    assert isinstance(here, CacheLike) and isinstance(there, CacheLike)
    assert isinstance(here.aio, AsyncCacheLike) and isinstance(there.aio, AsyncCacheLike)
    names = cache_like.names()
    assert len(names) > 150
    for name in names:
        assert callable(getattr(there, name)), name
        if not name.startswith("_"):
            known = inspect.signature(getattr(Cache, name)).parameters
            assert set(inspect.signature(getattr(type(there), name)).parameters) == set(known)


def checked(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    from test_revealed_types import run

    return run(*argv, cwd=cwd)


@pytest.mark.either_build
def test_mypy_knows_what_a_call_gives(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    cache = ROOT / ".mypy_cache" / "pure"
    done = checked(
        "mypy", "--strict", "--hide-error-context", f"--cache-dir={cache}", "program.py",
        cwd=tmp_path,
    )  # fmt: skip
    revealed: dict[int, str] = {}
    refused = set()
    for path, line, kind, said in re.findall(
        r"^([^:\n]+):(\d+): (note|error): (.*)$", done.stdout, re.M
    ):
        assert path == "program.py", done.stdout
        if kind == "error":
            refused.add(int(line))
        elif match := re.fullmatch(r'Revealed type is "(.*)"', said):
            revealed[int(line)] = QUALIFIED.sub("", match[1])
    assert (revealed, refused) == (REVEALED, REFUSED)


@pytest.mark.either_build
def test_pyright_knows_what_a_call_gives(tmp_path: Path) -> None:
    from test_revealed_types import pyright

    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(INSTALLED)], "pythonVersion": "3.11"})
    )
    report: dict[str, Any] = pyright("--pythonpath", sys.executable, "program.py", cwd=tmp_path)
    revealed: dict[int, str] = {}
    refused = set()
    for each in report["generalDiagnostics"]:
        line = each["range"]["start"]["line"] + 1
        if each["severity"] == "error":
            refused.add(line)
        elif match := re.fullmatch(r'Type of ".*" is "(.*)"', each["message"], re.S):
            revealed[line] = QUALIFIED.sub("", match[1])
    assert (revealed, refused) == (REVEALED, REFUSED)


@pytest.mark.parametrize("place", ["memory://", "redis://nowhere"])
def test_what_is_awaited_is_there(place: str) -> None:
    aio = connect(place).aio
    stub = cache_like.TARGET.read_text("utf-8").partition("class AsyncCacheLike")[2]
    names = set(re.findall(r"def ([a-z]\w*)\(", stub))
    assert {name for name in names if not hasattr(aio, name)} == set()
