"""The six paths that CacheStorm in Go has, in its shapes, in pages.

Called by the endpoint; asks the cache. /metrics is the last of them.

    GET /health    that it is up; always open, so that a probe needs no password
    GET /info      version, uptime, keys, memory
    GET /keys      names, a page at a time
    GET /tags      names and counts, likewise
    GET /memory    what the cache is charged at
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from librt.time import time as wall_time

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.declare.wire_values import to_json
from cachestorm.keyspace.store import rss_bytes
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.settings import (
    HEALTH_PATH,
    INFO_PATH,
    KEYS_PATH,
    MEMORY_PATH,
    TAGS_PATH,
)
from cachestorm_server.web.commands import NAMESPACE, NAMESPACE_HEADER
from cachestorm_server.web.over_nodes import OverNodes
from cachestorm_server.web.routes import INTEGER, Call, Parameter, Route, serves
from cachestorm_server.web.wire import dumped, json_response

PAGE: Final = 100
LARGEST_PAGE: Final = 10_000

LIMIT: Final = Parameter(
    "limit", "How many to look at.", INTEGER, least=1, most=LARGEST_PAGE, default=PAGE
)
CURSOR: Final = Parameter("cursor", "Where the page before ended.", INTEGER)
MATCH: Final = Parameter("match", "Only names that this glob pattern matches.")
IN_QUERY: Final = Parameter("namespace", "The namespace; it is not created.")
_PAGED: Final = (LIMIT, CURSOR, MATCH, IN_QUERY, NAMESPACE)


class Overview:
    """Answers them, for the cache of one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint: Final = endpoint

    @serves(Route("GET", HEALTH_PATH, "Says that the server is up.", "overview", is_open=True))
    async def health(self, call: Call) -> web.Response:
        """Up, and since when."""
        return json_response(dumped({"status": "ok", "uptime": go_duration(self._uptime_s())}))

    @serves(
        Route("GET", INFO_PATH, "Describes the server and the cache.", "overview", needs="INFO")
    )
    async def info(self, call: Call) -> web.Response:
        """The whole server in a few numbers."""
        cache = self._endpoint.cache
        stats = cache.store_stats()
        started = datetime.fromtimestamp(self._endpoint.started_at, UTC)
        return json_response(
            dumped(
                {
                    "server": {
                        "version": __version__,
                        "mode": "compiled" if COMPILED else "pure",
                        "uptime": go_duration(self._uptime_s()),
                        "keys": stats.keys,
                        "memory": stats.used_memory,
                        "started_at": started.isoformat(timespec="seconds").replace(
                            "+00:00", "Z"
                        ),
                    },
                    "store": {
                        # one store under one lock; CacheStorm in Go counts its shards here
                        "shards": 1,
                        "keys": stats.keys,
                        "mem_used": stats.used_memory,
                        "max_memory": stats.max_memory,
                        "eviction_policy": cache.policy,
                        # of the default namespace, by factor of its present capacity
                        "hit_ratios": ratios_of(cache),
                        "namespaces": stats.namespaces,
                    },
                }
            )
        )

    @serves(Route("GET", KEYS_PATH, "Lists keys.", "overview", _PAGED, acts_as="SCAN"))
    async def keys(self, call: Call) -> web.Response:
        """A page of keys, in no order."""
        query = call.query
        cache = asked_for(self._endpoint, call)
        cursor, limit, match = (
            query.number("cursor"),
            query.number("limit"),
            query.text("match"),
        )
        if self._endpoint.cluster is None:
            count = cache.namespace_stats()["keys"]
            cursor, names = cache.scan(cursor, match, limit)
        else:
            nodes = OverNodes(self._endpoint.cluster.router, cache, call)
            count = await nodes.key_count()
            cursor, names = await nodes.page("SCAN", cursor, limit, match)
        return json_response(
            dumped(
                {
                    "count": count,
                    "keys": to_json(names),
                    "cursor": str(cursor) if cursor else None,
                }
            )
        )

    @serves(
        Route(
            "GET",
            TAGS_PATH,
            "Lists tags and counts their keys.",
            "overview",
            _PAGED,
            needs="SCAN",
        )
    )
    async def tags(self, call: Call) -> web.Response:
        """A page of tags, in no order."""
        query = call.query
        cache = asked_for(self._endpoint, call)
        cursor, limit, match = (
            query.number("cursor"),
            query.number("limit"),
            query.text("match"),
        )
        count: int | None = None
        if self._endpoint.cluster is None:
            count = cache.namespace_stats()["tags"]
            cursor, names = cache.tag_scan(cursor, limit, match)
            counts = {name: cache.tagcount(name) for name in names}
        else:
            # how many there are nobody knows: several nodes have the same ones
            nodes = OverNodes(self._endpoint.cluster.router, cache, call)
            after, names = await nodes.page("TAGSCAN", cursor, limit, match)
            counts = await nodes.tag_counts(names, cursor)
            cursor = after
        return json_response(
            dumped(
                {
                    "count": count,
                    "tags": [
                        {"name": to_json(name), "count": of_tag}
                        for name, of_tag in counts.items()
                        if of_tag
                    ],
                    "cursor": str(cursor) if cursor else None,
                }
            )
        )

    @serves(
        Route(
            "GET", MEMORY_PATH, "Tells what the cache is charged at.", "overview", needs="INFO"
        )
    )
    async def memory(self, call: Call) -> web.Response:
        """Bytes."""
        stats = self._endpoint.cache.store_stats()
        used, keys = stats.used_memory, stats.keys
        return json_response(
            dumped(
                {
                    "used": used,
                    "keys": keys,
                    "avg_size": used // keys if keys else 0,
                    "peak": stats.peak_memory,
                    "max_memory": stats.max_memory,
                    "rss": rss_bytes(),
                }
            )
        )

    def _uptime_s(self) -> float:
        return max(0.0, wall_time() - self._endpoint.started_at)


def asked_for(endpoint: Endpoint, call: Call) -> Cache:
    """The namespace that a request is about, by path, query or header; it is not created.

    Raises:
        NamespaceError: if there is none of that name.
    """
    name = call.segments.get("namespace")
    if name is None:
        name = call.query.text("namespace")
    if name is None:
        name = call.query.text(NAMESPACE_HEADER)
    return existing(endpoint.cache, name)


def existing(cache: Cache, name: str | None) -> Cache:
    """A namespace, by default the default one; it is not created.

    Raises:
        NamespaceError: if there is none of that name.
    """
    if name is None or name == cache.name:
        return cache
    store = cache._store
    store.enter()
    try:
        store.found(name)
    finally:
        store.leave()
    return cache.namespace(name)


def ratios_of(cache: Cache) -> dict[str, float]:
    """About the hit ratio of a namespace, by factor of its present capacity."""
    return {f"{factor:g}": round(ratio, 4) for factor, ratio in cache.hit_ratios().items()}


def go_duration(seconds: float) -> str:
    """A duration as Go prints it, which readers of /health know.

    Examples:
        >>> go_duration(9015.4), go_duration(61), go_duration(0)
        ('2h30m15s', '1m1s', '0s')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}m{rest}s" if hours or minutes else f"{rest}s"
    return f"{hours}h{text}" if hours else text
