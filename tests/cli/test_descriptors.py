"""File descriptors run short: who is let in, what the log says, and how it goes on."""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from processes import COMMAND, START, Running

if sys.platform != "linux":
    pytest.skip("there is no /proc", allow_module_level=True)

ON_ASYNCIO = [sys.executable, "-c", f"import sys; sys.modules['uvloop'] = None; {START}"]
# how many more than there are the server may open
SPARE = 6
TICKS = os.sysconf("SC_CLK_TCK")


def connected(port: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(port)), 60)
    client.settimeout(60)
    return client


def is_served(client: socket.socket, patience_s: float = 60) -> bool:
    """Whether a client is answered, and not disconnected or left waiting."""
    client.settimeout(patience_s)
    try:
        client.sendall(b"PING\r\n")
        return client.recv(100) == b"+PONG\r\n"
    except (TimeoutError, ConnectionError):
        return False


def served_of(clients: list[socket.socket]) -> list[socket.socket]:
    """Those of some clients who are answered, asked all at once."""
    for client in clients:
        with suppress(ConnectionError):
            client.sendall(b"PING\r\n")
    served: list[socket.socket] = []
    waiting = set(clients)
    while told := select.select(waiting, [], [], 1)[0]:
        waiting.difference_update(told)
        for client in told:
            with suppress(ConnectionError):
                if client.recv(100) == b"+PONG\r\n":
                    served.append(client)
    return served


def cpu_s(process_id: int) -> float:
    """How long a process has computed."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def ports() -> list[str]:
    return ["serve", "--port", "0", "--http-port", "0"]


@pytest.fixture(params=[COMMAND, ON_ASYNCIO], ids=["default loop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(*ports(), command=request.param)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def test_a_server_without_descriptors_goes_on_when_clients_leave(server: Running) -> None:
    process_id = server.process.pid
    with ExitStack() as stack:
        first = stack.enter_context(connected(server.port))
        assert is_served(first)
        used = len(os.listdir(f"/proc/{process_id}/fd"))
        hard = resource.prlimit(process_id, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(process_id, resource.RLIMIT_NOFILE, (used + SPARE, hard))
        others = [stack.enter_context(connected(server.port)) for _ in range(4 * SPARE)]
        served = served_of(others)
        assert 0 < len(served) <= SPARE
        # while others wait at the door it neither ends nor does it compute all the time
        before_s = cpu_s(process_id)
        time.sleep(2)
        assert cpu_s(process_id) - before_s < 1
        assert is_served(first)
        for client in others:
            client.close()
        ends = time.monotonic() + 60
        last = stack.enter_context(connected(server.port))
        while not is_served(last, 1) and time.monotonic() < ends:
            last = stack.enter_context(connected(server.port))
        assert is_served(last)
    assert server.end() == 0
    said = "".join(server.lines)
    assert said.count("no file descriptor is left: new connections are") == 1


@pytest.mark.parametrize("command", [COMMAND, ON_ASYNCIO], ids=["default loop", "asyncio"])
def test_clients_of_http_do_not_lock_out_those_of_resp(command: list[str]) -> None:
    start = ["/bin/sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *command]
    running = Running(*ports(), command=start)
    try:
        with ExitStack() as stack:
            idle = [stack.enter_context(connected(running.http_port)) for _ in range(150)]
            # the last of them is told so, and disconnected
            assert idle[-1].recv(100).startswith(b"HTTP/1.1 503 ")
            for _ in range(10):
                client = stack.enter_context(connected(running.port))
                client.sendall(b"PING\r\n")
                assert client.recv(100) == b"+PONG\r\n"
    finally:
        assert running.end() == 0
    said = "".join(running.lines)
    assert "Traceback" not in said
