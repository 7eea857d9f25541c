"""CONFIG REWRITE: the values of the running server in the file, and its comments kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ConfigError
from cachestorm_server import bound_commands as bound_commands
from cachestorm_server.config import load
from cachestorm_server.config_edit import edited
from cachestorm_server.config_output import in_yaml
from cachestorm_server.described import resp_settings
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session

FILE = """\
# Of the shop. Ask Ada before you change it.
server:
    port:   6380      # as the others
    # more to come

memory:
  # max_memory: 0

plugins:
  slowlog: {enabled: true,   # on
            threshold: "10ms"}
"""


def session_of(path: Path, **variables: str) -> Session:
    """A client of a server that was configured by a file."""
    config = load(str(path), variables)
    return Session(Endpoint(Cache(), REGISTRY, resp_settings(config)))


def ask(session: Session, *words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return session.receive(f"*{len(words)}\r\n{''.join(parts)}".encode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cachestorm.yaml"
    path.write_text(FILE)
    return path


def test_when_a_journal_is_forced_is_written_under_its_own_setting(file: Path) -> None:
    session = session_of(file)
    assert ask(session, "CONFIG", "SET", "appendfsync", "always") == b"+OK\r\n"
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert load(str(file), {}).persistence.aof_sync == "always"
    assert load(str(file), {}).parameters == {}
    again = session_of(file)
    assert b"always" in ask(again, "CONFIG", "GET", "appendfsync")
    written = file.read_text()
    assert ask(again, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert file.read_text() == written


def test_only_what_has_changed_is_written(file: Path) -> None:
    session = session_of(file)
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert file.read_text() == FILE
    for name, value in (
        ("maxmemory", "2gb"),
        ("timeout", "60"),
        ("slowlog-log-slower-than", "500"),
        ("notify-keyspace-events", "KEA"),
        ("hz", "50"),
    ):
        assert ask(session, "CONFIG", "SET", name, value) == b"+OK\r\n"
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert (
        file.read_text()
        == """\
# Of the shop. Ask Ada before you change it.
server:
    port:   6380      # as the others
    timeout: 1m
    # more to come

memory:
  max_memory: 2gb
  # max_memory: 0

plugins:
  slowlog: {enabled: true,   # on
            threshold: 500us}
parameters:
  notify-keyspace-events: AKE
  hz: "50"
"""
    )
    again = session_of(file)
    assert again.endpoint.settings.timeout_s == 60
    assert load(str(file), {}).memory.max_memory == 2 << 30


def test_what_a_flag_said_is_written_and_a_secret_only_if_it_was_changed(file: Path) -> None:
    variables = {"CACHESTORM_MAX_CONNECTIONS": "77", "CACHESTORM_AUTH_PASSWORD": "sesame"}
    session = session_of(file, **variables)
    assert ask(session, "AUTH", "sesame") == b"+OK\r\n"
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert "max_connections: 77" in file.read_text()
    assert "sesame" not in file.read_text()
    assert ask(session, "CONFIG", "SET", "requirepass", "new: #1") == b"+OK\r\n"
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert load(str(file), {}).password == "new: #1"


def test_a_password_in_a_file_of_its_own_is_not_copied(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sesame")
    file.write_text(f"plugins: {{auth: {{enabled: true, password_file: {secret}}}}}\n")
    before = file.read_text()
    session = session_of(file)
    ask(session, "AUTH", "sesame")
    ask(session, "CONFIG", "SET", "requirepass", "other")
    assert b"is to be changed there" in ask(session, "CONFIG", "REWRITE")
    assert file.read_text() == before


def test_without_a_file_there_is_nothing_to_rewrite() -> None:
    refused = b"-ERR The server is running without a config file\r\n"
    session = Session(Endpoint(Cache(), REGISTRY, resp_settings(load("/dev/null", {}))))
    session.endpoint.settings.config = None
    assert ask(session, "CONFIG", "REWRITE") == refused


def test_a_link_stays_one_and_the_permissions_stay(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    session = session_of(link)
    ask(session, "CONFIG", "SET", "timeout", "5")
    assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    assert link.is_symlink()
    assert "timeout: 5s" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_is_full_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    session = session_of(file)
    ask(session, "CONFIG", "SET", "timeout", "5")

    def full(*of: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    refused = ask(session, "CONFIG", "REWRITE")
    assert b"Rewriting config file: [Errno 28] No space left on device" in refused
    assert file.read_text() == FILE
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_that_has_become_invalid_is_not_touched(file: Path) -> None:
    session = session_of(file)
    ask(session, "CONFIG", "SET", "timeout", "5")
    file.write_text("server: {port: x}\n")
    assert b"server.port" in ask(session, "CONFIG", "REWRITE")
    assert file.read_text() == "server: {port: x}\n"


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("", "a.b", "a:\n  b: 1\n"),
        ("# c", "a.b", "# c\na:\n  b: 1\n"),
        ("a: {b: 0}", "a.b", "a: {b: 1}"),
        ("a: {}\n", "a.b", "a: {b: 1}\n"),
        ("a: {b: 0, }\n", "a.c.d", "a: {b: 0, c: {d: 1}}\n"),
        ("a: {x: {y: 0}} # z\n", "a.b", "a: {x: {y: 0}, b: 1} # z\n"),
        ("a: # x\nc: 0\n", "a.b", "a: # x\n  b: 1\nc: 0\n"),
        ("a: null\n", "a.b", "a: {b: 1}\n"),
        ("a:\n  b: # none\nc: 0\n", "a.b", "a:\n  b: 1 # none\nc: 0\n"),
        ("a:\n  b: |\n    x\n    y\nc: 0\n", "a.b", "a:\n  b: 1\nc: 0\n"),
        ("a:\n  b:\n    - x\nc: 0\n", "a.b", "a:\n  b:\n    1\nc: 0\n"),
        ("a:\n   x: 0\n\n# of c\nc: 0\n", "a.b", "a:\n   x: 0\n   b: 1\n\n# of c\nc: 0\n"),
        ("a:\n  x:\n    y: 0", "a.b", "a:\n  x:\n    y: 0\n  b: 1\n"),
        ("a: {x: {}}\n", "a.x.b", "a: {x: {b: 1}}\n"),
    ],
)
def test_a_value_is_put_where_it_belongs(before: str, path: str, after: str) -> None:
    dotted = tuple(path.split("."))
    assert edited(before, {dotted: 1}, {dotted: in_yaml(1)}) == after


def test_what_an_alias_stands_for_is_not_changed_behind_its_back() -> None:
    text = "a: &x {b: 0}\nc: *x\n"
    with pytest.raises(ConfigError, match=r"without a change of a\.b"):
        edited(text, {("c", "b"): 1}, {("c", "b"): "1"})


def test_the_level_of_the_log_is_written_as_its_setting(file: Path) -> None:
    session = session_of(file)
    log = logging.getLogger("cachestorm")
    before = log.level
    try:
        assert ask(session, "CONFIG", "SET", "loglevel", "warning") == b"+OK\r\n"
        assert ask(session, "CONFIG", "REWRITE") == b"+OK\r\n"
    finally:
        log.setLevel(before)
    assert load(str(file), {}).logging.level == "warn"
