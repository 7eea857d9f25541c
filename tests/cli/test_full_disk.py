"""A running server that may write no more: configuration and users on disk stay whole."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Running

if sys.platform != "linux":
    pytest.skip("limits of other processes cannot be set", allow_module_level=True)

CONFIG = "# ours\nserver: {port: 0}\nhttp: {enabled: false}\nacl: {file: users.acl}\n"
USERS = "user ann on nopass ~* +get\n"
FEW_BYTES = 4


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server with changes to write, whose files may have a few bytes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cachestorm.yaml").write_text(CONFIG)
    (tmp_path / "users.acl").write_text(USERS)
    running = Running("serve", "--config", "cachestorm.yaml")
    try:
        running.cli("CONFIG", "SET", "timeout", "7")
        running.cli("ACL", "SETUSER", "bob")
        resource.prlimit(
            running.process.pid, resource.RLIMIT_FSIZE, (FEW_BYTES, resource.RLIM_INFINITY)
        )
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (("CONFIG", "REWRITE"), "Rewriting config file: [Errno 27] File too large"),
        (("ACL", "SAVE"), "There was an error trying to save the ACLs."),
    ],
)
def test_what_cannot_be_written_whole_is_not_written(
    full: Running, tmp_path: Path, command: tuple[str, ...], refusal: str
) -> None:
    assert refusal in full.cli(*command).stderr
    assert (tmp_path / "cachestorm.yaml").read_text() == CONFIG
    assert (tmp_path / "users.acl").read_text() == USERS
    # nothing else is left behind
    assert {path.name for path in tmp_path.iterdir()} == {"cachestorm.yaml", "users.acl"}
    # once there is room, it is written
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(full.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert full.cli(*command).stdout == "OK\n"
    assert full.end() == 0
