"""Watching requests: what the HTTP endpoint tells a plugin that comes with the server.

A plugin that is a `RequestWatcher` is found by the application; the endpoint calls it around
each request. Without one, requests are answered as if there were no such thing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping


class RequestWatcher(ABC):
    """Told of each request of HTTP, within the task that answers it."""

    @abstractmethod
    def begin(self, method: str, route: str, headers: Mapping[str, str], client: str) -> object:
        """A request has come.

        Args:
            route: the template of its path; empty for a path that there is not.
            client: the address that it comes from.

        Returns:
            What `end` is given.
        """

    @abstractmethod
    def end(self, begun: object, status: int | None) -> None:
        """It is answered.

        Args:
            status: of the answer; None where the client has gone, or is disconnected.
        """
