"""A web developer copies from README and the guide into a project that is checked strictly.

mypy and pyright read what the examples of these pages call, as they would read it there.
Which values the examples give is tested by `test_python_examples.py`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fenced_blocks import ROOT, Page

import cachestorm

PAGES = ("README.md", "docs/guide.md", "docs/tags.md", "docs/eviction.md", "docs/threads.md")
PACKAGES = Path(cachestorm.__file__).resolve().parent.parent


# sources are read, and they are installed with either build
pytestmark = pytest.mark.either_build


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each page."""
    folder = tmp_path_factory.mktemp("project")
    for name in PAGES:
        blocks = Page(ROOT / name).blocks("python")
        assert blocks
        module = folder / f"{Path(name).stem.lower()}_page.py"
        module.write_text("\n".join(block.text for block in blocks), "utf-8")
    return folder


def checked(project: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "MYPYPATH": str(PACKAGES), "PYTHONPATH": str(PACKAGES)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    return done.stdout


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_accepts_the_examples(project: Path) -> None:
    told = checked(project, "mypy", "--strict", ".")
    assert told == f"Success: no issues found in {len(PAGES)} source files\n"


@pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is not installed"
)
def test_pyright_accepts_the_examples(project: Path) -> None:
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(PACKAGES)]}
    (project / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    output = checked(project, "pyright", "--outputjson")
    if not output.startswith("{"):
        pytest.skip("pyright found no Node.js, or could not fetch itself")
    told = json.loads(output)
    refused = [each for each in told["generalDiagnostics"] if each["severity"] == "error"]
    assert refused == []
    assert told["summary"]["filesAnalyzed"] == len(PAGES)
