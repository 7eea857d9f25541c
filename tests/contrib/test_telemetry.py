"""OpenTelemetry: the numbers of a cache, and spans of its calls."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cachestorm.cache import Cache
from cachestorm.contrib.telemetry import observe, traced
from cachestorm.errors import WrongTypeError


@pytest.fixture
def exported() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def test_the_numbers_of_a_cache_are_metrics() -> None:
    reader = InMemoryMetricReader()
    cache = Cache(max_memory="1mb")
    observe(cache, MeterProvider([reader]))
    cache.namespace("other").set("k", 1, tags=["t"])
    cache.get("none")
    data = reader.get_metrics_data()
    found = {
        metric.name: metric.data.data_points[0].value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert (found["cachestorm.keys"], found["cachestorm.tags"]) == (1, 1)
    assert (found["cachestorm.hits"], found["cachestorm.misses"]) == (0, 1)
    assert found["cachestorm.memory.limit"] == 1 << 20
    assert found["cachestorm.memory.usage"] == cache.store_stats().used_memory


def test_each_call_is_a_span_without_keys_or_values(exported) -> None:
    provider, exporter = exported
    cache = traced(Cache(), provider)
    assert cache.set("secret key", "secret value") is True
    assert (cache.get("secret key"), cache.get("none", 0)) == ("secret value", 0)
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["cache set", "cache get", "cache get"]
    assert [span.attributes.get("cachestorm.hit") for span in spans] == [None, True, False]
    assert spans[0].attributes["db.operation.name"] == "set"
    assert "secret" not in "".join(span.to_json() for span in spans)


def test_a_key_is_told_if_that_is_asked_for(exported) -> None:
    provider, exporter = exported
    traced(Cache(), provider, keys=True).get("k")
    assert exporter.get_finished_spans()[0].attributes["cachestorm.key"] == "k"


def test_a_call_that_fails_is_a_span_that_failed(exported) -> None:
    provider, exporter = exported
    cache = Cache()
    cache.rpush("k", "x")
    with pytest.raises(WrongTypeError):
        traced(cache, provider).get("k")
    [span] = exporter.get_finished_spans()
    assert span.status.status_code == StatusCode.ERROR
    assert span.events[0].attributes["exception.type"].endswith("WrongTypeError")


def test_a_call_that_is_awaited_ends_when_its_result_is_there(exported) -> None:
    provider, exporter = exported

    async def load() -> str:
        assert exporter.get_finished_spans() == ()
        return "loaded"

    async def main() -> str:
        return await traced(Cache(), provider).aget_or_set("k", load)

    assert asyncio.run(main()) == "loaded"
    assert [span.name for span in exporter.get_finished_spans()] == ["cache aget_or_set"]


def test_a_view_of_a_namespace_is_traced_and_tells_it(exported) -> None:
    provider, exporter = exported
    traced(Cache(), provider).namespace("shop").set("k", 1)
    assert exporter.get_finished_spans()[0].attributes["db.namespace"] == "shop"
