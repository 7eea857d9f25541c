"""Arguments by name, as the HTTP endpoint takes them: the words that they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty import NASTY, TABLE, Recorder

from cachestorm.declare.spelling import names_of, spell
from cachestorm.errors import CacheStormError, NamedArgumentError


def spelled(name: str, **named: object) -> str:
    declaration = NASTY.get(name)
    assert declaration is not None
    return " ".join(str(arg) for arg in spell(declaration, named))


@pytest.mark.parametrize(
    ("name", "named", "expected"),
    [
        ("GET", {"key": "k"}, "GET k"),
        ("SET", {"key": "k", "value": "v"}, "SET k v"),
        ("SET", {"key": "k", "value": None}, "SET k None"),
        ("SET", {"ex": 60, "value": "v", "key": "k", "nx": True}, "SET k v NX EX 60"),
        ("SET", {"key": "k", "value": "v", "ttl": 60}, "SET k v EX 60"),
        ("SET", {"key": "k", "value": "v", "px": None, "get": False}, "SET k v"),
        ("SET", {"key": "k", "value": "v", "tags": ["a", "b"]}, "SET k v TAGS a b"),
        ("SET", {"key": "k", "value": "v", "tags": "a"}, "SET k v TAGS a"),
        ("DEL", {"key": "a"}, "DEL a"),
        ("DEL", {"keys": ["a", "b"]}, "DEL a b"),
        ("MSET", {"mapping": {"a": 1, "b": 2}}, "MSET a 1 b 2"),
        ("MSET", {"mapping": [["a", 1], ["b", 2]]}, "MSET a 1 b 2"),
        ("HSET", {"key": "h", "field": "f", "value": 1}, "HSET h f 1"),
        ("ZADD", {"key": "z", "mapping": {"m": 1.5}, "ch": True}, "ZADD z CH 1.5 m"),
        ("ZADD", {"key": "z", "mapping": [[1.5, "m"]]}, "ZADD z 1.5 m"),
        ("SCAN", {"cursor": 0, "match": "a*", "count": 5}, "SCAN 0 MATCH a* COUNT 5"),
        ("SCAN", {"cursor": 0, "pattern": "a*"}, "SCAN 0 MATCH a*"),
        ("COPY", {"source": "a", "destination": "b", "db": 1}, "COPY a b DB 1"),
        ("OBJECT ENCODING", {"key": "k"}, "OBJECT ENCODING k"),
        ("HEXPIRE", {"key": "h", "ttl": 5, "fields": ["a", "b"]}, "HEXPIRE h 5 FIELDS 2 a b"),
        ("HEXPIRE", {"key": "h", "ttl": 5, "field": "a"}, "HEXPIRE h 5 FIELDS 1 a"),
        ("LMPOP", {"keys": ["a", "b"], "where": "left"}, "LMPOP 2 a b left"),
        ("LMPOP", {"numkeys": 1, "key": "a", "where": "left"}, "LMPOP 1 a left"),
        (
            "LINSERT",
            {"key": "k", "before": True, "pivot": 1, "element": 2},
            "LINSERT k BEFORE 1 2",
        ),
        (
            "ZRANGE",
            {"key": "z", "start": 0, "stop": 1, "limit": [0, 5]},
            "ZRANGE z 0 1 LIMIT 0 5",
        ),
        (
            "ZUNION",
            {"keys": ["a", "b"], "weights": [1, 2], "aggregate": "MAX"},
            "ZUNION 2 a b WEIGHTS 1 2 AGGREGATE MAX",
        ),
        (
            "SORT",
            {
                "key": "k",
                "get": ["#", "d"],
                "order": "DESC",
                "store": "d",
                "offset": 1,
                "count": 2,
            },
            "SORT k LIMIT 1 2 GET # GET d DESC STORE d",
        ),
        ("EVAL", {"script": "s", "arg": ["a"]}, "EVAL s 0 a"),
        ("EVAL", {"script": "s", "keys": ["k"], "args": "a"}, "EVAL s 1 k a"),
        ("CLIENT KILL", {"id": [4, 5], "skipme": "no"}, "CLIENT KILL ID 4 5 SKIPME no"),
        ("CLIENT KILL", {"addr": "1:2"}, "CLIENT KILL 1:2"),
        (
            "BITFIELD",
            {"key": "k", "operation": [["GET", "u8", 0], ["OVERFLOW", "SAT"]]},
            "BITFIELD k GET u8 0 OVERFLOW SAT",
        ),
        (
            "BITFIELD_RO",
            {"key": "k", "get": [["u8", 0], ["i4", "#1"]]},
            "BITFIELD_RO k GET u8 0 GET i4 #1",
        ),
        ("BITFIELD_RO", {"key": "k"}, "BITFIELD_RO k"),
    ],
)
def test_names_stand_for_these_words(
    name: str, named: dict[str, object], expected: str
) -> None:
    assert spelled(name, **named) == expected


@pytest.mark.parametrize(
    ("name", "named", "text"),
    [
        ("GET", {}, "missing argument 'key' for 'get' command; its arguments: key"),
        ("GET", {"key": "k", "foo": 1}, "unknown argument 'foo' for 'get' command"),
        ("SET", {"key": "k", "value": "v", "nx": "yes"}, "argument 'nx' is true or false for"),
        ("MSET", {"mapping": 5}, "argument 'mapping' is a list of [key, value] for"),
        ("MSET", {"mapping": [["a"]]}, "argument 'mapping' is a list of [key, value] for"),
        ("LMPOP", {"key": "a"}, "missing argument 'where' for"),
        ("LINSERT", {"key": "a", "pivot": 1, "element": 2}, "missing argument 'before' for"),
        ("BITFIELD", {"key": "k", "operation": ["GET"]}, "'operation' is a list of lists for"),
        ("BITFIELD_RO", {"key": "k", "get": ["u8"]}, "'get' is a list of [encoding, offset]"),
    ],
)
def test_names_of_no_use_are_refused(name: str, named: dict[str, object], text: str) -> None:
    with pytest.raises(NamedArgumentError) as caught:
        spelled(name, **named)
    assert text in str(caught.value)


def test_a_refusal_lists_the_names_there_are() -> None:
    declaration = NASTY.get("SET")
    assert declaration is not None
    expected = [
        "key",
        "value",
        "nx",
        "xx",
        "get",
        "ex",
        "px",
        "exat",
        "pxat",
        "keepttl",
        "tags",
    ]
    assert names_of(declaration) == expected


def test_an_answer_by_names_equals_the_answer_by_words() -> None:
    plan = TABLE.plan("LMPOP")
    assert plan is not None
    by_words = plan.answer(Recorder(), ["LMPOP", 2, "a", "b", "LEFT", "COUNT", 3])
    named: dict[str, object] = {"keys": ["a", "b"], "where": "LEFT", "count": 3}
    assert by_words == plan.answer(Recorder(), spell(plan.declaration, named))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.data())
def test_no_json_makes_a_plan_raise_anything_but_our_errors(data: st.DataObject) -> None:
    declaration = data.draw(st.sampled_from(list(NASTY)))
    names = [*names_of(declaration), "mapping", "numkeys", "field", "foo"]
    named = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=6))
    plan = TABLE.plan(declaration.name)
    assert plan is not None
    try:
        plan.bind(spell(declaration, named))
    except CacheStormError:
        pass
