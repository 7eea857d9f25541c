"""An extra for users installs what the packages import, and nothing else."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("cachestorm", "cachestorm_server", "cachestorm_cli")
EXTRAS = ("remote", "cli", "server", "all")
NAMES = {"pyyaml": "yaml"}


def installed() -> set[str]:
    """The modules that come with the dependencies and extras for users."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    listed = [*project["dependencies"]]
    for extra in EXTRAS:
        listed += project["optional-dependencies"][extra]
    found = {re.split(r"[^\w.-]", name)[0].lower() for name in listed} - {"cachestorm"}
    return {NAMES.get(name, name) for name in found}


def imported() -> set[str]:
    """The first names of all modules that the packages import."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.partition(".")[0])
    return found


def test_whatever_an_extra_installs_is_imported() -> None:
    assert installed() - imported() == set()
