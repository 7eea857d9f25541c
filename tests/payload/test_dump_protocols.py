"""DUMP and RESTORE at the endpoints that carry bytes in their own ways."""

from __future__ import annotations

import io
import json
from base64 import b64decode

import pytest

import cachestorm_server.connection  # noqa: F401  declares HELLO
from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_cli.client import read_reply, spell
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import JsonCommands, read_document
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.hset("h", mapping={"f": b"\xff\0", "g": {"a": 1}})
    cache.addtag("h", "t")
    return cache


def is_restored(cache: Cache) -> bool:
    """Whether `again` is what `h` is."""
    cache._check()
    return (cache.hgetall("h"), cache.tags("h")) == (
        cache.hgetall("again"),
        cache.tags("again"),
    )


def test_a_payload_travels_in_process(cache: Cache) -> None:
    payload = cache.execute("DUMP", "h")
    assert cache.execute("RESTORE", "again", 0, payload) is True
    assert is_restored(cache)


@pytest.mark.parametrize("protocol", [b"2", b"3"])
def test_a_payload_travels_over_resp(cache: Cache, protocol: bytes) -> None:
    session = Session(Endpoint(cache, REGISTRY, Settings()))
    session.receive(spell([b"HELLO", protocol]))
    payload = read_reply(io.BytesIO(session.receive(spell([b"DUMP", b"h"]))))
    assert isinstance(payload, bytes)
    assert session.receive(spell([b"RESTORE", b"again", b"0", payload])) == b"+OK\r\n"
    assert is_restored(cache)
    assert (
        session.receive(spell([b"RESTORE", b"again", b"0", payload]))
        == b"-BUSYKEY Target key name already exists.\r\n"
    )
    assert (
        session.receive(spell([b"RESTORE", b"other", b"0", payload[1:]]))
        == b"-ERR DUMP payload version or checksum are wrong\r\n"
    )
    missing = b"$-1\r\n" if protocol == b"2" else b"_\r\n"
    assert missing == session.receive(spell([b"DUMP", b"missing"]))


def test_a_payload_travels_over_http_in_base64(cache: Cache) -> None:
    endpoint = JsonCommands(cache, REGISTRY)

    def answer(**named: object) -> tuple[int, dict[str, object]]:
        return endpoint.answer(read_document(json.dumps(named).encode()))

    status, found = answer(command="DUMP", key="h")
    payload = found["result"]
    assert isinstance(payload, dict)
    assert (200, cache.dump("h")) == (status, b64decode(payload["base64"]))
    restore = {"command": "RESTORE", "key": "again", "ttl": 0, "serialized-value": payload}
    assert answer(**restore) == (200, {"result": "OK"})
    assert is_restored(cache)
    status, found = answer(**restore)
    assert (status, found["error"]["code"]) == (409, "BUSYKEY")
    assert answer(**restore, replace=True) == (200, {"result": "OK"})
