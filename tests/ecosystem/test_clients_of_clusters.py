"""Clients that know Redis Cluster and are not of Python's `redis`, with three nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import environment, installed

from tests.cluster.node_processes import PATIENT, Node, cluster_of

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with cluster_of(tmp_path_factory.mktemp("nodes"), **PATIENT) as nodes:
        yield nodes


def test_ioredis(nodes: list[Node]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    modules = installed("node") / "node_modules"
    program = FOLDER / "node" / "ioredis_cluster.test.cjs"
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", str(program)],
        env=environment(PORT=str(nodes[0].port), NODE_PATH=str(modules)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_valkey_glide(nodes: list[Node]) -> None:
    packages = installed("valkey-glide")
    done = subprocess.run(
        [sys.executable, str(FOLDER / "glide_calls.py"), str(nodes[0].port)],
        env=environment(packages),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["True", "20", "20", "30 30"], done.stderr
