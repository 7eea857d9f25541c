"""Origins: which pages of other sites may ask the endpoint from a browser; by default none.

Called for each request; pure. A browser asks first by OPTIONS, without a password, and then
says with each request where its page is from.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web

# how long a browser may remember the answer to OPTIONS
REMEMBERED_S: Final = 600

_SHOWN: Final = "ETag, Content-Range, X-CacheStorm-TTL, X-CacheStorm-Tags, X-CacheStorm-Type"


class Origins:
    """Those that are let in, such as `https://admin.example`."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins: Final = frozenset(origins)

    def __bool__(self) -> bool:
        """Whether any is let in."""
        return bool(self._origins)

    def headers(self, request: web.BaseRequest) -> dict[str, str]:
        """What the answer to a request is to say; nothing to any other origin."""
        origin = request.headers.get("Origin")
        if origin is None or origin not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _SHOWN,
            "Vary": "Origin",
        }

    def preflight(
        self, request: web.BaseRequest, methods: Iterable[str]
    ) -> web.Response | None:
        """The answer to OPTIONS of a browser; None for whatever is none of an origin let in."""
        allowed = self.headers(request)
        asked = "Access-Control-Request-Method" in request.headers
        if request.method != "OPTIONS" or not allowed or not asked:
            return None
        allowed["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
        allowed["Access-Control-Max-Age"] = str(REMEMBERED_S)
        wanted = request.headers.get("Access-Control-Request-Headers")
        if wanted is not None:
            allowed["Access-Control-Allow-Headers"] = wanted
        return web.Response(status=204, headers=allowed)
