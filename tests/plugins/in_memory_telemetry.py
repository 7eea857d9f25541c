"""The plugin of OpenTelemetry, for tests: what it exports stays in this process."""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cachestorm_server.telemetry import Telemetry, TelemetrySettings


class InMemory(Telemetry):
    """The latest one made is `InMemory.last`."""

    Settings = TelemetrySettings
    last: InMemory

    def __init__(self, settings: TelemetrySettings) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        super().__init__(settings, SimpleSpanProcessor(self.exporter), self.reader)
        InMemory.last = self
