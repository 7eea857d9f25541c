"""Pages and the OpenAPI document: where they are, what they may do, and that they are whole."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from cachestorm.declare.registry import REGISTRY
from cachestorm_server.web.pages import POLICY, static_files

STATIC = files("cachestorm_server.web").joinpath("static")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_elsewhere_and_runs_no_script_inside_of_it(
    endpoint, path
) -> None:
    answer = endpoint.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == POLICY
    page = answer.body.decode()
    assert "<html" in page
    assert re.findall(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", page) == []
    for link in re.findall(r'(?:src|href)="([^"#]*)"', page):
        if link:
            assert endpoint.get(link).status == 200
            assert link.startswith("/")


@pytest.mark.parametrize("name", sorted(static_files()))
def test_no_file_names_another_host(name) -> None:
    text = static_files()[name][0].decode()
    hosts = {host for host in re.findall(r"https?://([\w.]+)", text) if host != "www.w3.org"}
    assert hosts == set()
    assert "innerHTML" not in text
    assert "eval(" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/static/none.js",
        "/static/..%2Fpages.py",
        "/static/../pages.py",
        "/static/",
        "/static/%00",
    ],
)
def test_no_other_file_is_served(endpoint, path) -> None:
    assert endpoint.get(path).status == 404


def test_a_page_that_has_not_changed_is_not_sent_again(endpoint) -> None:
    etag = endpoint.get("/static/style.css").headers["etag"]
    answer = endpoint.get("/static/style.css", If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")


def test_pages_need_no_password_and_what_they_show_does(serve) -> None:
    guarded = serve({"plugins.auth.enabled": True, "plugins.auth.password": "sesame"})
    for path in ("/", "/docs", "/static/docs.js", "/openapi.json", "/v1/commands"):
        assert guarded.get(path).status == 200
    assert guarded.get("/", Host="evil.example").status == 200
    assert guarded.request("PURGE", "/", Surrogate_Key="a").status == 401


def test_without_a_password_a_page_is_for_this_host(endpoint) -> None:
    assert endpoint.get("/", Host="evil.example").status == 403


def test_the_document_has_every_path_and_every_command(endpoint) -> None:
    document = endpoint.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    routes = endpoint.application.http._routes.all
    assert set(document["paths"]) == {route.path for route in routes}
    told = {
        schema["properties"]["command"]["const"]
        for schema in document["components"]["schemas"].values()
        if "x-syntax" in schema
    }
    assert told == {each.name for each in REGISTRY if not each.connection}
    listed = {each["name"]: each for each in endpoint.get("/v1/commands").json["commands"]}
    assert set(listed) == told
    assert {"key", "value", "ex", "nx"} <= set(listed["SET"]["arguments"])


def test_the_document_is_one_of_openapi(endpoint) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(endpoint.get("/openapi.json").json)


def test_every_operation_has_a_name_of_its_own(endpoint) -> None:
    operations = [
        operation
        for item in endpoint.get("/openapi.json").json["paths"].values()
        for operation in item.values()
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"].endswith(".")
