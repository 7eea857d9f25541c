"""The caches that pass the contract: in process, shared, on servers and on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from real_servers import HOST
from servers import our_server

from cachestorm import connect

SERVERS = ("local", "cachestorm", "redis", "valkey", "cluster")
TYPED = ("typed local", "typed cachestorm")
PLACES = ("memory", *SERVERS, *TYPED)
# by name, where the server has none
NAMESPACES = ("redis namespace", "valkey namespace", "cluster namespace")
# with a near cache in front
NEAR = tuple(f"near {place}" for place in (*SERVERS, *TYPED))
LIVE_WITHIN_S = 60.0


def address(place: str, request: pytest.FixtureRequest) -> str:
    """The address of a real server."""
    if place == "cluster":
        return str(request.getfixturevalue("valkey_cluster").url)
    server = request.getfixturevalue("redis_server" if place == "redis" else "valkey")
    return f"redis://{HOST}:{server.port}"


@contextmanager
def cache_at(place: str, request: pytest.FixtureRequest, **options: Any) -> Iterator[Any]:
    """An empty cache there."""
    if place in NEAR:
        with cache_at(place.removeprefix("near "), request, near=True, **options) as cache:
            # it begins with the first read
            cache.get("none")
            assert cache.near.wait_until_live(LIVE_WITHIN_S)
            yield cache
        return
    if place in TYPED:
        place = place.removeprefix("typed ")
        with cache_at(place, request, typed=True, **options) as cache:
            yield cache
        return
    if place in NAMESPACES:
        with cache_at(place.partition(" ")[0], request, **options) as all_of_it:
            # what must not be seen, nor deleted
            all_of_it.set("k", "another's", tags=["t"])
            with all_of_it.namespace("a:b*{c}é") as cache:
                yield cache
            assert (all_of_it.get("k"), all_of_it.tagkeys("t")) == ("another's", ["k"])
        return
    if place == "memory":
        yield connect("memory://")
        return
    if place == "local":
        pytest.importorskip("fcntl", reason="local:// is refused on this system")
        # one owner for all of these tests
        with connect("local://contract", **options) as cache:
            cache.flushall()
            yield cache
        return
    if place != "cachestorm":
        with connect(address(place, request), **options) as cache:
            cache.flushall()
            yield cache
        return
    with our_server() as server, connect(f"redis://{HOST}:{server.port}", **options) as cache:
        yield cache
