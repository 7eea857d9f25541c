"""Which of the two builds is under test: the one that was asked for, and nothing of the other.

A stale compiled module beside its source, or a source tree that comes first on the path,
would make a whole run of the suite say nothing.
"""

from __future__ import annotations

import fnmatch
import importlib
import os
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import cachestorm

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cachestorm", "cachestorm_server", "cachestorm_cli")


def modules_to_compile() -> list[str]:
    """Names of the modules that the build compiles, from the list that the build reads."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = tomllib.load(file)["tool"]["cachestorm"]["compile"]
    paths = {
        path.relative_to(ROOT).as_posix()
        for pattern in listed["modules"]
        for path in ROOT.glob(pattern)
    }
    for pattern in listed["except"]:
        paths.difference_update(fnmatch.filter(paths, pattern))
    return sorted(path.removesuffix(".py").replace("/", ".") for path in paths)


def is_compiled(name: str) -> bool:
    """Whether the module of this name, as it is imported here, is an extension module."""
    path = importlib.import_module(name).__file__
    assert path is not None
    return path.endswith(tuple(EXTENSION_SUFFIXES))


def test_the_build_under_test_is_the_one_that_was_asked_for() -> None:
    expected = os.environ.get("CACHESTORM_EXPECT")
    if expected is None:
        pytest.skip("CACHESTORM_EXPECT is not set: either build will do")
    actual = "compiled" if cachestorm.COMPILED else "pure"
    assert actual == expected


@pytest.mark.parametrize("name", modules_to_compile())
def test_every_listed_module_is_of_the_build_that_runs(name: str) -> None:
    assert is_compiled(name) == cachestorm.COMPILED


def test_every_pattern_of_the_list_finds_a_module() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["cachestorm"]["compile"]["modules"]
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []


def test_no_compiled_module_lies_beside_its_source() -> None:
    stale = [
        path
        for package in PACKAGES
        for suffix in (".so", ".pyd")
        for path in (ROOT / package).rglob(f"*{suffix}")
    ]
    stale += [*ROOT.glob("*.so"), *ROOT.glob("*.pyd")]
    assert stale == []
