"""What mypy and pyright reveal of calls on a cache, with what is installed for a user.

In the compiled build that is the same source: see `test_shipped_types.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from revealed import PREAMBLE, REFUSED, REVEALED

import cachestorm

INSTALLED = Path(cachestorm.__file__).parent.parent
SOURCE = Path(__file__).resolve().parent.parent.parent
FIRST_LINE = PREAMBLE.count("\n") + 1
PROGRAM = "".join(
    [
        PREAMBLE,
        *(f"reveal_type({expression})\n" for expression, _ in REVEALED),
        *(f"{statement}\n" for statement in REFUSED),
    ]
)
# less than what pytest gives a test, whose end would be that of all tests
PATIENCE_S = 200
# a qualified name, of which the last word is compared
QUALIFIED = re.compile(r"\b(?:\w+\.)+(?=\w)")


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = {"MYPYPATH": str(INSTALLED), "PYTHONPATH": str(INSTALLED)}
    return subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=cwd,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def compare(revealed: dict[int, str], refused: set[int]) -> None:
    lines = range(FIRST_LINE, FIRST_LINE + len(REVEALED))
    actual = [
        (expression, QUALIFIED.sub("", revealed.get(line, "nothing")))
        for line, (expression, _) in zip(lines, REVEALED, strict=True)
    ]
    assert actual == REVEALED
    after = FIRST_LINE + len(REVEALED)
    assert refused == set(range(after, after + len(REFUSED)))


@pytest.mark.either_build
def test_mypy_reveals_what_a_call_gives(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    cache = SOURCE / ".mypy_cache" / "pure"
    done = run(
        "mypy", "--strict", "--hide-error-context", f"--cache-dir={cache}", "program.py",
        cwd=tmp_path,
    )  # fmt: skip
    revealed: dict[int, str] = {}
    refused: set[int] = set()
    for path, line, kind, text in re.findall(
        r"^([^:\n]+):(\d+): (note|error): (.*)$", done.stdout, re.M
    ):
        assert path == "program.py"
        if kind == "error":
            refused.add(int(line))
        elif match := re.fullmatch(r'Revealed type is "(.*)"', text):
            revealed[int(line)] = match[1]
    compare(revealed, refused)


def pyright(*argv: str, cwd: Path) -> dict[str, object]:
    pytest.importorskip("pyright")
    if shutil.which("node") is None:
        pytest.skip("pyright runs on node, which is not installed")
    try:
        done = run("pyright", "--outputjson", *argv, cwd=cwd)
        report: dict[str, object] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        pytest.skip("pyright, which asks a registry for itself first, has not answered in time")
    except json.JSONDecodeError:
        pytest.skip(f"pyright cannot be had: {done.stderr.strip()[-200:]}")
    return report


@pytest.mark.either_build
def test_pyright_reveals_what_a_call_gives(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(INSTALLED)], "pythonVersion": "3.11"})
    )
    report = pyright("--pythonpath", sys.executable, "program.py", cwd=tmp_path)
    revealed: dict[int, str] = {}
    refused: set[int] = set()
    diagnostics = report["generalDiagnostics"]
    assert isinstance(diagnostics, list)
    for each in diagnostics:
        line = each["range"]["start"]["line"] + 1
        if each["severity"] == "error":
            refused.add(line)
        elif match := re.fullmatch(r'Type of ".*" is "(.*)"', each["message"], re.S):
            revealed[line] = match[1]
    compare(revealed, refused)
