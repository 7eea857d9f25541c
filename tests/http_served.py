"""A server on free ports of this host, in a thread of its own, and a client for its HTTP.

For tests of HTTP, and of what is built upon it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from cachestorm.cache import Cache
from cachestorm_server.app import Application
from cachestorm_server.config import load

FREE_PORTS = {"server.port": ("test", 0), "plugins.metrics.port": ("test", 0)}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        kind = "application/json" if self.status < 400 else "application/problem+json"
        assert self.headers["content-type"].partition(";")[0] == kind
        return json.loads(self.body)


class Client:
    """Asks one running application."""

    def __init__(self, application: Application) -> None:
        self.application = application
        assert application.http is not None
        self.port = application.http.port

    @property
    def cache(self) -> Cache:
        return self.application.cache

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request; an underscore in a header's name stands for a dash."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            spelled = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, spelled)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, document: object, **headers: str) -> Answer:
        headers.setdefault("Content_Type", "application/json")
        return self.request("POST", "/v1/commands", json.dumps(document).encode(), **headers)

    def result(self, *argv: object) -> object:
        answer = self.post({"command": list(argv)}).json
        assert isinstance(answer, dict)
        return answer["result"]


@contextmanager
def running(settings: dict[str, object], file: str | None = None) -> Iterator[Client]:
    """An application with these settings, served until the end of the block.

    Args:
        file: the path of its configuration.
    """
    flags = FREE_PORTS | {name: ("test", value) for name, value in settings.items()}
    started: list[Application] = []
    up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        async with Application(load(file, {}, flags)) as application:
            started.append(application)
            up.set()
            await stop.wait()

    def serve() -> None:
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
            up.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert up.wait(60)
        yield Client(started[0])
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(60)
