"""The plugin of OpenTelemetry: spans and metrics of what a server does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from http_served import Client, running
from in_memory_telemetry import InMemory
from opentelemetry.trace import SpanKind, StatusCode
from redis import Redis

from cachestorm.errors import ConfigError
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.session import Session

FREE = {"server.port": ("test", 0), "http.port": ("test", 0)}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def written(tmp_path: Path, settings: str) -> str:
    file = tmp_path / "cachestorm.yaml"
    file.write_text(f"plugins:\n  opentelemetry: {{{settings}}}\n")
    return str(file)


@pytest.fixture
def session(tmp_path: Path) -> Callable[[str], Session]:
    """A client of a server that exports into this process."""

    def make(settings: str) -> Session:
        path = f"path: 'in_memory_telemetry:InMemory', {settings}"
        application = Application(load(written(tmp_path, path), {}, FREE))
        return Session(application.resp.endpoint, "10.0.0.7:50112")

    return make


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Client]:
    file = written(tmp_path, "path: 'in_memory_telemetry:InMemory'")
    with running({}, file) as client:
        yield client


def spans() -> Any:
    return InMemory.last.exporter.get_finished_spans()


def points() -> dict[str, list[Any]]:
    """The data points of each metric."""
    data = InMemory.last.reader.get_metrics_data()
    return {
        metric.name: list(metric.data.data_points)
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }


def test_each_command_is_a_span_without_keys_and_values(session) -> None:
    session = session("metrics: false")
    session.receive(b"SET secret-key secret-value\r\nLPOP secret-key\r\n")
    written, refused = spans()
    assert (written.name, written.kind, written.status.status_code) == (
        "SET",
        SpanKind.SERVER,
        StatusCode.UNSET,
    )
    assert written.attributes == {
        "db.system.name": "cachestorm",
        "db.operation.name": "SET",
        "db.namespace": "default",
        "client.address": "10.0.0.7:50112",
    }
    assert refused.attributes["error.type"] == "WRONGTYPE"
    assert refused.status.status_code is StatusCode.ERROR
    assert written.resource.attributes["service.name"] == "cachestorm"
    assert written.start_time <= written.end_time <= refused.end_time
    assert "secret" not in "".join(span.to_json() for span in (written, refused))


def test_keys_are_told_if_that_is_asked_for(session) -> None:
    session = session("keys: true, metrics: false")
    session.receive(b"MGET a \xff\r\n")
    assert [span.attributes["cachestorm.keys"] for span in spans()] == [("a", "\\xff")]


def test_the_commands_of_a_transaction_are_spans(session) -> None:
    session = session("metrics: false")
    session.receive(b"MULTI\r\nINCR n\r\nLPOP n\r\nEXEC\r\n")
    told = [(span.name, span.status.status_code.name) for span in spans()]
    assert told == [("MULTI", "UNSET"), ("INCR", "UNSET"), ("LPOP", "ERROR"), ("EXEC", "UNSET")]


def test_none_is_kept_of_a_sample_of_none(session) -> None:
    session = session("sample: 0, metrics: false")
    session.receive(b"SET k v\r\n")
    assert spans() == ()


def test_durations_of_commands_are_a_histogram(session) -> None:
    session = session("traces: false")
    session.receive(b"SET k v\r\nSET k v\r\nLPOP k\r\n")
    found = points()["cachestorm.command.duration"]
    assert {
        (point.attributes["db.operation.name"], point.attributes.get("error.type")): point.count
        for point in found
    } == {("SET", None): 2, ("LPOP", "WRONGTYPE"): 1}
    assert spans() == ()


def test_a_request_goes_on_with_the_trace_of_its_client(endpoint) -> None:
    parent = f"00-{TRACE}-{PARENT}-01"
    document = b'[{"command": ["SET", "k", "v"]}, {"command": ["GET", "k"]}]'
    answer = endpoint.request(
        "POST", "/v1/commands", document, traceparent=parent, Content_Type="application/json"
    )
    assert answer.status == 200
    *commands, request = spans()
    assert (request.name, request.kind) == ("POST /v1/commands", SpanKind.SERVER)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert [(span.name, span.parent.span_id) for span in commands] == [
        ("SET", request.context.span_id),
        ("GET", request.context.span_id),
    ]


def test_the_path_of_a_request_is_told_by_its_template(endpoint) -> None:
    endpoint.cache.set("secret", 1)
    assert endpoint.get("/v1/namespaces/default/keys/secret").status == 200
    assert endpoint.get("/secret").status == 404
    assert endpoint.request("PROPFIND", "/v1/commands").status == 405
    told = [
        (
            span.name,
            span.attributes["http.request.method"],
            span.attributes.get("http.route"),
            span.attributes["http.response.status_code"],
        )
        for span in spans()
    ]
    route = "/v1/namespaces/{namespace}/keys/{key}"
    assert told == [
        (f"GET {route}", "GET", route, 200),
        ("GET", "GET", None, 404),
        ("HTTP", "_OTHER", None, 405),
    ]
    counts = {
        (point.attributes.get("http.route"), point.attributes["http.response.status_code"])
        for point in points()["http.server.request.duration"]
    }
    assert counts == {(route, 200), (None, 404), (None, 405)}


def test_a_command_over_resp_is_in_no_trace_of_a_request(endpoint) -> None:
    endpoint.get("/health")
    with Redis(port=endpoint.application.resp.port) as client:
        client.set("k", "v")
    (command,) = [span for span in spans() if span.name == "SET"]
    assert command.parent is None


def test_what_the_cache_has_counted_is_exported(endpoint) -> None:
    endpoint.cache.set("k", 1)
    endpoint.cache.get("none")
    found = points()
    assert [found[name][0].value for name in ("cachestorm.keys", "cachestorm.misses")] == [1, 1]


def test_a_server_without_it_tells_nobody() -> None:
    with running({}) as endpoint:
        assert endpoint.application.resp.endpoint.hooks is None
        assert endpoint.application.http.settings.watchers == ()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("traces: false, metrics: false", "neither traces nor metrics"),
        ("sample: 1.5", "a share from 0 to 1"),
        ("interval: 0", "longer than nothing"),
        ("endpoint: collector", "is a URL"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(written(tmp_path, settings), {}, FREE)


class Collector(HTTPServer):
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiving)
        self.received: list[tuple[str, bytes]] = []


class Receiving(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        size = int(self.headers["Content-Length"])
        self.server.received.append((self.path, self.rfile.read(size)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing."""


def test_a_server_that_stops_has_exported_all_to_its_collector(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from gzip import decompress

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{collector.server_port}/"
        file = written(tmp_path, f"endpoint: '{url}', service_name: shop")

        async def serve() -> None:
            async with Application(load(file, {}, FREE)) as application:
                with closing(Session(application.resp.endpoint)) as session:
                    session.receive(b"SET k v\r\n")

        asyncio.run(serve())
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    by_path = {path: body for path, body in collector.received}
    assert sorted(by_path) == ["/v1/metrics", "/v1/traces"]
    body = by_path["/v1/traces"]
    request = ExportTraceServiceRequest()
    request.ParseFromString(decompress(body) if body[:2] == b"\x1f\x8b" else body)
    (exported,) = request.resource_spans
    named = {each.key: each.value.string_value for each in exported.resource.attributes}
    assert named["service.name"] == "shop"
    assert [span.name for span in exported.scope_spans[0].spans] == ["SET"]
    body = by_path["/v1/metrics"]
    measured = ExportMetricsServiceRequest()
    measured.ParseFromString(decompress(body) if body[:2] == b"\x1f\x8b" else body)
    names = {
        metric.name
        for scope in measured.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }
    assert {"cachestorm.command.duration", "cachestorm.keys"} <= names
