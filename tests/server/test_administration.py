"""What tools ask of a server that has no replicas, no modules and no cluster."""

from __future__ import annotations

import logging

import pytest
from conversing import session_of
from real_servers import RealServer, raw_replies

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.idle_parameters import DEFAULTS, FIXED
from cachestorm_server.seen_parameters import SEEN
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


@pytest.fixture
def session() -> Session:
    return session_of(Endpoint(Cache(), REGISTRY, Settings()))[0]


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"ROLE", b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
        (b"WAIT 1 100", b":0\r\n"),
        (b"WAIT 1 -1", b"-ERR timeout is negative\r\n"),
        (b"MODULE LIST", b"*0\r\n"),
        (b"READONLY", b"+OK\r\n"),
        (b"READWRITE", b"+OK\r\n"),
        (b"ASKING", b"-ERR This instance has cluster support disabled\r\n"),
        (b"REPLICAOF no one", b"+OK\r\n"),
        (b'CONFIG SET save ""', b"+OK\r\n"),
        (b"CONFIG SET appendonly no", b"+OK\r\n"),
        (b"CONFIG SET hz 50 activedefrag yes", b"+OK\r\n"),
        (b"CONFIG SET zset-max-listpack-entries 64", b"+OK\r\n"),
        (b"CONFIG SET maxmemory-clients 5%", b"+OK\r\n"),
        (b"CONFIG SET maxmemory-clients 1mb", b"+OK\r\n"),
        (b"COMMAND LIST FILTERBY PATTERN role", b"*1\r\n$4\r\nrole\r\n"),
        (b"COMMAND LIST FILTERBY PATTERN module|l*", b"*1\r\n$11\r\nmodule|list\r\n"),
        (
            b"COMMAND GETKEYSANDFLAGS SET k v",
            b"*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+OW\r\n+update\r\n",
        ),
    ],
)
def test_a_tool_is_answered_as_by_a_redis_without_the_feature(
    session: Session, line: bytes, reply: bytes
) -> None:
    assert session.receive(line + b"\r\n") == reply


@pytest.mark.parametrize(
    "line",
    [
        b"REPLICAOF host 6379",
        b"CONFIG SET appendonly yes",
        b"CONFIG SET hz often",
        b"CONFIG SET loglevel loud",
        b"CONFIG SET maxmemory-clients 101%",
        b"CONFIG SET maxmemory-clients many",
        b"CONFIG SET proto-max-bulk-len 1023kb",
        b"CONFIG SET proto-max-bulk-len 513mb",
        b"SHUTDOWN SAVE",
        b"SHUTDOWN",
    ],
)
def test_what_cannot_be_is_refused(session: Session, line: bytes) -> None:
    assert session.receive(line + b"\r\n").startswith(b"-ERR ")


def test_a_parameter_that_means_nothing_is_shown_as_it_was_set(session: Session) -> None:
    session.receive(b"CONFIG SET hz 50\r\n")
    assert session.receive(b"CONFIG GET hz\r\n") == b"*2\r\n$2\r\nhz\r\n$2\r\n50\r\n"
    assert b"\r\nhz:50\r\nconfigured_hz:50\r\n" in session.receive(b"INFO server\r\n")


@pytest.mark.parametrize(
    ("given", "shown", "level"),
    [
        ("debug", "debug", logging.DEBUG),
        ("VERBOSE", "notice", logging.INFO),
        ("notice", "notice", logging.INFO),
        ("warning", "warning", logging.WARNING),
        ("nothing", "nothing", logging.ERROR),
    ],
)
def test_the_level_of_the_log_can_be_set(
    session: Session, given: str, shown: str, level: int
) -> None:
    log = logging.getLogger("cachestorm")
    before = log.level
    try:
        assert session.receive(f"CONFIG SET loglevel {given}\r\n".encode()) == b"+OK\r\n"
        assert log.level == level
        reply = session.receive(b"CONFIG GET loglevel\r\n")
        assert reply.split(b"\r\n")[4].decode() == shown
    finally:
        log.setLevel(before)


@pytest.mark.parametrize(
    ("given", "shown", "fields"),
    [
        ("50 99.50", "50 99.5", ["p50=", "p99.5="]),
        ("100 0 1e1", "100 0 10", ["p100=", "p0=", "p10="]),
        ("", "", [""]),
    ],
)
def test_the_percentiles_of_latency_can_be_chosen(
    session: Session, given: str, shown: str, fields: list[str]
) -> None:
    line = f'CONFIG SET latency-tracking-info-percentiles "{given}"\r\n'
    assert session.receive(line.encode()) == b"+OK\r\n"
    reply = session.receive(b"CONFIG GET latency-tracking-info-percentiles\r\n")
    assert reply.split(b"\r\n")[4].decode() == shown
    text = session.receive(b"INFO latencystats\r\n").decode()
    found = text.partition("latency_percentiles_usec_config|set:")[2].partition("\r\n")[0]
    assert [field.rpartition("=")[0] for field in found.split(",")] == [
        field.removesuffix("=") for field in fields
    ]


