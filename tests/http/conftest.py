"""Servers and clients for the tests of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from http_served import Client, running


@pytest.fixture(scope="session")
def launch() -> Callable[[dict[str, object]], AbstractContextManager[Client]]:
    """What runs a server with settings by dotted path, for a block."""
    return running


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with running({}) as client:
        yield client


@pytest.fixture
def endpoint(shared: Client) -> Client:
    """The server of this module, emptied."""
    shared.cache.flushall()
    return shared


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Starts servers with settings by dotted path; they end with the test."""
    with ExitStack() as stack:
        yield lambda settings=None: stack.enter_context(running(settings or {}))
