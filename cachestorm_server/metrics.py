"""The metrics: the server's counters in the text that Prometheus reads.

Called by the HTTP endpoint; asks the cache and the RESP endpoint. A metric is one row of a
table here: name, help and samples. `prometheus_client` writes them.

Source: https://prometheus.io/docs/practices/naming/ and
https://prometheus.io/docs/instrumenting/exposition_formats/ (text, 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from librt.time import time as wall_time
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from cachestorm import COMPILED, __version__
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm_server.endpoint import Endpoint

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "cachestorm_"

Labels = dict[str, str]
Samples = list[tuple[Labels, float]]


def exposition(endpoint: Endpoint, http_commands: int) -> bytes:
    """The text that a scrape gets: all metrics as they stand.

    Args:
        endpoint: whose.
        http_commands: how many commands the HTTP endpoint has answered.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(endpoint, http_commands))
    return generate_latest(registry)


class _Collector(Collector):
    """What `prometheus_client` asks for the metrics of one scrape."""

    def __init__(self, endpoint: Endpoint, http_commands: int) -> None:
        self._endpoint = endpoint
        self._http_commands = http_commands

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for name, text, samples in _counters(self._endpoint, self._http_commands):
            yield _filled(
                CounterMetricFamily(PREFIX + name, text, labels=_names(samples)), samples
            )
        for name, text, samples in _gauges(self._endpoint):
            yield _filled(
                GaugeMetricFamily(PREFIX + name, text, labels=_names(samples)), samples
            )


def _names(samples: Samples) -> list[str]:
    return list(samples[0][0]) if samples else []


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_metric(list(labels.values()), value)
    return family


def _one(value: float) -> Samples:
    return [({}, value)]


def _counters(endpoint: Endpoint, http_commands: int) -> list[tuple[str, str, Samples]]:
    stats = endpoint.cache.store_stats()
    commands: Samples = [
        ({"endpoint": "resp"}, int(endpoint.commands)),
        ({"endpoint": "http"}, http_commands),
    ]
    rows = [
        ("hits", "How many reads found their key.", stats.hits),
        ("misses", "How many reads did not find their key.", stats.misses),
        ("evicted_keys", "How many keys were evicted at a limit.", stats.evicted),
        (
            "expired_keys",
            "How many keys were removed as their time was over.",
            stats.expired,
        ),
        (
            "invalidated_keys",
            "How many keys were deleted by the invalidation of a tag.",
            stats.invalidated,
        ),
        ("refused_writes", "How many writes found no room and were refused.", stats.refused),
        (
            "accepted_connections",
            "How many RESP connections were accepted.",
            int(endpoint.connections),
        ),
        (
            "rejected_connections",
            "How many RESP connections were refused.",
            int(endpoint.rejected),
        ),
    ]
    return [
        ("commands", "How many commands were answered, by endpoint.", commands),
        *((name, text, _one(value)) for name, text, value in rows),
    ]


def _gauges(endpoint: Endpoint) -> list[tuple[str, str, Samples]]:
    cache = endpoint.cache
    spaces: dict[str, dict[str, int]] = {}
    for name in cache.namespaces():
        try:
            spaces[name] = cache.namespace_stats(name)
        except NamespaceError:
            continue  # deleted by another thread since it was listed

    def each(fact: str) -> Samples:
        return [({"namespace": name}, facts[fact]) for name, facts in spaces.items()]

    build = {"version": __version__, "mode": "compiled" if COMPILED else "pure"}
    uptime_s = wall_time() - endpoint.started_at
    return [
        ("build_info", "The version that runs, and how it was built.", [(build, 1)]),
        ("uptime_seconds", "How long the server has been running.", _one(uptime_s)),
        (
            "connected_clients",
            "How many RESP connections are open.",
            _one(len(endpoint.sessions)),
        ),
        ("keys", "How many keys a namespace holds.", each("keys")),
        ("volatile_keys", "How many keys of a namespace have a time to live.", each("expires")),
        ("tags", "How many tags of a namespace have keys.", each("tags")),
        ("memory_bytes", "What the keys of a namespace are charged at.", each("memory")),
        (
            "max_memory_bytes",
            "The limit of memory of the whole cache, 0 for none.",
            _one(cache.store_stats().max_memory),
        ),
        (
            "resident_memory_bytes",
            "The resident set of the whole process.",
            _one(rss_bytes()),
        ),
    ]
