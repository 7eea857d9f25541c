"""Scores and weights whose product or sum is not a number, beside real servers."""

from __future__ import annotations

from random import Random

import pytest
from comparison import Ours, Theirs
from real_servers import RealServer

SCORES = [b"inf", b"-inf", b"0", b"1", b"-2"]
WEIGHTS = [b"0", b"inf", b"-inf", b"1", b"-1"]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_no_number_counts_as_redis_counts_it(
    real_server: RealServer, seed: int
) -> None:
    dice = Random(seed)
    theirs, ours = Theirs(real_server, False), Ours(False)
    try:
        for _ in range(60):
            commands = [[b"FLUSHALL"]]
            # sources of different sizes have one order to be added in
            for size, key in enumerate((b"a", b"b", b"c"), 2):
                commands.append([b"ZADD", key])
                for member in range(size):
                    commands[-1] += [dice.choice(SCORES), b"m%d" % member]
            keys = dice.sample([b"a", b"b", b"c", b"a"], dice.choice((1, 2, 3, 4)))
            command = dice.choice(([b"ZINTER"], [b"ZUNION"], [b"ZINTERSTORE", b"to"]))
            commands.append(
                [
                    *command,
                    b"%d" % len(keys),
                    *keys,
                    b"WEIGHTS",
                    *dice.choices(WEIGHTS, k=len(keys)),
                    b"AGGREGATE",
                    dice.choice((b"SUM", b"MIN", b"MAX")),
                ]
            )
            if len(command) == 1:
                commands[-1].append(b"WITHSCORES")
            commands.append([b"ZRANGE", b"to", b"0", b"-1", b"WITHSCORES"])
            expected, actual = theirs.run(commands), ours.run(commands)
            # that a zero has no sign here is among the documented differences
            assert repr(actual) == repr(expected).replace("b'-0'", "b'0'"), commands
    finally:
        theirs.close()
