"""A server opens the addresses that it was told to, and connects to nobody."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from processes import Running

LISTENS = "0A"
LOOPBACK = "0100007F"


def addresses(process: int) -> Iterator[tuple[str, str, str]]:
    """The internet sockets of a process: the local and the remote address, and the state."""
    folder = Path(f"/proc/{process}")
    inodes = set()
    for descriptor in (folder / "fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
        if found:
            inodes.add(found[1])
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in (folder / "net" / kind).read_text().splitlines()[1:]:
            _, local, remote, state, *rest = line.split()
            if rest[5] in inodes:
                yield local, remote, state


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="Linux tells of sockets")
def test_a_server_listens_where_it_was_told_to_and_connects_to_nobody() -> None:
    server = Running("serve", "--port", "0", "--http-port", "0")
    try:
        with redis.Redis(port=int(server.port)) as client:
            client.set("k", "v")
            client.info()
            urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/").read()
            told = {f"{LOOPBACK}:{int(port):04X}" for port in (server.port, server.http_port)}
            held = list(addresses(server.process.pid))
    finally:
        server.end()
    assert {local for local, _, state in held if state == LISTENS} == told
    # clients that have come, to an address that is listened to
    come = [local for local, _, state in held if state != LISTENS]
    assert come
    assert set(come) <= told
