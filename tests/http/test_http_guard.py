"""Who is let in: passwords, hosts, and pages of other origins."""

from __future__ import annotations

import json
import logging
import socket
from http.client import HTTPConnection, HTTPResponse

import pytest

PASSWORD = {"plugins.auth.enabled": True, "plugins.auth.password": "sesame"}
PATHS = ["/info", "/keys", "/tags", "/memory", "/metrics", "/nope"]


@pytest.fixture(scope="module")
def guarded(launch):
    with launch(PASSWORD) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_without_the_password_nothing_is_shown(guarded, path) -> None:
    answer = guarded.get(path)
    assert (answer.status, answer.json["error"]["code"]) == (401, "NOAUTH")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic c2VzYW1l", "sesame"])
def test_another_password_is_none(guarded, given) -> None:
    assert guarded.get("/info", Authorization=given).status == 401
    assert guarded.post({"command": ["PING"]}, Authorization=given).status == 401


def test_with_the_password_everything_is_open(guarded) -> None:
    key = {"Authorization": "Bearer sesame"}
    assert guarded.get("/info", **key).status == 200
    assert guarded.post({"command": ["SET", "k", "v"]}, **key).status == 200
    # whoever knows the password may call the server by any name
    assert guarded.get("/info", Host="cache.example:9090", **key).status == 200


def test_health_needs_no_password(guarded) -> None:
    assert guarded.get("/health", Host="10.0.0.7").status == 200


def test_a_password_set_while_running_is_asked_for(serve) -> None:
    endpoint = serve()
    assert endpoint.get("/info").status == 200
    endpoint.application.resp.endpoint.users.set_password("new")
    assert endpoint.get("/info").status == 401


