"""HGETEX and HSETEX through every protocol."""

from __future__ import annotations

import pytest
from every_protocol import Protocol

NO_FIELDS = "-ERR numfields should be greater than 0 and match the provided number of fields"


@pytest.fixture(autouse=True)
def _invariants(protocol: Protocol) -> object:
    yield
    protocol.cache._check()


def test_hsetex_sets_fields_with_a_deadline(protocol: Protocol) -> None:
    protocol.gives(1, "HSETEX", "h", "EX", "60", "FIELDS", "2", "a", "1", "b", "2")
    protocol.gives([60, 60], "HTTL", "h", "FIELDS", "2", "a", "b")
    protocol.gives(1, "HSETEX", "h", "KEEPTTL", "FIELDS", "1", "a", "3")
    protocol.gives(1, "HSETEX", "h", "FIELDS", "1", "b", "4")
    protocol.gives([60, -1], "HTTL", "h", "FIELDS", "2", "a", "b")
    protocol.gives({"a": "3", "b": "4"}, "HGETALL", "h")
    protocol.clock.advance(60)
    protocol.gives({"b": "4"}, "HGETALL", "h")


def test_hsetex_has_conditions_on_key_and_fields(protocol: Protocol) -> None:
    protocol.gives(0, "HSETEX", "h", "XX", "FIELDS", "1", "a", "1")
    protocol.gives(0, "HSETEX", "h", "FXX", "FIELDS", "1", "a", "1")
    protocol.gives(1, "HSETEX", "h", "NX", "FNX", "FIELDS", "1", "a", "1")
    protocol.gives(0, "HSETEX", "h", "FNX", "FIELDS", "2", "b", "1", "a", "1")
    protocol.gives("-ERR syntax error", "HSETEX", "h", "NX", "XX", "FIELDS", "1", "a", "1")
    protocol.gives({"a": "1"}, "HGETALL", "h")


def test_hgetex_gives_values_and_sets_a_deadline(protocol: Protocol) -> None:
    protocol("HSET", "h", "a", "1", "b", "2")
    protocol.gives(["1", None], "HGETEX", "h", "PX", "60000", "FIELDS", "2", "a", "c")
    protocol.gives([60, -1], "HTTL", "h", "FIELDS", "2", "a", "b")
    protocol.gives(["1"], "HGETEX", "h", "PERSIST", "FIELDS", "1", "a")
    protocol.gives([-1], "HTTL", "h", "FIELDS", "1", "a")
    protocol.gives(["1", "2"], "HGETEX", "h", "EXAT", "1", "FIELDS", "2", "a", "b")
    protocol.gives(0, "EXISTS", "h")


def test_the_number_of_fields_must_be_theirs(protocol: Protocol) -> None:
    protocol.gives(NO_FIELDS, "HGETEX", "h", "FIELDS", "2", "a")
    protocol.gives(NO_FIELDS, "HSETEX", "h", "FIELDS", "2", "a", "1")
    protocol.gives(NO_FIELDS, "HSETEX", "h", "FIELDS", "1", "a", "1", "b")


def test_a_negative_time_to_live_is_refused(protocol: Protocol) -> None:
    invalid = "-ERR invalid expire time in '%s' command"
    protocol.gives(invalid % "hgetex", "HGETEX", "h", "EX", "-1", "FIELDS", "1", "a")
    protocol.gives(invalid % "hsetex", "HSETEX", "h", "EX", "-1", "FIELDS", "1", "a", "1")


def test_another_kind_of_value_is_refused(protocol: Protocol) -> None:
    protocol("SET", "k", "v")
    wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
    protocol.gives(wrong, "HGETEX", "k", "FIELDS", "1", "a")
    protocol.gives(wrong, "HSETEX", "k", "NX", "FIELDS", "1", "a", "1")
