"""Pages for people: the dashboard, the documents of the endpoint, and what they are made of.

Called by the endpoint. The files are data of the package, read once, when first asked for.

1. A page loads nothing from anywhere else, runs no script but its own file, and may not be
   shown inside of another: its Content-Security-Policy says so.
2. Pages hold nothing of the cache, so they need no password. What they show they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from cachestorm.declare.registry import Registry
from cachestorm_server.settings import COMMANDS_PATH, DOCS_PATH, OPENAPI_PATH
from cachestorm_server.web.openapi import commands_list, openapi
from cachestorm_server.web.routes import Call, Route, serves
from cachestorm_server.web.wire import HttpError, dumped, json_response

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
}
_PAGE: Final = "text/html"


class Pages:
    """Serves them, and the documents that they are drawn from.

    Args:
        routes: gives all routes of the endpoint, once there are all.
    """

    def __init__(self, registry: Registry, routes: Callable[[], list[Route]]) -> None:
        self._registry: Final = registry
        self._routes: Final = routes

    @serves(Route("GET", "/", "The dashboard.", "pages", media=_PAGE, is_open=True))
    async def dashboard(self, call: Call) -> web.Response:
        """One page."""
        return _page(call, "dashboard.html")

    @serves(
        Route("GET", DOCS_PATH, "These documents, to read.", "pages", media=_PAGE, is_open=True)
    )
    async def docs(self, call: Call) -> web.Response:
        """Draws /openapi.json."""
        return _page(call, "docs.html")

    @serves(
        Route(
            "GET",
            "/static/{name}",
            "A script, a style sheet or a picture of a page.",
            "pages",
            answers={200: "The file.", 304: "As the ETag says.", 404: "No such file."},
            media="*/*",
            is_open=True,
        )
    )
    async def static(self, call: Call) -> web.Response:
        """A file by its name: no path leads out of the folder, as none is looked up."""
        return _page(call, call.segments["name"])

    @serves(
        Route(
            "GET", OPENAPI_PATH, "The OpenAPI document of this server.", "pages", is_open=True
        )
    )
    async def document(self, call: Call) -> web.Response:
        """OpenAPI 3.1."""
        return json_response(dumped(openapi(self._routes(), self._registry)))

    @serves(
        Route("GET", COMMANDS_PATH, "Lists commands and arguments.", "commands", is_open=True)
    )
    async def commands(self, call: Call) -> web.Response:
        """What a console completes."""
        return json_response(dumped({"commands": commands_list(self._registry)}))


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """The files by name: what is in them, and their ETag."""
    found = {}
    for file in files("cachestorm_server.web").joinpath("static").iterdir():
        body = file.read_bytes()
        found[file.name] = (body, f'"{sha256(body).hexdigest()[:16]}"')
    return found


def _page(call: Call, name: str) -> web.Response:
    kind = _MEDIA.get(name.rpartition(".")[2])
    found = static_files().get(name)
    if found is None or kind is None:
        raise HttpError(404, f"no file is called '{name}'")
    body, etag = found
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if call.request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
