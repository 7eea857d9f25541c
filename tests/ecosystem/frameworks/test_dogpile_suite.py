"""dogpile.cache's conformance suites, which come with it, on our backend."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

import dogpile_entry
import pytest
from dogpile.testing import fixtures

dogpile_entry.ensure()


class InMemory:
    """In this process."""

    backend = "cachestorm"
    config_args: ClassVar[dict[str, Any]] = {"arguments": {"location": "memory://dogpile"}}


class TestBackendInMemory(InMemory, fixtures._GenericBackendTestSuite):  # type: ignore[misc]
    """The interface of backends."""


class TestMutexInMemory(InMemory, fixtures._GenericMutexTestSuite):  # type: ignore[misc]
    """Its locks."""


class TestSerializerInMemory(  # type: ignore[misc]
    fixtures._GenericSerializerTestSuite, InMemory, fixtures._GenericBackendTestSuite
):
    """Other serializers than pickle."""


@pytest.fixture(scope="class")
def on_server(request: pytest.FixtureRequest, port: int) -> None:
    """Points a class of tests to our server."""
    location = f"redis://127.0.0.1:{port}"
    request.cls.config_args = {
        "arguments": {"location": location, "secrets": [secrets.token_hex(16)]}
    }


@pytest.mark.usefixtures("on_server")
class TestBackendOnOurServer(InMemory, fixtures._GenericBackendTestSuite):  # type: ignore[misc]
    """The interface of backends, on a server."""


@pytest.mark.usefixtures("on_server")
class TestMutexOnOurServer(InMemory, fixtures._GenericMutexTestSuite):  # type: ignore[misc]
    """Its locks, on a server."""


@pytest.mark.usefixtures("on_server")
class TestSerializerOnOurServer(  # type: ignore[misc]
    fixtures._GenericSerializerTestSuite, InMemory, fixtures._GenericBackendTestSuite
):
    """Other serializers than pickle, on a server."""


@pytest.fixture
def shared(request: pytest.FixtureRequest, local: str) -> None:
    """Points a test to what the processes of a machine share."""
    request.cls.config_args = {"arguments": {"location": local, "secrets": ["of the tests"]}}


@pytest.mark.usefixtures("shared")
class TestBackendShared(InMemory, fixtures._GenericBackendTestSuite):  # type: ignore[misc]
    """The interface of backends, shared."""


@pytest.mark.usefixtures("shared")
class TestMutexShared(InMemory, fixtures._GenericMutexTestSuite):  # type: ignore[misc]
    """Its locks, shared."""
