"""What an endpoint counts of its commands, and which of them it calls slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conversing import session_of

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

Ask = Callable[..., bytes]


@pytest.fixture
def session() -> Session:
    return session_of(Endpoint(Cache(), REGISTRY, Settings()))[0]


@pytest.fixture
def ask(session: Session) -> Ask:
    def ask(*argv: bytes) -> bytes:
        parts = [b"*%d\r\n" % len(argv), *[b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv]]
        data = session.receive(b"".join(parts))
        while session.backlog:
            data += session.receive(b"")
        return data

    return ask


def counts(ask: Ask, name: str) -> dict[str, float]:
    """The numbers of one command in INFO."""
    lines = ask(b"INFO", b"commandstats").decode().split("\r\n")
    for line in lines:
        if line.startswith(f"cmdstat_{name}:"):
            pairs = [pair.split("=") for pair in line.partition(":")[2].split(",")]
            return {key: float(value) for key, value in pairs}
    return {}


def test_every_call_is_counted(ask: Ask) -> None:
    for _ in range(40):
        ask(b"SET", b"k", b"v")
    ask(b"get", b"k")
    assert counts(ask, "set")["calls"] == 40
    assert counts(ask, "get")["calls"] == 1
    assert counts(ask, "info")["calls"] == 3


def test_a_call_that_fails_and_one_that_is_refused_are_told_apart(ask: Ask) -> None:
    ask(b"SET", b"k", b"v")
    ask(b"LPUSH", b"k", b"v")
    ask(b"LPUSH", b"k")
    found = counts(ask, "lpush")
    assert (found["calls"], found["failed_calls"], found["rejected_calls"]) == (1, 1, 1)
    assert b"errorstat_ERR:count=1\r\nerrorstat_WRONGTYPE:count=1\r\n" in ask(b"INFO")


def test_what_is_no_command_is_counted_as_an_error_only(ask: Ask) -> None:
    ask(b"GET", b"k")
    ask(b"NOSUCH")
    ask(b"GET", b"k")
    assert counts(ask, "get") == {**counts(ask, "get"), "calls": 2, "failed_calls": 0}
    assert b"errorstat_ERR:count=1\r\n" in ask(b"INFO")


def test_a_queued_command_is_counted_when_it_is_run(ask: Ask) -> None:
    ask(b"MULTI")
    ask(b"SET", b"k", b"v")
    assert counts(ask, "set") == {}
    ask(b"SET", b"k", b"v")
    ask(b"EXEC")
    assert counts(ask, "set")["calls"] == 2
    assert counts(ask, "exec")["calls"] == 1


def test_a_long_command_is_counted_once_with_all_of_its_slices(ask: Ask) -> None:
    ask(b"SADD", b"s", *[b"%d" % number for number in range(30_000)])
    ask(b"SUNIONSTORE", b"t", b"s")
    found = counts(ask, "sunionstore")
    assert found["calls"] == 1
    assert found["usec"] > 100


def test_the_counts_begin_anew_after_resetstat(ask: Ask) -> None:
    ask(b"GET", b"k")
    ask(b"NOSUCH")
    ask(b"CONFIG", b"RESETSTAT")
    assert counts(ask, "get") == {}
    assert b"errorstat" not in ask(b"INFO")


def test_with_a_threshold_of_zero_every_call_is_slow(ask: Ask) -> None:
    ask(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
    ask(b"SLOWLOG", b"RESET")
    ask(b"CLIENT", b"SETNAME", b"me")
    for number in range(20):
        ask(b"SET", b"k%d" % number, b"v")
    assert ask(b"SLOWLOG", b"LEN") == b":22\r\n"
    assert b"$2\r\nk9\r\n" in ask(b"SLOWLOG", b"GET", b"-1")
    newest = ask(b"SLOWLOG", b"GET", b"1")
    assert newest.endswith(b"$2\r\n-1\r\n$0\r\n\r\n$2\r\nme\r\n")


def test_the_slow_log_keeps_no_more_than_it_is_told_to(ask: Ask) -> None:
    ask(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0", b"slowlog-max-len", b"3")
    for _ in range(9):
        ask(b"PING")
    assert ask(b"SLOWLOG", b"LEN") == b":3\r\n"
    assert (
        ask(b"CONFIG", b"GET", b"slowlog-max-len")
        == b"*2\r\n$15\r\nslowlog-max-len\r\n$1\r\n3\r\n"
    )


def test_a_fast_call_is_not_slow(ask: Ask) -> None:
    ask(b"GET", b"k")
    assert ask(b"SLOWLOG", b"LEN") == b":0\r\n"


def test_long_requests_are_shortened(ask: Ask) -> None:
    ask(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
    ask(b"RPUSH", b"l", b"x" * 200, *[b"y"] * 40)
    shown = ask(b"SLOWLOG", b"GET", b"1")
    assert b"x" * 128 + b"... (72 more bytes)" in shown
    assert b"... (12 more arguments)" in shown


def test_passwords_are_not_logged(ask: Ask) -> None:
    ask(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
    ask(b"AUTH", b"hunter2")
    ask(b"CONFIG", b"SET", b"requirepass", b"hunter2")
    assert b"hunter2" not in ask(b"SLOWLOG", b"GET", b"-1")


def test_the_monitor_notes_what_takes_long(ask: Ask, session: Session) -> None:
    ask(b"CONFIG", b"SET", b"latency-monitor-threshold", b"1")
    statistics = session.endpoint.statistics
    plan = REGISTRY.find(b"KEYS")
    assert plan is not None
    statistics.took(statistics.of(plan), 7_000_000, [b"KEYS", b"*"], "", "")
    statistics.took(statistics.of(plan), 5_000_000, [b"KEYS", b"*"], "", "")
    assert statistics.series["command"].samples[-1][1] == 7
    assert ask(b"LATENCY", b"LATEST").startswith(b"*1\r\n*4\r\n$7\r\ncommand\r\n")
    assert ask(b"LATENCY", b"HISTORY", b"command").startswith(b"*1\r\n*2\r\n:")
    assert b"all time high 7 ms" in ask(b"LATENCY", b"GRAPH", b"command")
    assert b"command: 1 spikes" in ask(b"LATENCY", b"DOCTOR")
    assert ask(b"LATENCY", b"RESET") == b":1\r\n"
    assert ask(b"LATENCY", b"LATEST") == b"*0\r\n"


def test_a_histogram_counts_all_calls(ask: Ask) -> None:
    for _ in range(33):
        ask(b"SET", b"k", b"v")
    shown = ask(b"LATENCY", b"HISTOGRAM", b"set").split(b"\r\n")
    assert shown[:6] == [b"*2", b"$3", b"set", b"*4", b"$5", b"calls"]
    assert shown[6] == b":33"
    assert shown[-2] == b":33"


def test_the_histogram_of_a_container_shows_its_subcommands(ask: Ask) -> None:
    ask(b"CONFIG", b"GET", b"port")
    assert b"config|get" in ask(b"LATENCY", b"HISTOGRAM", b"config")


@pytest.mark.parametrize("count", [b"-2", b"x"])
def test_a_count_that_is_none_is_refused(ask: Ask, count: bytes) -> None:
    assert ask(b"SLOWLOG", b"GET", count) == (
        b"-ERR count should be greater than or equal to -1\r\n"
    )
