"""The admin paths: their bodies, pages and types."""

from __future__ import annotations

import re

import pytest


def test_health_says_that_it_is_up_and_since_when(endpoint) -> None:
    answer = endpoint.get("/health")
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", answer.json["uptime"])


def test_info_has_the_members_of_the_seeds(endpoint) -> None:
    endpoint.result("SET", "k", "v")
    info = endpoint.get("/info").json
    assert {"version", "uptime", "keys", "memory", "started_at"} <= set(info["server"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info["server"]["started_at"])
    assert info["server"]["keys"] == 1
    assert {"shards", "keys", "mem_used"} <= set(info["store"])
    assert 0 < info["store"]["mem_used"]


def test_info_tells_the_hit_ratio_of_other_limits(serve) -> None:
    endpoint = serve({"memory.max_entries": 50})
    assert endpoint.get("/info").json["store"]["hit_ratios"] == {}
    for number in range(300):
        endpoint.result("SET", f"key:{number}", "v")
        endpoint.result("GET", f"key:{number % 3}")
    ratios = endpoint.get("/info").json["store"]["hit_ratios"]
    assert list(ratios) == ["0.5", "1", "2"]
    assert 0 <= ratios["0.5"] <= ratios["2"] <= 1


def test_memory_has_the_members_of_the_seeds(endpoint) -> None:
    endpoint.result("SET", "k", "v")
    memory = endpoint.get("/memory").json
    assert memory["used"] == memory["avg_size"]
    assert memory["keys"] == 1


def walk(endpoint, path: str, member: str) -> list:
    found, cursor = [], ""
    while cursor is not None:
        page = endpoint.get(path + (f"&cursor={cursor}" if cursor else "")).json
        found += page[member]
        cursor = page["cursor"]
    return found


def test_keys_come_in_pages(endpoint) -> None:
    names = {f"key:{number}" for number in range(250)}
    for name in names:
        endpoint.cache.set(name, 1)
    first = endpoint.get("/keys").json
    assert (first["count"], len(first["keys"])) == (250, 100)
    assert names == set(walk(endpoint, "/keys?limit=30", "keys"))


def test_keys_can_be_matched(endpoint) -> None:
    endpoint.cache.set("a:1", 1)
    endpoint.cache.set("b:1", 1)
    assert endpoint.get("/keys?match=a:*").json["keys"] == ["a:1"]


def test_tags_come_in_pages_with_their_counts(endpoint) -> None:
    for number in range(25):
        endpoint.cache.set(f"key:{number}", 1, tags=[f"tag:{number:02}", "all"])
    rows = walk(endpoint, "/tags?limit=10", "tags")
    expected = {f"tag:{number:02}": 1 for number in range(25)} | {"all": 25}
    assert {row["name"]: row["count"] for row in rows} == expected
    assert len(endpoint.get("/tags?limit=10").json["tags"]) == 10
    assert endpoint.get("/tags").json["count"] == 26


def test_tags_can_be_matched(endpoint) -> None:
    endpoint.cache.set("k", 1, tags=["a:1", "b:1"])
    answer = endpoint.get("/tags?match=a:*").json
    assert answer["tags"] == [{"name": "a:1", "count": 1}]


@pytest.mark.parametrize("match", ["%ff%fe", "%FF*", "*%FE", "%ff?"])
def test_a_pattern_may_be_of_any_bytes(endpoint, match) -> None:
    endpoint.cache.set("\udcff\udcfe", 1)
    endpoint.cache.set("other", 1)
    assert endpoint.get(f"/keys?match={match}").json["keys"] == [{"base64": "//4="}]


def test_a_query_is_read_as_a_form_sends_it(endpoint) -> None:
    endpoint.cache.set("a b&ü=c", 1)
    path = "/keys?match=a+b%26%C3%BC%3Dc&&limit=5"
    assert endpoint.get(path).json["keys"] == ["a b&ü=c"]


def test_names_that_are_no_text_are_shown_in_base64(endpoint) -> None:
    endpoint.cache.set("\udcff", 1, tags=["\udcfe"])
    assert endpoint.get("/keys").json["keys"] == [{"base64": "/w=="}]
    assert endpoint.get("/tags").json["tags"] == [{"name": {"base64": "/g=="}, "count": 1}]


def test_a_namespace_is_asked_for_and_not_made_on_demand(endpoint) -> None:
    endpoint.cache.namespace("shop").set("k", 1, tags=["t"])
    assert endpoint.get("/keys?namespace=shop").json["keys"] == ["k"]
    assert endpoint.get("/tags?namespace=shop").json["count"] == 1
    assert endpoint.get("/keys?namespace=nowhere").status == 404
    assert "nowhere" not in endpoint.cache.namespaces()


@pytest.mark.parametrize(
    "path",
    [
        "/keys?limit=0",
        "/keys?limit=10001",
        "/keys?limit=x",
        "/keys?limit=%D9%A3",
        "/keys?cursor=-1",
        "/keys?cursor=99999999999999999999",
        "/keys?colour=red",
        "/keys?limit=1&limit=2",
        "/keys?match=a&match=a",
        "/tags?cursor=zz",
        "/tags?colour=red",
    ],
)
def test_a_query_that_does_not_fit_is_refused(endpoint, path) -> None:
    answer = endpoint.get(path)
    assert answer.status == 400
    assert answer.json["error"]["message"]


def test_metrics_can_move_and_can_be_switched_off(serve) -> None:
    assert serve({"plugins.metrics.path": "/m"}).get("/m").status == 200
    assert serve({"plugins.metrics.enabled": False}).get("/metrics").status == 404


@pytest.mark.parametrize("path", ["/health", "/info", "/keys", "/tags", "/memory", "/metrics"])
def test_an_admin_path_is_only_read(endpoint, path) -> None:
    answer = endpoint.request("POST", path, b"{}", Content_Type="application/json")
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json["error"]["code"] == "ERR"


def test_an_unknown_path_is_a_json_404(endpoint) -> None:
    answer = endpoint.get("/nope")
    assert (answer.status, answer.json["error"]["code"]) == (404, "ERR")


def test_a_namespace_is_asked_for_by_header_as_well(endpoint) -> None:
    endpoint.cache.namespace("shop").set("k", 1, tags=["t"])
    assert endpoint.get("/keys", X_CacheStorm_Namespace="shop").json["keys"] == ["k"]
    assert endpoint.get("/tags", X_CacheStorm_Namespace="shop").json["count"] == 1
    assert endpoint.get("/keys", X_CacheStorm_Namespace="nowhere").status == 404
    both = endpoint.get("/keys?namespace=default", X_CacheStorm_Namespace="shop")
    assert both.json["keys"] == []
