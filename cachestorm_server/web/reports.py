"""Reports: what the administration and the dashboard show of a server, as plain documents.

Called by the paths of administration and by the events; asks the cache and the endpoint.
Nothing here changes anything, and no secret is in any of it.
"""

from __future__ import annotations

from typing import Final

from librt.time import time as wall_time

from cachestorm.cache import Cache
from cachestorm.declare.wire_values import to_json
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm_server.client_lines import describe
from cachestorm_server.configuration import HIDDEN, PARAMETERS, SECRETS
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.web.overview import ratios_of

Document = dict[str, object]

SHARES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def namespace_report(cache: Cache, name: str) -> Document:
    """One namespace.

    Raises:
        NamespaceError: if there is none of that name.
    """
    facts = cache.namespace_stats(name)
    stats = cache.namespace(name).stats()
    return {
        "name": name,
        **facts,
        "hit_ratio": round(stats.hit_ratio, 4),
        "expired": stats.expired,
        "evicted": stats.evicted,
        "invalidated": stats.invalidated,
        "hit_ratios": ratios_of(cache.namespace(name)),
    }


def namespaces_report(cache: Cache, names: list[str]) -> list[Document]:
    """Several, but those that have been deleted meanwhile."""
    found = []
    for name in names:
        try:
            found.append(namespace_report(cache, name))
        except NamespaceError:
            continue
    return found


def stats_report(endpoint: Endpoint, http_commands: int) -> Document:
    """The whole server at this moment: counters, and how long commands take."""
    stats = endpoint.cache.store_stats()
    return {
        "at": round(wall_time(), 3),
        "commands": int(endpoint.commands) + http_commands,
        "ops_per_s": int(endpoint.ops_per_s),
        "hits": stats.hits,
        "misses": stats.misses,
        "keys": stats.keys,
        "tags": stats.tags,
        "namespaces": stats.namespaces,
        "memory": stats.used_memory,
        "max_memory": stats.max_memory,
        "peak_memory": stats.peak_memory,
        "rss": rss_bytes(),
        "evicted": stats.evicted,
        "expired": stats.expired,
        "invalidated": stats.invalidated,
        "refused": stats.refused,
        "clients": len(endpoint.sessions),
        "hit_ratios": ratios_of(endpoint.cache),
        "miss_causes": endpoint.cache.miss_causes(),
        "latency": latency_report(endpoint),
    }


def latency_report(endpoint: Endpoint) -> list[Document]:
    """The commands that take the most time in all, and how long each call of them takes."""
    asked = [one for one in endpoint.statistics.commands() if one.calls]
    asked.sort(key=lambda one: one.time_us(), reverse=True)
    return [
        {
            "command": one.name,
            "calls": int(one.calls),
            **{name: round(one.percentile_us(share), 1) for name, share in SHARES.items()},
        }
        for one in asked[:10]
    ]


def hot_keys_report(cache: Cache, count: int) -> list[Document]:
    """The keys that are hit most of late."""
    return [{"key": to_json(key), "hits": hits} for key, hits in cache.hotkeys(count)]


def slow_log_report(endpoint: Endpoint, count: int) -> list[Document]:
    """The slow calls, the newest first."""
    return [
        {
            "id": call.number,
            "at": call.at_s,
            "microseconds": call.time_us,
            "command": to_json(call.argv),
            "client": call.address,
            "name": to_json(call.name),
        }
        for call in list(endpoint.statistics.slow_log)[:count]
    ]


def clients_report(endpoint: Endpoint) -> list[Document]:
    """The RESP connections, with what CLIENT LIST tells of each."""
    return [
        {name: value for name, _, value in (fact.partition("=") for fact in line.split(" "))}
        for line in (
            describe(endpoint.sessions[number]).strip() for number in sorted(endpoint.sessions)
        )
    ]


def configuration_report(endpoint: Endpoint) -> Document:
    """The parameters of the running server, but for secrets."""
    found: Document = {}
    for name, (read, _) in PARAMETERS.items():
        value = read(endpoint)
        found[name] = HIDDEN if name in SECRETS and value else value
    return found


def unready(endpoint: Endpoint) -> list[str]:
    """Why the server should not be sent any clients; empty if it should."""
    availability = endpoint.availability
    if availability.is_loading or availability.is_syncing:
        return ["data is being loaded"]
    directory = availability.directory
    if directory is not None and directory.refusal():
        # to anybody, so no more than that; the log has the rest
        return ["what is written cannot be kept on disk"]
    return []
