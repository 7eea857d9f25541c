"""How many clients HTTP has, and how long it waits for one that asks nothing."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from http_served import FREE_PORTS, Client

from cachestorm_server.config import load

Serve = Callable[..., Client]

HEADER = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
SHORT = {"http.header_timeout": 1, "http.keepalive_timeout": 1}


def connected(port: int) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), 60)
    opened.settimeout(60)
    return opened


def taken(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def info(endpoint: Client, field: str) -> int:
    """A field of INFO, which does not take a connection of HTTP."""
    with connected(endpoint.application.resp.port) as client:
        client.sendall(b"INFO\r\nQUIT\r\n")
        lines = taken(client).decode().split("\r\n")
    return next(int(line.partition(":")[2]) for line in lines if line.startswith(f"{field}:"))


def until(wanted: int, asked: Callable[[], int]) -> None:
    """Waits for what another thread does."""
    ends = time.monotonic() + 60
    while asked() != wanted and time.monotonic() < ends:
        time.sleep(0.01)
    assert asked() == wanted


def test_a_client_too_many_is_told_so_and_counted(serve: Serve) -> None:
    endpoint = serve({"http.max_connections": 2})
    assert info(endpoint, "http_maxclients") == 2
    with ExitStack() as stack:
        first, _ = (stack.enter_context(connected(endpoint.port)) for _ in range(2))
        with connected(endpoint.port) as third:
            head, _, body = taken(third).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"application/problem+json" in head and b"Connection: close" in head
        assert json.loads(body)["detail"] == "max number of clients reached"
        assert info(endpoint, "http_connections") == 2
        assert info(endpoint, "http_rejected_connections") == 1
        first.close()
        until(1, lambda: info(endpoint, "http_connections"))
        metrics = endpoint.get("/metrics").body
        assert b"cachestorm_http_rejected_connections_total 1.0" in metrics


def test_a_reload_changes_how_many_there_may_be(serve: Serve) -> None:
    endpoint = serve()
    application = endpoint.application
    more = FREE_PORTS | {"http.max_connections": ("test", 7)}
    application.reload(load("", {}, more))
    assert info(endpoint, "http_maxclients") == 7


def test_idle_clients_of_http_take_no_place_of_one_of_resp(serve: Serve) -> None:
    endpoint = serve({"http.max_connections": 5, "server.max_connections": 5})
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connected(endpoint.port))
        until(45, lambda: info(endpoint, "http_rejected_connections"))


@pytest.mark.parametrize("sent", [b"", b"G", HEADER])
def test_a_client_without_a_whole_header_is_disconnected(serve: Serve, sent: bytes) -> None:
    endpoint = serve(SHORT)
    with connected(endpoint.port) as client:
        client.sendall(sent)
        assert taken(client) == b""
    assert info(endpoint, "http_timed_out_connections") == 1
    until(0, lambda: info(endpoint, "http_connections"))


@pytest.mark.parametrize("behind", [b"", HEADER])
def test_a_connection_without_another_request_is_closed(serve: Serve, behind: bytes) -> None:
    endpoint = serve(SHORT)
    with connected(endpoint.port) as client:
        client.sendall(HEADER + b"\r\n" + behind)
        assert taken(client).count(b"HTTP/1.1 200 OK") == 1
    assert info(endpoint, "http_timed_out_connections") == 0


def test_a_header_begun_after_an_answer_is_to_end_in_time(serve: Serve) -> None:
    endpoint = serve({"http.header_timeout": 1, "http.keepalive_timeout": 60})
    with connected(endpoint.port) as client:
        client.sendall(HEADER + b"\r\n")
        seen = client.recv(1 << 16)
        client.sendall(HEADER)
        seen += taken(client)
        assert seen.count(b"HTTP/1.1 200 OK") == 1
    assert info(endpoint, "http_timed_out_connections") == 1


def test_who_asks_nothing_after_an_answer_has_the_longer_time(serve: Serve) -> None:
    endpoint = serve({"http.header_timeout": 1, "http.keepalive_timeout": 60})
    with connected(endpoint.port) as client:
        for _ in range(2):
            # a line break behind a request, as some clients send it, begins no other one
            client.sendall(HEADER + b"\r\n")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
            client.sendall(b"\r\n")
            time.sleep(1.2)


def test_zero_is_no_timeout(serve: Serve) -> None:
    endpoint = serve({"http.header_timeout": 0, "http.keepalive_timeout": 0})
    with connected(endpoint.port) as client:
        client.sendall(HEADER)
        time.sleep(0.2)
        client.sendall(b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_events_and_slow_bodies_outlast_the_timeouts(serve: Serve) -> None:
    endpoint = serve(SHORT)
    body = b'{"command": ["SET", "k", "late"]}'
    with connected(endpoint.port) as follower, connected(endpoint.port) as sender:
        follower.sendall(
            b"GET /v1/events?kinds=stats&every=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        sender.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        seen = b""
        # one at once, then one a second
        while seen.count(b"event: stats") < 4:
            piece = follower.recv(1 << 16)
            assert piece, "the stream has ended"
            seen += piece
        sender.sendall(body)
        assert b'"result":"OK"' in taken(sender)


def test_the_log_tells_how_many_were_refused(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("cachestorm"), "propagate", True)
    endpoint = serve({"http.max_connections": 1})
    told = "HTTP clients refused: 1; there is room for 1 (http.max_connections)"
    with connected(endpoint.port), connected(endpoint.port) as second:
        assert taken(second).startswith(b"HTTP/1.1 503 ")
        until(1, lambda: caplog.messages.count(told))
