"""The metrics: the server's counters in the text that Prometheus reads.

Called by the HTTP endpoint; asks the cache and the RESP endpoint. A metric is one row of a
table here: name, type, help, and its samples.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from librt.time import time as wall_time

from cachestorm import COMPILED, __version__
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm_server.endpoint import Endpoint

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = dict[str, str]
Samples = list[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    help: str
    samples: Samples


def collect(endpoint: Endpoint, http_commands: int) -> list[Metric]:
    """All metrics as they stand.

    Args:
        endpoint: whose.
        http_commands: how many commands the HTTP endpoint has answered.
    """
    cache = endpoint.cache
    stats = cache.stats()
    spaces: dict[str, dict[str, int]] = {}
    for name in cache.namespaces():
        try:
            spaces[name] = cache.namespace_stats(name)
        except NamespaceError:
            continue  # deleted by another thread since it was listed

    def each(fact: str) -> Samples:
        return [({"namespace": name}, facts[fact]) for name, facts in spaces.items()]

    def one(value: float) -> Samples:
        return [({}, value)]

    build = {"version": __version__, "mode": "compiled" if COMPILED else "pure"}
    commands: Samples = [
        ({"endpoint": "resp"}, int(endpoint.commands)),
        ({"endpoint": "http"}, http_commands),
    ]
    rows: list[tuple[str, str, str, Samples]] = [
        ("info", "gauge", "Which build runs.", [(build, 1)]),
        ("uptime_seconds", "gauge", "Since the start.", one(wall_time() - endpoint.started_at)),
        ("commands_total", "counter", "Commands answered.", commands),
        ("hit_total", "counter", "Reads that found their key.", one(stats["hits"])),
        ("miss_total", "counter", "Reads that did not.", one(stats["misses"])),
        ("evicted_total", "counter", "Keys evicted at a limit.", one(stats["evicted"])),
        ("expired_total", "counter", "Keys whose time was over.", one(stats["expired"])),
        (
            "tag_invalidations_total",
            "counter",
            "Keys deleted by the invalidation of a tag.",
            one(stats["invalidated"]),
        ),
        ("connected_clients", "gauge", "Open RESP connections.", one(len(endpoint.sessions))),
        (
            "connections_total",
            "counter",
            "RESP connections so far.",
            one(int(endpoint.connections)),
        ),
        ("rejected_total", "counter", "RESP connections refused.", one(int(endpoint.rejected))),
        ("keys_total", "gauge", "Keys of a namespace.", each("keys")),
        ("expires_total", "gauge", "Keys with a time to live.", each("expires")),
        ("tags_total", "gauge", "Tags that have keys.", each("tags")),
        ("memory_bytes", "gauge", "What the keys are charged at.", each("memory")),
        ("max_memory_bytes", "gauge", "The limit; 0 for none.", one(stats["max_memory"])),
        ("resident_memory_bytes", "gauge", "Of the whole process.", one(rss_bytes())),
    ]
    return [Metric(f"cachestorm_{name}", kind, help, rest) for name, kind, help, rest in rows]


def exposition(metrics: Iterable[Metric]) -> str:
    r"""The text that a scrape gets.

    Example:
        >>> print(exposition([Metric("m", "gauge", "Help.", [({"a": 'x"y'}, 1)])]), end="")
        # HELP m Help.
        # TYPE m gauge
        m{a="x\"y"} 1
    """
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for labels, value in metric.samples:
            spelled = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(
                f"{metric.name}{{{spelled}}} {value}" if spelled else f"{metric.name} {value}"
            )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
