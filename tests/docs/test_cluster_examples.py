"""The pages that start three nodes at a terminal: their lines make one cluster."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest
import redis
from fenced_blocks import ROOT, Page, pages
from test_server_examples import JOINS, START

PATIENCE_S = 300
PAGES = [page for page in pages() if any(JOINS in block.text for block in page.blocks("sh"))]


def is_free(port: int) -> bool:
    with closing(socket.socket()) as listening:
        try:
            listening.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports() -> str:
    """In the place of 700: ports, and with a 1 before them more, end on 1 to 3 and are free."""
    begins = [str(number) for number in range(210, 550)]
    Random(os.getpid()).shuffle(begins)
    return next(
        begin
        for begin in begins
        if all(is_free(int(f"{more}{begin}{end}")) for more in ("", "1") for end in (1, 2, 3))
    )


def write_files(page: Page, begin: str, folder: Path) -> None:
    """The files that the page shows the first of."""
    for block in page.blocks("yaml"):
        if "# node1.yaml" in block.text:
            for node in "123":
                text = re.sub(r"700\d", f"{begin}{node}", block.text)
                text = re.sub(r"\bn1\b", f"n{node}", text)
                text = text.replace("/var/lib/cachestorm", str(folder))
                Path(folder, f"node{node}.yaml").write_text(text)


def test_there_are_such_pages() -> None:
    assert {page.name for page in PAGES} == {"README.md", "docs/cluster.md"}


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_lines_of_the_page_make_a_cluster(page: Page, tmp_path: Path) -> None:
    begin = free_ports()
    write_files(page, begin, tmp_path)
    program = tmp_path / "cachestorm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{START}" "$@"\n')
    program.chmod(0o755)
    kept = {name: text for name, text in os.environ.items() if "CACHESTORM_" not in name}
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)]),
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
    }
    (block,) = (block for block in page.blocks("sh") if JOINS in block.text)
    lines = block.text.replace("700", begin)
    done, said = tmp_path / "done", tmp_path / "said"
    with said.open("wb") as output:
        # as they are pasted: one after the other, in one shell
        shell = subprocess.Popen(
            ["/bin/sh", "-ec", f"{lines}\ntouch done\nwait"],
            cwd=tmp_path,
            env=environment,
            start_new_session=True,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        ends_at = monotonic() + PATIENCE_S
        while not done.exists() and shell.poll() is None and monotonic() < ends_at:
            sleep(0.1)
        assert (done.exists(), "ERR" in said.read_text()) == (True, False), said.read_text()
        with redis.Redis(port=int(begin + "1"), decode_responses=True) as client:
            assert client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
