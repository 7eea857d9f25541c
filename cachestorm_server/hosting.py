"""Hosting: serves the cache of a program that has work of its own.

Called by such programs; calls the application, which runs in a thread of its own. A program
that runs on asyncio itself needs none: `async with RespServer(cache, Settings(...))`.

1. Errors that keep the endpoints from opening are raised in the caller.
2. Leaving the block waits until the endpoints are closed; the cache stays as it is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from cachestorm.cache import Cache
from cachestorm_server.app import Application
from cachestorm_server.config_sections import (
    AuthConfig,
    Config,
    HttpConfig,
    PluginsConfig,
    ServerConfig,
)
from cachestorm_server.server import run
from cachestorm_server.settings import DEFAULT_PORT


@contextmanager
def serve(
    cache: Cache,
    *,
    bind: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    http_port: int | None = None,
    password: str = "",
) -> Iterator[Application]:
    """Serves a cache to other programs for as long as the block lasts.

    Args:
        cache: used by this program meanwhile as before, from any thread.
        bind: the address to listen on.
        port: of RESP; 0: any free one, which is `resp.port` of what is given.
        http_port: of HTTP, likewise; None: no HTTP.
        password: what clients have to give; empty: only those of this host are let in.

    Raises:
        ServeError: when an endpoint cannot be opened.

    Examples:
        >>> with serve(Cache(), port=0) as endpoints:
        ...     endpoints.resp.port > 0
        True
    """
    config = Config(
        server=ServerConfig(bind=(bind,), port=port),
        http=HttpConfig(enabled=http_port is not None, port=http_port or 0),
        plugins=PluginsConfig(
            auth=AuthConfig(enabled=bool(password), password=password),
        ),
    )
    application = Application(config, cache)
    opened: Future[Callable[[], object]] = Future()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        async with application:
            opened.set_result(lambda: loop.call_soon_threadsafe(over.set))
            await over.wait()

    def work() -> None:
        try:
            run(serve())
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=work, name="cachestorm-server", daemon=True)
    thread.start()
    shut = opened.result()
    try:
        yield application
    finally:
        shut()
        thread.join()
