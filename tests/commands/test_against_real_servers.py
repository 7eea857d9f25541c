"""All families of commands beside real servers, byte for byte, in RESP2 and RESP3.

Scripts of commands, bad ones among them, and random commands over a few keys, weighted to
collisions. `differences` lists where replies are meant to differ; whatever else does is
a bug. Redis 7.0 lacks the deadlines of fields and WITHSCORE; such commands are left out.

CACHESTORM_NIGHTLY=1 draws more of the random ones, and CACHESTORM_SEED others: it is where
their seeds begin.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparison import Ours, Theirs, alike, is_undefined, lines_of, settled
from differences import as_table, may_have_changed, why_different
from real_servers import RealServer
from vocabulary import random_command

from cachestorm.codec import text_of
from cachestorm.declare.registry import REGISTRY

pytestmark = pytest.mark.usefixtures("no_call_falls_back")

HERE = Path(__file__).parent
FAMILIES = sorted(path.stem for path in (HERE / "scripts").glob("*.txt"))
FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (200 if os.environ.get("CACHESTORM_NIGHTLY") else 12))
COMMANDS_A_SEED = 250
CHECK_EVERY = 25
PREPARED = """
    MSET w_x 3 w_y 1 w_z 2 w_1 9
    HSET h_x f 5
    HSET h_1 f 0
"""


@pytest.fixture(params=["resp2", "resp3"])
def resp3(request: pytest.FixtureRequest) -> bool:
    return request.param == "resp3"


@pytest.fixture
def theirs(real_server: RealServer, resp3: bool) -> Iterator[Theirs]:
    connection = Theirs(real_server, resp3)
    yield connection
    connection.close()


@pytest.fixture
def ours(resp3: bool) -> Ours:
    return Ours(resp3)


def compare(argv: list[bytes], theirs: Theirs, ours: Ours) -> None:
    """Asserts that both answer the same; where they are meant not to, the keys go."""
    if theirs.lacks(argv):
        return
    undefined = is_undefined(argv, ours)
    (expected,), (actual,) = theirs.run([argv]), ours.run([argv])
    if alike(argv, expected, actual):
        return
    expected, actual = settled(argv, expected), settled(argv, actual)
    why = why_different(theirs.server.name, argv, expected, actual)
    assert why or undefined, (argv, expected, actual)
    if may_have_changed(expected, actual) and len(argv) > 1:
        forget = [[b"DEL", *argv[1:]]]
        theirs.run(forget)
        ours.run(forget)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_script_of_commands_gets_the_same_replies(
    family: str, theirs: Theirs, ours: Ours
) -> None:
    for argv in lines_of((HERE / "scripts" / f"{family}.txt").read_text()):
        compare(argv, theirs, ours)
        ours.cache._check()


def test_every_command_that_redis_has_is_in_a_script() -> None:
    known = {
        each.name
        for each in REGISTRY
        # `tests/conversations` compares what belongs to a connection, or waits
        if not (each.own or each.connection or "blocking" in each.flags.split())
    }
    for path in (HERE / "scripts").glob("*.txt"):
        for argv in lines_of(path.read_text()):
            known -= {text_of(b" ".join(argv[:size])).upper() for size in (1, 2)}
    assert known == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_get_the_same_replies(seed: int, theirs: Theirs, ours: Ours) -> None:
    chance = random.Random(seed)
    for argv in lines_of(PREPARED):
        compare(argv, theirs, ours)
    for number in range(COMMANDS_A_SEED):
        compare(random_command(chance), theirs, ours)
        if number % CHECK_EVERY == 0:
            ours.cache._check()
    ours.cache._check()


def test_the_documentation_shows_the_same_differences() -> None:
    page = HERE.parent.parent / "docs" / "differences.md"
    assert as_table() in page.read_text()
