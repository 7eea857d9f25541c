"""Paths of plugins: what their handlers take and give, whatever serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a path of a plugin.

    Attributes:
        query: the parameters that the route names, as they were given.
        headers: by name, in lower case.
        address: of the client.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is not JSON, or not "200 OK"."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes:
        path: without parameters: `/rate-limits`.
        handler: called with a `Request`, in the thread of the server; it may be a coroutine
            function. What it returns is the answer: a `Response`, or what becomes JSON.
        summary: what it does, in a sentence, for the documents of the endpoint.
        method: GET, or POST and so on for what changes something.
        parameters: the names that the query may have.
        is_open: it shows nothing of the cache, and needs no password.
    """

    path: str
    handler: Callable[[Request], object]
    summary: str
    method: str = "GET"
    parameters: tuple[str, ...] = ()
    is_open: bool = False
