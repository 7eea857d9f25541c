"""Random conversations of clients that wait, beside real servers, RESP2 and RESP3."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from conversations import Ours, Theirs
from real_servers import RealServer

FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (200 if os.environ.get("CACHESTORM_NIGHTLY") else 6))
STEPS = 300
WAITING = ("a", "b", "c")
# it never waits, so that something happens when all others do
NEVER_WAITS = "d"

VOCABULARY = {
    "BLPOP {list} 0": 4,
    "BLPOP {list} {list} 0": 3,
    "BRPOP {list} {list} 0": 3,
    "BLMOVE {list} {list} {side} {side} 0": 4,
    "BRPOPLPUSH {list} {list} 0": 2,
    "BLMPOP 0 2 {list} {list} {side} COUNT {number}": 3,
    "BZPOPMIN {zset} {zset} 0": 3,
    "BZPOPMAX {zset} 0": 2,
    "BZMPOP 0 2 {zset} {zset} {end} COUNT {number}": 3,
    "RPUSH {list} {number}": 5,
    "LPUSH {list} {number} {number} {number}": 4,
    "RPUSHX {list} 1": 1,
    "LPOP {list}": 2,
    "LMOVE {list} {list} {side} {side}": 3,
    "LRANGE {list} 0 -1": 3,
    "ZADD {zset} {number} a {number} b": 5,
    "ZINCRBY {zset} 1 c": 2,
    "ZRANGE {zset} 0 -1": 2,
    "ZUNIONSTORE {zset} 2 {zset} {zset}": 2,
    "SORT {list} STORE {list}": 2,
    "RENAME {key} {key}": 3,
    "COPY {key} {key} REPLACE": 2,
    "MOVE {key} 1": 1,
    "DEL {key}": 3,
    "SELECT 1": 1,
    "SELECT 0": 2,
    "SWAPDB 0 1": 2,
    "FLUSHALL": 1,
    "MULTI": 4,
    "EXEC": 6,
    "DISCARD": 1,
    "WATCH {key}": 1,
    "CLIENT UNBLOCK @{client}": 4,
    "CLIENT UNBLOCK @{client} ERROR": 2,
    "PING": 1,
}
CHOICES = {
    "list": ["l1", "l2", "l3"],
    "zset": ["z1", "z2"],
    "key": ["l1", "l2", "l3", "z1", "z2"],
    "side": ["LEFT", "RIGHT"],
    "end": ["MIN", "MAX"],
    "number": ["1", "2", "3"],
    "client": ["a", "b", "c"],
}


def random_line(chance: random.Random) -> str:
    """Something that a client may say."""
    (line,) = chance.choices(list(VOCABULARY), list(VOCABULARY.values()))
    for name, choices in CHOICES.items():
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
    assert all(space.waiting is None for space in side.cache._store._spaces.values())


def keys_waited_for(line: str) -> list[str]:
    """The keys of a line that says to wait for the first of several."""
    name, *argv = line.split()
    if name in ("BLMPOP", "BZMPOP"):
        return argv[2:4]
    return argv[:-1] if name in ("BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX") else []


def is_left_out(line: str, ours: Ours, client: str, resp3: bool, is_older: bool) -> bool:
    """Whether the servers are known to differ, or a client would say too much.

    1. One that waits says nothing more, most of the time; the last client never waits.
    2. Valkey refuses WATCH and MULTI within MULTI, and then the whole transaction.
    3. In RESP2 what moves an element in a transaction has another null there.
    4. Redis 7.0 serves a wait for several keys from the one that was ready first; later
       versions look at them in their order.
    """
    session = ours.session(client)
    if is_older and len(set(keys_waited_for(line))) > 1:
        return True
    name = line.split()[0]
    if client == NEVER_WAITS and name.startswith("B") and session.transaction is None:
        return True
    if session.is_blocked():
        return True
    if session.transaction is not None:
        return name in ("WATCH", "MULTI")
    return False


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_that_wait_are_served_as_by_real_servers(
    seed: int, theirs: Theirs, ours: Ours, resp3: bool, real_server: RealServer
) -> None:
    chance = random.Random(seed)
    said = []
    for client in (*WAITING, NEVER_WAITS):
        assert ours.say(client, "PING") == theirs.say(client, "PING")
    for _ in range(STEPS):
        client, line = chance.choice((*WAITING, NEVER_WAITS)), random_line(chance)
        if is_left_out(line, ours, client, resp3, real_server.is_older):
            continue
        said.append((client, line))
        expected = theirs.say(client, line)
        assert ours.say(client, line) == expected, "\n".join(
            f"{who} {what}" for who, what in said[-25:]
        )
    ours.cache._check()
