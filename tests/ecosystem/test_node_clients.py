"""The clients of Node.js, each in tests of its own language, which lie in `node/`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from processes import environment, installed

FOLDER = Path(__file__).parent / "node"


@pytest.mark.parametrize("client", ["ioredis", "node_redis"])
def test_what_its_readme_shows_works(client: str, port: int) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    modules = installed("node") / "node_modules"
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", str(FOLDER / f"{client}.test.cjs")],
        env=environment(PORT=str(port), NODE_PATH=str(modules)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
