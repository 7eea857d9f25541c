"""Malformed calls of every command beside real servers, refusal for refusal.

Drawn from the declarations: whatever is declared is called, in RESP2 and RESP3, beside
Valkey 9.1 and redis-server 7.0. A refusal is the same to the byte or stands in `differences`;
and what is refused has changed nothing.

A seed is a run through all commands. CACHESTORM_NIGHTLY=1 draws more of them, and
CACHESTORM_SEED others: it is where they begin.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from duel import Duel
from malformed_calls import HANDS_OFF, MalformedCalls, unknown_call
from real_servers import RealServer

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.registry import REGISTRY

pytestmark = pytest.mark.usefixtures("no_call_falls_back")

FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (50 if os.environ.get("CACHESTORM_NIGHTLY") else 2))
CALLS_A_COMMAND = 3
# each needs a connection of its own, and some answer with all there is to know
CALLS_OF_A_CONNECTION = 1
CALLS_A_BATCH = 25


@pytest.fixture(params=["resp2", "resp3"])
def duel(request: pytest.FixtureRequest, real_server: RealServer) -> Iterator[Duel]:
    made = Duel(real_server, request.param == "resp3")
    yield made
    made.close()


def drawn(duel: Duel, chance: random.Random, of_connection: bool) -> list[Declaration]:
    """The commands that both have, each a few times, shuffled."""
    found = [
        declaration
        for declaration in REGISTRY
        if declaration.connection == of_connection
        and declaration.name not in HANDS_OFF
        and not duel.lacks(declaration)
    ]
    found *= CALLS_OF_A_CONNECTION if of_connection else CALLS_A_COMMAND
    chance.shuffle(found)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_malformed_calls_get_the_same_refusals_and_change_nothing(
    seed: int, duel: Duel
) -> None:
    chance = random.Random(seed)
    for number, declaration in enumerate(drawn(duel, chance, of_connection=False), 1):
        duel.compare(declaration, MalformedCalls(declaration, chance).draw())
        if number % CALLS_A_BATCH == 0:
            duel.compare_data()
            duel.prepare()
    duel.compare_data()


@pytest.mark.parametrize("seed", SEEDS)
def test_malformed_calls_of_a_connection_get_the_same_refusals(seed: int, duel: Duel) -> None:
    chance = random.Random(seed)
    for declaration in drawn(duel, chance, of_connection=True):
        duel.compare_alone(MalformedCalls(declaration, chance).draw())
    for _ in range(CALLS_A_BATCH):
        duel.compare_alone(unknown_call(chance))
