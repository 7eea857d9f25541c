"""Administration over HTTP: namespaces, hot keys, slow calls, clients, configuration.

Called by the endpoint; shows `reports`. Each path that changes something is a DELETE.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cachestorm.codec import bytes_of
from cachestorm.errors import CacheStormError
from cachestorm.patterns import matches
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.settings import READY_PATH
from cachestorm_server.web import reports
from cachestorm_server.web.commands import NAMESPACE, Commands
from cachestorm_server.web.overview import CURSOR, IN_QUERY, LIMIT, MATCH, asked_for
from cachestorm_server.web.routes import INTEGER, Call, Parameter, Route, serves
from cachestorm_server.web.wire import dumped, json_response

NAMESPACES_PATH: Final = "/v1/namespaces"
NAMESPACE_PATH: Final = "/v1/namespaces/{namespace}"

_HOTTEST: Final = Parameter("limit", "How many.", INTEGER, least=1, most=100, default=10)


class NotReadyError(CacheStormError):
    """The server runs, but should not be asked."""

    code = "NOTREADY"
    http_status = 503


class Administration:
    """Serves what operators look at."""

    def __init__(self, endpoint: Endpoint, commands: Commands) -> None:
        self._endpoint: Final = endpoint
        self._commands: Final = commands

    @serves(
        Route(
            "GET",
            READY_PATH,
            "Says whether the server is to be sent clients.",
            "overview",
            answers={200: "It is.", 503: "It is not; the problem says why."},
            is_open=True,
        )
    )
    async def ready(self, call: Call) -> web.Response:
        """Ready, or why not."""
        reasons = reports.unready(self._endpoint)
        if reasons:
            raise NotReadyError("; ".join(reasons))
        return json_response(dumped({"status": "ready"}))

    @serves(
        Route(
            "GET",
            NAMESPACES_PATH,
            "Lists namespaces.",
            "administration",
            (LIMIT, CURSOR, MATCH),
            needs="NAMESPACES",
        )
    )
    async def namespaces(self, call: Call) -> web.Response:
        """A page of them, sorted by name, with their counts."""
        cache = self._endpoint.cache
        names = cache.namespaces()
        match = call.query.text("match")
        if match is not None:
            pattern = bytes_of(match)
            names = [name for name in names if matches(pattern, bytes_of(name))]
        start = call.query.number("cursor")
        stop = start + call.query.number("limit")
        document = {
            "count": len(names),
            "namespaces": reports.namespaces_report(cache, names[start:stop]),
            "cursor": str(stop) if stop < len(names) else None,
        }
        return json_response(dumped(document))

    @serves(
        Route(
            "GET",
            NAMESPACE_PATH,
            "Describes a namespace.",
            "administration",
            needs="NAMESPACEINFO",
        )
    )
    async def namespace(self, call: Call) -> web.Response:
        """One of them."""
        name = call.segments["namespace"]
        return json_response(dumped(reports.namespace_report(self._endpoint.cache, name)))

    @serves(
        Route(
            "DELETE",
            NAMESPACE_PATH,
            "Deletes a namespace with all that it holds.",
            "administration",
            answers={204: "It is gone.", 404: "There is none of that name."},
            acts_as="NAMESPACEDEL",
        )
    )
    async def delete(self, call: Call) -> web.Response:
        """Deletes one; not the default."""
        self._endpoint.cache.namespacedel(call.segments["namespace"])
        return web.Response(status=204)

    @serves(
        Route(
            "GET",
            "/v1/hot-keys",
            "Lists the keys that are hit most of late.",
            "administration",
            (_HOTTEST, IN_QUERY, NAMESPACE),
            needs="HOTKEYS",
        )
    )
    async def hot_keys(self, call: Call) -> web.Response:
        """The hottest first."""
        cache = asked_for(self._endpoint, call)
        found = reports.hot_keys_report(cache, call.query.number("limit"))
        return json_response(dumped({"keys": found}))

    @serves(
        Route(
            "GET",
            "/v1/slow-log",
            "Lists slow calls, newest first.",
            "administration",
            (LIMIT,),
            needs="SLOWLOG GET",
        )
    )
    async def slow_log(self, call: Call) -> web.Response:
        """Without passwords, long words cut."""
        found = reports.slow_log_report(self._endpoint, call.query.number("limit"))
        return json_response(dumped({"calls": found}))

    @serves(
        Route(
            "DELETE",
            "/v1/slow-log",
            "Forgets the slow calls.",
            "administration",
            answers={204: "They are forgotten."},
            needs="SLOWLOG RESET",
        )
    )
    async def forget_slow(self, call: Call) -> web.Response:
        """As SLOWLOG RESET."""
        self._endpoint.statistics.slow_log.clear()
        return web.Response(status=204)

    @serves(
        Route(
            "GET",
            "/v1/clients",
            "Lists RESP connections.",
            "administration",
            needs="CLIENT LIST",
        )
    )
    async def clients(self, call: Call) -> web.Response:
        """As CLIENT LIST."""
        return json_response(dumped({"clients": reports.clients_report(self._endpoint)}))

    @serves(
        Route(
            "GET",
            "/v1/config",
            "Shows the configuration.",
            "administration",
            needs="CONFIG GET",
        )
    )
    async def config(self, call: Call) -> web.Response:
        """Parameters by name; a secret is not shown."""
        return json_response(dumped(reports.configuration_report(self._endpoint)))

    @serves(
        Route("GET", "/v1/stats", "Shows all counters at once.", "administration", needs="INFO")
    )
    async def stats(self, call: Call) -> web.Response:
        """What the dashboard draws."""
        document = reports.stats_report(self._endpoint, self._commands.json.commands)
        return json_response(dumped(document))
