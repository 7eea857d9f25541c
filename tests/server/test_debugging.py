"""DEBUG: what test suites ask; off by default, and never what ends a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conversing import session_of
from real_servers import RealServer, raw_replies, redis_binary, running

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.config import load
from cachestorm_server.debugging import is_local
from cachestorm_server.described import resp_settings
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

OK = b"+OK\r\n"
# Requests that are answered byte for byte as by a Redis that has DEBUG switched on.
SAME = [
    b"DEBUG",
    b"DEBUG nosuch",
    b"DEBUG OBJECT",
    b"DEBUG OBJECT missing",
    b"DEBUG ERROR 'WRONGPASS so it is'",
    b"DEBUG ERROR",
    b"DEBUG LOG hello",
    b"DEBUG SLEEP 0.001",
    b"DEBUG SLEEP 0 0",
    b"DEBUG SET-ACTIVE-EXPIRE 0",
    b"DEBUG SET-ACTIVE-EXPIRE 1",
    b"DEBUG QUICKLIST-PACKED-THRESHOLD 1k",
    b"DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
    b"DEBUG QUICKLIST-PACKED-THRESHOLD x",
    b"DEBUG CHANGE-REPL-ID",
    b"DEBUG POPULATE 3",
    b"DEBUG POPULATE 2 item 10",
    b"DEBUG POPULATE 1 cut 3",
    b"DEBUG POPULATE x",
    b"DEBUG POPULATE -1",
    b"MGET key:0 key:2 key:3 item:1 cut:0",
    *[
        b"DEBUG PROTOCOL " + kind
        for kind in (
            b"string integer double bignum null array set map attrib push verbatim true false x"
        ).split()
    ],
    b"CONFIG GET enable-debug-command",
]


@pytest.fixture(scope="module")
def debugged() -> Iterator[RealServer]:
    with running("redis", redis_binary(), "--enable-debug-command", "yes") as server:
        yield server


def session_with(debug_command: str, cache: Cache | None = None, address: str = "") -> Session:
    settings = Settings()
    settings.debug_command = debug_command
    endpoint = Endpoint(cache or Cache(), REGISTRY, settings)
    return Session(endpoint, address)


@pytest.mark.parametrize("protocol", [b"2", b"3"])
def test_debug_answers_as_redis_does(debugged: RealServer, protocol: bytes) -> None:
    requests = [b"FLUSHALL", *SAME]
    theirs = raw_replies(debugged.port, [b"HELLO " + protocol, *requests])[1:]
    session = session_with("yes")
    session.receive(b"HELLO " + protocol + b"\r\n")
    ours = [session.receive(line + b"\r\n") for line in requests]
    assert dict(zip(requests, ours, strict=True)) == dict(zip(requests, theirs, strict=True))


def test_it_is_refused_as_by_redis_unless_it_was_switched_on(redis_server: RealServer) -> None:
    requests = [b"DEBUG SLEEP 0", b"DEBUG HELP", b"CONFIG SET enable-debug-command yes"]
    session, _ = session_of(Endpoint(Cache(), REGISTRY, Settings()))
    assert [session.receive(line + b"\r\n") for line in requests] == raw_replies(
        redis_server.port, requests
    )


@pytest.mark.parametrize("name", ["segfault", "PANIC", "oom", "RELOAD", "restart", "leak"])
def test_what_would_end_a_server_or_lose_data_is_refused(name: str) -> None:
    reply = session_with("yes").receive(f"DEBUG {name}\r\n".encode())
    assert reply.startswith(f"-ERR DEBUG {name.upper()} is refused: it would ".encode())


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [
        ("127.0.0.1:50000", True),
        ("[::1]:50000", True),
        ("[::ffff:127.0.0.1]:50000", True),
        ("/run/cachestorm.sock:0", True),
        ("192.0.2.7:50000", False),
        ("[2001:db8::1]:50000", False),
        ("[fe80::1%eth0]:50000", False),
    ],
)
def test_local_is_for_clients_of_this_host(address: str, is_let_in: bool) -> None:
    assert is_local(address) is is_let_in
    reply = session_with("local", address=address).receive(b"DEBUG SLEEP 0\r\n")
    assert (reply == OK) is is_let_in


@pytest.mark.parametrize("seconds", [b"x", b"nan", b"inf", b"1e9", b""])
def test_a_sleep_without_a_time_or_an_end_is_refused(seconds: bytes) -> None:
    request = b"*3\r\n$5\r\nDEBUG\r\n$5\r\nSLEEP\r\n$%d\r\n%s\r\n" % (len(seconds), seconds)
    assert session_with("yes").receive(request) == (
        b"-ERR value is not a number of seconds up to 86400\r\n"
    )


def test_debug_object_tells_the_encoding_and_is_no_access(debugged: RealServer) -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("short", "abc", idle=10)
    session = session_with("yes", cache)
    ours = session.receive(b"DEBUG OBJECT short\r\n")
    theirs = raw_replies(debugged.port, [b"SET short abc", b"DEBUG OBJECT short"])[1]
    words = [b"encoding:embstr", b"serializedlength:4"]
    assert [word for word in words if word in theirs.split()] == words
    assert [word for word in words if word in ours.split()] == words
    clock.advance(9)
    session.receive(b"DEBUG OBJECT short\r\n")
    clock.advance(2)
    assert session.receive(b"DEBUG OBJECT short\r\n") == b"-ERR no such key\r\n"
    assert (cache.store_stats().hits, cache.store_stats().misses) == (0, 0)


def test_populate_leaves_what_is_there_and_makes_no_value_that_is_too_long() -> None:
    cache = Cache()
    cache.set("key:1", "mine")
    session = session_with("yes", cache)
    assert session.receive(b"DEBUG POPULATE 2\r\n") == OK
    assert cache.mget("key:0", "key:1") == ["value:0", "mine"]
    refused = session.receive(b"DEBUG POPULATE 1 key 99999999999999\r\n")
    assert refused.startswith(b"-ERR value is out of range")
    cache._check()


def test_active_expiry_is_switched_off_and_on() -> None:
    session = session_with("yes")
    session.receive(b"DEBUG SET-ACTIVE-EXPIRE 0\r\n")
    assert session.endpoint.is_reaping is False
    session.receive(b"DEBUG SET-ACTIVE-EXPIRE 1\r\n")
    assert session.endpoint.is_reaping is True
    assert session.receive(b"DEBUG SET-ACTIVE-EXPIRE 2\r\n").startswith(b"-ERR ")


def test_help_names_every_subcommand_that_works() -> None:
    lines = session_with("yes").receive(b"DEBUG HELP\r\n").split(b"\r\n")
    names = [line[1:].split()[0] for line in lines[2:-1:2]]
    assert {b"OBJECT", b"SLEEP", b"PROTOCOL", b"HELP"} <= set(names)
    unknown = b"-ERR unknown subcommand or wrong number of arguments"
    for name in names:
        reply = session_with("yes").receive(b"DEBUG " + name + b" 1\r\n")
        assert not reply.startswith(unknown) or name in (b"HELP", b"CHANGE-REPL-ID")


@pytest.mark.parametrize(
    ("given", "setting"),
    [("{}", "no"), ("{enable_debug_command: no}", "no")]
    + [(f"{{enable_debug_command: {word}}}", word) for word in ("yes", "local")],
)
def test_a_file_switches_it_on(tmp_path, given: str, setting: str) -> None:
    file = tmp_path / "cachestorm.yaml"
    file.write_text(f"server: {given}\n")
    assert resp_settings(load(str(file), {})).debug_command == setting
