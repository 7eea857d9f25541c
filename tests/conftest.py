"""What all tests may ask for. That it lies here lets them import `real_servers`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from real_clusters import RealCluster, cluster_running
from real_servers import RealServer, redis_binary, running, valkey_binary

import cachestorm
from cachestorm import refused_calls

# how fast the machine is, is nothing that a test of behaviour may depend on
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves what both builds have in common to the run of the source."""
    if not cachestorm.COMPILED:
        return
    for item in items:
        if item.get_closest_marker("either_build") is not None:
            item.add_marker(pytest.mark.skip(reason="the run of the source says it"))


@pytest.fixture
def no_call_falls_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Asserts that compiled code refuses no call, which would be run by the source, slowly."""
    again = refused_calls.again
    refused: list[str] = []

    def recorded(
        name: str, arguments: tuple[Any, ...], keywords: dict[str, Any] | None
    ) -> object:
        refused.append(name)
        return again(name, arguments, keywords)

    monkeypatch.setattr(refused_calls, "again", recorded)
    yield
    assert refused == []


@pytest.fixture(scope="session")
def valkey() -> Iterator[RealServer]:
    """Valkey 9.1."""
    with running("valkey", valkey_binary()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RealServer]:
    """The `redis-server` of this machine; without one of version 7.0, the test is skipped."""
    with running("redis", redis_binary()) as server:
        if not server.is_older:
            pytest.skip(f"redis-server is {server.version}: what differs is known of 7.0")
        yield server


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[RealCluster]:
    """Three nodes of Valkey, with all slots among them."""
    with cluster_running(valkey_binary()) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=["valkey", "redis_server"])
def real_server(request: pytest.FixtureRequest) -> RealServer:
    """Each of the real servers in turn."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, RealServer)
    return server
