"""Clients of the redis-py on the path: `make test-ecosystem` runs these tests with two."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from redis_clients import Clients

KINDS = ["python-2", "hiredis-2", "hiredis-3"]
# without hiredis, redis-py 5 loses messages in RESP3: so it does when a redis-server sends them
if not redis.__version__.startswith("5."):
    KINDS.append("python-3")


@pytest.fixture(params=KINDS)
def clients(request: pytest.FixtureRequest, port: int) -> Clients:
    """Of each parser and each version of RESP in turn."""
    parser, protocol = request.param.split("-")
    if parser == "hiredis":
        pytest.importorskip("hiredis")
    return Clients(port, int(protocol), parser)


@pytest.fixture
def client(clients: Clients) -> Iterator[redis.Redis]:
    """A client, and an empty server."""
    with clients() as made:
        made.flushall()
        yield made


def pytest_report_header() -> str:
    """Which redis-py it is."""
    return f"redis-py {redis.__version__} of {os.path.dirname(redis.__file__)}"
