"""What operators look at over HTTP: namespaces, hot keys, slow calls, clients, settings."""

from __future__ import annotations

import pytest
from redis import Redis


def test_namespaces_are_listed_with_their_counts(endpoint) -> None:
    shop = endpoint.cache.namespace("shop", default_ttl=60)
    shop.set("k", 1, tags=["t"])
    shop.get("k")
    shop.get("none")
    rows = {row["name"]: row for row in endpoint.get("/v1/namespaces").json["namespaces"]}
    row = rows["shop"]
    assert (row["keys"], row["tags"], row["expires"], row["default_ttl"]) == (1, 1, 1, 60)
    assert (row["hits"], row["misses"], row["hit_ratio"]) == (1, 1, 0.5)
    assert endpoint.get("/v1/namespaces/shop").json == row
    assert endpoint.get("/v1/namespaces/none").status == 404


def test_namespaces_come_in_pages(serve) -> None:
    endpoint = serve()
    views = [endpoint.cache.namespace(f"n{number}") for number in range(5)]
    found, cursor = [], "0"
    while cursor is not None:
        page = endpoint.get(f"/v1/namespaces?limit=2&cursor={cursor}&match=n*").json
        assert page["count"] == len(views)
        found += [row["name"] for row in page["namespaces"]]
        cursor = page["cursor"]
    assert found == [f"n{number}" for number in range(5)]


def test_a_namespace_is_deleted_but_not_the_default(endpoint) -> None:
    endpoint.cache.namespace("gone").set("k", 1)
    assert endpoint.request("DELETE", "/v1/namespaces/gone").status == 204
    assert "gone" not in endpoint.cache.namespaces()
    assert endpoint.request("DELETE", "/v1/namespaces/gone").status == 404
    assert endpoint.request("DELETE", "/v1/namespaces/default").status in (400, 404)


def test_hot_keys_come_hottest_first(endpoint) -> None:
    for key, hits in [("a", 3), ("b", 9)]:
        endpoint.cache.set(key, 1)
        for _ in range(hits):
            endpoint.cache.get(key)
    keys = endpoint.get("/v1/hot-keys?limit=1").json["keys"]
    assert [row["key"] for row in keys] == ["b"]
    assert endpoint.get("/v1/hot-keys?limit=101").status == 400


def test_slow_calls_are_listed_without_passwords_and_forgotten(serve) -> None:
    endpoint = serve()
    with Redis(port=endpoint.application.resp.port) as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.set("k", "v")
        client.config_set("requirepass", "sesame")
        client.execute_command("AUTH", "sesame")
        client.config_set("requirepass", "")
    answer = endpoint.get("/v1/slow-log")
    calls = answer.json["calls"]
    assert ["SET", "k", "v"] in [call["command"] for call in calls]
    assert b"sesame" not in answer.body
    assert set(calls[0]) == {"id", "at", "microseconds", "command", "client", "name"}
    assert endpoint.request("DELETE", "/v1/slow-log").status == 204
    assert endpoint.get("/v1/slow-log").json == {"calls": []}


def test_clients_are_listed(endpoint) -> None:
    with Redis(port=endpoint.application.resp.port, client_name="teller") as client:
        client.ping()
        clients = endpoint.get("/v1/clients").json["clients"]
    assert [each["name"] for each in clients] == ["teller"]
    assert clients[0]["cmd"] == "ping"
    assert "addr" in clients[0]


def test_the_configuration_has_no_secret_in_it(serve) -> None:
    endpoint = serve({"plugins.auth.enabled": True, "plugins.auth.password": "sesame"})
    answer = endpoint.get("/v1/config", Authorization="Bearer sesame")
    assert answer.json["maxmemory-policy"] == "adaptive"
    assert answer.json["requirepass"] == "(not shown)"
    assert b"sesame" not in answer.body


def test_statistics_come_in_one_document(endpoint) -> None:
    endpoint.result("SET", "k", "v")
    with Redis(port=endpoint.application.resp.port) as client:
        client.get("k")
    stats = endpoint.get("/v1/stats").json
    assert stats["keys"] == 1
    assert stats["commands"] >= 2
    assert {"evicted", "expired", "invalidated", "memory", "clients", "hit_ratios"} <= set(
        stats
    )
    latency = {row["command"]: row for row in stats["latency"]}
    assert latency["get"]["p50"] <= latency["get"]["p99"]


def test_ready_says_whether_writes_can_be_kept(serve, tmp_path) -> None:
    plain = serve()
    assert plain.get("/ready").json == {"status": "ready"}
    kept = serve({"persistence.enabled": True, "persistence.data_dir": str(tmp_path / "d")})
    assert kept.get("/ready").status == 200
    kept.cache._directory().journal.error = OSError(28, "No space left on device")
    answer = kept.get("/ready")
    assert answer.status == 503
    assert answer.json["detail"] == "what is written cannot be kept on disk"
    kept.cache._directory().journal.error = None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/namespaces?limit=-1",
        "/v1/namespaces?limit=99999999999999999999999",
        "/v1/namespaces?cursor=x",
        "/v1/slow-log?limit=0",
        "/v1/clients?limit=1",
        "/v1/hot-keys?namespace=a&namespace=b",
    ],
)
def test_what_does_not_fit_is_refused(endpoint, path) -> None:
    assert endpoint.get(path).status == 400


@pytest.mark.parametrize("path", ["/v1/config", "/v1/clients", "/v1/slow-log", "/v1/stats"])
def test_administration_asks_for_the_password(serve, path) -> None:
    endpoint = serve({"plugins.auth.enabled": True, "plugins.auth.password": "sesame"})
    assert endpoint.get(path).status == 401
    assert endpoint.get("/ready").status == 200
