"""The Python reference: which names its pages show, and which there are.

Run by `make docs` upon the built site: `python tests/docs/reference.py build/site` fails if a
public name or method is not in the inventory that mkdocstrings writes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import zlib
from pathlib import Path
from types import GetSetDescriptorType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "reference"
PACKAGES = (
    "cachestorm",
    "cachestorm.aio",
    "cachestorm.handles",
    "cachestorm.loading",
    "cachestorm.locks",
    "cachestorm.memoizing",
    "cachestorm.testing",
    "cachestorm.views",
)
# a text, which `cachestorm --version` prints
LEFT_OUT = {"cachestorm.__version__"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def shown() -> list[str]:
    """The names that the pages ask mkdocstrings for."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md")))
    return re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)


def sections_of_examples() -> dict[str, str]:
    """What heads the first example of a docstring, by the place of the docstring."""
    found = {}
    for package in ("cachestorm", "cachestorm_server"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, _DOCUMENTED) and ">>> " in (
                    text := ast.get_docstring(node) or ""
                ):
                    heads = re.findall(r"^(\w+):$", text.partition(">>> ")[0], re.MULTILINE)
                    name = getattr(node, "name", "")
                    found[f"{path.relative_to(ROOT)}::{name}"] = heads[-1] if heads else ""
    return found


def public() -> set[str]:
    """The names that the packages say are public."""
    found = {
        f"{package}.{name}"
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
    }
    return found - LEFT_OUT


def resolved(name: str) -> Any:
    """What a dotted name stands for.

    Raises:
        AttributeError: for a name that does not exist.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def methods(name: str) -> set[str]:
    """The public methods of a class that were written for it, not inherited from Python."""
    kind = resolved(name)
    if not inspect.isclass(kind):
        return set()
    return {
        f"{name}.{member}"
        for base in kind.__mro__
        if base.__module__.startswith("cachestorm")
        for member, value in vars(base).items()
        if not member.startswith("_")
        # compiled, a property is what C has instead
        and (callable(value) or isinstance(value, property | GetSetDescriptorType))
    }


def inventory(site: Path) -> set[str]:
    """The names that a built site shows."""
    header = 4
    packed = (site / "objects.inv").read_bytes().split(b"\n", header)[header]
    return {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}


def main() -> int:
    """Compares the site with the packages; 1 if something is missing."""
    there = inventory(Path(sys.argv[1]))
    wanted = public().union(*(methods(name) for name in public()))
    missing = sorted(wanted - there)
    for name in missing:
        print(f"not in the reference: {name}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
