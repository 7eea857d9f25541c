"""Random conversations of clients that track keys, beside real servers, RESP2 and RESP3.

Without transactions: in one Redis tells of each change as it comes, and we at the end, of keys
that were read after it too.

CACHESTORM_NIGHTLY=1 draws more of them, and CACHESTORM_SEED others: it is where their seeds
begin.
"""

from __future__ import annotations

import os
import random

import pytest
from conversations import Heard, Ours, Theirs
from real_servers import RealServer

FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (200 if os.environ.get("CACHESTORM_NIGHTLY") else 5))
STEPS = 300
CLIENTS = ("a", "b", "c")

VOCABULARY = {
    "CLIENT TRACKING ON": 3,
    "CLIENT TRACKING ON NOLOOP": 2,
    "CLIENT TRACKING ON OPTIN": 2,
    "CLIENT TRACKING ON OPTOUT": 2,
    "CLIENT TRACKING ON BCAST": 1,
    "CLIENT TRACKING ON BCAST PREFIX k PREFIX l": 2,
    "CLIENT TRACKING ON BCAST PREFIX k NOLOOP": 1,
    "CLIENT TRACKING ON REDIRECT @a": 2,
    "CLIENT TRACKING OFF": 5,
    "CLIENT CACHING YES": 4,
    "CLIENT CACHING NO": 4,
    "CLIENT TRACKINGINFO": 2,
    "GET {key}": 20,
    "MGET {key} {key}": 8,
    "EXISTS {key}": 2,
    "TTL {key}": 2,
    "STRLEN {key}": 2,
    "LRANGE {list} 0 -1": 6,
    "LLEN {list}": 2,
    "SCARD {set}": 4,
    "SISMEMBER {set} k1": 4,
    "SET {key} 1": 12,
    "SETNX {key} 1": 2,
    "MSET {key} 1 {key} 2": 4,
    "GETSET {key} 2": 2,
    "GETDEL {key}": 3,
    "INCR {key}": 6,
    "APPEND {key} 1": 2,
    "DEL {key}": 4,
    "UNLINK {key} {key}": 2,
    "EXPIRE {key} 100": 3,
    "PERSIST {key}": 3,
    "RENAME {key} {key}": 3,
    "COPY {key} {key}": 2,
    "RPUSH {list} x y": 5,
    "LPOP {list}": 5,
    "RPOPLPUSH {list} {list}": 3,
    "SADD {set} {key}": 4,
    "SREM {set} {key}": 4,
    "SUNIONSTORE {set} {set} {set}": 3,
    "FLUSHDB": 1,
    "SUBSCRIBE __redis__:invalidate": 1,
    "UNSUBSCRIBE __redis__:invalidate": 1,
}


def random_line(chance: random.Random) -> str:
    """Something that a client may say."""
    (line,) = chance.choices(list(VOCABULARY), list(VOCABULARY.values()))
    words = {"key": ["k1", "k2", "k3", "m1"], "list": ["l1", "l2"], "set": ["s1", "s2"]}
    for name, choices in words.items():
        while f"{{{name}}}" in line:
            line = line.replace(f"{{{name}}}", chance.choice(choices), 1)
    return line


def in_order(heard: Heard) -> Heard:
    """What was heard: several keys are told in no certain order, and some before the reply."""
    return {client: sorted(values) for client, values in heard.items()}


@pytest.mark.parametrize("resp3", [True, False], ids=["resp3", "resp2"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_conversation_with_tracking_is_the_same(
    seed: int, resp3: bool, real_server: RealServer
) -> None:
    chance = random.Random(seed)
    theirs, ours = Theirs(real_server, resp3), Ours(resp3)
    said = []
    for _ in range(STEPS):
        client, line = chance.choice(CLIENTS), random_line(chance)
        tracked = ours.session(client).tracked
        if line == "CLIENT TRACKINGINFO" and tracked is not None and tracked.redirect:
            continue  # its id is another
        said.append((client, line))
        expected = in_order(theirs.say(client, line))
        assert in_order(ours.say(client, line)) == expected, said[-30:]
    theirs.close()
    ours.close()
