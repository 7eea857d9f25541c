"""The workers of a machine share one owner, and never more than one, whatever dies when."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shared_owners import kill_owner
from workers import NAME, PATIENCE_S, Worker, asked, is_alive, until

from cachestorm import connect

# there is none where there are no such sockets
fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_PEERCRED"), reason="who answers is told by Linux"
)


def test_workers_share_what_one_of_them_has_set(folder: Path) -> None:
    with Worker() as one, connect(NAME) as cache:
        one.say(NAME, "set", "k", {"a": 1})
        assert one.reply() is True
        assert cache.get("k") == {"a": 1}
        assert cache.capabilities.server == "cachestorm"
        assert repr(cache) == f"<ConnectedCache {NAME}>"


def test_names_are_apart(folder: Path) -> None:
    with connect("local://one") as one, connect("local://two") as two:
        one.set("k", 1)
        assert (one.get("k"), two.get("k")) == (1, None)
        assert asked(one) != asked(two)


def test_of_eight_that_start_at_once_one_starts_an_owner(path: Path) -> None:
    workers = [Worker() for _ in range(8)]
    for worker in workers:
        worker.say(NAME, "incr", "n")
    assert sorted(worker.reply() for worker in workers) == list(range(1, 9))
    for worker in workers:
        worker.__exit__()
    assert (path.parent / "shared.log").read_text() == ""


def test_the_owner_outlives_the_worker_that_started_it(folder: Path) -> None:
    with Worker() as worker:
        worker.say(NAME, "set", "k", 1)
        worker.reply()
    with connect(NAME) as cache:
        assert cache.get("k") == 1


def test_settings_are_those_of_the_one_that_starts_it(folder: Path) -> None:
    with connect(NAME, max_entries=3, namespaces={"n": {"default_ttl": 60}}) as cache:
        cache.set_many({f"k{number}": number for number in range(10)})
        assert len(cache) == 3
        space = cache.namespace("n")
        space.set("k", 1)
        assert 0 < space.ttl("k") <= 60


def test_settings_that_do_not_count_are_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {"n": {"default_ttl": 60}}
    with connect(NAME, max_entries=3, namespaces=names) as cache:
        cache.set("k", 1)
        for options in ({}, {"max_entries": 3}, {"namespaces": names}):
            with connect(NAME, **options) as other:
                other.get("k")
        assert caplog.records == []
        with connect(NAME, max_entries=4, policy="allkeys-lru") as other:
            assert [other.get("k"), other.get("k")] == [1, 1]
    assert [each.getMessage() for each in caplog.records] == [
        f"{NAME}: {said}; give all the same"
        for said in (
            "max_entries=4 does not count: whoever started its owner gave 3",
            "policy='allkeys-lru' does not count: whoever started its owner gave None",
        )
    ]


# -- the end of an owner


def test_an_owner_leaves_after_its_last_client(path: Path) -> None:
    with connect(NAME, linger=0.3) as cache:
        cache.set("k", 1)
        pid = asked(cache)
    until(lambda: not is_alive(pid))
    assert [each.name for each in path.parent.iterdir() if "log" not in each.name] == [
        "shared.lock"
    ]
    assert cache.get("k") is None
    cache.close()


def test_an_owner_stays_while_a_client_is_connected(path: Path) -> None:
    with connect(NAME, linger=0.01) as cache:
        cache.set("k", 1)
        before = asked(cache)
        # it looks for clients more often than that
        time.sleep(0.5)
        assert (cache.get("k"), asked(cache)) == (1, before)


def test_an_owner_does_not_leave_while_a_client_is_starting_one(path: Path) -> None:
    with connect(NAME, linger=0.01) as cache:
        pid = asked(cache)
        held = os.open(path.with_suffix(".lock"), os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX)
    time.sleep(0.5)
    assert is_alive(pid) and path.exists()
    os.close(held)
    until(lambda: not is_alive(pid))


def test_an_owner_whose_socket_is_taken_away_leaves(path: Path) -> None:
    with connect(NAME) as cache, connect(NAME) as other:
        cache.set("k", 1)
        before = asked(cache)
        path.unlink()
        # there must not be two that are asked by different clients
        assert other.get("k") is None
        until(lambda: not is_alive(before))
        other.set("k", 2)
        assert cache.get("k") == 2
        assert asked(cache) == asked(other)


def test_the_end_of_an_owner_is_said_and_nothing_is_left(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(NAME) as cache:
        cache.set("k", 1)
        assert caplog.records == []
        pid = kill_owner(path)
        assert cache.get("k") is None
        assert [each.getMessage() for each in caplog.records] == [
            f"{NAME}: process {pid}, which held its values, is gone; process {asked(cache)} "
            "begins without any"
        ]
        cache.set("k", 2)
        assert cache.get("k") == 2


def test_the_end_of_an_owner_is_said_also_where_another_started_the_next(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(NAME) as cache, Worker() as worker:
        cache.set("k", 1)
        pid = kill_owner(path)
        worker.say(NAME, "set", "k", 2)
        worker.reply()
        assert cache.get("k") == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"process {pid}, which held its values, is gone" in caplog.text


COMMANDS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "get": (lambda cache: cache.get("k"), None),
    "set": (lambda cache: cache.set("k", 2), True),
    "incr": (lambda cache: cache.incr("k"), 1),
    "many": (lambda cache: cache.set_many({"a": 1, "b": 2}), True),
    "modify": (lambda cache: cache.modify("k", lambda value: (value or 0) + 1), 1),
    "namespace": (lambda cache: cache.namespace("n").get("k"), None),
    "blpop": (lambda cache: cache.blpop("list", 0.01), None),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_after_the_end_of_an_owner_is_answered_by_the_next(
    path: Path, command: str
) -> None:
    run, expected = COMMANDS[command]
    with connect(NAME) as cache:
        cache.set("k", 1)
        cache.capabilities  # noqa: B018
        kill_owner(path)
        assert run(cache) == expected


@pytest.mark.parametrize("near", [False, True])
def test_a_task_is_answered_by_the_next_owner_too(path: Path, near: bool) -> None:
    async def course(cache: Any) -> list[Any]:
        async with cache:
            await cache.set("k", 1)
            found = [await cache.get("k")]
            kill_owner(path)
            found.append(await cache.mget("k"))
            kill_owner(path)
            found.append(await cache.incr("k"))
            kill_owner(path)
            found.append(await cache.set_many({"a": 1, "b": 2}))
            return found

    with connect(NAME, near=near) as cache:
        assert asyncio.run(course(cache.aio)) == [1, [None], 1, True]


def test_a_command_that_waits_when_its_owner_dies_waits_at_the_next(path: Path) -> None:
    with connect(NAME) as cache, connect(NAME) as other, Worker() as worker:
        before = asked(cache)
        worker.say(NAME, "blpop", "list", 0)
        until(lambda: b"blpop" in cache._wire.send("CLIENT", "LIST"))
        kill_owner(path)
        until(lambda: b"blpop" in other._wire.send("CLIENT", "LIST"))
        assert asked(other) != before
        other.rpush("list", 1)
        assert worker.reply() == ["list", 1]


def test_a_connection_that_ends_while_its_owner_lives_sends_nothing_twice(path: Path) -> None:
    with connect(NAME) as cache, connect(NAME) as other, Worker() as worker:
        worker.say(NAME, "blpop", "list", 0)
        lines: list[bytes] = []

        def is_waiting() -> bool:
            lines[:] = [
                line
                for line in other._wire.send("CLIENT", "LIST").splitlines()
                if b"cmd=blpop" in line
            ]
            return bool(lines)

        until(is_waiting)
        number = dict(fact.split(b"=", 1) for fact in lines[0].split() if b"=" in fact)[b"id"]
        other._wire.send("CLIENT", "KILL", "ID", number.decode())
        # what it asked for is not asked again: the worker has ended with an error
        assert worker._process.wait(PATIENCE_S) == 1
        assert not is_waiting()
        assert cache.get("k") is None


def test_an_owner_that_dies_in_the_middle_of_commands_loses_nothing_that_came_later(
    path: Path,
) -> None:
    """Killed again and again, at whatever point; each value is that of one owner."""
    with connect(NAME) as cache, Worker() as worker:
        for turn in range(5):
            for _ in range(60):
                worker.say(NAME, "incr", "n")
            last = 0
            for number in range(60):
                if number == 12 * turn:
                    kill_owner(path)
                reply = worker.reply()
                assert reply in (1, last + 1)
                last = reply
            assert cache.get("n") == last
            cache.delete("n")


# -- near


def test_a_near_cache_is_empty_when_its_owner_dies(path: Path) -> None:
    with connect(NAME, near=True) as cache:
        cache.get("none")
        assert cache.near.wait_until_live(PATIENCE_S)
        cache.set("k", 1)
        until(lambda: cache.get("k") == 1 and cache.near.values.keys() == ["k"])
        kill_owner(path)
        until(lambda: cache.near.losses == 1)
        assert cache.near.values.keys() == []
        assert cache.get("k") is None
        # and it is told by the next owner what changes
        assert cache.near.wait_until_live(PATIENCE_S)
        cache.set("k", 2)
        until(lambda: cache.get("k") == 2 and cache.near.values.keys() == ["k"])
        with Worker() as worker:
            worker.say(NAME, "set", "k", 3)
            worker.reply()
        until(lambda: cache.get("k") == 3)
