"""Entries over HTTP: a key as a resource, with a body, a type, a time to live and tags.

Called by the endpoint; calls the cache.

    GET, HEAD, PUT, DELETE, PURGE /v1/namespaces/{namespace}/keys/{key}

1. The type of a body is kept as the tag `content-type:<type>`: it is written and removed
   with the value in one step, is on disk where the value is, and any client can read and set
   it.
2. A condition and the write that it guards are one step. The ETag is made of the version, and
   of the process, since a restarted one counts anew.
3. What is stored never runs in a browser: answers say so (`sandbox`, `nosniff`), and what is
   not fit for a header is not put into one.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of, text_of, to_wire
from cachestorm.declare.wire_values import to_json
from cachestorm.entry_info import EntryInfo
from cachestorm.errors import ArgumentError
from cachestorm.markers import UNSET
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.web.commands import Commands, answered, wire_of
from cachestorm_server.web.overview import existing
from cachestorm_server.web.routes import Call, Parameter, Route, serves
from cachestorm_server.web.tags import CDN_TAGS, cdn_tags
from cachestorm_server.web.wire import (
    HttpError,
    SpelledResponse,
    body_of,
    dumped,
    may_be_spelled,
    problem,
)

KEY_PATH: Final = "/v1/namespaces/{namespace}/keys/{key}"
TYPE_TAG: Final = "content-type:"
TTL_HEADER: Final = "X-CacheStorm-TTL"
TAGS_HEADER: Final = "X-CacheStorm-Tags"
KIND_HEADER: Final = "X-CacheStorm-Type"

# what a client sends that was not told what it sends
_UNSAID: Final = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})
_UNKNOWN: Final = "application/octet-stream"
_MEDIA_TYPE: Final = re.compile(r"[!-~]+/[!-~]+( *;[ -~]*)?")
_ETAG: Final = re.compile(r'(?:W/)?"([^"]*)"')
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

# how the value of a container is asked for
_WHOLE: Final[dict[str, tuple[str, ...]]] = {
    "hash": ("HGETALL",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
}

_IF_MATCH: Final = Parameter(
    "If-Match",
    "Only if the key is as one of these ETags says; `*`: if it is there.",
    header=True,
)
_IF_NONE_MATCH: Final = Parameter(
    "If-None-Match",
    "Only if it is not as one of these ETags; `*`: if it is missing.",
    header=True,
)
_RANGES: Final = (
    Parameter("Range", "One range of bytes.", header=True),
    Parameter(
        "If-Range", "The range only if the key has this ETag, else all of it.", header=True
    ),
)
_WRITTEN: Final = (
    Parameter("ttl", "Seconds, or `5m`; `none` for no end. Left out: the default."),
    Parameter("tags", "Tags, separated by commas."),
    Parameter("tag", "One tag, as it is.", repeats=True),
    Parameter(TTL_HEADER, "As `ttl`.", header=True),
    Parameter(TAGS_HEADER, "As `tags`; a comma in a tag is `%2C`.", header=True),
    *CDN_TAGS,
)


class Entries:
    """Serves keys of all namespaces."""

    def __init__(self, endpoint: Endpoint, commands: Commands, max_body_bytes: int) -> None:
        self._endpoint: Final = endpoint
        self._cache: Final = endpoint.cache
        self._commands: Final = commands
        self._max_body_bytes: Final = max_body_bytes
        self._process: Final = endpoint.run_id[:8]

    @serves(
        Route(
            "GET",
            KEY_PATH,
            "Returns the value of a key. A hash, a list, a set or a sorted set is JSON.",
            "keys",
            (_IF_MATCH, _IF_NONE_MATCH, *_RANGES),
            {
                200: "The value, of the type that it was put with.",
                206: "The range of it.",
                304: "It is as the ETag says.",
                404: "No such key; `why` says how it left, if that is remembered.",
                412: "It is not as If-Match says.",
                416: "The range is beyond its end.",
            },
            media="*/*",
            acts_as="GET",
        )
    )
    async def get(self, call: Call) -> web.StreamResponse:
        """The value of a key, or what has changed since."""
        key = call.segments["key"]
        cache = existing(self._cache, call.segments["namespace"])
        entry = cache._read(key)
        if entry is None:
            return self._missing(cache, key)
        kind, value, left_ms, tags, version = entry
        etag = self._etag(version)
        headers = _headers_of(kind, left_ms, tags, etag)
        query = call.query
        if query:
            if not _is_named(query.text("If-Match"), etag, True):
                raise HttpError(412, "the key has another version")
            if _is_named(query.text("If-None-Match"), etag, False):
                headers.pop("Content-Type")
                return web.Response(status=304, headers=headers)
        if kind in _WHOLE:
            return await self._container(call, cache, key, kind, headers)
        body = to_wire(value)
        headers["Accept-Ranges"] = "bytes"
        if not query and not call.headers and may_be_spelled(call.request):
            lines = "".join([f"{name}: {text}\r\n" for name, text in headers.items()])
            return SpelledResponse(lines, body)
        wanted = query.text("Range")
        if wanted is not None and query.text("If-Range") in (None, etag):
            return _part_of(body, wanted, headers)
        return web.Response(body=body, headers=headers)

    @serves(
        Route(
            "PUT",
            KEY_PATH,
            "Sets a key: value, type, time to live and tags in one step.",
            "keys",
            (_IF_MATCH, _IF_NONE_MATCH, *_WRITTEN),
            {
                201: "The key is new.",
                204: "It has replaced what was there.",
                412: "The condition does not hold; nothing has changed.",
                413: "The body is too large.",
                507: "There is no room.",
            },
            takes="*/*",
            acts_as="SET",
        )
    )
    async def put(self, call: Call) -> web.Response:
        """Writes a key, creating its namespace on demand."""
        key = call.segments["key"]
        query = call.query
        ttl = _ttl_of(query.text("ttl") or query.text(TTL_HEADER))
        tags = tags_of(call)
        body = await body_of(call.request, self._max_body_bytes)
        cache = self._cache.namespace(call.segments["namespace"])
        with cache.transaction():
            former = cache.entry(key)
            self._check(call, former)
            cache.set(key, body, ttl, tags=tags)
            entry = cache.entry(key)
        headers = {} if entry is None else {"ETag": self._etag(entry.version)}
        return web.Response(status=204 if former is not None else 201, headers=headers)

    @serves(
        Route(
            "DELETE",
            KEY_PATH,
            "Deletes a key.",
            "keys",
            (_IF_MATCH, _IF_NONE_MATCH),
            {
                204: "It was there, and is gone.",
                404: "No such key.",
                412: "The condition does not hold; nothing has changed.",
            },
            acts_as="DEL",
        )
    )
    @serves(
        Route(
            "PURGE",
            KEY_PATH,
            "Deletes a key, as DELETE, in the words of CDNs.",
            "keys",
            (_IF_MATCH, _IF_NONE_MATCH),
            {204: "It was there, and is gone.", 404: "No such key."},
            acts_as="DEL",
        )
    )
    async def delete(self, call: Call) -> web.Response:
        """Deletes a key."""
        key = call.segments["key"]
        cache = existing(self._cache, call.segments["namespace"])
        with cache.transaction():
            former = cache.entry(key)
            if former is not None:
                self._check(call, former)
                cache.delete(key)
        if former is None:
            return self._missing(cache, key)
        return web.Response(status=204)

    def _etag(self, version: int) -> str:
        return f'"{self._process}-{version:x}"'

    def _check(self, call: Call, entry: EntryInfo[object] | None) -> None:
        """Refuses a write whose condition does not hold.

        Raises:
            HttpError: with 412.
        """
        etag = "" if entry is None else self._etag(entry.version)
        wanted, unwanted = call.query.text("If-Match"), call.query.text("If-None-Match")
        if not _is_named(wanted, etag, True) or _is_named(unwanted, etag, False):
            raise HttpError(412, "the key has another version" if etag else "no such key")

    def _missing(self, cache: Cache, key: str) -> web.Response:
        """404, with why the key is gone."""
        reason = cache.why(key)
        error = HttpError(404, "no such key")
        if reason is None:
            return problem(404, error)
        plan = self._endpoint.registry.resolve(["WHY"])
        return problem(404, error, why=to_json(plan.reply(reason, ["WHY", key])))

    async def _container(
        self, call: Call, cache: Cache, key: str, kind: str, headers: dict[str, str]
    ) -> web.Response:
        name, *rest = _WHOLE[kind]
        document = {"command": [name, wire_of(key), *rest]}
        status, answer = await self._commands.answer(document, cache.name, call.request)
        if "result" not in answer:
            return answered(status, answer)
        return web.Response(body=dumped(answer["result"]), headers=headers)


def _headers_of(kind: str, left_ms: int, tags: tuple[str, ...], etag: str) -> dict[str, str]:
    """What is told of a key beside its value."""
    headers = {
        "Content-Type": _type_of(kind, tags),
        "ETag": etag,
        # a cache may keep it, and asks whether it is still so
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        KIND_HEADER: kind,
    }
    if left_ms >= 0:
        headers[TTL_HEADER] = f"{left_ms / 1000:g}"
    shown = [tag for tag in tags if not tag.startswith(TYPE_TAG)] if tags else ()
    if shown:
        headers[TAGS_HEADER] = ",".join(quote(bytes_of(tag), safe="/:@!$*+=") for tag in shown)
    return headers


def _type_of(kind: str, tags: tuple[str, ...]) -> str:
    for tag in tags:
        if tag.startswith(TYPE_TAG):
            told = tag[len(TYPE_TAG) :]
            # anybody may have tagged it with anything
            return told if _MEDIA_TYPE.fullmatch(told) else _UNKNOWN
    return "application/json" if kind in _WHOLE or kind == "object" else _UNKNOWN


def _ttl_of(text: str | None) -> object:
    """A time to live as `Cache.set` takes it, which refuses what cannot be one."""
    if text is None:
        return UNSET
    if text == "none":
        return None
    try:
        return float(text) if text.isascii() else text
    except ValueError:
        return text


def tags_of(call: Call) -> list[str]:
    """The tags to be, the type of the body among them; each once."""
    query = call.query
    tags = [tag.strip() for tag in (query.text("tags") or "").split(",")]
    tags += [*query.texts("tag"), *cdn_tags(query)]
    for given in (query.text(TAGS_HEADER) or "").split(","):
        tags.append(text_of(unquote_to_bytes(bytes_of(given.strip()))))
    media_type = call.request.headers.get("Content-Type", "").strip()
    if media_type and media_type.partition(";")[0].strip().lower() not in _UNSAID:
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ArgumentError("the Content-Type is not one, such as text/plain")
        tags.append(TYPE_TAG + media_type)
    return list(dict.fromkeys(tag for tag in tags if tag))


def _is_named(condition: str | None, etag: str, otherwise: bool) -> bool:
    """Whether a condition names an ETag, which is empty for a missing key.

    Args:
        otherwise: what a condition says that is not there.
    """
    if condition is None:
        return otherwise
    if condition.strip() == "*":
        return etag != ""
    return etag.strip('"') in _ETAG.findall(condition) if etag else False


def _part_of(body: bytes, wanted: str, headers: dict[str, str]) -> web.Response:
    """A range of a value; all of it, for what is not one range of bytes.

    Source: RFC 9110, 14.2.
    """
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found.group(1) == found.group(2) == "":
        return web.Response(body=body, headers=headers)
    first, last = found.groups()
    size = len(body)
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < int(first):
        return web.Response(body=body, headers=headers)
    if start >= size or (not first and int(last) == 0):
        error = HttpError(416, f"the value has {size} bytes")
        return problem(416, error, {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return web.Response(status=206, body=body[start:stop], headers=headers)
