"""Type checkers know what a view holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def test_mypy_agrees_with_every_line() -> None:
    # with the folder of tests in mypy's path the example would shadow the package's own tests
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"),
         str(HERE / "typed_views.py")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == (
        "Success: no issues found in 1 source file", 0,
    )  # fmt: skip
