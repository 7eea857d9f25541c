"""CLIENT PAUSE over sockets and HTTP: what waits, for how long, and what stays as it is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from real_servers import HOST
from servers import our_server

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import Held, JsonCommands
from cachestorm_server.json_transactions import JsonTransactions, read_batch
from cachestorm_server.pause import Pause
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

LONG = b"CLIENT PAUSE 100000 WRITE\r\n"


def a_session(cache: Cache | None = None) -> Session:
    return Session(Endpoint(cache or Cache(), REGISTRY, Settings()))


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with our_server() as server, socket.create_connection((HOST, server.port), 60) as made:
        yield made


@pytest.mark.parametrize("mode", [b"WRITE", b"ALL"])
def test_a_pause_ends_by_itself_after_its_time(connection: socket.socket, mode: bytes) -> None:
    began_s = time.monotonic()
    connection.sendall(b"CLIENT PAUSE 150 %b\r\nSET k 1\r\nGET k\r\n" % mode)
    expected = b"+OK\r\n+OK\r\n$1\r\n1\r\n"
    heard = b""
    while len(heard) < len(expected):
        heard += connection.recv(100)
    assert heard == expected
    assert time.monotonic() - began_s >= 0.15


def test_a_pause_that_is_prolonged_holds_until_its_new_end(connection: socket.socket) -> None:
    with socket.create_connection(connection.getpeername(), 60) as other:
        began_s = time.monotonic()
        connection.sendall(b"CLIENT PAUSE 50 WRITE\r\n")
        assert connection.recv(100) == b"+OK\r\n"
        other.sendall(b"SET k 1\r\n")
        connection.sendall(b"CLIENT PAUSE 200 WRITE\r\n")
        assert connection.recv(100) == b"+OK\r\n"
        assert other.recv(100) == b"+OK\r\n"
        assert time.monotonic() - began_s >= 0.2


def test_who_was_held_before_a_pause_was_prolonged_comes_before_who_was_held_after() -> None:
    first = a_session()
    second, admin = Session(first.endpoint), Session(first.endpoint)
    admin.receive(LONG)
    assert first.receive(b"RPUSH order first\r\n") == b""
    admin.receive(b"CLIENT PAUSE 200000 WRITE\r\n")
    assert second.receive(b"RPUSH order second\r\n") == b""
    # the time at which it was to go on has come
    held = first.long_command
    assert held is not None
    held.unblock()
    assert first.receive(b"") == b""
    assert first.is_blocked()
    admin.receive(b"CLIENT UNPAUSE\r\n")
    posted = [session_id for session_id, _ in first.endpoint._posts]
    assert posted[-2:] == [first.id, second.id]
    assert (first.receive(b""), second.receive(b"")) == (b":1\r\n", b":2\r\n")


def test_a_pause_of_all_holds_its_own_client_and_unpause(connection: socket.socket) -> None:
    began_s = time.monotonic()
    connection.sendall(b"CLIENT PAUSE 150\r\nCLIENT UNPAUSE\r\n")
    heard = b""
    while len(heard) < 10:
        heard += connection.recv(100)
    assert heard == b"+OK\r\n+OK\r\n"
    assert time.monotonic() - began_s >= 0.15


def test_who_is_held_is_shown_as_blocked_and_not_unblocked() -> None:
    held = a_session()
    other = Session(held.endpoint)
    assert other.receive(LONG) == b"+OK\r\n"
    assert held.receive(b"SET k 1\r\n") == b""
    assert b"blocked_clients:1" in other.receive(b"INFO clients\r\n")
    assert b" flags=b " in other.receive(b"CLIENT LIST ID %d\r\n" % held.id)
    assert other.receive(b"CLIENT UNBLOCK %d ERROR\r\n" % held.id) == b":0\r\n"
    held.close()
    assert held.endpoint.pause.waiting == {}


def test_without_a_pause_nobody_is_guarded() -> None:
    session = a_session()
    assert session.receive(LONG) == b"+OK\r\n"
    assert session.guarded
    assert session.receive(b"CLIENT UNPAUSE\r\n") == b"+OK\r\n"
    assert not session.guarded


def test_a_thread_of_the_process_is_not_held() -> None:
    cache = Cache()
    session = a_session(cache)
    session.receive(LONG)
    assert cache.set("k", 1)
    assert session.receive(b"GET k\r\n") == b"$1\r\n1\r\n"


def test_nothing_expires_during_a_pause_and_all_that_is_due_after_it() -> None:
    clock = ManualClock(1_000_000)
    cache = Cache(clock=clock)
    told: list[str] = []
    cache.on_removed(lambda key, value, cause: told.append(f"{key} {cause.value}"))
    for key in "abc":
        cache.set(key, 1, ttl=1)
    cache.rpush("list", "x")
    cache.expire("list", 1)
    session = a_session(cache)
    session.receive(LONG)
    clock.advance(5)
    # as if they were gone, and counted as if they were there
    assert session.receive(b"GET a\r\nEXISTS a\r\nTTL a\r\nDBSIZE\r\n") == (
        b"$-1\r\n:0\r\n:-2\r\n:4\r\n"
    )
    assert (cache.reap(), told) == (0, [])
    # a thread may write in their places
    assert cache.rpush("list", "y") == 1
    assert cache.set("b", 2) and cache.get("b") == 2
    assert cache.get_or_set("c", lambda: 3, stale=60) == 3
    cache._check()
    session.receive(b"CLIENT UNPAUSE\r\n")
    while cache.reap():
        pass
    assert (sorted(cache.keys()), "a expired" in told) == (["b", "c", "list"], True)
    cache._check()


def test_a_limit_set_in_a_pause_evicts_when_it_is_over() -> None:
    cache = Cache(max_entries=100)
    cache.mset({f"k{number}": number for number in range(50)})
    session = a_session(cache)
    session.receive(LONG)
    cache.max_entries = 10
    assert len(cache) == 50
    # a thread that writes keeps within the limit
    cache.set("new", 1)
    assert len(cache) <= 10
    session.receive(LONG)
    cache.max_entries = 5
    assert len(cache) > 5
    session.receive(b"CLIENT UNPAUSE\r\n")
    assert len(cache) == 5
    cache._check()


def test_writes_over_http_are_held_too() -> None:
    cache = Cache()
    pause = Pause(cache)
    commands = JsonCommands(cache, REGISTRY, pause)
    transactions = JsonTransactions(cache, commands)
    token = transactions.watch(read_batch({"commands": [], "watch": ["k"]}, None))
    write = {"command": ["SET", "k", 1]}
    batch = read_batch({"commands": [write], "atomic": True, "watch": token}, None)
    pause.begin(100, holds_all=False)
    assert commands.answer({"command": ["GET", "k"]})[1] == {"result": None}
    with pytest.raises(Held):
        commands.answer(write)
    with pytest.raises(Held):
        transactions.run(batch)
    pause.end()
    assert transactions.run(batch) == [{"result": "OK"}]


def test_two_endpoints_of_a_cache_pause_on_their_own() -> None:
    cache = Cache()
    one, other = a_session(cache), a_session(cache)
    one.receive(LONG)
    other.receive(LONG)
    one.receive(b"CLIENT UNPAUSE\r\n")
    assert one.receive(b"SET k 1\r\n") == b"+OK\r\n"
    assert other.receive(b"SET k 2\r\n") == b""
    assert cache._store.resting == 1
    other.endpoint.pause.end()
    assert cache._store.resting == 0


def test_who_is_held_for_a_time_that_a_clock_cannot_hold_is_held() -> None:
    session = a_session()
    assert session.receive(b"CLIENT PAUSE 9223372036854775807 WRITE\r\n") == b"+OK\r\n"
    assert session.receive(b"SET k 1\r\n") == b""


def test_threads_may_write_while_a_pause_ends() -> None:
    cache = Cache(max_entries=100)
    pause = Pause(cache)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"k{number % 500}", number, ttl=0.001)

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(300):
        pause.begin(100, holds_all=False)
        pause.end()
    stop.set()
    thread.join()
    cache._check()
    assert cache._store.resting == 0
