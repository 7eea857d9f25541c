"""Binding: what the words of a command become, and how malformed ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty import NASTY, TABLE, Recorder

from cachestorm import Cache
from cachestorm.declare.bit_fields import FieldType
from cachestorm.declare.declaration import Declaration, Declarations
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import REGISTRY, Registry
from cachestorm.declare.spans import LexBound, Lifetime, ScoreBound
from cachestorm.errors import ArityError, CacheStormError, DeclarationError
from cachestorm.markers import UNSET

NO = False


def run(line: str) -> object:
    """Calls a command as the wire spells it."""
    argv: list[object] = [arg.encode() for arg in line.split()]
    return TABLE.resolve(argv).call(Recorder(), argv)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET k", ("k", None)),
        ("SET k v", ("k", b"v", UNSET, NO, NO, NO, NO, ())),
        ("set k v xX", ("k", b"v", UNSET, NO, True, NO, NO, ())),
        ("SET k v EX 60 NX", ("k", b"v", Lifetime(60000, NO), True, NO, NO, NO, ())),
        ("SET k v NX EX 60", ("k", b"v", Lifetime(60000, NO), True, NO, NO, NO, ())),
        ("SET k v PXAT 7", ("k", b"v", Lifetime(7, True), NO, NO, NO, NO, ())),
        ("SET k v EX 1 EX 2", ("k", b"v", Lifetime(2000, NO), NO, NO, NO, NO, ())),
        ("SET k v NX XX", ("k", b"v", UNSET, True, True, NO, NO, ())),
        (
            "SET k v GET TAGS a EX TAG",
            ("k", b"v", UNSET, NO, NO, True, NO, ["a", "EX", "TAG"]),
        ),
        ("SET EX NX PX 5", ("EX", b"NX", Lifetime(5, NO), NO, NO, NO, NO, ())),
        ("DEL a", ("a",)),
        ("DEL a b", ("a", "b")),
        ("MSET a 1 b 2", [("a", b"1"), ("b", b"2")]),
        ("INCR k", ("k", 1)),
        ("APPEND k v", ("k", b"v")),
        ("EXPIRE k -5 GT", ("k", Lifetime(-5000, NO), NO, NO, True, NO)),
        ("SCAN 18446744073709551615", (18446744073709551615, [None, 10, None])),
        ("SCAN 0 TYPE set MATCH a* COUNT 7", (0, ["a*", 7, "set"])),
        ("COPY a b REPLACE DB 3", ("a", "b", 3, True)),
        ("OBJECT encoding k", "k"),
        ("HSET h f v", ("h", None, None, [("f", b"v")])),
        (
            "HEXPIRE h 5 LT FIELDS 2 FIELDS b",
            ("h", Lifetime(5000, NO), ("FIELDS", "b"), NO, NO, NO, True),
        ),
        ("LPUSH k a", ("k", b"a")),
        ("LRANGE k 0 -1", ["k", 0, -1]),
        ("LMPOP 2 a b right COUNT 3", ("a", ["a", "b", "RIGHT", 3])),
        ("LMPOP 1 LEFT LEFT", ("LEFT", ["LEFT", "LEFT", 1])),
        ("LMOVE a b LEFT RIGHT", ("a", "b", "LEFT", "RIGHT")),
        ("LINSERT k BEFORE AFTER BEFORE", ("k", b"AFTER", b"BEFORE", True, NO)),
        ("BLPOP a b 1.5", ["a", "b", 1.5]),
        ("SADD k m", ("k", "m")),
        ("SADD k m n", ("k", "m", "n")),
        ("SINTERSTORE d a b", ("d", "a", "b")),
        (
            "ZADD k NX CH 1 m inf n",
            ("k", [(1, "m"), (float("inf"), "n")], True, *[NO] * 3, True, NO),
        ),
        ("ZRANGE k 0 -1", [("k", b"0"), (b"-1", None)]),
        ("ZRANGE k (1 2 LIMIT 0 5 BYSCORE", [("k", b"(1"), (b"2", (0, 5))]),
        ("ZREVRANGEBYSCORE k +inf (1", ("k", ScoreBound(float("inf")), ScoreBound(1.0, True))),
        ("ZLEXCOUNT k [a +", ("k", LexBound(b"a"), LexBound(b"", infinity=1))),
        ("ZUNION 2 a b WEIGHTS 1 2 AGGREGATE max", [(("a", "b"), [1, 2]), ("MAX", NO)]),
        (
            "SORT k BY w LIMIT 0 9 GET # GET d DESC ASC ALPHA STORE d",
            ("k", "w", 0, 9, ["#", "d"], "ASC", True, "d"),
        ),
        ("HRANDFIELD h", ("h", None, NO)),
        ("HRANDFIELD h 2 WITHVALUES", ("h", 2, True)),
        ("CLIENT KILL 1.1.1.1:5", ("1.1.1.1:5", (), None, None, None, "YES", None)),
        (
            "CLIENT KILL ID 4 5 SKIPME no TYPE normal",
            (None, [4, 5], "NORMAL", None, None, "NO", None),
        ),
        ("EVAL return 0", (b"return", [], ())),
        ("EVAL s 1 k a b", (b"s", ["k"], [b"a", b"b"])),
        (
            "BITFIELD k GET u8 #0 OVERFLOW sat SET u8 0 1 INCRBY i4 2 -3",
            (
                "k",
                [
                    ("GET", "u8", "#0"),
                    ("OVERFLOW", "SAT"),
                    ("SET", "u8", "0", 1),
                    ("INCRBY", "i4", "2", -3),
                ],
            ),
        ),
        (
            "BITFIELD_RO k GET u8 0 get i4 #2",
            ("k", ((FieldType(8, False), b"0"), (FieldType(4, True), b"#2"))),
        ),
        ("BITFIELD_RO k", ("k", ())),
    ],
)
def test_a_command_line_becomes_these_arguments(line: str, expected: object) -> None:
    assert run(line) == expected


SYNTAX = "syntax error"
INTEGER = "value is not an integer or out of range"
NUMFIELDS = "numfields should be greater than 0 and match the provided number of fields"
REFUSALS = [
    ("GET", "wrong number of arguments for 'get' command"),
    ("GET a b", "wrong number of arguments for 'get' command"),
    ("SET k", "wrong number of arguments for 'set' command"),
    ("SET k v EX", SYNTAX),
    ("SET k v EX x", INTEGER),
    ("SET k v EX x FOO", SYNTAX),
    ("SET k v EX 1 PX 2", SYNTAX),
    ("SET k v KEEPTTL EX 1", SYNTAX),
    ("SET k v FOO", SYNTAX),
    ("MSET a", "wrong number of arguments for 'mset' command"),
    ("MSET a 1 b", "wrong number of arguments for 'mset' command"),
    ("HSET h f v g", "wrong number of arguments for 'hset' command"),
    ("EXPIRE k x", INTEGER),
    ("EXPIRE k 1 foo", "Unsupported option foo"),
    ("SCAN x", "invalid cursor"),
    ("SCAN 0 COUNT 0", SYNTAX),
    ("SCAN 0 COUNT x", INTEGER),
    ("SCAN 0 MATCH", SYNTAX),
    ("SCAN 0 COUNT x FOO", INTEGER),
    ("SCAN x FOO", "invalid cursor"),
    ("COPY a b DB x", INTEGER),
    ("COPY a b FOO", SYNTAX),
    ("COPY a b DB x DB 1", INTEGER),
    ("COPY a b DB x FOO", INTEGER),
    ("SORT k LIMIT x 1 FOO", INTEGER),
    ("HRANDFIELD k x FOO", INTEGER),
    ("HRANDFIELD k 1 WITHVALUES WITHVALUES", SYNTAX),
    ("LMPOP 1 a LEFT COUNT 1 COUNT 2", SYNTAX),
    ("OBJECT", "wrong number of arguments for 'object' command"),
    ("OBJECT foo", "unknown subcommand 'foo'. Try OBJECT HELP."),
    ("OBJECT encoding", "wrong number of arguments for 'object|encoding' command"),
    ("foo", "unknown command 'foo', with args beginning with: "),
    ("foo a b", "unknown command 'foo', with args beginning with: 'a' 'b' "),
    ("LPOP k -1", "value is out of range, must be positive"),
    ("LPOP k x", "value is out of range, must be positive"),
    ("LPOP k 1 2", "wrong number of arguments for 'lpop' command"),
    ("LPOP k x 2", "wrong number of arguments for 'lpop' command"),
    ("LRANGE k x 1", INTEGER),
    ("LMPOP 0 a LEFT", "numkeys should be greater than 0"),
    ("LMPOP x a LEFT", "numkeys should be greater than 0"),
    ("LMPOP 2 a LEFT", SYNTAX),
    ("LMPOP 1 a FOO", SYNTAX),
    ("LMPOP 1 a LEFT COUNT 0", "count should be greater than 0"),
    ("LMPOP 1 a LEFT COUNT 0 FOO", "count should be greater than 0"),
    ("LMOVE a b FOO RIGHT", SYNTAX),
    ("LINSERT k FOO p e", SYNTAX),
    ("BLPOP a x", "timeout is not a float or out of range"),
    ("BLPOP a nan", "timeout is not a float or out of range"),
    ("BLPOP a -1", "timeout is negative"),
    ("ZADD k 1", "wrong number of arguments for 'zadd' command"),
    ("ZADD k NX XX", SYNTAX),
    ("ZADD k 1 m 2", SYNTAX),
    ("ZADD k x m", "value is not a valid float"),
    ("ZRANGE k a b BYSCORE BYLEX", SYNTAX),
    ("ZREVRANGEBYSCORE k a b", "min or max is not a float"),
    ("ZLEXCOUNT k a b", "min or max not valid string range item"),
    ("ZRANGE k 0 1 BYSCORE LIMIT 1", SYNTAX),
    ("ZUNION 0 a", "at least 1 input key is needed for 'zunion' command"),
    ("ZUNION x a", INTEGER),
    ("ZUNION 3 a", SYNTAX),
    ("ZUNION 1 a WEIGHTS x", "weight value is not a float"),
    ("ZUNION 1 a WEIGHTS", SYNTAX),
    ("SORT k LIMIT a b", INTEGER),
    ("SORT k LIMIT 1", SYNTAX),
    ("SORT k BY", SYNTAX),
    ("HRANDFIELD h WITHVALUES", INTEGER),
    ("HRANDFIELD h 1 foo", SYNTAX),
    ("EVAL s x", INTEGER),
    ("EVAL s -1", "Number of keys can't be negative"),
    ("EVAL s 5", "Number of keys can't be greater than number of args"),
    ("BITFIELD k GET", SYNTAX),
    ("BITFIELD k OVERFLOW foo", "Invalid OVERFLOW type specified"),
    ("BITFIELD k INCRBY u8 0 x", INTEGER),
    ("BITFIELD_RO k GET u8", SYNTAX),
    ("BITFIELD_RO k GET u8 0 GET", SYNTAX),
    ("BITFIELD_RO k GET u8 x", "bit offset is not an integer or out of range"),
    ("PING a b", "wrong number of arguments for 'ping' command"),
]
# Commands and texts that Redis 7.0 lacks; Valkey 9.1 has them.
NEWER_REFUSALS = [
    ("HEXPIRE h x FIELDS 1 a", INTEGER),
    ("HEXPIRE h 5 FIELDS x a", INTEGER),
    ("HEXPIRE h 5 FOO 1 a", NUMFIELDS),
    ("HEXPIRE h 5 FOO FIELDS 1 a", "Unsupported option FOO"),
    ("HEXPIRE h 5 FOO BAR FIELDS", NUMFIELDS),
    (
        "HEXPIRE h 5 FIELDS 0 a",
        NUMFIELDS,
    ),
    (
        "HEXPIRE h 5 FIELDS 2 a",
        NUMFIELDS,
    ),
    (
        "HEXPIRE h 5 FIELDS 1 a NX",
        NUMFIELDS,
    ),
]


@pytest.mark.parametrize(("line", "text"), [*REFUSALS, *NEWER_REFUSALS])
def test_a_malformed_command_is_refused_in_redis_words(line: str, text: str) -> None:
    with pytest.raises(CacheStormError) as caught:
        run(line)
    assert caught.value.resp == f"ERR {text}"


def test_an_unknown_command_is_echoed_up_to_a_nul_byte() -> None:
    with pytest.raises(CacheStormError) as caught:
        run("no\0pe a\0b c")
    assert str(caught.value) == "unknown command 'no', with args beginning with: 'a' 'c' "


def test_an_unknown_command_is_echoed_up_to_128_bytes() -> None:
    with pytest.raises(CacheStormError) as caught:
        run("x" * 200 + " " + "a" * 100 + " " + "b" * 100 + " c")
    name, echo = "x" * 128, f"'{'a' * 100}' '{'b' * 25}' "
    assert str(caught.value) == f"unknown command '{name}', with args beginning with: {echo}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET k", ["k"]),
        ("MSET a 1 b 2", ["a", "b"]),
        ("SINTERSTORE d a b", ["d", "a", "b"]),
        ("LMPOP 2 a b LEFT", ["a", "b"]),
        ("SORT k BY w_* GET # STORE d", ["k", "d"]),
        ("EVAL s 2 a b c", ["a", "b"]),
        ("BLPOP a b 0", ["a", "b"]),
        ("OBJECT ENCODING k", ["k"]),
        ("PING", []),
    ],
)
def test_a_command_line_has_these_keys(line: str, expected: list[str]) -> None:
    argv: list[object] = [arg.encode() for arg in line.split()]
    assert [key for key, _ in TABLE.resolve(argv).keys(argv)] == expected


def test_python_objects_bind_as_they_are() -> None:
    argv: list[object] = ["SET", "k", {"any": 1}, "ex", 60]
    value = TABLE.resolve(argv).call(Recorder(), argv)
    assert ("k", {"any": 1}, Lifetime(60000, False), NO, NO, NO, NO, ()) == value


def test_bytes_that_are_no_utf8_survive_in_a_key() -> None:
    argv: list[object] = [b"DEL", b"\xff\x00"]
    assert TABLE.resolve(argv).call(Recorder(), argv) == ("\udcff\x00",)


def test_a_method_with_default_is_given_missing_for_the_wire_only() -> None:
    argv: list[object] = [b"GET", b"nokey"]
    plan = TABLE.resolve(argv)
    assert plan.call(Recorder(), argv) is None
    assert plan.answer(Recorder(), argv) is None
    # a stored None is bytes on the wire
    cache = Cache()
    cache.mset({"a": None, "b": None})
    for line in ("SET a 1 GET", "SET b 1 XX GET TAGS t"):
        argv = list(line.split())
        assert REGISTRY.resolve(argv).answer(cache, argv) == b"null"
    for line in ("SET new 1 GET", "GETDEL nokey", "GETEX nokey", "GETSET other 1"):
        argv = list(line.split())
        assert REGISTRY.resolve(argv).answer(cache, argv) is None


def test_the_callers_of_a_plan_are_bounded() -> None:
    table = Declarations()
    flags = [f"F{n}" for n in range(10)]
    spec = "MANY key " + " ".join(f"[{flag}]" for flag in flags)
    facts = {"group": "generic", "complexity": "O(1)", "summary": "Many."}

    @Declaration(spec, declarations=table, **facts)
    def many(target, key, *, f0=0, f1=0, f2=0, f3=0, f4=0, f5=0, f6=0, f7=0, f8=0, f9=0):
        return f0 + f1 + f2 + f3 + f4 + f5 + f6 + f7 + f8 + f9

    plan = Plan(next(iter(table)))
    for mask in range(1024):
        given_flags = [flag for n, flag in enumerate(flags) if mask >> n & 1]
        assert len(given_flags) == plan.call(None, ["MANY", "k", *given_flags])
    assert len(plan._callers) <= 256


@pytest.mark.parametrize(
    ("spec", "facts", "text"),
    [
        ("A key value", {}, "A: the method has no parameter for 'value'; it has key"),
        ("A key", {"reply": "nonsense"}, "A: no reply is called 'nonsense'"),
        ("A <key | value>", {}, "A: nothing tells 'key' apart"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused_on_load(spec, facts, text) -> None:
    table = Declarations()
    base = {"group": "generic", "complexity": "O(1)", "summary": "A."}

    @Declaration(spec, declarations=table, **base, **facts)
    def method(target, key):
        return key

    with pytest.raises(DeclarationError) as caught:
        Registry(table).load()
    assert text == str(caught.value)


def test_a_name_is_declared_once() -> None:
    table = Declarations()
    base = {"group": "generic", "complexity": "O(1)", "summary": "A."}
    Declaration("A key", declarations=table, **base)(lambda target, key: key)
    with pytest.raises(DeclarationError):
        Declaration("A", declarations=table, **base)(lambda target: None)


def test_find_remembers_two_spellings_only() -> None:
    table = Registry(NASTY)
    for name in (b"GET", b"get", b"Get", b"gEt", b"geT"):
        assert table.find(name) is table.plan("GET")
    assert set(table._plans) == {b"GET", b"get"}
    assert table.find(b"OBJECT") is None
    assert table.find(b"OBJECT ENCODING") is None


def test_all_declared_commands_have_a_plan() -> None:
    import cachestorm  # noqa: F401  declares them

    TABLE.load()
    REGISTRY.load()


TOKENS = sorted(
    {arg for d in NASTY for arg in d.spec.replace("<", " ").replace("[", " ").split()}
)
WORD = st.one_of(
    st.sampled_from(TOKENS).map(lambda arg: arg.strip("[]<>|:").encode()),
    st.sampled_from([b"0", b"1", b"2", b"-1", b"(1", b"[a", b"1.5", b"inf", b"nan", b""]),
    st.binary(max_size=4),
)
OBJECT = st.one_of(
    WORD, st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just({})
)


@given(st.sampled_from([d.name for d in NASTY]), st.lists(OBJECT, max_size=8))
def test_no_words_make_a_plan_raise_anything_but_our_errors(
    name: str, rest: list[object]
) -> None:
    plan = TABLE.plan(name)
    assert plan is not None
    argv: list[object] = [*name.split(" "), *rest]
    try:
        plan.keys(argv)
        plan.bind(argv)
    except CacheStormError:
        pass


@given(st.lists(OBJECT, max_size=4))
def test_no_words_make_resolve_raise_anything_but_our_errors(argv: list[object]) -> None:
    try:
        TABLE.resolve(argv)
    except CacheStormError:
        pass


def test_arity_errors_are_syntax_errors_for_python() -> None:
    with pytest.raises(ValueError, match="wrong number of arguments"):
        run("GET")
    assert issubclass(ArityError, ValueError)
