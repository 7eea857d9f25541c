"""Clients of TLS that come and do not show who they are: they count, and are bounded."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack

import pytest
from security_servers import application
from test_tls import client, tls

from cachestorm_server.handshakes import WITHIN_S, Handshakes

MOST = 3
HOST = "127.0.0.1"


def came(stack: ExitStack, port: int) -> socket.socket:
    """One that has connected, and says nothing."""
    return stack.enter_context(socket.create_connection((HOST, port), 60))


def until(count: int, handshakes: Handshakes) -> bool:
    """Whether so many are under way, within some seconds."""
    deadline = time.monotonic() + WITHIN_S + 5
    while handshakes.count() != count and time.monotonic() < deadline:
        time.sleep(0.005)
    return handshakes.count() == count


def test_those_who_never_shake_hands_are_bounded_and_count_with_the_others(
    papers, server_files
) -> None:
    limits = {"server.max_connections": MOST}
    with application(tls(server_files) | limits) as server, ExitStack() as stack:
        endpoint = server.resp.endpoint
        port = server.resp.settings.tls_port
        with client(server, papers.ca_file) as asked:
            assert asked.ping()
            # the connected one has ended its handshake, and is a session
            silent = [came(stack, port) for _ in range(MOST - 1)]
            assert until(MOST - 1, endpoint.handshakes)
            assert came(stack, port).recv(1) == b""
            assert came(stack, server.resp.port).recv(30) == b"-ERR max number of clients rea"
            assert asked.info("stats")["rejected_connections"] == 2
            for each in silent:
                each.close()
            assert until(0, endpoint.handshakes)
            with client(server, papers.ca_file) as other:
                assert other.ping()


def test_a_handshake_that_fails_counts_no_more(papers, server_files) -> None:
    with application(tls(server_files)) as server, ExitStack() as stack:
        port = server.resp.settings.tls_port
        for said in (b"PING\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100):
            came(stack, port).sendall(said)
        stranger = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            stranger.wrap_socket(came(stack, port), server_hostname="localhost")
        with client(server, papers.ca_file) as asked:
            assert asked.ping()
            assert until(0, server.resp.endpoint.handshakes)


def test_those_of_https_are_bounded_by_themselves(papers, server_files) -> None:
    given = tls(server_files, http=True) | {"http.max_connections": MOST}
    with application(given) as server, ExitStack() as stack:
        assert server.http is not None
        endpoint = server.resp.endpoint
        for _ in range(MOST):
            came(stack, server.http.port)
        assert until(MOST, endpoint.http_handshakes)
        assert came(stack, server.http.port).recv(1) == b""
        with client(server, papers.ca_file) as asked:
            assert asked.info("stats")["http_rejected_connections"] == 1
