"""Tags over HTTP: keys, children, invalidation, the purges of CDNs."""

from __future__ import annotations

import pytest


@pytest.fixture
def shop(endpoint):
    """Two keys below `shop`, by a child, and one beside it."""
    cache = endpoint.cache
    cache.set("book:1", 1, tags=["books"])
    cache.set("front", 1, tags=["shop", "pages"])
    cache.set("other", 1, tags=["pages"])
    cache.taglink("shop", "books")
    return endpoint


def test_a_tag_shows_its_keys_and_children(shop) -> None:
    answer = shop.get("/v1/tags/shop").json
    assert answer == {
        "tag": "shop",
        "count": 1,
        "keys": ["front"],
        "children": [{"name": "books", "count": 1}],
        "cursor": None,
    }
    assert shop.get("/v1/tags/none").json["count"] == 0


def test_the_keys_of_a_tag_come_in_pages(endpoint) -> None:
    names = {f"key:{number}" for number in range(25)}
    for name in names:
        endpoint.cache.set(name, 1, tags=["a/b"])
    found, cursor = [], "0"
    while cursor is not None:
        page = endpoint.get(f"/v1/tags/a%2Fb?limit=10&cursor={cursor}").json
        assert len(page["keys"]) <= 10
        found += page["keys"]
        cursor = page["cursor"]
    assert set(found) == names


def test_the_hierarchy_is_a_list_of_links(shop) -> None:
    assert shop.get("/v1/tags").json == {
        "count": 1,
        "links": [{"parent": "shop", "child": "books"}],
        "tags": [{"name": "shop", "count": 1}, {"name": "books", "count": 1}],
    }


def test_tags_are_linked_and_unlinked(endpoint) -> None:
    assert endpoint.request("PUT", "/v1/tags/a/children/b").status == 204
    assert endpoint.cache.tagchildren("a") == ["b"]
    assert endpoint.request("PUT", "/v1/tags/b/children/a").status == 400
    assert endpoint.request("DELETE", "/v1/tags/a/children/b").status == 204
    assert endpoint.cache.tagchildren("a") == []


@pytest.mark.parametrize(
    ("query", "count", "left"),
    [
        ("", 1, ["book:1", "other"]),
        ("?cascade=true", 2, ["other"]),
        ("?cascade", 2, ["other"]),
        ("?cascade=false", 1, ["book:1", "other"]),
        ("?soft=true&cascade=true", 2, ["other"]),
    ],
)
def test_a_tag_is_invalidated(shop, query, count, left) -> None:
    answer = shop.request("DELETE", "/v1/tags/shop" + query)
    assert (answer.status, answer.json["keys_deleted"]) == (200, count)
    assert sorted(key for key in ("book:1", "front", "other") if shop.cache.exists(key)) == left


def test_a_dry_run_tells_what_would_go_and_changes_nothing(shop) -> None:
    answer = shop.request("DELETE", "/v1/tags/shop?cascade=true&dry_run=true").json
    assert answer["keys_deleted"] == 2
    assert sorted(answer["keys"]) == ["book:1", "front"]
    assert answer["reached"] == [{"name": "shop", "count": 1}, {"name": "books", "count": 1}]
    assert len(shop.cache) == 3
    first = shop.request("DELETE", "/v1/tags/shop?cascade=true&dry_run=true&limit=1").json
    assert (first["keys_deleted"], len(first["keys"])) == (2, 1)


def test_a_namespace_has_tags_of_its_own(shop) -> None:
    shop.cache.namespace("eu").set("k", 1, tags=["shop"])
    assert shop.request("DELETE", "/v1/tags/shop?namespace=eu").json["keys_deleted"] == 1
    assert len(shop.cache) == 3
    assert shop.request("DELETE", "/v1/tags/shop?namespace=nowhere").status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Surrogate_Key": "shop books none"},
        {"xkey": "shop, books"},
        {"xkey": "shop", "Surrogate_Key": "bo%6Fks"},
    ],
)
def test_what_a_cdn_purges_is_gone(shop, headers) -> None:
    answer = shop.request("PURGE", "/", **headers)
    assert (answer.status, answer.json["keys_deleted"]) == (200, 2)
    assert list(shop.cache) == ["other"]


def test_a_purge_is_soft_or_dry_or_of_a_namespace(shop) -> None:
    tags = {"Surrogate_Key": "shop pages"}
    dry = shop.request("PURGE", "/?dry_run=true", **tags).json
    assert (dry["keys_deleted"], len(shop.cache)) == (2, 3)
    shop.cache.namespace("eu").set("k", 1, tags=["shop"])
    there = shop.request("PURGE", "/v1/namespaces/eu", **tags).json
    assert (there["keys_deleted"], len(shop.cache)) == (1, 3)
    soft = shop.request("PURGE", "/", Fastly_Soft_Purge="1", **tags).json
    assert (soft["soft"], shop.cache.why("front")["cause"].value) == (True, "invalidated")


def test_a_key_may_be_put_with_the_header_of_a_cdn(endpoint) -> None:
    path = "/v1/namespaces/default/keys/k"
    endpoint.request("PUT", path, b"v", Surrogate_Key="a b", xkey="c")
    assert endpoint.cache.tags("k") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PURGE", "/"),
        ("DELETE", "/v1/tags/a?dry_run=maybe"),
        ("DELETE", "/v1/tags/a?limit=-1"),
        ("DELETE", "/v1/tags/" + "x" * 1025),
        ("DELETE", "/v1/tags/"),
        ("GET", "/v1/tags/?limit=1"),
        ("PUT", "/v1/tags/a/children/a"),
    ],
)
def test_what_does_not_fit_is_refused(shop, method, path) -> None:
    answer = shop.request(method, path)
    assert (answer.status, answer.json["status"]) == (400, 400)
    assert len(shop.cache) == 3


def test_a_tag_of_any_bytes_is_shown_and_invalidated(endpoint) -> None:
    endpoint.cache.set("k", 1, tags=["\udcff<b>"])
    assert endpoint.get("/v1/tags/%ff<b>").json["tag"] == {"base64": "/zxiPg=="}
    assert endpoint.request("DELETE", "/v1/tags/%ff%3Cb%3E").json["keys_deleted"] == 1
