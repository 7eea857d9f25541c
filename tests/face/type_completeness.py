"""How much of its public types the package tells a type checker, beside a floor.

Run by `make lint`: asks `pyright --verifytypes`, which fails for a symbol whose type is left to
be guessed, and names those that are. Where pyright does not run (it needs node) it says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# the share that was reached, rounded down: raise it with what is mended
FLOOR = 0.87
PATIENCE_S = 600
SHOWN = 20


def report() -> dict[str, Any] | str:
    """What pyright says of the package, or why it says nothing."""
    if shutil.which("node") is None:
        return "pyright runs on node, which is not installed"
    python = ["--pythonpath", sys.executable]
    command = [sys.executable, "-m", "pyright", *python, "--verifytypes", "cachestorm"]
    try:
        # from a folder that is not the source, or it is no package that is installed
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [*command, "--ignoreexternal", "--outputjson"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
        found: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    except subprocess.TimeoutExpired:
        return f"pyright has not answered within {PATIENCE_S} seconds"
    except (json.JSONDecodeError, KeyError):
        return f"pyright cannot be had: {done.stderr.strip()[-200:]}"
    return found


def main() -> int:
    """Prints the share, and fails below the floor."""
    found = report()
    if isinstance(found, str):
        print(f"types: not verified, as {found}")
        return 0
    score = found["completenessScore"]
    print(f"types: {score:.1%} of the public symbols are told, {FLOOR:.0%} are the floor")
    if score >= FLOOR:
        return 0
    unknown = [
        (symbol["name"], each["message"])
        for symbol in found["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
        for each in symbol["diagnostics"][:1]
    ]
    for name, message in unknown[:SHOWN]:
        print(f"{name}: {message.splitlines()[0]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
