"""An application whose workers share a cache: for uvicorn `tasks`, for gunicorn `threads`.

The tests start servers of it. See test_shared_by_workers.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from cachestorm import connect

cache = connect("local://site")
# used before whatever forks
cache.incr("imports")


async def tasks(scope: Any, receive: Any, send: Any) -> None:
    """Answers how many requests there have been, and which process this is."""
    if scope["type"] != "http":
        return
    body = b"%d %d" % (await cache.aio.incr("requests"), os.getpid())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def threads(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same for WSGI."""
    start_response("200 OK", [])
    return [b"%d %d" % (cache.incr("requests"), os.getpid())]
