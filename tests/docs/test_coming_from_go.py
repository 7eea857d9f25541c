"""The table of the README for those who come from the Go projects: each row works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from cachestorm import Cache
from cachestorm_cli.app import main
from cachestorm_cli.flags import translate
from cachestorm_server.hosting import serve

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "README.md").read_text().partition("| There | Here |\n|---|---|\n")[2]
ROWS = [
    re.findall(r"`([^`]+)`", row.split("|")[2])
    for row in TABLE.partition("\n\n")[0].splitlines()
]
COMMANDS = [command for row in ROWS for command in row]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, str]]:
    """Where the ports of the README really are."""
    with serve(Cache(), port=0, http_port=0) as protocols:
        yield {"6380": str(protocols.resp.port), "9090": str(protocols.http.port)}


def test_every_row_has_something_to_type() -> None:
    assert len(ROWS) == 14
    assert [] not in ROWS


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_table_says_can_be_typed(command, ports, capsys, monkeypatch) -> None:
    words = shlex.split(re.sub("6380|9090", lambda found: ports[found[0]], command))
    match words[0]:
        case "make":
            made = (ROOT / "Makefile").read_text()
            assert re.search(rf"^{words[1]}:.*##", made, re.MULTILINE)
        case "cachestorm" if "-cli" in words:
            monkeypatch.setenv("CACHESTORM_URL", f"redis://127.0.0.1:{ports['6380']}")
            assert run(words[1:]) == 0
            assert capsys.readouterr().out == "PONG\n"
        case "cachestorm":
            ours = translate(words[1:])
            assert ours[0] == "serve"
            assert run(["serve", "--help"]) == 0
            told = capsys.readouterr().out
            assert [word for word in ours if word.startswith("--") and word not in told] == []
        case "redis-cli" | "redis-benchmark" | "curl":
            if shutil.which(words[0]) is None:
                pytest.skip(f"{words[0]} is not installed")
            words = ["100" if word == "100000" else word for word in words]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert (done.returncode, "ERR" in done.stdout) == (0, False), done.stderr
        case "docker":
            for flag, path in pairwise(words):
                if flag == "-f":
                    assert (ROOT / path).is_file()
        case "helm":
            assert yaml.safe_load((ROOT / words[-1] / "Chart.yaml").read_text())["apiVersion"]
        case "kubectl":
            assert (ROOT / words[-1]).is_file()
        case _:
            raise AssertionError(command)


def run(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
