"""Runs every test of this folder through every protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from every_protocol import PROTOCOLS, Protocol
from servers import our_server

from cachestorm import Cache, ManualClock


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Iterator[Protocol]:
    clock = ManualClock()
    cache = Cache(clock=clock)
    if request.param != "connect":
        yield Protocol(request.param, cache, clock)
        return
    with our_server(cache=cache) as server:
        made = Protocol(request.param, cache, clock, server.port)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def _as_compiled(no_call_falls_back: None) -> None:
    """What comes by a protocol has the types that commands are compiled for."""
