"""The server under test, as a user starts it. Tests import `processes` because this is here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from processes import environment, running
from shared_owners import owners_folder

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


@pytest.fixture(scope="session")
def _runtime_folder() -> Iterator[str]:
    with owners_folder() as folder:
        yield str(folder)


@pytest.fixture
def local(_runtime_folder: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of what the processes of a machine share, as backends take it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", _runtime_folder)
    return "local://tests"
