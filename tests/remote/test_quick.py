"""The quick way to a server ends where redis-py's own does, and is left where more is asked."""

from __future__ import annotations

from typing import Any

import pytest
from real_servers import HOST, RealServer, free_port
from redis.backoff import NoBackoff
from redis.retry import Retry

from cachestorm import connect
from cachestorm.errors import NotAnIntegerError
from cachestorm.remote import quick
from cachestorm.remote.address import Address
from cachestorm.remote.refusals import UnreachableError

pytestmark = pytest.mark.skipif(
    not quick._IS_KNOWN, reason="this redis-py is called by its client alone"
)


class Client:
    """Stands for a client, and notes what it is asked."""

    connection_pool = None

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def execute_command(self, *words: Any) -> str:
        self.asked.append(words)
        return "by the client"


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("redis://here", {}, True),
        ("redis://here?socket_timeout=1", {"health_check_interval": 5}, True),
        ("redis://here?retry_on_timeout=true", {}, False),
        ("redis://here", {"retry": Retry(NoBackoff(), 3)}, False),
        ("redis://here", {"retry_on_error": [OSError]}, False),
    ],
)
def test_who_asks_for_retries_has_them(
    url: str, options: dict[str, Any], expected: bool
) -> None:
    assert quick.is_quick(Address.read(url, options)) is expected


def test_what_is_measured_goes_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.observability.recorder._metrics_collector", object())
    client = Client()
    assert quick.asked(client, ["GET", "k"], ()) == "by the client"
    assert client.asked == [("GET", "k")]


def test_a_refusal_leaves_the_connection_as_it_was(redis_server: RealServer) -> None:
    with connect(f"redis://{HOST}:{redis_server.port}") as cache:
        cache.set("k", "text")
        asks = cache._wire.send  # type: ignore[attr-defined]
        before = asks("CLIENT", "ID")
        with pytest.raises(NotAnIntegerError):
            cache.incr("k")
        assert (cache.get("k"), asks("CLIENT", "ID")) == ("text", before)


def test_a_connection_that_is_to_be_made_anew_is(redis_server: RealServer) -> None:
    with connect(f"redis://{HOST}:{redis_server.port}") as cache:
        wire: Any = cache._wire  # type: ignore[attr-defined]
        before = wire.send("CLIENT", "ID")
        pool = wire.client.connection_pool
        connection = pool.get_connection()
        connection.mark_for_reconnect()
        pool.release(connection)
        assert wire.send("CLIENT", "ID") > before


def test_every_connection_is_given_back(redis_server: RealServer) -> None:
    with connect(f"redis://{HOST}:{redis_server.port}", max_connections=1) as cache:
        for _ in range(3):
            with pytest.raises(NotAnIntegerError):
                cache.set("k", "text"), cache.incr("k")
    with connect(f"redis://{HOST}:{free_port()}", max_connections=1) as away:
        for _ in range(3):
            with pytest.raises(UnreachableError, match="Connection refused"):
                away.get("k")
