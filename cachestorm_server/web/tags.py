"""Tags over HTTP: what bears them, how they hang together, and invalidating them.

Called by the endpoint; calls the cache, and commands for what takes long.

    GET     /v1/tags                              all links between tags, with counts
    GET     /v1/tags/{tag}                        its keys, a page at a time, and its children
    DELETE  /v1/tags/{tag}                        invalidates it; ?cascade= &soft= &dry_run=
    PUT, DELETE /v1/tags/{tag}/children/{child}   links, unlinks
    PURGE   / or /v1/namespaces/{namespace}       the tags of Surrogate-Key or xkey

1. A dry run changes nothing and tells what would be deleted: how many keys, and the first ones.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of, text_of
from cachestorm.declare.wire_values import to_json
from cachestorm.errors import ArgumentError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.web.commands import NAMESPACE, Commands, answered, wire_of
from cachestorm_server.web.over_nodes import OverNodes
from cachestorm_server.web.overview import CURSOR, IN_QUERY, LIMIT, asked_for
from cachestorm_server.web.routes import BOOLEAN, Call, Parameter, Query, Route, serves
from cachestorm_server.web.wire import dumped, json_response

TAG_PATH: Final = "/v1/tags/{tag}"
LINK_PATH: Final = "/v1/tags/{tag}/children/{child}"
MOST_LINKS: Final = 10_000
MOST_REACHED: Final = 1000

SURROGATE_KEY: Final = "Surrogate-Key"
XKEY: Final = "xkey"
CDN_TAGS: Final = (
    Parameter(SURROGATE_KEY, "Tags, separated by spaces, as CDNs name them.", header=True),
    Parameter(XKEY, "Tags, as Varnish names them.", header=True, repeats=True),
)

_HOW: Final = (
    Parameter("cascade", "Also what bears one of its children, and theirs.", BOOLEAN),
    Parameter("soft", "Mark the keys stale instead of deleting them.", BOOLEAN),
    Parameter("dry_run", "Change nothing, and tell what would be deleted.", BOOLEAN),
)
_SOFT_PURGE: Final = Parameter("Fastly-Soft-Purge", "`1`: as `soft`.", BOOLEAN, header=True)
_WHERE: Final = (IN_QUERY, NAMESPACE)


class Tags:
    """Serves the tags of all namespaces."""

    def __init__(self, endpoint: Endpoint, commands: Commands) -> None:
        self._endpoint: Final = endpoint
        self._commands: Final = commands

    @serves(Route("GET", "/v1/tags", "Lists the links between tags.", "tags", _WHERE))
    async def graph(self, call: Call) -> web.Response:
        """The hierarchy, with a count for each tag in it."""
        cache = asked_for(self._endpoint, call)
        links = cache.tag_links()
        shown = links[:MOST_LINKS]
        names = dict.fromkeys(name for link in shown for name in link)
        return json_response(
            dumped(
                {
                    "count": len(links),
                    "links": [
                        {"parent": to_json(parent), "child": to_json(child)}
                        for parent, child in shown
                    ],
                    "tags": await self._counted(call, cache, list(names)),
                }
            )
        )

    @serves(
        Route(
            "GET",
            TAG_PATH,
            "Lists the keys and children of a tag.",
            "tags",
            (LIMIT, CURSOR, *_WHERE),
            needs="TAGKEYS",
        )
    )
    async def show(self, call: Call) -> web.Response:
        """One tag; its keys in no order."""
        tag = call.segments["tag"]
        query = call.query
        cache = asked_for(self._endpoint, call)
        cursor, limit = query.number("cursor"), query.number("limit")
        if self._endpoint.cluster is None:
            count = cache.tagcount(tag)
            cursor, found = cache.tag_key_scan(tag, cursor, limit)
            keys = to_json(found)
        else:
            status, answer = await self._asked(call, cache, ["TAGKEYS", wire_of(tag)])
            every = answer.get("result")
            if not isinstance(every, list):
                return answered(status, answer)
            count, keys = len(every), every[cursor : cursor + limit]
            cursor = cursor + limit if cursor + limit < count else 0
        return json_response(
            dumped(
                {
                    "tag": to_json(tag),
                    "count": count,
                    "keys": keys,
                    "children": await self._counted(call, cache, cache.tagchildren(tag)),
                    "cursor": str(cursor) if cursor else None,
                }
            )
        )

    @serves(
        Route(
            "DELETE",
            TAG_PATH,
            "Invalidates a tag: deletes every key that bears it.",
            "tags",
            (*_HOW, LIMIT, *_WHERE),
            acts_as="INVALIDATE",
        )
    )
    async def invalidate(self, call: Call) -> web.Response:
        """One tag, in one step for all readers."""
        return await self._invalidate(call, [call.segments["tag"]], call.query.flag("soft"))

    @serves(
        Route(
            "PURGE",
            "/",
            "Invalidates the tags of a header, as CDNs do.",
            "tags",
            (*CDN_TAGS, _SOFT_PURGE, *_HOW, LIMIT, *_WHERE),
            acts_as="INVALIDATE",
        )
    )
    @serves(
        Route(
            "PURGE",
            "/v1/namespaces/{namespace}",
            "Invalidates the tags of a header in a namespace.",
            "tags",
            (*CDN_TAGS, _SOFT_PURGE, *_HOW, LIMIT),
            acts_as="INVALIDATE",
        )
    )
    async def purge(self, call: Call) -> web.Response:
        """All tags of the headers, one after the other."""
        tags = cdn_tags(call.query)
        if not tags:
            raise ArgumentError(f"PURGE names its tags in {SURROGATE_KEY} or {XKEY}")
        soft = call.query.flag("soft") or call.query.flag("Fastly-Soft-Purge")
        return await self._invalidate(call, tags, soft)

    @serves(
        Route(
            "PUT",
            LINK_PATH,
            "Makes a tag the child of another.",
            "tags",
            _WHERE,
            {204: "It is.", 400: "It would close a cycle."},
            acts_as="TAGLINK",
        )
    )
    async def link(self, call: Call) -> web.Response:
        """Idempotent."""
        return await self._linked(call, "TAGLINK")

    @serves(
        Route(
            "DELETE",
            LINK_PATH,
            "Takes the link between two tags away.",
            "tags",
            _WHERE,
            {204: "There is none now."},
            acts_as="TAGUNLINK",
        )
    )
    async def unlink(self, call: Call) -> web.Response:
        """Idempotent."""
        return await self._linked(call, "TAGUNLINK")

    async def _linked(self, call: Call, name: str) -> web.Response:
        cache = asked_for(self._endpoint, call)
        words = [name, wire_of(call.segments["tag"]), wire_of(call.segments["child"])]
        status, answer = await self._asked(call, cache, words)
        return web.Response(status=204) if "result" in answer else answered(status, answer)

    async def _counted(
        self, call: Call, cache: Cache, names: list[str]
    ) -> list[dict[str, object]]:
        """Tags with their counts, of all nodes if there is a cluster."""
        if self._endpoint.cluster is None:
            counts = {name: cache.tagcount(name) for name in names}
        else:
            nodes = OverNodes(self._endpoint.cluster.router, cache, call)
            counts = await nodes.tag_counts(names)
        return [{"name": to_json(name), "count": counts[name]} for name in names]

    async def _keys_of(self, call: Call, cache: Cache, tags: list[str], limit: int) -> object:
        """The first keys of some tags, in JSON."""
        keys: dict[str, None] = {}
        for tag in tags:
            if len(keys) >= limit:
                break
            if self._endpoint.cluster is None:
                keys |= dict.fromkeys(cache.tag_key_scan(tag, 0, limit)[1])
            else:
                nodes = OverNodes(self._endpoint.cluster.router, cache, call)
                keys |= dict.fromkeys(await nodes.keys_of(tag))
        return to_json(list(keys)[:limit])

    async def _asked(
        self, call: Call, cache: Cache, words: list[object]
    ) -> tuple[int, dict[str, object]]:
        """What a command comes to, on all nodes if there is a cluster."""
        return await self._commands.answer({"command": words}, cache.name, call.request)

    async def _invalidate(self, call: Call, tags: list[str], soft: bool) -> web.Response:
        query = call.query
        cache = asked_for(self._endpoint, call)
        cascade, dry_run = query.flag("cascade"), query.flag("dry_run")
        options = [("CASCADE", cascade), ("SOFT", soft), ("DRYRUN", dry_run)]
        words = [word for word, is_given in options if is_given]
        told: dict[str, object] = {"soft": soft, "cascade": cascade, "dry_run": dry_run}
        if dry_run:
            limit = query.number("limit")
            reached = _reached(cache, tags, cascade)
            told["reached"] = await self._counted(call, cache, reached)
            told["keys"] = await self._keys_of(call, cache, reached, limit)
        count = 0
        if dry_run and not soft and self._endpoint.cluster is None:
            # in one: a key that bears two of the tags counts once
            count = cache.invalidate(tags, cascade=cascade, dry_run=True)
            tags_to_do: list[str] = []
        else:
            tags_to_do = tags
        for tag in tags_to_do:
            status, answer = await self._asked(
                call, cache, ["INVALIDATE", wire_of(tag), *words]
            )
            found = answer.get("result")
            if not isinstance(found, int):
                return answered(status, answer)
            count += found
        names: dict[str, object] = {"tag": to_json(tags[0])} if len(tags) == 1 else {}
        if not names:
            names["tags"] = to_json(tags)
        return json_response(dumped({**told, **names, "keys_deleted": count}))


def cdn_tags(query: Query) -> list[str]:
    """The tags that the headers of CDNs name, each once; escapes are decoded."""
    names = (query.text(SURROGATE_KEY) or "").split()
    for header in query.texts(XKEY):
        names += re.split(r"[\s,]+", header)
    return list(
        dict.fromkeys(text_of(unquote_to_bytes(bytes_of(name))) for name in names if name)
    )


def _reached(cache: Cache, tags: list[str], cascade: bool) -> list[str]:
    """What an invalidation would reach: the first of its tags."""
    reached = dict.fromkeys(tags)
    if cascade:
        waiting = list(tags)
        while waiting and len(reached) < MOST_REACHED:
            for child in cache.tagchildren(waiting.pop()):
                if child not in reached:
                    reached[child] = None
                    waiting.append(child)
    return list(reached)