@pytest.mark.parametrize("host", ["127.0.0.1:9090", "localhost", "[::1]:9090", "a.localhost"])
def test_this_host_may_be_called_by_its_own_names(endpoint, host) -> None:
    assert endpoint.get("/info", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:9090", "[", ""])
def test_a_name_that_was_bound_to_this_host_elsewhere_is_refused(endpoint, host) -> None:
    answer = endpoint.get("/info", Host=host)
    assert (answer.status, answer.json["error"]["code"]) == (403, "DENIED")


def test_a_name_can_be_allowed(serve) -> None:
    endpoint = serve({"http.hosts": "cache.internal"})
    assert endpoint.get("/info", Host="cache.internal:9090").status == 200
    assert endpoint.get("/info", Host="other.internal").status == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_of_another_origin_is_no_command(endpoint, kind) -> None:
    answer = endpoint.post({"command": ["SET", "k", "v"]}, Content_Type=kind)
    assert answer.status == 415
    assert len(endpoint.cache) == 0


def test_a_preflight_is_not_answered_with_a_welcome(endpoint) -> None:
    answer = endpoint.request("OPTIONS", "/v1/commands", Origin="http://evil.example")
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /info HTTP/1.1\r\nHost: localhost\r\nExpect: foo\r\n\r\n", 417),
        (b"GET /nope HTTP/1.1\r\nHost: localhost\r\nExpect: foo\r\n\r\n", 417),
        (b"GET /info HTTP/1.1\r\nHost: localhost\r\nExpect: \xff\xfe\r\n\r\n", 417),
        (b"GET /info HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"FROB /info HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"G(T /info HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"PUT /info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", 400),
        (b"\xff\xfe\xfd\r\n\r\n", 400),
    ],
)
def test_whatever_is_refused_is_refused_by_a_problem(endpoint, head, status) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as connection:
        connection.sendall(head)
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == status
        assert (
            response.getheader("Content-Type").partition(";")[0] == "application/problem+json"
        )
        error = json.loads(response.read())["error"]
    assert error["code"] == "ERR"
    assert "\n" not in error["message"]
    assert endpoint.get("/health").status == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(endpoint) -> None:
    body = b'{"command": ["DBSIZE"]}'
    with socket.create_connection(("127.0.0.1", endpoint.port), 60) as connection:
        connection.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        response = HTTPResponse(connection)
        response.begin()
        assert json.loads(response.read()) == {"result": 0}


def test_a_wrong_password_is_logged(serve, caplog) -> None:
    guarded = serve(PASSWORD)
    guarded.get("/info", Authorization="Bearer guess")
    server = guarded.application.resp
    with caplog.at_level(logging.WARNING, "cachestorm.resp"):
        server._tell_from_tick = 0
        server._tell_of_refusals()
    assert "wrong or missing passwords: 1, the last from 127.0.0.1" in caplog.messages


ORIGIN = "https://admin.example"


@pytest.fixture(scope="module")
def shared_with_a_page(launch):
    with launch(PASSWORD | {"http.cors_origins": ORIGIN}) as client:
        yield client


def test_a_page_of_an_origin_that_is_let_in_may_ask(shared_with_a_page) -> None:
    path = "/v1/namespaces/default/keys/k"
    asked = {
        "Access_Control_Request_Method": "PUT",
        "Access_Control_Request_Headers": "authorization,if-match",
    }
    preflight = shared_with_a_page.request("OPTIONS", path, Origin=ORIGIN, **asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "PUT" in preflight.headers["access-control-allow-methods"].split(", ")
    assert preflight.headers["access-control-allow-headers"] == "authorization,if-match"
    key = {"Authorization": "Bearer sesame", "Origin": ORIGIN}
    answer = shared_with_a_page.request("PUT", path, b"v", **key)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (201, ORIGIN)
    assert "ETag" in answer.headers["access-control-expose-headers"]
    refused = shared_with_a_page.get(path, Origin=ORIGIN)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://admin.example.evil"]
)
def test_any_other_page_is_told_nothing(shared_with_a_page, origin) -> None:
    asked = {"Origin": origin, "Access_Control_Request_Method": "GET"}
    preflight = shared_with_a_page.request("OPTIONS", "/info", **asked)
    assert preflight.status != 204
    key = {"Authorization": "Bearer sesame", "Origin": origin}
    for answer in (preflight, shared_with_a_page.get("/info", **key)):
        assert "access-control-allow-origin" not in answer.headers


def address_of_this_host() -> str:
    """One that is not a loopback address, so that who comes by it counts as another host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            # of documentation: nothing is sent
            found.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no network")
        return str(found.getsockname()[0])


def ask(address: str, client, method: str, path: str, **headers: str) -> int:
    connection = HTTPConnection(address, client.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_without_protected_mode_and_password_other_hosts_only_read(launch) -> None:
    address = address_of_this_host()
    settings = {"http.bind": "0.0.0.0", "server.protected_mode": False}
    with launch(settings) as client:
        client.cache.set("k", "v", tags=["t"])
        key = "/v1/namespaces/default/keys/k"
        for path in ("/health", "/info", "/keys", "/metrics", "/openapi.json", key):
            assert ask(address, client, "GET", path) == 200
        for method, path in (
            ("GET", "/"),
            ("DELETE", key),
            ("DELETE", "/v1/tags/t"),
            ("PURGE", "/"),
        ):
            assert ask(address, client, method, path) == 403
            assert ask("127.0.0.1", client, method, path) != 403
        client.application.resp.endpoint.users.set_password("secret")
        client.cache.set("k", "v")
        assert ask(address, client, "GET", key) == 401
        assert ask(address, client, "DELETE", key, Authorization="Bearer secret") == 204
        assert ask(address, client, "GET", "/", Authorization="Bearer secret") == 200


def test_other_hosts_are_kept_out_in_protected_mode(launch) -> None:
    address = address_of_this_host()
    with launch({"http.bind": "0.0.0.0"}) as client:
        assert ask(address, client, "GET", "/health") == 200
        assert ask(address, client, "GET", "/info") == 403


@pytest.mark.parametrize(
    ("settings", "is_open"),
    [
        ({"server.bind": "0.0.0.0", "server.protected_mode": False}, True),
        ({"http.bind": "0.0.0.0", "server.protected_mode": False}, True),
        ({"server.bind": "0.0.0.0"}, False),
        ({"server.protected_mode": False}, False),
        ({"server.bind": "0.0.0.0", "server.protected_mode": False} | PASSWORD, False),
    ],
)
def test_a_server_knows_whether_everybody_is_let_in(launch, settings, is_open) -> None:
    """The log warns of it."""
    with launch(settings) as client:
        assert client.application.is_open_to_all() is is_open
