"""What all tests may ask for. That it lies here lets them import `real_servers`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from real_servers import RealServer, redis_binary, running, valkey_binary


@pytest.fixture(scope="session")
def valkey() -> Iterator[RealServer]:
    """Valkey 9.1."""
    with running("valkey", valkey_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RealServer]:
    """The `redis-server` of this machine; without one, the test is skipped."""
    with running("redis", redis_binary()) as server:
        yield server


@pytest.fixture(scope="session", params=["valkey", "redis_server"])
def real_server(request: pytest.FixtureRequest) -> RealServer:
    """Each of the real servers in turn."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, RealServer)
    return server
