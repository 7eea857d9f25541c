"""An owner is of this user alone, starts wherever it can, and survives what forks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import redis
from shared_owners import kill_owner
from workers import NAME, asked, until

from cachestorm import connect
from cachestorm.errors import ConfigError
from cachestorm.remote import owners
from cachestorm.remote.connected import ConnectedCache
from cachestorm.remote.refusals import UnreachableError

# there is none where there are no such sockets
fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_PEERCRED"), reason="who answers is told by Linux"
)


_NOBODY = 65534


# -- the socket and its folder


def test_a_socket_that_was_left_behind_is_replaced(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with connect(NAME) as cache:
        assert cache.set("k", 1)


def test_what_a_dead_starter_left_does_not_keep_the_next_one(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    for suffix in (".lock", ".log", ".sock.leaving"):
        Path(f"{path.with_suffix('')}{suffix}").write_text("left")
    with connect(NAME) as cache:
        assert cache.set("k", 1)


def test_the_folder_is_of_this_user_alone(path: Path) -> None:
    with connect(NAME) as cache:
        cache.set("k", 1)
        modes = {
            each.name: oct(each.stat().st_mode & 0o777)
            for each in (path.parent, *path.parent.iterdir())
        }
    assert modes == {
        "cachestorm": "0o700",
        "shared.lock": "0o600",
        "shared.log": "0o600",
        "shared.sock": "0o600",
    }


def test_without_a_runtime_folder_it_is_in_the_temporary_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    connect(NAME)
    made = folder / f"cachestorm-{os.getuid()}"
    assert oct(made.stat().st_mode & 0o777) == "0o700"


def test_a_folder_that_others_may_enter_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.parent.chmod(0o755)
    with pytest.raises(ConfigError, match=r"nobody else enters \(mode 0700\).*mode 0755"):
        connect(NAME)


def test_a_folder_of_somebody_else_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: mine + 1)
    with pytest.raises(ConfigError, match=f"not of user {mine} with"):
        connect(NAME)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_is_none_is_refused(path: Path, kind: str) -> None:
    if kind == "file":
        path.parent.write_text("")
    else:
        path.parent.symlink_to("/tmp")
    with pytest.raises(ConfigError, match="must be a folder of this user"):
        connect(NAME)


def test_a_runtime_folder_that_is_not_there_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "none"))
    with pytest.raises(ConfigError, match="set XDG_RUNTIME_DIR to one of this user"):
        connect(NAME)


def test_a_folder_that_was_cleared_away_is_made_again(path: Path) -> None:
    with connect(NAME) as cache:
        cache.set("k", 1)
        kill_owner(path)
        for each in path.parent.iterdir():
            each.unlink()
        path.parent.rmdir()
        assert cache.get("k") is None


@pytest.mark.parametrize("is_task", [False, True])
def test_an_owner_of_another_user_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_task: bool
) -> None:
    async def ask(cache: Any) -> Any:
        return await cache.aio.get("k")

    with connect(NAME) as first, connect(NAME) as cache:
        first.set("k", 1)
        theirs = os.getuid() + 1
        monkeypatch.setattr(owners, "peer_of", lambda peer: (1, theirs))
        with pytest.raises(UnreachableError, match=f"answered by user {theirs}, not by this"):
            asyncio.run(ask(cache)) if is_task else cache.get("k")


def test_where_there_are_no_sockets_of_unix_redis_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigError, match="use redis://host:6380"):
        connect(NAME)


SAID = (
    r"^local://shared cannot be reached: no owner could be started: "
    r"FileExistsError: \[Errno 17\] File exists: '.*shared.sock'$"
)


def test_an_owner_that_cannot_start_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text("no socket")
    # it is there, and refuses connections, as what a dead process has left does
    with connect(NAME) as cache, pytest.raises(UnreachableError, match=SAID):
        cache.get("k")
    path.unlink()
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(sys, "exec_prefix", "/none")
    with connect(NAME) as cache, pytest.raises(UnreachableError, match="use unix:///path"):
        cache.get("k")


def test_a_starter_that_hangs_is_not_waited_for_without_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "STARTS_WITHIN_S", 0.2)
    with connect(NAME) as cache:
        held = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UnreachableError, match="somebody has held"):
            cache.get("k")
        os.close(held)


def test_an_owner_that_is_silent_is_waited_for_no_longer_than_was_said(path: Path) -> None:
    with connect(NAME) as patient, connect(NAME, socket_timeout=0.2) as cache:
        pid = asked(patient)
        until(lambda: answers(cache))
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(UnreachableError, match="did not answer in time"):
                cache.get("k")
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: answers(cache))
        assert asked(patient) == pid


def answers(cache: Any) -> bool:
    """Whether there is an answer in the time that a client has for it."""
    try:
        return cache.get("k") is None
    except UnreachableError:
        return False


# -- forks


def _child(cache: Any, write: int) -> None:
    try:
        found = [cache.get("k"), cache.incr("n"), asyncio.run(_awaited(cache))]
        os.write(write, json.dumps(found).encode())
    finally:
        os._exit(0)


async def _awaited(cache: Any) -> Any:
    return await cache.aio.incr("n")


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("is_used", [False, True], ids=["before its first use", "in use"])
def test_the_child_of_a_fork_shares_the_owner(folder: Path, is_used: bool, near: bool) -> None:
    with connect(NAME, near=near) as cache:
        if is_used:
            cache.set("k", 1)
            assert cache.get("k") == 1
        read, write = os.pipe()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                _child(cache, write)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        os.close(write)
        with os.fdopen(read) as said:
            replies = said.read().replace("][", "]\n[").splitlines()
        numbers = [number for line in replies for number in json.loads(line)[1:]]
        assert sorted(numbers) == list(range(1, 9))
        assert {json.loads(line)[0] for line in replies} == {1 if is_used else None}
        # the connection of the parent has no reply of a child's in it
        assert cache.get("n") == 8


def test_a_worker_that_becomes_another_user_has_a_place_of_that_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o1777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with connect(NAME) as cache:
            assert isinstance(cache, ConnectedCache)
            client = cache.address.client()
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(60)
                    os.setuid(_NOBODY)
                    # an owner could not be started, as the test's Python may be of root alone
                    monkeypatch.setattr(owners.Owner, "ensure", lambda owner: None)
                    with pytest.raises(redis.ConnectionError):
                        client.get("k")
                    facts = os.stat(os.path.dirname(cache.address.threaded["owner"].path))
                    os.write(write, f"{facts.st_uid} {facts.st_mode & 0o777:o}".encode())
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            os.close(write)
            with os.fdopen(read) as file:
                assert file.read() == f"{_NOBODY} 700"


def test_a_fork_while_an_owner_is_started_does_not_keep_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[int] = []
    start = owners.Owner._start

    def started(owner: owners.Owner) -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)
        start(owner)

    monkeypatch.setattr(owners.Owner, "_start", started)
    try:
        with connect(NAME) as cache:
            cache.set("k", 1)
            with open(path.with_suffix(".lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            open_there = os.listdir(f"/proc/{children[0]}/fd")
            places = [os.readlink(f"/proc/{children[0]}/fd/{each}") for each in open_there]
            assert not [place for place in places if place.endswith("shared.lock")]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_start_closes_no_descriptor_of_another_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = owners._said_ready
    opened: list[int] = []

    def said_ready(descriptor: int) -> bool:
        # as a thread does that waits for the lock; it gets the number that was closed last
        opened.append(os.open(path.with_suffix(".lock"), os.O_RDWR))
        owners._brief.add(opened[0])
        return ready(descriptor)

    monkeypatch.setattr(owners, "_said_ready", said_ready)
    with connect(NAME) as cache:
        assert cache.set("k", 1)
    assert os.path.samestat(os.fstat(opened[0]), path.with_suffix(".lock").stat())
    assert opened[0] in owners._brief
    owners._brief.discard(opened[0])
    os.close(opened[0])


def test_a_tier_is_opened_by_the_owner_alone(folder: Path) -> None:
    with connect(NAME, max_memory="1mb", warm=str(folder / "warm")) as cache:
        assert cache.set("k", b"x" * 500)
        with connect(NAME, max_memory="1mb", warm=str(folder / "warm")) as other:
            assert other.get("k") == b"x" * 500


def test_a_path_of_a_tier_is_that_of_the_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    given: list[Any] = [Path("warm"), {"path": "warm"}, "warm"]
    for warm in given:
        with connect(NAME, max_memory="1mb", warm=warm) as cache:
            assert cache.set("k", b"x" * 500)
    assert (folder / "warm").is_dir()


def _in_pool(number: int) -> int:
    with connect(NAME) as cache:
        return int(cache.incr("n", number))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_a_pool_share_the_owner(folder: Path, method: str) -> None:
    with connect(NAME) as cache, get_context(method).Pool(4) as pool:
        pool.map(_in_pool, range(20))
        assert cache.get("n") == sum(range(20))
