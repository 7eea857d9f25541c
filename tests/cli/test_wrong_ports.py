"""A client at a port that speaks something else: it says so, and which one is right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from in_this_process import CommandLine, Served

from cachestorm import connect
from cachestorm.errors import CacheStormError

ADDRESSES = [
    ("redis", "http_url", "speaks HTTP: use"),
    ("rediss", "url", "does not speak TLS: use redis://"),
]


def at(served: Served, port: str, scheme: str) -> str:
    return f"{scheme}://{getattr(served, port).partition('://')[2]}"


@pytest.mark.parametrize(("scheme", "port", "reason"), ADDRESSES)
def test_the_command_line_says_what_a_port_speaks(
    served: Served, command_line: CommandLine, scheme: str, port: str, reason: str
) -> None:
    refused = command_line("get", "k", url=at(served, port, scheme))
    assert refused.code == 1
    assert reason in refused.err


def test_http_at_the_port_of_resp_is_told_what_to_use(
    served: Served, command_line: CommandLine
) -> None:
    refused = command_line("get", "k", url=at(served, "url", "http"))
    assert refused.code == 1
    assert "is that the port of RESP? Then use redis://" in refused.err


@pytest.mark.parametrize(("scheme", "port", "reason"), ADDRESSES)
def test_a_connected_cache_says_what_a_port_speaks(
    served: Served, scheme: str, port: str, reason: str
) -> None:
    with connect(at(served, port, scheme), socket_timeout=5) as cache:
        with pytest.raises(CacheStormError, match=reason):
            cache.get("k")
        with pytest.raises(CacheStormError, match=reason):
            asyncio.run(cache.aio.get("k"))


def test_a_file_of_tls_that_is_missing_is_named(
    served: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    missing = str(tmp_path / "nope.pem")
    for name in ("ca", "cert"):
        refused = command_line("ping", url=f"{at(served, 'url', 'rediss')}?{name}={missing}")
        assert f"?{name}=: there is no file {missing!r}" in refused.err


def test_a_source_without_a_scheme_is_said_to_lack_one(
    served: Served, command_line: CommandLine
) -> None:
    refused = command_line("import", "localhost:6379", url=served.url)
    assert (
        "No such file or directory; a server is given as redis://localhost:6379" in refused.err
    )
    refused = command_line("import", "all.jsonl", url=served.url)
    assert "redis://" not in refused.err
