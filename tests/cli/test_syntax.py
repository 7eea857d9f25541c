"""The syntax of commands: how it is written, and what may follow on a line."""

from __future__ import annotations

import re

import pytest

from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.wire_values import Members, Pairs, Status
from cachestorm_cli.syntax import from_docs, known, what_follows

FOLLOWING = [
    ("SET", "key", ()),
    ("SET k", "value", ()),
    ("SET k v EX", "seconds", ()),
    ("SET k v EX 5 NX", None, ("GET", "TAGS")),
    ("INVALIDATE", "tag", ()),
    ("INVALIDATE t SOFT", None, ("CASCADE", "DRYRUN")),
    ("SET k v TAGS a", "tags", None),
    ("ZADD k NX", "score", ("GT", "LT", "CH", "INCR")),
    ("ZADD k 1", "member", ()),
    ("ZADD k 1 a", "score", ()),
    ("MSET a 1", "key", ()),
    ("LINSERT k", None, ("BEFORE", "AFTER")),
    ("LINSERT k AFTER", "pivot", ()),
    ("HEXPIRE k 5 FIELDS 1", "field", ()),
    ("GEOSEARCH k FROMLONLAT 1 2 BYRADIUS 5", None, ("M", "KM", "FT", "MI")),
]


@pytest.mark.parametrize(("typed", "parameter", "tokens"), FOLLOWING)
def test_what_may_follow_is_known(typed: str, parameter: str | None, tokens) -> None:
    name, *words = typed.split()
    expected = what_follows(known()[name].arguments, words)
    found = expected.parameter.docs_name if expected.parameter is not None else None
    assert parameter == found
    assert tokens is None or tokens == expected.tokens


def test_keys_and_tags_are_told_apart() -> None:
    commands = known()
    assert what_follows(commands["GET"].arguments, []).is_key
    assert what_follows(commands["SETTAG"].arguments, ["k", "v"]).is_tag
    assert not what_follows(commands["SETTAG"].arguments, ["k"]).is_tag


def test_the_usage_is_the_notation_without_kinds() -> None:
    for name in ("SETTAG", "ZADD", "MSET", "TAGLINK", "LCS", "CLIENT LIST", "LMOVE"):
        syntax = known()[name]
        assert syntax.name == name
        assert _bare(syntax.usage) == _bare(_without_kinds(REGISTRY.get(name).spec)), name


def _without_kinds(spec: str) -> str:
    return re.sub(r"[a-z-]+:(?=<)|:[a-z_-]+", "", spec)


def _bare(usage: str) -> str:
    return " ".join(usage.replace("<", "").replace(">", "").split())


def _wire(value: object, resp3: bool) -> object:
    """What a client reads of a reply of COMMAND DOCS."""
    if isinstance(value, dict):
        pairs = [(_wire(name, resp3), _wire(each, resp3)) for name, each in value.items()]
        return Pairs(pairs) if resp3 else [part for pair in pairs for part in pair]
    if isinstance(value, Members):
        items = [_wire(each, resp3) for each in value.items]
        return Members(items) if resp3 else items
    if isinstance(value, list):
        return [_wire(each, resp3) for each in value]
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("resp3", [False, True])
def test_what_a_server_tells_of_itself_is_read_as_what_is_declared(resp3: bool) -> None:
    docs = {name: REGISTRY.docs(name) for name in REGISTRY.names()}
    told = from_docs(_wire(docs, resp3))
    ours = known()
    assert told.keys() == ours.keys()
    for name, syntax in told.items():
        assert syntax.subcommands == ours[name].subcommands
        assert syntax.summary == ours[name].summary
        for typed in ([], ["a"], ["a", "b"]):
            expected = what_follows(ours[name].arguments, typed)
            found = what_follows(syntax.arguments, typed)
            assert found.tokens == expected.tokens, (name, typed)
            assert found.is_key == expected.is_key, (name, typed)


@pytest.mark.parametrize("reply", [None, 5, [b"x"], Status("OK"), [b"get", b"odd"]])
def test_a_reply_that_is_no_documentation_is_survived(reply: object) -> None:
    assert all(syntax.arguments == [] for syntax in from_docs(reply).values())
