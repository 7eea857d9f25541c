"""Logins: how often an address may fail."""

from __future__ import annotations

from cachestorm_server.acl import logins as module
from cachestorm_server.acl.logins import Logins, host_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_failures_are_forgiven_one_a_second() -> None:
    clock = Clock()
    logins = Logins(2, clock)
    for _ in range(2):
        assert logins.wait_s("a") == 0
        logins.failed("a")
    assert (logins.wait_s("a"), logins.wait_s("b")) == (1, 0)
    clock.now += 1
    assert logins.wait_s("a") == 0
    logins.failed("a")
    assert logins.wait_s("a") == 1
    clock.now += 100
    for _ in range(2):
        assert logins.wait_s("a") == 0
        logins.failed("a")
    assert logins.wait_s("a") == 1


def test_none_is_counted_where_there_is_no_limit() -> None:
    logins = Logins(0)
    for _ in range(1000):
        logins.failed("a")
    assert logins.wait_s("a") == 0


def test_no_more_than_so_many_addresses_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_ADDRESSES", 3)
    clock = Clock()
    logins = Logins(1, clock)
    for name in "abcd":
        logins.failed(name)
    assert [logins.wait_s(name) for name in "abcd"] == [0, 1, 1, 1]


def test_ports_do_not_tell_addresses_apart() -> None:
    assert host_of("10.0.0.1:5") == "10.0.0.1"
    assert host_of("[::1]:5") == "::1"
    assert host_of("/run/s.sock:0") == "/run/s.sock"
