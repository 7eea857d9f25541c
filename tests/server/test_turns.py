"""Long commands over the wire: one client waits for its own, and nobody for those of others."""

from __future__ import annotations

import socket

import pytest
from servers import Client, our_server

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.keyspace.commons import LOOK, SLICE
from cachestorm_server import clients, configuration, connection, introspection
from cachestorm_server.session import Door, Session
from cachestorm_server.settings import Settings

COMMANDS = (clients, configuration, connection, introspection)  # imported: declared
COUNT = 3 * SLICE


def a_door() -> Door:
    cache = Cache()
    for number in range(COUNT):
        cache.set(f"k{number}", b"v", tags=["t"])
    cache.set("other", b"o")
    return Door(cache, REGISTRY, Settings())


def finish(session: Session, replies: bytes = b"") -> bytes:
    """Gives the session its turns; the replies of all of them."""
    turns = 0
    while session.backlog:
        turns += 1
        replies += session.receive(b"")
    assert turns >= COUNT // (SLICE + LOOK) - 1
    return replies


def test_others_are_served_between_the_slices_and_see_the_invalidation_whole() -> None:
    door = a_door()
    invalidator, other = Session(door), Session(door)
    replies = invalidator.receive(b"PING\r\nINVALIDATE t\r\nGET other\r\n")
    assert replies == b"+PONG\r\n"
    assert invalidator.backlog
    assert (
        other.receive(b"GET k1\r\nTAGCOUNT t\r\nGET other\r\n") == b"$-1\r\n:0\r\n$1\r\no\r\n"
    )
    assert finish(invalidator) == b":%d\r\n$1\r\no\r\n" % COUNT
    assert invalidator.errand is None
    door.cache._check()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"KEYS oth*\r\n", b"*1\r\n$5\r\nother\r\n"),
        (b"RANDOMKEY\r\n", b"$5\r\nother\r\n"),
    ],
)
def test_walks_over_all_keys_take_turns(line: bytes, reply: bytes) -> None:
    door = a_door()
    door.cache.invalidate("t", soft=True)
    session = Session(door)
    replies = session.receive(line + b"PING\r\n")
    # a draw may find the one live key at once
    assert replies == b"" or line == b"RANDOMKEY\r\n"
    while session.backlog:
        replies += session.receive(b"")
    assert replies == reply + b"+PONG\r\n"


def test_what_comes_meanwhile_waits_for_its_turn() -> None:
    session = Session(a_door())
    replies = session.receive(b"INVALIDATE t\r\n")
    replies += session.receive(b"DBSIZE\r\nPI")
    replies += session.receive(b"NG\r\n")
    assert finish(session, replies).endswith(b":%d\r\n:1\r\n+PONG\r\n" % COUNT)


def test_a_reply_that_is_switched_off_stays_so() -> None:
    session = Session(a_door())
    replies = session.receive(b"CLIENT REPLY SKIP\r\nINVALIDATE t\r\nPING\r\n")
    assert finish(session, replies) == b"+PONG\r\n"


def test_a_client_that_goes_leaves_its_keys_to_the_reaper() -> None:
    door = a_door()
    session = Session(door)
    session.receive(b"INVALIDATE t\r\n")
    session.close()
    assert door.cache.dbsize() > 1
    while door.cache.reap():
        pass
    assert door.cache.dbsize() == 1
    door.cache._check()


def test_a_connection_gets_its_turns_from_the_loop() -> None:
    cache = Cache()
    for number in range(COUNT):
        cache.set(f"k{number}", b"v", tags=["t"])
    with our_server(cache=cache) as server:
        with Client(server.port) as first, Client(server.port) as second:
            # what follows in the same piece waits, also when the client ends its half
            first.socket.sendall(b"INVALIDATE t\r\nPING\r\n")
            first.socket.shutdown(socket.SHUT_WR)
            assert second.ask(b"GET k1\r\n", 5) in (b"$-1\r\n", b"$1\r\nv")
            assert first.read_until_closed() == b":%d\r\n+PONG\r\n" % COUNT
        assert cache.dbsize() == 0
