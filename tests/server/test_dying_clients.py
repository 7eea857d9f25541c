"""Clients that die, and code that fails, in the middle of things: nobody else notices."""

from __future__ import annotations

import logging
import random
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from conversing import Inbox, session_of, sessions_of, turn
from real_servers import HOST
from servers import RunningServer, our_server

from cachestorm import Cache
from cachestorm_server.session import Session

SOON_S = 60
MANY = 10_000

STATES = {
    "in a transaction": b"WATCH k\r\nMULTI\r\nSET k 1\r\n",
    "waiting": b"BLPOP k other 0\r\n",
    "waiting to move": b"BLMOVE k other LEFT LEFT 0\r\n",
    "subscribed": b"SUBSCRIBE a b\r\nPSUBSCRIBE *\r\nSSUBSCRIBE c\r\n",
    "monitoring": b"MONITOR\r\n",
    "held by a pause": b"CLIENT PAUSE 100000 WRITE\r\nSET k 1\r\n",
    "in the middle of a request": b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nabc",
}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with our_server() as made:
        yield made


def wait_for(is_so: object) -> None:
    """Returns when a condition holds."""
    assert callable(is_so)
    gives_up_at = time.monotonic() + SOON_S
    while not is_so():
        assert time.monotonic() < gives_up_at
        time.sleep(0.002)


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("state", STATES)
def test_a_client_that_dies_leaves_nothing_behind(
    server: RunningServer, state: str, abruptly: bool
) -> None:
    endpoint = server.endpoint
    cache = endpoint.cache
    dying = socket.create_connection((HOST, server.port), 60)
    dying.sendall(STATES[state])
    received = len(STATES[state])
    wait_for(lambda: endpoint.net_in_bytes >= received)
    if abruptly:
        dying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dying.close()
    wait_for(lambda: not endpoint.sessions)
    assert (cache._space.watches, cache._space.waiting) == (None, None)
    assert endpoint.monitors == {}
    assert endpoint.pause.waiting == {}
    endpoint.pause.end()
    assert cache.exists("k") == 0
    with socket.create_connection((HOST, server.port), 60) as other:
        other.sendall(b"RPUSH k x\r\nPUBLISH a x\r\n")
        heard = b""
        while heard.count(b"\r\n") < 2:
            heard += other.recv(100)
        assert heard == b":1\r\n:0\r\n"
    cache._check()
    cache._store.broker._check()


def test_ten_thousand_wait_for_one_key_and_half_of_them_go() -> None:
    cache = Cache()
    *waiting, (pusher, _) = sessions_of(cache, MANY + 1)
    for session, _ in waiting:
        assert session.receive(b"BLPOP q 0\r\n") == b""
    for session, _ in waiting[::2]:
        session.close()
    for start in range(0, MANY // 2, 1000):
        elements = b" ".join(b"%d" % number for number in range(start, start + 1000))
        # as long as the list was before those who wait were served
        assert pusher.receive(b"RPUSH q " + elements + b"\r\n") == b":1000\r\n"
    turn(pusher.endpoint)
    heard = [inbox.data for _, inbox in waiting[1::2]]
    assert heard == [popped(b"q", b"%d" % number) for number in range(MANY // 2)]
    assert (cache.llen("q"), cache._space.waiting) == (0, None)
    cache._check()


def popped(key: bytes, element: bytes) -> bytes:
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(element), element)


WAITS = [b"BLPOP q r 0\r\n", b"BRPOP r q 0\r\n", b"BLMPOP 0 1 q LEFT\r\n"]


@pytest.mark.parametrize("seed", range(20))
def test_no_element_is_lost_or_given_twice_when_clients_die_at_any_time(seed: int) -> None:
    chance = random.Random(seed)
    cache = Cache()
    (pusher, _), *_ = sessions_of(cache, 1)
    waiting: list[tuple[Session, Inbox]] = []
    pushed: list[bytes] = []
    taken: list[bytes] = []
    for _ in range(300):
        match chance.randrange(5):
            case 0 | 1:
                session, inbox = session_of(pusher.endpoint)
                inbox.data += session.receive(chance.choice(WAITS))
                waiting.append((session, inbox))
            case 2:
                few = chance.randint(1, 3)
                elements = [b"%d" % (len(pushed) + each) for each in range(few)]
                pushed += elements
                key = chance.choice([b"q", b"r"])
                push = b"RPUSH %b %b\r\n" % (key, b" ".join(elements))
                is_atomic = chance.random() < 0.5
                pusher.receive(b"MULTI\r\n%bSET k v\r\nEXEC\r\n" % push if is_atomic else push)
            case 3 if waiting:
                # it may have been served, and not been told yet
                session, inbox = waiting.pop(chance.randrange(len(waiting)))
                session.close()
                taken += last_words(inbox)
            case 4:
                turn(pusher.endpoint)
        cache._check()
    turn(pusher.endpoint)
    for session, inbox in waiting:
        taken += last_words(inbox)
        session.close()
    left = [*cache.lrange("q", 0, -1), *cache.lrange("r", 0, -1)]
    assert sorted(taken + left, key=int) == pushed
    assert cache._space.waiting is None
    cache._check()


def last_words(inbox: Inbox) -> list[bytes]:
    """The element that a client has popped, if it has."""
    return [inbox.data.split(b"\r\n")[-2]] if inbox.data else []


def test_a_write_without_room_in_a_transaction_serves_who_waits_for_the_others() -> None:
    cache = Cache(max_memory=20_000, policy="noeviction")
    (one, inbox), (other, others), (writer, _) = sessions_of(cache, 3)
    one.receive(b"BLPOP q 0\r\n")
    other.receive(b"BLPOP large 0\r\n")
    writer.receive(b"MULTI\r\nRPUSH large %b\r\nRPUSH q small\r\n" % (b"x" * 50_000))
    assert writer.receive(b"EXEC\r\n") == (
        b"*2\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n:1\r\n"
    )
    turn(writer.endpoint)
    assert inbox.data == popped(b"q", b"small")
    assert (others.data, other.is_blocked()) == (b"", True)
    other.close()
    cache._check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_a_listener_that_raises_harms_no_client_that_waits(
    server: RunningServer, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    cache = server.endpoint.cache
    told: list[str] = []

    def breaks(effect: object) -> None:
        told.append("")
        raise kind("broken")

    cache.listen(breaks)
    with (
        caplog.at_level(logging.CRITICAL, "cachestorm"),
        socket.create_connection((HOST, server.port), 60) as waiting,
        socket.create_connection((HOST, server.port), 60) as pusher,
    ):
        waiting.sendall(b"BLPOP q 0\r\n")
        wait_for(lambda: any(each.is_blocked() for each in server.endpoint.sessions.values()))
        pusher.sendall(b"RPUSH q of-a-client\r\n")
        assert pusher.recv(100) == b":1\r\n"
        assert waiting.recv(100) == b"*2\r\n$1\r\nq\r\n$11\r\nof-a-client\r\n"
        waiting.sendall(b"BZPOPMIN z 0\r\n")
        wait_for(lambda: any(each.is_blocked() for each in server.endpoint.sessions.values()))
        assert cache.zadd("z", {"m": 1}) == 1
        assert waiting.recv(100) == b"*3\r\n$1\r\nz\r\n$1\r\nm\r\n$1\r\n1\r\n"
    assert told
    cache._check()
