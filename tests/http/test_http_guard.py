"""Who is let in: passwords, hosts, and pages of other origins."""

from __future__ import annotations

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
    assert (401, "NOAUTH") == (answer.status, answer.json["error"]["code"])
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic c2VzYW1l", "sesame"])
def test_another_password_is_none(guarded, given) -> None:
    assert 401 == guarded.get("/info", Authorization=given).status
    assert 401 == guarded.post({"command": ["PING"]}, Authorization=given).status


def test_with_the_password_everything_is_open(guarded) -> None:
    key = {"Authorization": "Bearer sesame"}
    assert 200 == guarded.get("/info", **key).status
    assert 200 == guarded.post({"command": ["SET", "k", "v"]}, **key).status
    # whoever knows the password may call the server by any name
    assert 200 == guarded.get("/info", Host="cache.example:9090", **key).status


def test_health_needs_no_password(guarded) -> None:
    assert 200 == guarded.get("/health", Host="10.0.0.7").status


def test_a_password_set_while_running_is_asked_for(serve) -> None:
    door = serve()
    assert 200 == door.get("/info").status
    door.application.resp.settings.password = "new"
    assert 401 == door.get("/info").status


@pytest.mark.parametrize("host", ["127.0.0.1:9090", "localhost", "[::1]:9090", "a.localhost"])
def test_this_host_may_be_called_by_its_own_names(door, host) -> None:
    assert 200 == door.get("/info", Host=host).status


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:9090", "[", ""])
def test_a_name_that_was_bound_to_this_host_elsewhere_is_refused(door, host) -> None:
    answer = door.get("/info", Host=host)
    assert (403, "DENIED") == (answer.status, answer.json["error"]["code"])


def test_a_name_can_be_allowed(serve) -> None:
    door = serve({"http.hosts": "cache.internal"})
    assert 200 == door.get("/info", Host="cache.internal:9090").status
    assert 403 == door.get("/info", Host="other.internal").status


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_of_another_origin_is_no_command(door, kind) -> None:
    answer = door.post({"command": ["SET", "k", "v"]}, Content_Type=kind)
    assert 415 == answer.status
    assert 0 == len(door.cache)


def test_a_preflight_is_not_answered_with_a_welcome(door) -> None:
    answer = door.request("OPTIONS", "/v1/commands", Origin="http://evil.example")
    assert 405 == answer.status
    assert "access-control-allow-origin" not in answer.headers
