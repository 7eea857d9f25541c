"""The ACL file: what is read, what is refused, and what a full disk does to it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from asking import Client, an_endpoint, the_admin
from security_servers import application

from cachestorm.errors import ConfigError
from cachestorm_server.described import ServeError

OK = b"+OK\r\n"


def served(file: Path, text: str = "") -> Client:
    """A client that may do everything, on an endpoint with a file."""
    file.write_text(text)
    return the_admin(an_endpoint(acl_file=str(file)))


def test_what_is_saved_is_loaded_again(tmp_path) -> None:
    file = tmp_path / "users.acl"
    admin = served(file)
    admin.ask("ACL SETUSER ann on >pw ~a:* tag:t ns:x +@all -@dangerous (%R~b +get)")
    before = admin.ask("ACL LIST")
    assert admin.ask("ACL SAVE", "ACL DELUSER ann", "ACL SETUSER bob", "ACL LOAD") == (
        OK + b":1\r\n" + OK * 2
    )
    assert admin.ask("ACL LIST") == before
    assert file.read_text().startswith("user ann on #30c952fab122c3f9759f02a6d95c3758")


def test_it_is_readable_by_its_owner_and_keeps_the_permissions_it_has(tmp_path) -> None:
    file = tmp_path / "users.acl"
    admin = the_admin(an_endpoint(acl_file=str(file)))
    assert admin.ask("ACL SAVE") == OK
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    assert admin.ask("ACL SAVE") == OK
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["users.acl"]


def test_all_that_is_wrong_is_said_and_nothing_changes(tmp_path) -> None:
    file = tmp_path / "users.acl"
    admin = served(file)
    before = admin.ask("ACL SETUSER ann on", "ACL LIST")
    file.write_text(
        "# comments and empty lines are fine\n\n"
        "user bob on +frobnicate\nann on\nuser bob off\nuser bob\nuser carl (~a\n"
    )
    assert admin.ask("ACL LOAD").decode() == (
        f"-ERR {file}:3: Unknown command or category name in ACL. "
        f"{file}:4 should start with user keyword followed by the username. "
        "WARNING: Duplicate user 'bob' found on line 5. "
        "WARNING: Duplicate user 'bob' found on line 6. "
        f"{file}:7: Unmatched parenthesis in acl selector starting at '(~a'. "
        "WARNING: ACL errors detected, no change to the previously active ACL rules was "
        "performed\r\n"
    )
    assert OK + admin.ask("ACL LIST") == before


def test_clients_of_users_that_are_gone_are_disconnected(tmp_path) -> None:
    file = tmp_path / "users.acl"
    admin = served(
        file, "user default on nopass ~* &* alltags +@all\nuser bob on nopass +get\n"
    )
    admin.ask("ACL SETUSER ann on nopass", "ACL SETUSER bob on nopass +@all")
    ann, bob = (Client(admin.session.endpoint) for _ in range(2))
    assert ann.ask("AUTH ann x") + bob.ask("AUTH bob x") == OK * 2
    assert admin.ask("ACL LOAD") == OK
    assert (ann.is_gone, bob.is_gone, admin.is_gone) == (True, False, False)
    assert bob.ask("PING").startswith(b"-NOPERM")


def test_a_file_without_the_default_user_leaves_it_its_password(tmp_path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user ann on nopass +@all\n")
    admin = Client(an_endpoint(password="secret", acl_file=str(file)))
    assert admin.ask("AUTH secret", "ACL LOAD") == OK * 2
    stranger = Client(admin.session.endpoint)
    assert stranger.ask("PING").startswith(b"-NOAUTH")
    assert stranger.ask("AUTH secret", "PING") == OK + b"+PONG\r\n"


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch, step) -> None:
    file = tmp_path / "users.acl"
    admin = served(file)
    admin.ask("ACL SAVE")
    before = file.read_bytes()
    admin.ask("ACL SETUSER ann")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        monkeypatch.setattr("cachestorm_server.replaced_file.mkstemp", full)
    else:
        monkeypatch.setattr(os, step, full)
    assert admin.ask("ACL SAVE") == (
        b"-ERR There was an error trying to save the ACLs. Please check the server logs for "
        b"more information\r\n"
    )
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["users.acl"]


def test_without_a_file_nothing_is_loaded_or_saved() -> None:
    text = b"-ERR This Redis instance is not configured to use an ACL file."
    assert the_admin().ask("ACL LOAD").startswith(text)
    assert the_admin().ask("ACL SAVE").startswith(text)


def test_a_server_reads_it_as_it_starts(tmp_path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user ann on nopass ~* +get\n")
    with application({"acl.file": str(file)}) as server:
        assert [user.name for user in server.resp.endpoint.users] == ["ann", "default"]


@pytest.mark.parametrize("text", [None, "user ann +frobnicate\n"])
def test_a_server_does_not_start_with_a_file_that_is_refused(tmp_path, text) -> None:
    file = tmp_path / "users.acl"
    if text is not None:
        file.write_text(text)
    with (
        pytest.raises(ServeError, match=r"acl\.file is refused: .*users\.acl"),
        application({"acl.file": str(file)}),
    ):
        raise AssertionError("it serves")


def test_commands_that_are_disabled_are_unknown_at_every_protocol() -> None:
    given = {"acl.disabled_commands": "FLUSHALL, config|set, xadd"}
    with (
        pytest.raises(ConfigError, match="there is no command 'xadd' anyway"),
        application(given),
    ):
        raise AssertionError("it serves")
    with application({"acl.disabled_commands": "FLUSHALL, config|set, latency"}) as server:
        client = the_admin(server.resp.endpoint)
        assert client.ask("FLUSHALL").startswith(b"-ERR unknown command 'FLUSHALL'")
        assert client.ask("CONFIG SET timeout 1").startswith(b"-ERR unknown subcommand 'SET'")
        assert client.ask("LATENCY LATEST").startswith(b"-ERR unknown command 'LATENCY'")
        assert client.ask("CONFIG GET timeout").startswith(b"*2\r\n")
        assert client.ask("COMMAND INFO flushall") == b"*1\r\n$-1\r\n"
        assert client.ask("ACL SETUSER ann +flushall").startswith(b"-ERR Error in ACL")
        # the end of the server would wait for it
        client.session.close()
