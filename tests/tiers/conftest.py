"""The random commands of `tests/commands` are made here as well; and one Ceph for all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "commands"))


@pytest.fixture(scope="session")
def ceph_endpoint() -> Iterator[str]:
    from ceph import rgw_server

    with rgw_server() as found:
        yield found
