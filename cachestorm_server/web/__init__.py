"""The HTTP endpoint: data, commands, administration, metrics and the dashboard.

Called by the application. It needs aiohttp: whoever imports it has the extra `server`.

    server.py      sockets, and what happens to each request in turn
    access.py      who is let in: the only place where a request is authenticated
    routes.py      what a path is declared as: parameters, answers, and the document of them
    wire.py        aiohttp, as this endpoint uses it; problems (RFC 9457)
    commands.py    POST /v1/commands
    overview.py    the six paths of CacheStorm in Go
"""
