"""Values in a colder tier, asked for over HTTP: other clients are answered meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from http_served import Client

KEYS = "/v1/namespaces/default/keys/"


@pytest.fixture
def endpoint(serve: Callable[..., Client], tmp_path: Path) -> Client:
    """A server whose values are in objects."""
    client = serve({"tiers.cold.url": f"file://{tmp_path}"})
    cache = client.cache
    cache.set("k", b"x" * 300)
    cache.hset("h", mapping={f"f{number}": number for number in range(50)})
    for key in cache:
        assert cache.demote(key)
    cache._store.tiering.flush()
    return client


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        (lambda client: client.result("HGET", "h", "f7"), "7"),
        (lambda client: client.result("STRLEN", "k"), 300),
        (lambda client: client.get(KEYS + "k").body, b"x" * 300),
        (lambda client: client.request("PUT", KEYS + "k", b"new").status, 204),
        (lambda client: client.request("DELETE", KEYS + "k").status, 204),
        (
            lambda client: (
                client.post(
                    {
                        "commands": [{"command": ["STRLEN", "k"]}, {"command": ["HLEN", "h"]}],
                        "atomic": True,
                    }
                ).json
            ),
            {"results": [{"result": 300}, {"result": 50}]},
        ),
        (
            lambda client: client.post([{"command": ["STRLEN", "k"]}]).json,
            [{"result": 300}],
        ),
    ],
    ids=["command", "string", "get", "put", "delete", "transaction", "pipeline"],
)
def test_a_client_waits_for_its_value_and_nobody_else_does(
    ask: Callable[[Client], object], wanted: object, endpoint: Client
) -> None:
    blobs = endpoint.cache._store.tiering.cold.blobs
    gate, began, get = threading.Event(), threading.Event(), blobs.get

    def slow(place: int) -> bytes | None:
        began.set()
        assert gate.wait(60)
        return get(place)

    blobs.get = slow
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(ask(endpoint)))
    reader.start()
    try:
        assert began.wait(60)
        assert endpoint.result("EXISTS", "k") == 1
        assert found == []
    finally:
        gate.set()
        reader.join()
    assert found == [wanted]
    assert endpoint.cache._store.tiering.ahead.fetched == {}
    assert endpoint.cache.tier_stats()["cold"].losses == 0
    endpoint.cache._check()


def test_a_server_tells_where_values_are(endpoint: Client) -> None:
    assert endpoint.result("OBJECT", "TIER", "k") == "cold"
    assert endpoint.result("STRLEN", "k") == 300
    assert endpoint.result("OBJECT", "TIER", "k") == "memory"
    metrics = endpoint.get("/metrics").body
    assert b'cachestorm_tier_values{tier="cold"} 1.0' in metrics
    assert b'cachestorm_tier_reads_total{tier="cold"} 1.0' in metrics
