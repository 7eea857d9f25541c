"""The example of a plugin, `docs/examples/rate_limits`: installed by pip, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import Running, run

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "rate_limits"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where pip has put it; nothing of it comes from the network."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for each in EXAMPLE.iterdir():
        (source / each.name).write_bytes(each.read_bytes())
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            *offline,
            "--target",
            str(target),
            str(source),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed")
    assert done.returncode == 0, done.stderr
    return str(target)


@pytest.fixture
def variables(installed: str) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([*sys.path, installed])}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "cachestorm.yaml"
    path.write_text(
        "server: {port: 0}\n"
        "http: {port: 0}\n"
        "plugins:\n"
        "  rate_limits: {limits: {'login:': 2}, window: 1h}\n"
    )
    return str(path)


def test_it_limits_shows_and_counts(file: str, variables: dict[str, str]) -> None:
    running = Running("serve", "--config", file, **variables)
    try:
        for _ in range(2):
            assert running.cli("INCR", "login:ada").returncode == 0
        refused = running.cli("INCR", "login:bob").stderr
        assert refused.startswith("RATELIMITED 2 calls for login:* are allowed; try again in ")
        assert running.cli("SET", "other", "1").stdout == "OK\n"
        assert running.cli("RATELIMIT", "login:").stdout.strip() == "2"
        url = f"http://127.0.0.1:{running.http_port}/rate-limits"
        with urllib.request.urlopen(url, timeout=60) as answer:
            shown = json.load(answer)
        assert shown == [{"prefix": "login:", "address": "127.0.0.1", "calls": 2}]
    finally:
        assert running.end() == 0


def test_it_is_listed_and_its_settings_are_checked(
    file: str, variables: dict[str, str]
) -> None:
    listed = run("plugins", "list", "--config", file, **variables).stdout
    (line,) = [line for line in listed.splitlines() if line.startswith("rate_limits")]
    assert line.split()[1:3] == ["on", "1.0"]
    assert line.endswith("cachestorm_rate_limits:RateLimits")
    Path(file).write_text("plugins: {rate_limits: {limits: {'a:': 0}}}\n")
    checked = run("config", "check", file, **variables)
    assert checked.returncode == 2
    assert "the limit of 'a:' is not positive" in checked.stderr
