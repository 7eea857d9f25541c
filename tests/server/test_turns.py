"""Long commands over the wire: one client waits for its own, and nobody for those of others."""

from __future__ import annotations

import socket

import pytest
from servers import Client, our_server

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.keyspace.shared_state import LOOK, SLICE
from cachestorm_server import clients, configuration, connection, introspection
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import JsonCommands, Pending
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

COMMANDS = (clients, configuration, connection, introspection)  # imported: declared
COUNT = 3 * SLICE
MEMBERS = 100_000


def a_endpoint() -> Endpoint:
    cache = Cache()
    for number in range(COUNT):
        cache.set(f"k{number}", b"v", tags=["t"])
    cache.set("other", b"o")
    return Endpoint(cache, REGISTRY, Settings())


def finish(session: Session, replies: bytes = b"", taken: int = 1) -> bytes:
    """Gives the session the turns that it has not taken; the replies of all of them."""
    turns = 0
    while session.backlog:
        turns += 1
        replies += session.receive(b"")
    assert turns >= COUNT // (SLICE + LOOK) - taken
    return replies


def test_others_are_served_between_the_slices_and_see_the_invalidation_whole() -> None:
    endpoint = a_endpoint()
    invalidator, other = Session(endpoint), Session(endpoint)
    replies = invalidator.receive(b"PING\r\nINVALIDATE t\r\nGET other\r\n")
    assert replies == b"+PONG\r\n"
    assert invalidator.backlog
    assert (
        other.receive(b"GET k1\r\nTAGCOUNT t\r\nGET other\r\n") == b"$-1\r\n:0\r\n$1\r\no\r\n"
    )
    assert finish(invalidator) == b":%d\r\n$1\r\no\r\n" % COUNT
    assert invalidator.long_command is None
    endpoint.cache._check()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"KEYS oth*\r\n", b"*1\r\n$5\r\nother\r\n"),
        (b"RANDOMKEY\r\n", b"$5\r\nother\r\n"),
    ],
)
def test_walks_over_all_keys_take_turns(line: bytes, reply: bytes) -> None:
    endpoint = a_endpoint()
    endpoint.cache.invalidate("t", soft=True)
    session = Session(endpoint)
    replies = session.receive(line + b"PING\r\n")
    # a draw may find the one live key at once
    assert replies == b"" or line == b"RANDOMKEY\r\n"
    while session.backlog:
        replies += session.receive(b"")
    assert replies == reply + b"+PONG\r\n"


def a_endpoint_of_sets() -> Endpoint:
    cache = Cache()
    names = [f"m{number:05d}" for number in range(MEMBERS)]
    cache.sadd("a", *names)
    cache.sadd("b", *names[-2:], *[f"n{name}" for name in names])
    cache.zadd("z", {name: float(at) for at, name in enumerate(names)})
    cache.rpush("l", *names, *names)
    cache.rpush("n", *range(MEMBERS), "no number")
    return Endpoint(cache, REGISTRY, Settings())


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"SUNIONSTORE to a b", b":%d\r\n" % (2 * MEMBERS)),
        (b"SINTER a b", b"~2\r\n$6\r\nm"),
        (b"SINTERCARD 2 a b LIMIT 1000000", b":2\r\n"),
        (b"ZINTER 2 z b WITHSCORES WEIGHTS 0 0", b"*2\r\n"),
        (b"LTRIM l 10 150000", b"+OK\r\n"),
        (b"LPOS l none", b"_\r\n"),
        (b"COPY z to", b":1\r\n"),
        (b"SORT a ALPHA LIMIT 0 1 GET #", b"*1\r\n$6\r\nm00000\r\n"),
        (b"SORT_RO n LIMIT 0 1", b"-ERR One or more scores can't be converted into double\r\n"),
        (b"SORT l ALPHA STORE to", b":%d\r\n" % (2 * MEMBERS)),
    ],
)
def test_what_is_derived_takes_turns_and_its_reply_is_that_of_the_wire(
    line: bytes, reply: bytes
) -> None:
    endpoint = a_endpoint_of_sets()
    session, other = Session(endpoint), Session(endpoint)
    session.receive(b"HELLO 3\r\n")
    replies = session.receive(line + b"\r\nPING\r\n")
    turns = 0
    while session.backlog:
        turns += 1
        assert replies == b""
        assert other.receive(b"EXISTS to\r\n") == b":0\r\n"
        replies += session.receive(b"")
    assert turns > 0
    assert replies.startswith(reply)
    assert replies.endswith(b"+PONG\r\n")
    endpoint.cache._check()


def test_a_client_that_goes_lets_go_of_what_was_derived_for_it() -> None:
    endpoint = a_endpoint_of_sets()
    before = endpoint.cache.store_stats().used_memory
    session = Session(endpoint)
    session.receive(b"ZUNIONSTORE to 2 z a\r\n")
    assert session.long_command is not None
    session.close()
    while endpoint.cache.reap():
        pass
    assert not endpoint.cache.exists("to")
    assert endpoint.cache.store_stats().used_memory == before
    assert not endpoint.cache._store.lazy_free.batches
    endpoint.cache._check()


def test_over_http_what_is_derived_has_the_reply_of_the_command() -> None:
    commands = JsonCommands(a_endpoint_of_sets().cache, REGISTRY)
    for argv, expected in (
        (["LTRIM", "l", "10", "150000"], "OK"),
        (["SINTER", "a", "b"], [f"m{MEMBERS - 2:05d}", f"m{MEMBERS - 1:05d}"]),
    ):
        with pytest.raises(Pending) as caught:
            commands.answer({"command": argv})
        answer = None
        while answer is None:
            answer = commands.go_on(caught.value)
        status, document = answer
        assert status == 200
        found = document["result"]
        assert expected == (sorted(found) if isinstance(found, list) else found)
    with pytest.raises(Pending) as caught:
        commands.answer({"command": ["SORT_RO", "n"]})
    answer = None
    while answer is None:
        answer = commands.go_on(caught.value)
    assert answer[0] == 400


def test_what_comes_meanwhile_waits_for_its_turn() -> None:
    session = Session(a_endpoint())
    replies = session.receive(b"INVALIDATE t\r\n")
    replies += session.receive(b"DBSIZE\r\nPI")
    replies += session.receive(b"NG\r\n")
    assert finish(session, replies, 3).endswith(b":%d\r\n:1\r\n+PONG\r\n" % COUNT)


def test_a_reply_that_is_switched_off_stays_so() -> None:
    session = Session(a_endpoint())
    replies = session.receive(b"CLIENT REPLY SKIP\r\nINVALIDATE t\r\nPING\r\n")
    assert finish(session, replies) == b"+PONG\r\n"


def test_a_client_that_goes_leaves_its_keys_to_the_reaper() -> None:
    endpoint = a_endpoint()
    session = Session(endpoint)
    session.receive(b"INVALIDATE t\r\n")
    session.close()
    assert endpoint.cache.dbsize() > 1
    while endpoint.cache.reap():
        pass
    assert endpoint.cache.dbsize() == 1
    endpoint.cache._check()


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
