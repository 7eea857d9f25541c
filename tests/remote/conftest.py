"""The fixtures of the contract, and where helpers of other folders are found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for folder in ("face", "server", "remote"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from caches import PLACES, cache_at  # noqa: E402
from shared_owners import owners_folder  # noqa: E402

from cachestorm.remote import invalidations  # noqa: E402


@pytest.fixture(scope="session")
def shared_folder() -> Iterator[Path]:
    """Where the owner is that the tests of the contract share."""
    with owners_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def runtime_folder(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `local://` put its sockets there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared_folder))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a near cache take no machine that stands still for a server that is lost."""
    monkeypatch.setattr(invalidations, "HEARTBEAT_S", 10.0)


@pytest.fixture(params=PLACES)
def cache(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty cache at each place."""
    with cache_at(request.param, request) as cache:
        yield cache


@pytest.fixture
def folder(runtime_folder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The runtime folder of one test."""
    with owners_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture
def path(folder: Path) -> Path:
    """The socket of `workers.NAME`."""
    return folder / "cachestorm" / "shared.sock"
