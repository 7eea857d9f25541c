"""Reply converters: what a Python value becomes on the wire, and in JSON."""

from __future__ import annotations

import pytest

from cachestorm.declare.bound import Bound, Slots
from cachestorm.declare.kinds import AS_GIVEN
from cachestorm.declare.replies import converter_named
from cachestorm.declare.wire_values import (
    NULL_ARRAY,
    OK,
    PONG,
    Members,
    Pairs,
    Status,
    Verbatim,
    to_json,
)
from cachestorm.errors import WrongTypeError
from cachestorm.markers import MISSING

OPTIONS = ["get", "count", "withscores", "withscore", "withvalues", "novalues", "destination"]


def reply(name: str, value: object, *options: str) -> object:
    converter = converter_named(name)
    assert converter is not None
    bound = Bound(Slots("test", OPTIONS))
    for option in options:
        bound.put(OPTIONS.index(option), True, AS_GIVEN)
    return converter(value, bound)


@pytest.mark.parametrize(
    ("name", "value", "options", "expected"),
    [
        ("native", 5, (), 5),
        ("ok", None, (), OK),
        ("bulk", None, (), None),
        ("bulk", 5, (), b"5"),
        ("bulk", 0.5, (), b"0.5"),
        ("bulk", {"a": 1}, (), b'{"a":1}'),
        ("stored", MISSING, (), None),
        ("stored", None, (), b"null"),
        ("stored", "é", (), "é".encode()),
        ("stored_all", [1, MISSING, None], (), [b"1", None, b"null"]),
        ("status", "hash", (), Status("hash")),
        ("pong", None, (), PONG),
        ("pong", "hi", ("get",), b"hi"),
        ("verbatim", "text", (), Verbatim("text")),
        ("set", True, (), OK),
        ("set", False, (), None),
        ("set", MISSING, ("get",), None),
        ("set", 5, ("get",), b"5"),
        ("ttl", MISSING, (), -2),
        ("ttl", None, (), -1),
        ("ttl", 1.4, (), 1),
        ("ttl", 1.5, (), 2),
        ("pttl", 1500, (), 1500),
        ("pttl", None, (), -1),
        ("members", {"a"}, (), Members(["a"])),
        ("mapping", {"f": 1}, (), {"f": b"1"}),
        ("mapping", {"f": None}, (), {"f": b"null"}),
        ("picked", None, (), None),
        ("picked", 1, (), b"1"),
        ("picked", [1], ("count",), [b"1"]),
        ("picked", None, ("count",), NULL_ARRAY),
        ("drawn", "m", (), b"m"),
        ("drawn", ["m"], ("count",), Members(["m"])),
        ("fields", None, (), None),
        ("fields", ["f"], ("count",), ["f"]),
        ("fields", {"f": None}, ("count", "withvalues"), Pairs([("f", b"null")])),
        ("fields", {"f": 1}, ("count", "withvalues"), Pairs([("f", b"1")])),
        ("scored", ["m"], (), ["m"]),
        ("scored", [("m", 1.0)], ("withscores",), Pairs([("m", 1.0)])),
        ("popped", [("m", 1.0)], (), ["m", 1.0]),
        ("popped", [], (), []),
        ("popped", [("m", 1.0)], ("count",), Pairs([("m", 1.0)])),
        ("keyed", ("k", [1]), (), ["k", [b"1"]]),
        ("keyed", ("k", [None]), (), ["k", [b"null"]]),
        ("keyed", None, (), NULL_ARRAY),
        ("keyed_scores", ("k", [("m", 1.0)]), (), ["k", [["m", 1.0]]]),
        ("ranked", 3, (), 3),
        ("ranked", None, (), None),
        ("ranked", None, ("withscore",), NULL_ARRAY),
        ("scan", (7, ["a"]), (), [b"7", ["a"]]),
        ("scan_pairs", (0, {"f": 1}), (), [b"0", ["f", b"1"]]),
        ("scan_pairs", (0, {"f": None}), (), [b"0", ["f", b"null"]]),
        (
            "scan_scores",
            (0, [("m", 1e-7), ("n", 1e8)]),
            (),
            [b"0", ["m", b"1e-7", "n", b"100000000"]],
        ),
        ("scan_pairs", (0, ["f"]), ("novalues",), [b"0", ["f"]]),
        ("sort", ["a", None], (), [b"a", b"null"]),
        ("sort", ["a", None], ("get",), [b"a", None]),
        ("sort", 1, ("destination",), 1),
    ],
)
def test_a_value_becomes_this_reply(name, value, options, expected) -> None:
    assert reply(name, value, *options) == expected


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (None, None),
        (True, True),
        (b"v", "v"),
        (b"\xff", {"base64": "/w=="}),
        ("\udcff", {"base64": "/w=="}),
        ("é", "é"),
        (1.5, 1.5),
        (float("inf"), "inf"),
        (OK, "OK"),
        (Verbatim("t"), "t"),
        ((b"a", [1]), ["a", [1]]),
        (Members(["a"]), ["a"]),
        (Pairs([("m", 1.0)]), [["m", 1.0]]),
        ({"f": b"v"}, {"f": "v"}),
        (NULL_ARRAY, None),
        (
            WrongTypeError(),
            {"error": "WRONGTYPE Operation against a key holding the wrong kind of value"},
        ),
    ],
)
def test_a_wire_value_becomes_this_json(wire: object, expected: object) -> None:
    assert to_json(wire) == expected
