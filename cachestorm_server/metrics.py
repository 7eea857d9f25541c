"""The metrics: the server's counters in the text that Prometheus reads.

Called by the HTTP endpoint; asks the cache and the RESP endpoint. Nothing is counted here: what
there is has been counted by the store and the sessions, and is read when it is asked for.

1. Names and units are those of Prometheus' conventions. Whoever has others finds recording
   rules in `deploy/`.
2. Only the largest namespaces have series of their own. The others are one, `all others`, whose
   name no namespace can have, as it holds a space. Its counters never fall, whichever namespace
   it takes in or lets go.
3. A scrape is done in pieces, and clients are served in between.

Source: https://prometheus.io/docs/practices/naming/ and
https://prometheus.io/docs/instrumenting/exposition_formats/ (text, 0.0.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import Final, NamedTuple, cast

from librt.time import time as wall_time
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.errors import NamespaceError
from cachestorm.stats import StoreStats
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.turns import Turn

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "cachestorm_"
OTHERS: Final = "all others"

# two powers of two from one limit of a histogram to the next
_WIDTH: Final = 2


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What is shown.

    Attributes:
        namespaces: how many have series of their own.
        hot_keys: of how many keys the hits are shown; 0 for none.
    """

    namespaces: int = 100
    hot_keys: int = 10


class Row(NamedTuple):
    """What `Cache.namespace_counts` tells of a namespace."""

    name: str
    keys: int
    volatile: int
    tags: int
    memory: int
    hits: int
    misses: int
    expired: int
    evicted: int
    invalidated: int


# in the order of a row
_GAUGES: Final = {
    "keys": "How many keys a namespace holds.",
    "volatile": "How many keys of a namespace have a time to live.",
    "tags": "How many tags of a namespace have keys.",
    "memory": "What the keys of a namespace are charged at.",
}
_GAUGE_NAMES: Final = {
    "keys": "keys",
    "volatile": "volatile_keys",
    "tags": "tags",
    "memory": "memory_bytes",
}
_COUNTERS: Final = ("hits", "misses", "expired", "evicted", "invalidated")


