"""Every redis-cli, curl and cachestorm example of README and docs runs against a real server.

One server a page, on free ports that take the place of 6380 and 9090; the examples of a
page follow each other, as they do for its reader.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fenced_blocks import Block, Page, pages, pages_with

# of blocks that start several servers: test_cluster_examples.py runs these
JOINS = "redis-cli --cluster create"
START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
READY = re.compile(r"RESP on \S+ port (\d+), HTTP on \S+ port (\d+);")
PROMPT = "127.0.0.1:6380> "


class Running:
    """The ports of a server that runs, and a folder to work in, with `cachestorm` in it."""

    def __init__(self, resp_port: str, http_port: str, folder: str) -> None:
        self.resp_port = resp_port
        self.http_port = http_port
        self.folder = folder
        program = Path(folder, "cachestorm")
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{START}" "$@"\n')
        program.chmod(0o755)
        self.variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "CACHESTORM_URL": f"redis://127.0.0.1:{resp_port}",
        }

    def moved(self, text: str) -> str:
        """A command with the ports of this server, for redis-cli as on a terminal."""
        text = text.replace("6380", self.resp_port).replace("9090", self.http_port)
        return text.replace("redis-cli ", "redis-cli --no-raw ")


@contextmanager
def serving() -> Iterator[Running]:
    """A `cachestorm serve` of the build under test, for as long as the block lasts."""
    kept = {name: text for name, text in os.environ.items() if "CACHESTORM_" not in name}
    process = subprocess.Popen(
        [sys.executable, "-c", START, "serve", "--port", "0", "--http-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        found = None
        lines: list[str] = []
        while found is None:
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
            found = READY.search(lines[-1])
        with tempfile.TemporaryDirectory() as folder:
            yield Running(found[1], found[2], folder)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def printed(command: list[str] | str, server: Running, given: str = "") -> str:
    """What a command prints."""
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=server.folder,
        env=server.variables,
    )
    # redis-cli says how long a command took, where the machine is slow
    return re.sub(r"(?m)^\(\d+\.\d+s\)\n", "", done.stdout)


def assert_same(page: Page, line: int, expected: str, actual: str) -> None:
    """Compares what is shown with what came; `...` stands for anything within a line."""
    pattern = re.escape(expected.rstrip()).replace(re.escape("..."), ".*")
    if not re.fullmatch(pattern, actual.rstrip()):
        # for the difference that pytest shows
        assert expected.rstrip() == actual.rstrip(), f"{page.name}:{line}"


def converse(page: Page, block: Block, server: Running) -> None:
    """Holds one conversation of redis-cli, in one connection."""
    lines = block.text.splitlines()
    asked = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
    expected = "\n".join(line for line in lines if not line.startswith(PROMPT))
    argv = ["redis-cli", "--no-raw", "-p", server.resp_port]
    assert_same(page, block.line, expected, printed(argv, server, "\n".join(asked) + "\n"))


def enter(page: Page, block: Block, server: Running) -> None:
    """Enters the commands of one block at a shell."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = command.removesuffix("\\") + more
        assert_same(page, block.line, expected, printed(server.moved(command), server))


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", pages_with("redis", "console"), ids=lambda page: page.name)
def test_the_server_answers_as_the_page_says(page: Page) -> None:
    with serving() as server:
        for block in page.blocks("redis", "console"):
            if block.kind == "redis":
                converse(page, block, server)
            else:
                enter(page, block, server)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_example_of_a_client_is_left_out(page: Page) -> None:
    unread = [
        f"{page.name}:{block.line}"
        for block in page.blocks("sh", "text")
        if re.search(r"^(\$ )?(redis-cli|curl|cachestorm get) ", block.text, re.MULTILINE)
        and JOINS not in block.text
    ]
    assert unread == []
