"""HGETEX and HSETEX through every door."""

from __future__ import annotations

import pytest
from every_door import Door

NO_FIELDS = "-ERR numfields should be greater than 0 and match the provided number of fields"


@pytest.fixture(autouse=True)
def _invariants(door: Door) -> object:
    yield
    door.cache._check()


def test_hsetex_sets_fields_with_a_deadline(door: Door) -> None:
    door.gives(1, "HSETEX", "h", "EX", "60", "FIELDS", "2", "a", "1", "b", "2")
    door.gives([60, 60], "HTTL", "h", "FIELDS", "2", "a", "b")
    door.gives(1, "HSETEX", "h", "KEEPTTL", "FIELDS", "1", "a", "3")
    door.gives(1, "HSETEX", "h", "FIELDS", "1", "b", "4")
    door.gives([60, -1], "HTTL", "h", "FIELDS", "2", "a", "b")
    door.gives({"a": "3", "b": "4"}, "HGETALL", "h")
    door.clock.advance(60)
    door.gives({"b": "4"}, "HGETALL", "h")


def test_hsetex_has_conditions_on_key_and_fields(door: Door) -> None:
    door.gives(0, "HSETEX", "h", "XX", "FIELDS", "1", "a", "1")
    door.gives(0, "HSETEX", "h", "FXX", "FIELDS", "1", "a", "1")
    door.gives(1, "HSETEX", "h", "NX", "FNX", "FIELDS", "1", "a", "1")
    door.gives(0, "HSETEX", "h", "FNX", "FIELDS", "2", "b", "1", "a", "1")
    door.gives("-ERR syntax error", "HSETEX", "h", "NX", "XX", "FIELDS", "1", "a", "1")
    door.gives({"a": "1"}, "HGETALL", "h")


def test_hgetex_gives_values_and_sets_a_deadline(door: Door) -> None:
    door("HSET", "h", "a", "1", "b", "2")
    door.gives(["1", None], "HGETEX", "h", "PX", "60000", "FIELDS", "2", "a", "c")
    door.gives([60, -1], "HTTL", "h", "FIELDS", "2", "a", "b")
    door.gives(["1"], "HGETEX", "h", "PERSIST", "FIELDS", "1", "a")
    door.gives([-1], "HTTL", "h", "FIELDS", "1", "a")
    door.gives(["1", "2"], "HGETEX", "h", "EXAT", "1", "FIELDS", "2", "a", "b")
    door.gives(0, "EXISTS", "h")


def test_the_number_of_fields_must_be_theirs(door: Door) -> None:
    door.gives(NO_FIELDS, "HGETEX", "h", "FIELDS", "2", "a")
    door.gives(NO_FIELDS, "HSETEX", "h", "FIELDS", "2", "a", "1")
    door.gives(NO_FIELDS, "HSETEX", "h", "FIELDS", "1", "a", "1", "b")


def test_a_negative_time_to_live_is_refused(door: Door) -> None:
    invalid = "-ERR invalid expire time in '%s' command"
    door.gives(invalid % "hgetex", "HGETEX", "h", "EX", "-1", "FIELDS", "1", "a")
    door.gives(invalid % "hsetex", "HSETEX", "h", "EX", "-1", "FIELDS", "1", "a", "1")


def test_another_kind_of_value_is_refused(door: Door) -> None:
    door("SET", "k", "v")
    wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
    door.gives(wrong, "HGETEX", "k", "FIELDS", "1", "a")
    door.gives(wrong, "HSETEX", "k", "NX", "FIELDS", "1", "a", "1")
