"""Conversations of three clients beside real servers, scripted and random, RESP2 and RESP3.

CACHESTORM_NIGHTLY=1 draws more of the random ones, and CACHESTORM_SEED others: it is where
their seeds begin.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from conversations import Ours, Theirs, settled
from real_servers import RealServer

pytestmark = pytest.mark.usefixtures("no_call_falls_back")

HERE = Path(__file__).parent
SCRIPTS = sorted(path.stem for path in (HERE / "scripts").glob("*.txt"))
FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (200 if os.environ.get("CACHESTORM_NIGHTLY") else 10))
STEPS = 300
CLIENTS = ("a", "b", "c")

# what is said, and how often in proportion
VOCABULARY = {
    "MULTI": 8,
    "EXEC": 8,
    "DISCARD": 1,
    "WATCH {key}": 6,
    "WATCH {key} {key}": 2,
    "UNWATCH": 1,
    "SET {key} {number}": 5,
    "SET {key} {number} EX 100": 1,
    "SETNX {key} 1": 1,
    "GET {key}": 4,
    "DEL {key}": 3,
    "INCR {key}": 4,
    "APPEND {key} x": 1,
    "MSET {key} 1 {key} 2": 1,
    "EXPIRE {key} 100": 1,
    "PEXPIREAT {key} 1": 1,
    "PERSIST {key}": 1,
    "RPUSH {list} a b": 2,
    "LPOP {list}": 3,
    "LRANGE {list} 0 -1": 1,
    "SADD {set} {number}": 2,
    "SREM {set} {number}": 2,
    "RENAME {key} {key}": 2,
    "COPY {key} {key}": 1,
    "MOVE {key} 1": 1,
    "SELECT 0": 3,
    "SELECT 1": 1,
    "SWAPDB 0 1": 2,
    "FLUSHDB": 1,
    "FLUSHALL": 1,
    "DBSIZE": 1,
    "SUBSCRIBE {channel}": 2,
    "SUBSCRIBE {channel} {channel}": 1,
    "PSUBSCRIBE {pattern}": 2,
    "SSUBSCRIBE {channel}": 1,
    "UNSUBSCRIBE {channel}": 2,
    "UNSUBSCRIBE": 2,
    "PUNSUBSCRIBE {pattern}": 1,
    "PUNSUBSCRIBE": 2,
    "SUNSUBSCRIBE {channel}": 1,
    "SUNSUBSCRIBE": 2,
    "PUBLISH {channel} {number}": 8,
    "SPUBLISH {channel} {number}": 2,
    "PUBSUB NUMSUB {channel} {channel}": 1,
    "PUBSUB SHARDNUMSUB {channel}": 1,
    "PUBSUB NUMPAT": 1,
    "PING": 1,
    "PING {number}": 1,
    "RESET": 2,
    "FOO": 1,
    "GET": 1,
    "SET {key} 1 EX": 1,
    "EXEC now": 1,
    "DISCARD now": 1,
    "CLIENT GETNAME": 1,
    "CLIENT FOO": 1,
}


def random_line(chance: random.Random) -> str:
    """Something that a client may say."""
    (line,) = chance.choices(list(VOCABULARY), list(VOCABULARY.values()))
    words = {
        "key": ["k1", "k2", "k3", "l1", "s1"],
        "list": ["l1", "l2", "k1"],
        "set": ["s1", "s2"],
        "channel": ["c1", "c2", "d1"],
        "pattern": ["c*", "*1"],
        "number": ["1", "2", "3"],
    }
    for name, choices in words.items():
        while f"{{{name}}}" in line:
            line = line.replace(f"{{{name}}}", chance.choice(choices), 1)
    return line


@pytest.fixture(params=["resp2", "resp3"])
def resp3(request: pytest.FixtureRequest) -> bool:
    return request.param == "resp3"


@pytest.fixture
def theirs(real_server: RealServer, resp3: bool) -> Iterator[Theirs]:
    side = Theirs(real_server, resp3)
    yield side
    side.close()


@pytest.fixture
def ours(resp3: bool) -> Iterator[Ours]:
    side = Ours(resp3)
    yield side
    side.close()
    side.cache._check()
    side.cache._store.broker._check()


def is_left_out(line: str, ours: Ours, client: str, resp3: bool, is_older: bool) -> bool:
    """Whether servers are known to differ.

    1. Valkey refuses WATCH and MULTI within MULTI, and then the whole transaction.
    2. Redis 7.0 sends what a client publishes to itself in the middle of its transaction;
       in RESP2 so does Valkey, and its client cannot tell it from a reply.
    3. The names of subscriptions that are all ended at once have no order.
    """
    session = ours.session(client)
    name = line.split()[0]
    if session.transaction is not None:
        return name in ("WATCH", "MULTI") or (
            ("SUB" in name or "PUBLISH" in name) and (not resp3 or is_older)
        )
    if name in ("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE") and len(line.split()) == 1:
        kind = ("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE").index(name)
        return session.subscriptions is not None and len(session.subscriptions.names[kind]) > 1
    # without MULTI, EXEC is refused by Redis as in one
    return line == "EXEC now"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_scripted_conversation_is_the_same(script: str, theirs: Theirs, ours: Ours) -> None:
    for line in (HERE / "scripts" / f"{script}.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        client, said = line.split(" ", 1)
        if said == "leave":
            theirs.leave(client)
            ours.leave(client)
            continue
        assert settled(ours.say(client, said)) == settled(theirs.say(client, said)), line


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_conversation_is_the_same(
    seed: int, theirs: Theirs, ours: Ours, resp3: bool, real_server: RealServer
) -> None:
    chance = random.Random(seed)
    said = []
    for _ in range(STEPS):
        client, line = chance.choice(CLIENTS), random_line(chance)
        if is_left_out(line, ours, client, resp3, real_server.is_older):
            continue
        said.append((client, line))
        expected = settled(theirs.say(client, line))
        assert settled(ours.say(client, line)) == expected, said[-30:]
        if resp3 and line == "RESET":
            theirs.say(client, "HELLO 3")
            ours.say(client, "HELLO 3")
