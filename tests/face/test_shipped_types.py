"""What type checkers read: the source lies beside the compiled module, and needs no stubs."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import cachestorm

PACKAGE = Path(cachestorm.__file__).parent
SOURCE = Path(__file__).resolve().parents[2] / "cachestorm"


def test_every_compiled_module_lies_beside_its_source() -> None:
    compiled = [
        path for path in PACKAGE.rglob("*") if path.name.endswith(tuple(EXTENSION_SUFFIXES))
    ]
    assert bool(compiled) == cachestorm.COMPILED
    lonely = [
        path
        for path in compiled
        if not (path.parent / f"{path.name.partition('.')[0]}.py").exists()
    ]
    assert lonely == []


def test_the_source_that_is_installed_is_that_of_the_repository() -> None:
    paths = [path for ending in ("py", "pyi") for path in SOURCE.rglob(f"*.{ending}")]
    assert paths != []
    for path in paths:
        assert (PACKAGE / path.relative_to(SOURCE)).read_bytes() == path.read_bytes(), path


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
