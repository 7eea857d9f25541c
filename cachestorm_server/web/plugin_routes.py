"""Paths of plugins: each becomes a route of the endpoint, beside its own.

Called by the HTTP server once; calls the handlers of plugins.

1. What a handler raises is answered as whatever goes wrong in a route of the endpoint is.
2. A path that is there already is refused, whichever plugin comes second.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from cachestorm.errors import PluginError
from cachestorm.plugins.routes import Request, Response
from cachestorm.plugins.routes import Route as PluginRoute
from cachestorm_server.web.routes import Call, Handler, Parameter, Route, Routes
from cachestorm_server.web.wire import body_of, dumped, json_response

GROUP: Final = "plugins"


def add_route(routes: Routes, named: tuple[str, PluginRoute], max_body_bytes: int) -> None:
    """Adds a path of a plugin.

    Args:
        named: the plugin's name, and the route.

    Raises:
        PluginError: for a path that is there already, or none.
    """
    plugin, declared = named
    path = declared.path
    if not path.startswith("/") or "{" in path or "?" in path:
        raise PluginError(f"the plugin {plugin}: {path!r} is not a path")
    if declared.method in routes.find(path)[0]:
        raise PluginError(f"the plugin {plugin}: {declared.method} {path} is there already")
    route = Route(
        declared.method,
        path,
        declared.summary,
        GROUP,
        parameters=tuple(Parameter(name, "") for name in declared.parameters),
        is_open=declared.is_open,
    )
    routes.add(route, _handler(declared, max_body_bytes))


def _handler(declared: PluginRoute, max_body_bytes: int) -> Handler:
    async def handle(call: Call) -> web.StreamResponse:
        request = call.request
        query = {name: call.query.text(name) for name in declared.parameters}
        answer = declared.handler(
            Request(
                request.method,
                declared.path,
                {name: text for name, text in query.items() if text is not None},
                {name.lower(): text for name, text in request.headers.items()},
                await body_of(request, max_body_bytes),
                request.remote or "",
            )
        )
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, Response):
            headers = {**answer.headers, "Content-Type": answer.content_type}
            return web.Response(body=answer.body, status=answer.status, headers=headers)
        return json_response(dumped(answer))

    return handle
