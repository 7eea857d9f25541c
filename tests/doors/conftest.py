"""Runs every test of this folder through every door."""

from __future__ import annotations

import pytest
from every_door import DOORS, Door


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)
