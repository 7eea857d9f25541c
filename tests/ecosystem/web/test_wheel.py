"""The pages are in the wheel, and are served from where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.request import urlopen

from processes import environment, running

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ["cachestorm", "cachestorm_server", "cachestorm_cli", "compiling"]
FILES = ["pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"]
START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"


def test_the_dashboard_is_served_from_an_installed_wheel(tmp_path) -> None:
    tree, wheels, installed = (tmp_path / name for name in ("tree", "wheels", "installed"))
    tree.mkdir()
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "-w", str(wheels), str(tree)],
        check=True,
        timeout=240,
        env=os.environ | {"CACHESTORM_PURE": "1"},
    )
    [wheel] = wheels.glob("*.whl")
    # what installing a wheel of Python alone comes to
    zipfile.ZipFile(wheel).extractall(installed)
    serve = [sys.executable, "-c", START, "serve", "--port", "0", "--http-port", "0"]
    with running(serve, environment(installed)) as output:
        port = output.wait_for(r"HTTP on \S+ port (\d+)")[1]
        page = urlopen(f"http://127.0.0.1:{port}/", timeout=60).read().decode()
        links = [link for link in re.findall(r'(?:src|href)="(/static/[^"]*)"', page)]
        assert len(links) >= 3
        for link in links:
            answer = urlopen(f"http://127.0.0.1:{port}{link}", timeout=60)
            assert (
                answer.read() == (installed / "cachestorm_server/web" / link[1:]).read_bytes()
            )