@pytest.mark.parametrize("given", ["50 x", "101", "-1", "50 99,9", "nan"])
def test_percentiles_that_are_none_are_refused_as_by_redis(
    session: Session, redis_server: RealServer, given: str
) -> None:
    line = f'CONFIG SET latency-tracking-info-percentiles "{given}"'.encode()
    assert [session.receive(line + b"\r\n")] == raw_replies(redis_server.port, [line])
    reply = session.receive(b"CONFIG GET latency-tracking-info-percentiles\r\n")
    assert reply.split(b"\r\n")[4] == b"50 99 99.9"


def test_parameters_that_mean_nothing_have_names_of_redis(
    redis_server: RealServer, valkey: RealServer
) -> None:
    # some came with Redis 7.2, which Valkey goes back to
    names = {name.encode() for name in (*DEFAULTS, *FIXED)}
    for server in (redis_server, valkey):
        names.difference_update(raw_replies(server.port, [b"CONFIG GET *"])[0].split())
    assert names == set()


def test_every_parameter_of_redis_is_there(session: Session, redis_server: RealServer) -> None:
    theirs = set(raw_replies(redis_server.port, [b"CONFIG GET *"])[0].split(b"\r\n")[2::4])
    ours = set(session.receive(b"CONFIG GET *\r\n").split(b"\r\n")[2::4])
    assert b"dbfilename" in theirs
    assert theirs - ours == set()


@pytest.mark.parametrize("name", sorted(SEEN))
def test_a_parameter_that_only_tells_can_be_set_to_what_it_is(
    session: Session, name: str
) -> None:
    shown = session.receive(f"CONFIG GET {name}\r\n".encode()).split(b"\r\n")[4]
    assert session.receive(b'CONFIG SET %s "%s"\r\n' % (name.encode(), shown)) == b"+OK\r\n"
    other = session.receive(f"CONFIG SET {name} another\r\n".encode())
    assert other.startswith(b"-ERR CONFIG SET failed")


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("sanitize-dump-payload clients", b"+OK"),
        ("repl-diskless-load never", b"-ERR CONFIG SET failed"),
        ("auto-aof-rewrite-min-size 64mb", b"+OK"),
        ("shutdown-timeout soon", b"-ERR CONFIG SET failed"),
    ],
)
def test_a_parameter_that_means_nothing_is_checked(
    session: Session, redis_server: RealServer, request_: str, reply: bytes
) -> None:
    line = f"CONFIG SET {request_}\r\n".encode()
    theirs = raw_replies(redis_server.port, [line.strip()])[0]
    assert session.receive(line).startswith(reply)
    assert theirs.startswith(reply)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_parameter_that_is_fixed_can_be_set_to_what_it_is_alone(
    session: Session, name: str
) -> None:
    same = f'CONFIG SET {name} "{FIXED[name]}"\r\n'.encode()
    other = f"CONFIG SET {name} 7\r\n".encode()
    assert session.receive(same) == b"+OK\r\n"
    assert session.receive(other).startswith(b"-ERR CONFIG SET failed")
    shown = session.receive(f"CONFIG GET {name}\r\n".encode())
    assert shown.split(b"\r\n")[4] == FIXED[name].encode()


@pytest.mark.parametrize(
    ("given", "shown"), [(b"64mb", b"67108864"), (b"1048576", b"1048576"), (b"x", b"1048576")]
)
def test_a_size_is_shown_in_bytes(session: Session, given: bytes, shown: bytes) -> None:
    session.receive(b"CONFIG SET repl-backlog-size " + given + b"\r\n")
    reply = session.receive(b"CONFIG GET repl-backlog-size\r\n")
    assert reply.split(b"\r\n")[4] == shown


def test_one_wrong_value_leaves_all_as_it_was(session: Session) -> None:
    session.receive(b"CONFIG SET hz 50 loglevel loud\r\n")
    assert session.receive(b"CONFIG GET hz\r\n") == b"*2\r\n$2\r\nhz\r\n$2\r\n10\r\n"


def test_shutdown_stops_the_server_without_a_reply(session: Session) -> None:
    stopped: list[bool] = []
    session.endpoint.shut_down = lambda: stopped.append(True)
    assert session.receive(b"SHUTDOWN NOSAVE\r\n") == b""
    assert (stopped, session.closing) == ([True], True)


def test_fragmentation_is_reckoned_with_what_the_interpreter_takes(session: Session) -> None:
    text = session.receive(b"INFO memory\r\n").decode()
    ratio = float(text.partition("mem_fragmentation_ratio:")[2].partition("\r\n")[0])
    assert 0.5 < ratio < 10


def test_the_longest_argument_is_changed_for_all_who_are_connected() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    session, other = session_of(endpoint)[0], session_of(endpoint)[0]
    assert session.receive(b"CONFIG SET proto-max-bulk-len 1mb\r\n") == b"+OK\r\n"
    assert other.receive(b"CONFIG GET proto-max-bulk-len\r\n").endswith(b"$7\r\n1048576\r\n")
    too_long = b"*2\r\n$4\r\nECHO\r\n$1048577\r\n"
    assert other.receive(too_long) == b"-ERR Protocol error: invalid bulk length\r\n"
