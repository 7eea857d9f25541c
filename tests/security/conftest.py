"""Certificates, made anew for each session of tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme


@dataclass(frozen=True)
class Papers:
    """Who signs, and files in PEM.

    Attributes:
        ca: what signs all of them.
        folder: where more can be written.
    """

    ca: trustme.CA
    folder: Path

    def issue(self, name: str, **how: object) -> tuple[str, str]:
        """A certificate for localhost and 127.0.0.1, and its key."""
        made = self.ca.issue_cert("localhost", "127.0.0.1", **how)  # type: ignore[arg-type]
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    @property
    def ca_file(self) -> str:
        return str(self.folder / "ca.pem")


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    found = Papers(trustme.CA(), tmp_path_factory.mktemp("papers"))
    found.ca.cert_pem.write_to_path(found.ca_file)
    return found


@pytest.fixture(scope="session")
def server_files(papers: Papers) -> tuple[str, str]:
    return papers.issue("server")


@pytest.fixture(scope="session")
def client_files(papers: Papers) -> tuple[str, str]:
    return papers.issue("client")


@pytest.fixture(scope="session")
def expired_files(papers: Papers) -> tuple[str, str]:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return papers.issue(
        "expired", not_before=yesterday - timedelta(days=1), not_after=yesterday
    )
