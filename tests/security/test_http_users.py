"""Users over HTTP: who they are, and what they may do there."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from security_servers import application

from cachestorm_server.app import Application

RULES = {
    "ann": "on >pw ~page:* tag:home ns:default ns:blog +get +set +del +invalidate +mget +incr",
    "watcher": "on >pw resetnamespaces +info",
    "root": "on >pw ~* &* alltags +@all",
}
DENIED = (403, "NOPERM")


@pytest.fixture(scope="module")
def server() -> Iterator[Application]:
    given = {"plugins.auth.enabled": True, "plugins.auth.password": "se:same"}
    with application(given) as served:
        for name, rules in RULES.items():
            served.resp.endpoint.users.set(name, rules.split())
        yield served


def basic(name: str, password: str = "pw") -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def ask(
    server: Application, method: str, path: str, who: str, body: bytes = b"", **headers: str
) -> tuple[int, object]:
    """The status, and the code of a refusal or what was answered."""
    assert server.http is not None
    connection = HTTPConnection("127.0.0.1", server.http.port, timeout=60)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            given["Authorization"] = who
        connection.request(method, path, body or None, given)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status < 400:
            return answer.status, text
        document = json.loads(text)
        return answer.status, document.get("code", document.get("error", {}).get("code"))
    finally:
        connection.close()


def run(server: Application, who: str, document: object) -> tuple[int, object]:
    body = json.dumps(document).encode()
    status, found = ask(
        server, "POST", "/v1/commands", who, body, Content_Type="application/json"
    )
    return status, json.loads(found) if isinstance(found, bytes) else found


@pytest.mark.parametrize(
    "who", [basic("ann"), "Bearer ann:pw", basic("default", "se:same"), "Bearer se:same"]
)
def test_users_are_let_in_by_basic_and_bearer(server, who) -> None:
    assert run(server, who, {"command": ["SET", "page:1", "v"]}) == (200, {"result": "OK"})


@pytest.mark.parametrize(
    "who",
    [
        basic("ann", "no"),
        basic("bob"),
        "Bearer ann:no",
        "Bearer pw",
        "Basic x",
        "Basic eA==",
        "",
    ],
)
def test_others_are_not(server, who) -> None:
    assert ask(server, "GET", "/info", who)[0] == 401
    assert run(server, who, {"command": ["GET", "page:1"]})[0] == 401


def test_a_user_is_limited_in_commands_pipelines_and_transactions(server) -> None:
    ann = basic("ann")
    refused = {"error": {"code": "NOPERM", "message": "No permissions to access a key"}}
    assert run(server, ann, {"command": ["GET", "x"]}) == DENIED
    assert run(server, ann, {"command": "SET", "key": "page:1", "value": 1, "tags": ["x"]}) == (
        DENIED
    )
    assert run(server, ann, {"command": ["FLUSHALL"]}) == DENIED
    assert run(
        server, ann, [{"command": ["GET", "x"]}, {"command": ["SET", "page:1", "1"]}]
    ) == (
        200,
        [refused, {"result": "OK"}],
    )
    many = {"commands": [{"command": ["INCR", "page:1"]}, {"command": ["GET", "x"]}]}
    assert run(server, ann, many | {"atomic": True})[1] == "EXECABORT"
    assert run(server, ann, {"command": ["GET", "page:1"]}) == (200, {"result": "1"})
    assert run(server, ann, {"commands": [], "watch": ["page:1"]}) == DENIED


def test_a_namespace_that_is_denied_is_not_made(server) -> None:
    ann = basic("ann")
    assert run(server, ann, {"command": ["SET", "page:1", "v"], "namespace": "x"}) == DENIED
    assert "x" not in server.cache.namespaces()
    assert run(server, ann, {"command": ["SET", "page:1", "v"], "namespace": "blog"})[0] == 200


def test_paths_of_keys_and_tags_are_limited_as_their_commands(server) -> None:
    ann = basic("ann")
    path = "/v1/namespaces/default/keys/"
    assert ask(server, "PUT", path + "page:9?tags=home", ann, b"v")[0] in (201, 204)
    assert ask(server, "GET", path + "page:9", ann) == (200, b"v")
    assert ask(server, "PUT", path + "x", ann, b"v") == DENIED
    assert ask(server, "GET", path + "x", ann) == DENIED
    assert ask(server, "GET", "/v1/namespaces/y/keys/page:9", ann) == DENIED
    assert ask(server, "DELETE", "/v1/tags/x", ann) == DENIED
    assert ask(server, "PURGE", "/", ann, Surrogate_Key="home x") == DENIED
    assert ask(server, "DELETE", "/v1/tags/home", ann)[0] == 200


ADMIN_PATHS = ["/info", "/memory", "/metrics", "/v1/stats"]


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_what_info_tells_is_for_who_may_ask_for_it(server, path) -> None:
    assert ask(server, "GET", path, basic("watcher"))[0] == 200
    assert ask(server, "GET", path, basic("ann")) == DENIED


@pytest.mark.parametrize(
    "path", ["/keys", "/tags", "/v1/clients", "/v1/config", "/v1/slow-log", "/v1/events"]
)
def test_all_else_is_for_who_may_run_its_command(server, path) -> None:
    assert ask(server, "GET", path, basic("watcher")) == DENIED
    assert ask(server, "GET", path, basic("ann")) == DENIED
    if path != "/v1/events":
        assert ask(server, "GET", path, basic("root"))[0] == 200


def test_denials_and_failures_are_in_the_log(server) -> None:
    log = server.resp.endpoint.users.log
    log.reset()
    run(server, basic("ann"), {"command": ["GET", "secret"]})
    ask(server, "GET", "/info", basic("nobody"))
    assert [(each["reason"], each["object"], each["username"]) for each in log.latest(9)] == [
        ("auth", "HTTP", "nobody"),
        ("key", "secret", "ann"),
    ]


def test_an_address_that_failed_too_often_waits_over_http_too(server) -> None:
    logins = server.resp.endpoint.users.logins
    before, logins.most = logins.most, 1
    try:
        logins._left.clear()
        assert ask(server, "GET", "/info", basic("ann", "no"))[0] == 401
        assert ask(server, "GET", "/info", basic("ann"))[0] == 429
    finally:
        logins.most = before
        logins._left.clear()
