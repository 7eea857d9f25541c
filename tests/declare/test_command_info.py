"""COMMAND, COMMAND INFO and COMMAND LIST beside those of redis-server 7.0.

All that they say is equal, but for what stands in one table here with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from real_servers import RealServer

import cachestorm_server.bound_commands  # noqa: F401  with cachestorm, it declares commands
from cachestorm.cache import Cache

redis = pytest.importorskip("redis")

FIELDS = (
    "name",
    "arity",
    "flags",
    "first",
    "last",
    "step",
    "categories",
    "tips",
    "specs",
    "subcommands",
)
NEWER_ARITY = "7.2: takes one argument more, or fewer"
NEWER_TIPS = "newer tips, as Valkey has them"
NEWER_FLAGS = "newer flags, as Valkey has them"
WAITS = "7.2: in a script it answers at once"
OTHERS = "the others are not there, or are newer than 7.0"

# By name and field: why they differ.
MEANT = {
    **{(name, "flags"): WAITS for name in ("blmove", "blpop", "brpop", "brpoplpush")},
    **{(name, "flags"): WAITS for name in ("bzpopmax", "bzpopmin", "wait")},
    ("wait", "categories"): "7.2: it is one that waits",
    **{(name, "arity"): NEWER_ARITY for name in ("zrank", "zrevrank")},
    **{(name, "arity"): NEWER_ARITY for name in ("command|getkeys", "command|getkeysandflags")},
    **{(name, "tips"): NEWER_TIPS for name in ("acl|deluser", "acl|save", "acl|setuser")},
    **{(name, "tips"): NEWER_TIPS for name in ("config|resetstat", "config|rewrite")},
    **{(name, "tips"): NEWER_TIPS for name in ("client|setname", "latency|reset", "msetnx")},
    **{(name, "tips"): NEWER_TIPS for name in ("randomkey", "scan")},
    **{(name, "flags"): NEWER_FLAGS for name in ("memory|malloc-stats", "memory|purge")},
    **{(name, "flags"): NEWER_FLAGS for name in ("script|exists", "script|flush")},
    ("client|reply", "flags"): "in a transaction it would take the reply of EXEC away",
    ("migrate", "flags"): "it waits for another server, and a script waits for nobody",
    ("migrate", "specs"): "KEYS is looked for from where it may stand, and found",
    ("lcs", "specs"): "two specs of one key, instead of one of two",
    ("sinterstore", "specs"): "the destination is overwritten, as that of SUNIONSTORE",
    **{(name, "subcommands"): OTHERS for name in ("client", "module", "object", "script")},
    ("cluster", "subcommands"): "it takes them as its arguments",
}


@pytest.fixture(scope="module")
def to_redis(redis_server: RealServer) -> Iterator[redis.Redis]:
    client = redis.Redis(port=redis_server.port, protocol=3, decode_responses=True)
    client.response_callbacks.clear()
    yield client
    client.close()


@pytest.fixture(scope="module")
def to_us() -> Iterator[redis.Redis]:
    client = Cache().redis(protocol=3, decode_responses=True)
    client.response_callbacks.clear()
    yield client


def entries(client: redis.Redis) -> dict[str, dict[str, object]]:
    """What COMMAND says of all commands and subcommands, by name."""
    found = {}
    for entry in client.execute_command("COMMAND"):
        for each in (entry, *entry[9]):
            facts = dict(zip(FIELDS, each, strict=True))
            for name in ("flags", "categories", "tips"):
                facts[name] = set(facts[name])
            facts["subcommands"] = {child[0] for child in each[9]}
            facts["specs"] = [{**spec, "flags": set(spec["flags"])} for spec in each[8]]
            found[each[0]] = facts
    return found


def test_command_says_what_it_says_in_redis(to_us: redis.Redis, to_redis: redis.Redis) -> None:
    ours, theirs = entries(to_us), entries(to_redis)
    common = [name for name in theirs if name in ours]
    assert len(common) > 300
    different = {
        (name, field)
        for name in common
        for field in FIELDS
        if ours[name][field] != theirs[name][field]
    }
    assert different == set(MEANT)


def test_command_list_has_the_subcommands_too(
    to_us: redis.Redis, to_redis: redis.Redis
) -> None:
    known = set(entries(to_us)) & set(entries(to_redis))
    for request in (
        ["COMMAND", "LIST"],
        ["COMMAND", "LIST", "FILTERBY", "PATTERN", "config|*"],
        ["COMMAND", "LIST", "FILTERBY", "ACLCAT", "scripting"],
        ["COMMAND", "LIST", "FILTERBY", "ACLCAT", "read"],
    ):
        ours, theirs = to_us.execute_command(*request), to_redis.execute_command(*request)
        assert len(ours) == len(set(ours))
        assert set(ours) & known == set(theirs) & known
        assert ("config|set" in ours) == ("config|set" in theirs)
