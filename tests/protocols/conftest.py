"""Runs every test of this folder through every protocol."""

from __future__ import annotations

import pytest
from every_protocol import PROTOCOLS, Protocol


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return Protocol(request.param)
