"""The audit log: what is written into it, and what is not."""

from __future__ import annotations

import asyncio
import json
import stat
from contextlib import closing
from pathlib import Path

import pytest

from cachestorm.errors import PluginError
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.json_commands import JsonCommands
from cachestorm_server.session import Session

FREE = {"server.port": ("test", 0), "http.port": ("test", 0)}


def made(tmp_path: Path, commands: str = "writes") -> Application:
    file = tmp_path / "cachestorm.yaml"
    audit = f"{{file: {tmp_path / 'audit.log'}, commands: {commands}}}"
    file.write_text(f"plugins:\n  audit: {audit}\n")
    return Application(load(str(file), {}, FREE))


def ask(session: Session, line: str) -> bytes:
    return session.receive(f"{line}\r\n".encode())


def written(tmp_path: Path) -> list[dict[str, object]]:
    lines = (tmp_path / "audit.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_who_has_written_what_is_a_line_each(tmp_path: Path) -> None:
    endpoint = made(tmp_path).resp.endpoint
    session = Session(endpoint, "10.0.0.7:50112")
    ask(session, "ACL SETUSER ann on >secret ~* alltags +@all")
    ask(session, "AUTH ann secret")
    ask(session, "SET page:1 treasure TAGS news")
    ask(session, "GET page:1")
    ask(session, "LPUSH page:1 treasure")
    lines = written(tmp_path)
    assert [(line["user"], line["command"], line["keys"]) for line in lines] == [
        ("default", "ACL SETUSER", []),
        ("default", "AUTH", []),
        ("ann", "SET", ["page:1"]),
        ("ann", "LPUSH", ["page:1"]),
    ]
    assert lines[2].keys() == {
        *("time", "user", "address", "connection", "namespace"),
        *("command", "keys", "duration_us", "error"),
    }
    assert lines[2]["address"] == "10.0.0.7:50112"
    assert (lines[2]["namespace"], lines[2]["connection"]) == ("default", session.id)
    assert str(lines[3]["error"]).startswith("WRONGTYPE")
    text = (tmp_path / "audit.log").read_text()
    assert "secret" not in text
    assert "treasure" not in text
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_a_wrong_password_is_written(tmp_path: Path) -> None:
    ask(Session(made(tmp_path, "admin").resp.endpoint), "AUTH ann guessed")
    (line,) = written(tmp_path)
    assert (line["command"], str(line["error"])[:9]) == ("AUTH", "WRONGPASS")


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ("admin", ["FLUSHALL", "CONFIG GET"]),
        ("writes", ["SET", "FLUSHALL", "CONFIG GET"]),
        ("all", ["SET", "GET", "FLUSHALL", "CONFIG GET", "PING"]),
    ],
)
def test_which_commands_are_written_is_a_setting(
    tmp_path: Path, commands: str, expected: list[str]
) -> None:
    session = Session(made(tmp_path, commands).resp.endpoint)
    for line in ("SET k v", "GET k", "FLUSHALL", "CONFIG GET port", "PING"):
        ask(session, line)
    assert [line["command"] for line in written(tmp_path)] == expected


def test_commands_over_http_are_written_with_their_user(tmp_path: Path) -> None:
    endpoint = made(tmp_path).resp.endpoint
    commands = JsonCommands(endpoint.cache, endpoint.registry)
    commands.hooks = endpoint.hooks
    visitor = visitor_of(endpoint)
    assert commands.answer({"command": ["SET", "k", "v"]}, visitor=visitor)[0] == 200
    (line,) = written(tmp_path)
    assert (line["user"], line["command"], line["connection"]) == ("default", "SET", 0)


def visitor_of(endpoint):
    from cachestorm_server.acl.visitor import Visitor

    return Visitor(endpoint.users, endpoint.users.default, "127.0.0.1")


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    with pytest.raises(PluginError, match="the plugin audit cannot be made: IsADirectoryError"):
        made(tmp_path)


def test_a_file_that_is_lost_refuses_nobody(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    endpoint = made(folder).resp.endpoint
    session = Session(endpoint)
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert ask(session, "SET a 1") == b"+OK\r\n"
    assert "audit.log cannot be written" in capsys.readouterr().err
    folder.mkdir()
    assert ask(session, "SET b 1") == b"+OK\r\n"
    first, second = written(folder)
    assert first["keys"] == ["b"]
    assert second["note"] == "the log could not be written: 1 line is lost"
    assert [hook.errors for hook in endpoint.plugin_hooks] == [0]


def test_a_server_that_has_stopped_has_closed_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with made(tmp_path) as application:
            with closing(Session(application.resp.endpoint)) as session:
                assert ask(session, "SET k v") == b"+OK\r\n"

    asyncio.run(main())
    assert [line["command"] for line in written(tmp_path)] == ["SET"]
