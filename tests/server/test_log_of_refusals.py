"""What an operator finds in the log: wrong passwords, settings changed, writes refused."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from cachestorm import Cache
from cachestorm_server.server import RespServer
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

Log = pytest.LogCaptureFixture


def _request(argv: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in argv)


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was configured by another test keeps its log to itself."""
    monkeypatch.setattr(logging.getLogger("cachestorm"), "propagate", True)


def told_of(caplog: Log, cache: Cache, settings: Settings, *commands: list[bytes]) -> list[str]:
    """What the log says after a client has sent these commands."""
    server = RespServer(cache, settings)
    session = Session(server.endpoint, "10.1.2.3:999")
    with caplog.at_level(logging.INFO, "cachestorm.resp"):
        for argv in commands:
            session.receive(_request(argv))
        server._tell_of_refusals()
        server._tell_of_refusals()
    return caplog.messages


def test_failed_passwords_are_logged_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guesses = [[b"AUTH", b"guess"], [b"HELLO", b"3", b"AUTH", b"default", b"guess"]]
    told = told_of(caplog, Cache(), Settings(password="secret"), *guesses, [b"AUTH", b"secret"])
    assert told == ["wrong or missing passwords: 2, the last from 10.1.2.3:999"]


def test_config_set_is_logged_and_no_password_with_it(caplog: Log) -> None:
    commands = [
        [b"CONFIG", b"SET", b"timeout", b"7"],
        [b"CONFIG", b"SET", b"requirepass", b"x"],
    ]
    assert told_of(caplog, Cache(), Settings(), *commands) == [
        "10.1.2.3:999 set timeout to 7",
        "10.1.2.3:999 set requirepass to (not shown)",
    ]


def test_writes_that_find_no_room_are_logged_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = Cache(max_memory="64kb", policy="noeviction")
    writes = [[b"SET", b"k", b"x" * 100_000]] * 3
    assert told_of(caplog, cache, Settings(), *writes) == [
        "writes refused: 3; memory is full, and the policy noeviction has no victim"
    ]


def test_a_program_that_configures_no_logging_hears_nothing() -> None:
    code = "import cachestorm, logging; logging.getLogger('cachestorm.resp').warning('x')"
    heard = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (heard.returncode, heard.stderr) == (0, b"")