class Metrics:
    """Tells what one server has counted.

    Args:
        http_commands: how many commands the HTTP endpoint has answered.
        lag_s: by how much the event loop was late, lately.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: MetricsSettings,
        http_commands: Callable[[], int],
        lag_s: Callable[[], float],
    ) -> None:
        self._endpoint: Final = endpoint
        self._settings: Final = settings
        self._http_commands: Final = http_commands
        self._lag_s: Final = lag_s
        self._others: Final = Others()
        self._process: Final = ProcessCollector(registry=None)

    async def exposition(self) -> bytes:
        """The text that a scrape gets: all metrics as they stand."""
        cache = self._endpoint.cache
        names = cache.largest_namespaces(self._settings.namespaces)
        await asyncio.sleep(0)
        # before the rows: what is counted in between is not in it, nor lost for the next time
        stats = cache.store_stats()
        await asyncio.sleep(0)
        rows = [Row._make(cast("Iterable[int]", row)) for row in cache.namespace_counts(names)]
        shown = self._others.joined(rows, stats)
        turn = Turn()
        pieces: list[bytes] = []
        for family in self._families(stats, shown):
            pieces.append(generate_latest(_Family(family)))
            await turn.end_if_due()
        return b"".join(pieces)

    def _families(self, stats: StoreStats, shown: list[Row]) -> Iterator[Metric]:
        """All metrics, each made when it is asked for."""
        yield from self._totals(stats)
        yield from self._gauges(stats)
        yield from _of_namespaces(shown)
        yield from self._of_tiers()
        yield from self._of_commands()
        yield from self._of_policies(shown)
        yield from self._process.collect()

    def _totals(self, stats: StoreStats) -> Iterator[Metric]:
        endpoint = self._endpoint
        commands = CounterMetricFamily(
            PREFIX + "commands",
            "How many commands were answered, by endpoint.",
            labels=["endpoint"],
        )
        commands.add_metric(["resp"], int(endpoint.commands))
        commands.add_metric(["http"], self._http_commands())
        yield commands
        for name, text, value in (
            ("hits", "How many reads found their key.", stats.hits),
            ("misses", "How many reads did not find their key.", stats.misses),
            ("created_keys", "How many keys were made.", stats.sets),
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
            (
                "tag_invalidations",
                "How many tags were invalidated, each of a cascade.",
                int(endpoint.cache._store.invalidations),
            ),
            (
                "refused_writes",
                "How many writes found no room and were refused.",
                stats.refused,
            ),
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
            (
                "http_rejected_connections",
                "How many HTTP connections were refused.",
                int(endpoint.http_rejected),
            ),
            (
                "http_timed_out_connections",
                "How many HTTP connections were closed without a request in time.",
                int(endpoint.http_timed_out),
            ),
            (
                "cut_off_connections",
                "How many clients were disconnected for too much unread output.",
                int(endpoint.cut_off),
            ),
            ("received_bytes", "How many bytes came over RESP.", int(endpoint.net_in_bytes)),
            ("sent_bytes", "How many bytes went over RESP.", int(endpoint.net_out_bytes)),
        ):
            yield CounterMetricFamily(PREFIX + name, text, value=value)

    def _gauges(self, stats: StoreStats) -> Iterator[Metric]:
        endpoint = self._endpoint
        build = GaugeMetricFamily(
            PREFIX + "build_info",
            "The version that runs, and how it was built.",
            labels=["version", "mode"],
        )
        build.add_metric([__version__, "compiled" if COMPILED else "pure"], 1)
        yield build
        sessions = endpoint.sessions.values()
        for name, text, value in (
            (
                "uptime_seconds",
                "How long the server has been running.",
                wall_time() - endpoint.started_at,
            ),
            (
                "connected_clients",
                "How many RESP connections are open.",
                len(endpoint.sessions),
            ),
            (
                "blocked_clients",
                "How many clients wait for a key.",
                sum(session.is_blocked() for session in sessions),
            ),
            ("namespaces", "How many namespaces there are.", stats.namespaces),
            (
                "used_memory_bytes",
                "What the whole cache is charged at.",
                stats.used_memory,
            ),
            (
                "max_memory_bytes",
                "The limit of memory of the whole cache, 0 for none.",
                stats.max_memory,
            ),
            (
                "peak_memory_bytes",
                "The most that the whole cache was ever charged at.",
                stats.peak_memory,
            ),
            (
                "event_loop_lag_seconds",
                "By how much the event loop was late at most in ten seconds.",
                self._lag_s(),
            ),
        ):
            yield GaugeMetricFamily(PREFIX + name, text, value=value)

    def _of_tiers(self) -> Iterator[Metric]:
        for name, stats in self._endpoint.cache.tier_stats().items():
            for what, text, value in (
                ("values", "How many keys have their values in a tier.", stats.values),
                ("used_bytes", "What the values in a tier take.", stats.used),
                ("max_bytes", "What they may take, 0 for no limit.", stats.max_size),
                ("pending_bytes", "What is on its way to a tier.", stats.pending),
                ("disk_bytes", "What a tier takes, with what is not deleted yet.", stats.disk),
                ("read_seconds", "How long a read takes, on the average.", stats.read_us / 1e6),
            ):
                gauge = GaugeMetricFamily(f"{PREFIX}tier_{what}", text, labels=["tier"])
                gauge.add_metric([name], value)
                yield gauge
            for what, text, value in (
                ("demotions", "Values that went to a tier.", stats.demotions),
                ("promotions", "Values that came back into memory.", stats.promotions),
                ("hits", "Reads that found a value in a tier.", stats.hits),
                ("losses", "Values that were damaged or gone.", stats.losses),
                ("unanswered", "Reads that a tier has not answered.", stats.unanswered),
                ("unfit", "Values that were evicted as no tier takes such.", stats.unfit),
                ("skipped", "Values that were evicted as a tier was slow.", stats.skipped),
                (
                    "passed_over",
                    "Values that nobody had asked for, evicted as the tiers are full.",
                    stats.passed_over,
                ),
                ("failures", "Writes that a tier has refused.", stats.failures),
                ("written_bytes", "What was written to a tier.", stats.written),
                ("writes", "Requests that have written to it, or deleted.", stats.writes),
                ("read_bytes", "What was read from a tier.", stats.read),
                ("reads", "Requests that have read from it.", stats.reads),
            ):
                counter = CounterMetricFamily(f"{PREFIX}tier_{what}", text, labels=["tier"])
                counter.add_metric([name], value)
                yield counter

    def _of_commands(self) -> Iterator[Metric]:
        durations = HistogramMetricFamily(
            PREFIX + "command_duration_seconds",
            "How long the calls of a command took, by a sample of them.",
            labels=["command"],
        )
        failures = CounterMetricFamily(
            PREFIX + "command_failures",
            "How many calls of a command ended with an error.",
            labels=["command", "when"],
        )
        for one in self._endpoint.statistics.commands():
            limits = [(f"{limit:g}", count) for limit, count in one.within(_WIDTH)]
            limits.append(("+Inf", float(one.calls)))
            durations.add_metric([one.name], limits, one.seconds())
            for when, count in (("running", one.failed), ("before", one.rejected)):
                failures.add_metric([one.name, when], float(count))
        yield durations
        yield failures

    def _of_policies(self, shown: list[Row]) -> Iterator[Metric]:
        cache = self._endpoint.cache
        causes = GaugeMetricFamily(
            PREFIX + "miss_cause_ratio",
            "Which share of the latest misses is for which cause, by a sample.",
            labels=["cause"],
        )
        for cause, share in cache.miss_causes().items():
            causes.add_metric([cause], share)
        yield causes
        curve = GaugeMetricFamily(
            PREFIX + "estimated_miss_ratio",
            "What the miss ratio would be about, were the limit another.",
            labels=["namespace", "capacity_factor"],
        )
        hits: list[tuple[int, str, str]] = []
        for row in shown:
            if row.name == OTHERS:
                continue
            try:
                for factor, ratio in cache.hit_ratios(row.name).items():
                    curve.add_metric([row.name, f"{factor:g}"], round(1.0 - ratio, 4))
                hits += _hot_keys(cache, row.name, self._settings.hot_keys)
            except NamespaceError:
                continue  # deleted since it was counted
        yield curve
        hot = GaugeMetricFamily(
            PREFIX + "hot_key_hits",
            "How often the hottest keys were hit of late.",
            labels=["namespace", "key"],
        )
        for count, namespace, key in nlargest(self._settings.hot_keys, hits):
            # what is no text is shown escaped
            text = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            hot.add_metric([namespace, text], count)
        yield hot


class Others:
    """Sums up the namespaces that are not shown: what there is in all, less what is shown.

    Their counters grow by what all have counted since the last time, less what those have that
    were and are shown. So they never fall, whoever is shown now and was not before.
    """

    def __init__(self) -> None:
        self._totals: tuple[int, ...] = (0,) * len(_COUNTERS)
        self._shown: dict[str, tuple[int, ...]] = {}
        # whether all there were have been shown: one that is new then was not with the others
        self._were_all = True
        # may fall for a moment, as totals are read before what is shown
        self._raw: Final[list[int]] = [0] * len(_COUNTERS)
        self._counts: Final[list[int]] = [0] * len(_COUNTERS)

    def joined(self, rows: list[Row], stats: StoreStats) -> list[Row]:
        """The rows that are shown, and one for all others if there are or were any.

        Args:
            rows: of the namespaces that are shown.
            stats: over all namespaces.
        """
        totals = tuple(cast(int, getattr(stats, name)) for name in _COUNTERS)
        shown = {row.name: _counted(row) for row in rows}
        new = (0,) * len(_COUNTERS) if self._were_all else None
        for place, total in enumerate(totals):
            grown = _since(self._totals[place], total)
            for name, counted in shown.items():
                former = self._shown.get(name, new)
                if former is not None:
                    grown -= _since(former[place], counted[place])
            self._raw[place] += grown
            self._counts[place] = max(self._counts[place], self._raw[place])
        self._totals, self._shown = totals, shown
        self._were_all = stats.namespaces <= len(rows)
        if self._were_all and not any(self._counts):
            return rows
        gauges = [
            max(total - sum(held), 0)
            for total, held in (
                (stats.keys, [row.keys for row in rows]),
                (stats.expires, [row.volatile for row in rows]),
                (stats.tags, [row.tags for row in rows]),
                (stats.used_memory, [row.memory for row in rows]),
            )
        ]
        return [*rows, Row(OTHERS, *gauges, *self._counts)]


def _counted(row: Row) -> tuple[int, ...]:
    return (row.hits, row.misses, row.expired, row.evicted, row.invalidated)


def _since(former: int, count: int) -> int:
    """What was counted since; all, if it is another namespace of that name."""
    return count - former if count >= former else count


class _Family(Collector):
    """What `prometheus_client` asks for one metric."""

    def __init__(self, family: Metric) -> None:
        self._family: Final = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def _of_namespaces(shown: list[Row]) -> Iterator[Metric]:
    for fact, text in _GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + _GAUGE_NAMES[fact], text, labels=["namespace"])
        for row in shown:
            gauge.add_metric([row.name], getattr(row, fact))
        yield gauge
    reads = CounterMetricFamily(
        PREFIX + "namespace_reads",
        "How many reads of a namespace found their key, or did not.",
        labels=["namespace", "result"],
    )
    removals = CounterMetricFamily(
        PREFIX + "namespace_removed_keys",
        "How many keys left a namespace by themselves, by cause.",
        labels=["namespace", "cause"],
    )
    for row in shown:
        reads.add_metric([row.name, "hit"], row.hits)
        reads.add_metric([row.name, "miss"], row.misses)
        for cause in ("expired", "evicted", "invalidated"):
            removals.add_metric([row.name, cause], getattr(row, cause))
    yield reads
    yield removals


def _hot_keys(cache: Cache, name: str, count: int) -> list[tuple[int, str, str]]:
    if count == 0:
        return []
    return [(hits, name, key) for key, hits in cache.namespace(name).hotkeys(count)]
