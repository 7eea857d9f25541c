"""OpenTelemetry: a plugin that exports commands and requests as spans and metrics.

Named in the configuration as `opentelemetry`, and used only then; needs the extra
`otel-server`. The server calls its hooks, the HTTP endpoint calls it around each request, and
threads of OpenTelemetry export what there is by OTLP.

1. A key may be somebody's name, so it is told only if that is asked for; a value never is.
2. A request over HTTP goes on with the trace of its `traceparent`, and its commands are part of
   it. RESP has no place for one: a command there begins a trace of its own.
3. What cannot be exported is dropped, and refuses nobody.

Source: https://opentelemetry.io/docs/specs/semconv/database/ and
https://opentelemetry.io/docs/specs/semconv/http/
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from cachestorm import Cache, __version__
from cachestorm.errors import PluginError
from cachestorm.plugins import Call, hookimpl
from cachestorm_server.request_watching import RequestWatcher
from cachestorm_server.setting_kinds import DURATION_MS

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span

SCOPE: Final = "cachestorm"
_METHODS: Final = frozenset(
    {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PURGE", "PUT", "TRACE"}
)
# seconds; a command takes microseconds, where conventions begin with milliseconds
_COMMAND_LIMITS: Final = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 0.1, 1.0)


@dataclass(frozen=True)
class TelemetrySettings:
    """What the section of the configuration may hold."""

    traces: bool = field(default=True, metadata={"help": "a span for each command and request"})
    metrics: bool = field(default=True, metadata={"help": "counters, gauges and durations"})
    endpoint: str = field(
        default="",
        metadata={
            "help": "the collector, as http://localhost:4318, for OTLP over HTTP; left out: as "
            "the OTEL_ variables of the environment say"
        },
    )
    service_name: str = field(default="cachestorm", metadata={"help": "what traces call it"})
    sample: float = field(
        default=1.0,
        metadata={"help": "which share of the traces that begin here is kept, from 0 to 1"},
    )
    interval: Annotated[int, DURATION_MS] = field(
        default=60_000, metadata={"help": "how often metrics are exported"}
    )
    keys: bool = field(default=False, metadata={"help": "spans tell the keys of commands"})

    def __post_init__(self) -> None:
        if not (self.traces or self.metrics):
            raise ValueError("neither traces nor metrics: switch one on, or say enabled: false")
        if not 0.0 <= self.sample <= 1.0:
            raise ValueError("sample is a share from 0 to 1")
        if self.interval <= 0:
            raise ValueError("interval is longer than nothing")
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint is a URL, such as http://localhost:4318")


class _Request(NamedTuple):
    """A request under way."""

    span: Span | None
    token: Token[Context] | None
    began_s: float
    facts: dict[str, str]


class Telemetry(RequestWatcher):
    """Exports what the server does.

    Args:
        spans, metrics: where it goes; None: by OTLP, as the settings say.

    Raises:
        PluginError: where OpenTelemetry is not installed.
    """

    version = __version__
    Settings = TelemetrySettings

    def __init__(
        self,
        settings: TelemetrySettings,
        spans: SpanProcessor | None = None,
        metrics: MetricReader | None = None,
    ) -> None:
        self._settings: Final = settings
        try:
            from opentelemetry import context, propagate, trace
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

            if settings.traces and spans is None:
                spans = _spans_by_otlp(settings)
            if settings.metrics and metrics is None:
                metrics = _metrics_by_otlp(settings)
        except ImportError as error:
            raise PluginError(
                f"{error.name} is not installed: pip install 'cachestorm[otel-server]'"
            ) from error
        self._context: Final = context
        self._propagate: Final = propagate
        self._trace: Final = trace
        resource = Resource.create(
            {"service.name": settings.service_name, "service.version": __version__}
        )
        sampler = ParentBased(TraceIdRatioBased(settings.sample))
        self._tracers: Final = TracerProvider(sampler, resource, shutdown_on_exit=False)
        self._is_traced: Final = settings.traces
        if settings.traces and spans is not None:
            self._tracers.add_span_processor(spans)
        self._tracer: Final = self._tracers.get_tracer(SCOPE, __version__)
        readers = [metrics] if settings.metrics and metrics is not None else []
        views = [
            View(
                instrument_name="cachestorm.command.duration",
                aggregation=ExplicitBucketHistogramAggregation(_COMMAND_LIMITS),
            )
        ]
        self._meters: Final = MeterProvider(
            readers, resource, shutdown_on_exit=False, views=views
        )
        self._is_measured: Final = settings.metrics
        meter = self._meters.get_meter(SCOPE, __version__)
        self._commands: Final = meter.create_histogram(
            "cachestorm.command.duration", "s", "How long commands took."
        )
        self._requests: Final = meter.create_histogram(
            "http.server.request.duration", "s", "How long requests of HTTP took."
        )

    @hookimpl
    def on_startup(self, cache: Cache) -> None:
        if self._is_measured:
            from cachestorm.contrib.telemetry import observe

            observe(cache, self._meters)

    @hookimpl
    def after_command(self, call: Call) -> None:
        name = call.command
        code = call.error.partition(" ")[0]
        if self._is_measured:
            facts = {"db.operation.name": name}
            if code:
                facts["error.type"] = code
            self._commands.record(call.duration_us / 1e6, facts)
        if not self._is_traced:
            return
        now_ns = time.time_ns()
        attributes: dict[str, str | list[str]] = {
            "db.system.name": SCOPE,
            "db.operation.name": name,
            "db.namespace": call.namespace,
            "client.address": call.address,
        }
        if self._settings.keys:
            attributes["cachestorm.keys"] = [_shown(key) for key in call.keys]
        if code:
            attributes["error.type"] = attributes["db.response.status_code"] = code
        trace = self._trace
        span = self._tracer.start_span(
            name,
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
            start_time=now_ns - call.duration_us * 1000,
        )
        if code:
            span.set_status(trace.StatusCode.ERROR, code)
        span.end(now_ns)

    @hookimpl
    def on_shutdown(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()

    def begin(self, method: str, route: str, headers: Mapping[str, str], client: str) -> object:
        # whatever a client makes up is one more name for ever
        method = method if method in _METHODS else "_OTHER"
        facts = {"http.request.method": method}
        if route:
            facts["http.route"] = route
        span: Span | None = None
        token: Token[Context] | None = None
        if self._is_traced:
            span = self._tracer.start_span(
                f"{'HTTP' if method == '_OTHER' else method} {route}".rstrip(),
                self._propagate.extract(headers),
                self._trace.SpanKind.SERVER,
                {**facts, "client.address": client},
            )
            token = self._context.attach(self._trace.set_span_in_context(span))
        return _Request(span, token, time.perf_counter(), facts)

    def end(self, begun: object, status: int | None) -> None:
        assert isinstance(begun, _Request)
        span, token, began_s, facts = begun
        if self._is_measured:
            took_s = time.perf_counter() - began_s
            self._requests.record(took_s, {**facts, **_status_of(status)})
        if span is None or token is None:
            return
        self._context.detach(token)
        span.set_attributes(_status_of(status))
        if status is None or status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()


def _status_of(status: int | None) -> dict[str, int | str]:
    """The attributes that tell how a request ended."""
    if status is None:
        return {"error.type": "disconnected"}
    facts: dict[str, int | str] = {"http.response.status_code": status}
    if status >= 500:
        facts["error.type"] = str(status)
    return facts


def _shown(key: str) -> str:
    """A key as text: OTLP carries nothing else."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _spans_by_otlp(settings: TelemetrySettings) -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter(_path(settings, "traces")))


def _metrics_by_otlp(settings: TelemetrySettings) -> MetricReader:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = OTLPMetricExporter(_path(settings, "metrics"))
    return PeriodicExportingMetricReader(exporter, settings.interval)


def _path(settings: TelemetrySettings, signal: str) -> str | None:
    """Where a signal goes; None: where the environment says."""
    return f"{settings.endpoint.rstrip('/')}/v1/{signal}" if settings.endpoint else None
