"""Keys as resources: bodies, types, times to live, tags, conditions, ranges."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

import pytest

KEYS = "/v1/namespaces/default/keys/"


def put(endpoint, path: str, body: bytes = b"v", **headers: str):
    return endpoint.request("PUT", KEYS + path, body, **headers)


def test_a_body_comes_back_with_its_type(endpoint) -> None:
    assert (
        put(endpoint, "p", b"<b>\xff</b>", Content_Type="text/html; charset=utf-8").status
        == 201
    )
    answer = endpoint.get(KEYS + "p")
    assert (answer.status, answer.body) == (200, b"<b>\xff</b>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert endpoint.cache.get("p") == b"<b>\xff</b>"


def test_a_body_of_no_type_is_bytes(endpoint) -> None:
    put(endpoint, "a")
    put(endpoint, "b", Content_Type="application/x-www-form-urlencoded")
    for key in "ab":
        answer = endpoint.get(KEYS + key)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert endpoint.cache.tags(key) == []


def test_the_type_is_that_of_the_value_it_came_with(endpoint) -> None:
    put(endpoint, "p", Content_Type="text/plain")
    endpoint.result("APPEND", "p", "!")
    assert endpoint.get(KEYS + "p").headers["content-type"] == "text/plain"
    endpoint.result("RENAME", "p", "q")
    assert endpoint.get(KEYS + "q").headers["content-type"] == "text/plain"
    endpoint.result("SET", "q", "other")
    assert endpoint.get(KEYS + "q").headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("spelled", ["60", "60s", "1m", "60.0"])
def test_a_time_to_live_and_tags_come_in_the_query(endpoint, spelled) -> None:
    assert put(endpoint, f"k?ttl={spelled}&tags=a,+b%2Fc&tag=d%2Ce").status == 201
    assert 50 < endpoint.result("TTL", "k") <= 60
    assert endpoint.cache.tags("k") == ["a", "b/c", "d,e"]
    answer = endpoint.get(KEYS + "k")
    assert 50 < float(answer.headers["x-cachestorm-ttl"]) <= 60
    assert answer.headers["x-cachestorm-tags"] == "a,b/c,d%2Ce"


def test_a_time_to_live_and_tags_come_in_headers(endpoint) -> None:
    headers = {
        "X_CacheStorm_TTL": "60",
        "X_CacheStorm_Tags": "a, b%2Cc,\u00fc".encode().decode("latin-1"),
    }
    assert put(endpoint, "k", **headers).status == 201
    assert 50 < endpoint.result("TTL", "k") <= 60
    assert endpoint.cache.tags("k") == ["a", "b,c", "\u00fc"]


def test_none_is_no_end_where_the_namespace_has_one(endpoint) -> None:
    space = endpoint.cache.namespace("short", default_ttl=60)
    path = "/v1/namespaces/short/keys/"
    endpoint.request("PUT", path + "a", b"")
    endpoint.request("PUT", path + "b?ttl=none", b"")
    assert space.ttl("a") is not None
    assert space.ttl("b") is None
    assert space.exists("b") == 1


def test_a_write_replaces_and_a_delete_removes(endpoint) -> None:
    assert put(endpoint, "k?tags=a", b"1").status == 201
    assert put(endpoint, "k", b"2").status == 204
    assert (endpoint.cache.get("k"), endpoint.cache.tags("k")) == (b"2", [])
    assert endpoint.request("DELETE", KEYS + "k").status == 204
    assert endpoint.request("DELETE", KEYS + "k").status == 404
    put(endpoint, "k")
    assert endpoint.request("PURGE", KEYS + "k").status == 204
    assert endpoint.cache.exists("k") == 0


def test_head_tells_what_get_would_without_the_value(endpoint) -> None:
    put(endpoint, "k", b"12345", Content_Type="text/plain")
    head, get = endpoint.request("HEAD", KEYS + "k"), endpoint.get(KEYS + "k")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == "5"
    del head.headers["date"], get.headers["date"]
    assert head.headers == get.headers
    assert endpoint.request("HEAD", KEYS + "none").status == 404


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_value_is_whole_for_clients_that_stay_and_that_go(endpoint, size: int) -> None:
    put(endpoint, "k", b"x" * size)
    request = f"GET {KEYS}k HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as client:
        for more in ("\r\n", "\r\n", "Connection: close\r\n\r\n"):
            client.sendall((request + more).encode())
            response = HTTPResponse(client)
            response.begin()
            assert response.read() == b"x" * size
            assert (response.getheader("Connection") == "close") == ("close" in more)
        assert client.recv(10) == b""


def test_a_client_of_http_1_0_is_answered_in_its_version(endpoint) -> None:
    put(endpoint, "k", b"12345")
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as client:
        client.sendall(f"GET {KEYS}k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
        response = HTTPResponse(client)
        response.begin()
        assert (response.version, response.read()) == (10, b"12345")
        assert response.getheader("Connection") == "keep-alive"


def test_reads_are_hits_and_misses(endpoint) -> None:
    put(endpoint, "k")
    before = endpoint.cache.stats()
    endpoint.get(KEYS + "k")
    endpoint.get(KEYS + "none")
    after = endpoint.cache.stats()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


def test_a_client_is_told_when_nothing_has_changed(endpoint) -> None:
    etag = put(endpoint, "k").headers["etag"]
    assert endpoint.get(KEYS + "k").headers["etag"] == etag
    for condition in (etag, f'"other", W/{etag}', "*"):
        answer = endpoint.get(KEYS + "k", If_None_Match=condition)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert endpoint.get(KEYS + "k", If_None_Match='"other"').status == 200
    endpoint.result("SET", "k", "v")
    assert endpoint.get(KEYS + "k", If_None_Match=etag).status == 200
    assert endpoint.get(KEYS + "k", If_Match=etag).status == 412


def test_a_write_with_a_condition_is_done_if_it_holds(endpoint) -> None:
    assert put(endpoint, "k", b"1", If_Match="*").status == 412
    first = put(endpoint, "k", b"1", If_None_Match="*")
    assert first.status == 201
    assert put(endpoint, "k", b"2", If_None_Match="*").status == 412
    second = put(endpoint, "k", b"2", If_Match=first.headers["etag"])
    assert second.status == 204
    assert put(endpoint, "k", b"3", If_Match=first.headers["etag"]).status == 412
    assert endpoint.cache.get("k") == b"2"
    stale = endpoint.request("DELETE", KEYS + "k", If_Match=first.headers["etag"])
    assert (stale.status, endpoint.cache.get("k")) == (412, b"2")
    fresh = endpoint.request("DELETE", KEYS + "k", If_Match=second.headers["etag"])
    assert (fresh.status, endpoint.cache.get("k")) == (204, None)


@pytest.mark.parametrize(
    ("wanted", "status", "body", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-100", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=3-1", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=99999999999999999999-", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_value_can_be_asked_for(endpoint, wanted, status, body, told) -> None:
    put(endpoint, "k", b"0123456789")
    answer = endpoint.get(KEYS + "k", Range=wanted)
    assert (answer.status, answer.headers.get("content-range")) == (status, told)
    if body is not None:
        assert answer.body == body


def test_a_range_of_another_version_is_not_mixed_with_this_one(endpoint) -> None:
    etag = put(endpoint, "k", b"0123456789").headers["etag"]
    assert endpoint.get(KEYS + "k", Range="bytes=0-1", If_Range=etag).status == 206
    put(endpoint, "k", b"abcdefghij")
    answer = endpoint.get(KEYS + "k", Range="bytes=0-1", If_Range=etag)
    assert (answer.status, answer.body) == (200, b"abcdefghij")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a%2Fb", "a/b"),
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
        ("%00", "\0"),
        ("%ff", "\udcff"),
        ("%C3%BC%20x", "\u00fc x"),
        ("100%25", "100%"),
        ("a+b", "a+b"),
        ("{key}", "{key}"),
        ("%3Fx=1", "?x=1"),
    ],
)
def test_a_key_is_of_any_bytes(endpoint, path, key) -> None:
    assert put(endpoint, path, b"1").status == 201
    assert list(endpoint.cache) == [key]
    assert endpoint.get(KEYS + path).body == b"1"


@pytest.mark.parametrize("path", ["a/b", "../default/keys/a", "a/", "./a", "/a"])
def test_a_slash_that_is_not_encoded_is_another_path(endpoint, path) -> None:
    request = f"PUT {KEYS}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as connection:
        connection.sendall(request.encode())
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == 404
    assert len(endpoint.cache) == 0


def test_a_missing_key_says_why_it_is_missing(endpoint) -> None:
    answer = endpoint.get(KEYS + "never")
    assert (answer.status, answer.json["detail"]) == (404, "no such key")
    assert "why" not in answer.json
    put(endpoint, "k?tags=home")
    endpoint.result("INVALIDATE", "home")
    why = endpoint.get(KEYS + "k").json["why"]
    assert (why["cause"], why["tag"]) == ("invalidated", "home")


def test_containers_and_objects_are_json(endpoint) -> None:
    endpoint.result("HSET", "h", "f", "1")
    endpoint.result("RPUSH", "l", "a", "b")
    endpoint.result("ZADD", "z", "1.5", "m")
    endpoint.cache.set("o", {"a": [1]})
    for key, kind, value in [
        ("h", "hash", {"f": "1"}),
        ("l", "list", ["a", "b"]),
        ("z", "zset", [["m", 1.5]]),
        ("o", "object", {"a": [1]}),
    ]:
        answer = endpoint.get(KEYS + key)
        assert (answer.json, answer.headers["x-cachestorm-type"]) == (value, kind)


def test_a_namespace_is_made_by_a_write_and_not_by_a_read(endpoint) -> None:
    path = "/v1/namespaces/made/keys/k"
    assert endpoint.get(path).status == 404
    assert endpoint.request("DELETE", path).status == 404
    assert "made" not in endpoint.cache.namespaces()
    assert endpoint.request("PUT", path, b"v").status == 201
    assert endpoint.cache.namespace("made").get("k") == b"v"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("k?ttl=0", {}, 400),
        ("k?ttl=-1", {}, 400),
        ("k?ttl=soon", {}, 400),
        ("k?ttl=nan", {}, 400),
        ("k?ttl=inf", {}, 400),
        ("k?ttl=1e400", {}, 400),
        ("k?ttl=%D9%A3", {}, 400),
        ("k?ttl=1&ttl=2", {}, 400),
        ("k?colour=red", {}, 400),
        ("k?tags=" + "x" * 1025, {}, 400),
        ("k", {"Content_Type": "nonsense"}, 400),
        ("k", {"Content_Type": "text/" + "x" * 1025}, 400),
        ("k", {"X_CacheStorm_TTL": "yesterday"}, 400),
    ],
)
def test_a_write_that_does_not_fit_changes_nothing(endpoint, path, headers, status) -> None:
    endpoint.cache.set("k", "before")
    answer = put(endpoint, path, b"after", **headers)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert endpoint.cache.get("k") == "before"


def test_a_name_that_is_no_namespace_is_refused(endpoint) -> None:
    answer = endpoint.request("PUT", "/v1/namespaces/a%20b/keys/k", b"v")
    assert (answer.status, answer.json["title"]) == (404, "Not Found")
    assert "a b" not in endpoint.cache.namespaces()


def test_a_body_beyond_the_limit_is_refused(serve) -> None:
    endpoint = serve({"http.max_body": 1000})
    assert put(endpoint, "k", b"x" * 1001).status == 413
    assert put(endpoint, "k", b"x" * 1000).status == 201


def test_a_write_without_room_is_507(serve) -> None:
    endpoint = serve({"memory.max_memory": 5000, "memory.eviction_policy": "noeviction"})
    answer = put(endpoint, "k", b"x" * 10_000)
    assert (answer.status, answer.json["error"]["code"]) == (507, "OOM")


def test_what_is_stored_does_not_run_in_a_browser(endpoint) -> None:
    put(endpoint, "p", b"<script>alert(1)</script>", Content_Type="text/html")
    headers = endpoint.get(KEYS + "p").headers
    assert headers["content-security-policy"] == "sandbox"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "tag", ["content-type:text/html\r\nSet-Cookie: a=b", "content-type:", "content-type:x\0/y"]
)
def test_a_type_that_is_not_fit_for_a_header_is_not_in_one(endpoint, tag) -> None:
    endpoint.result("SET", "k", "v", "TAGS", tag, "a\r\nb: c")
    answer = endpoint.get(KEYS + "k")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-cachestorm-tags"] == "a%0D%0Ab:%20c"
    assert "set-cookie" not in answer.headers


def test_a_key_may_come_in_bytes_that_are_not_encoded(endpoint) -> None:
    head = b"PUT " + KEYS.encode() + b"\xff%2Fa HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as connection:
        connection.sendall(head + b"Content-Length: 1\r\n\r\n1")
        response = HTTPResponse(connection)
        response.begin()
        assert response.status in (201, 400)
    assert list(endpoint.cache) in (["\udcff/a"], [])
