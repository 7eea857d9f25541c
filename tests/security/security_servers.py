"""An application in a thread of its own, configured by settings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.server import run


@contextmanager
def application(given: dict[str, object]) -> Iterator[Application]:
    """Serves on free ports, unless the settings say otherwise."""
    whole = {"server.port": 0, "plugins.metrics.port": 0} | given
    config = load(None, {}, {name: ("test", value) for name, value in whole.items()})
    opened: Future[tuple[Application, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        async with Application(config) as made:
            opened.set_result((made, asyncio.get_running_loop(), over))
            await over.wait()

    def work() -> None:
        try:
            run(serve())
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        made, loop, over = opened.result(20)
        try:
            yield made
        finally:
            loop.call_soon_threadsafe(over.set)
    finally:
        thread.join(60)
