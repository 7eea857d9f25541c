"""The server under test, as a user starts it. Tests import `processes` because this is here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from processes import environment, running

START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
SERVE = [sys.executable, "-c", START, "serve", "--port", "0", "--no-http"]


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """The port of a `cachestorm serve`, one for each worker of pytest.

    ECOSYSTEM_PORT names another server: to see what its clients make of a real Redis.
    """
    if "ECOSYSTEM_PORT" in os.environ:
        yield int(os.environ["ECOSYSTEM_PORT"])
        return
    with running(SERVE, environment()) as output:
        yield int(output.wait_for(r"RESP on \S+ port (\d+)")[1])


@pytest.fixture
def url(port: int) -> str:
    """Of the server, as clients take it."""
    return f"redis://127.0.0.1:{port}/0"
