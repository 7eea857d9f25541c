"""How late answers are at half of the load that a server can bear, beside another server.

Called by the case `operating`. A client that waits for each answer before it asks again is kept
from asking by a server that is late, and so does not see that it is: here requests have times
of their own, and how late an answer is counts from the time of its request.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from time import perf_counter

from tests.benchmarks.servers import Server, spelled

CONNECTIONS = 50
KEYS = 1000
VALUE = b"x" * 100
# of so many requests one is a SET, the others are GETs
WRITES_ONE_IN = 10

# a request, and how many bytes its reply has
Exchange = tuple[bytes, int]


class Party(ExitStack):
    """Connections to a server that are used by turns."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        keys = [b"key:%d" % number for number in range(KEYS)]
        server.pipeline([(b"SET", key, VALUE) for key in keys])
        got = len(spelled([(VALUE,)])) - len(b"*1\r\n")
        self._exchanges: list[Exchange] = [
            (spelled([(b"SET", key, VALUE)]), len(b"+OK\r\n"))
            if number % WRITES_ONE_IN == 0
            else (spelled([(b"GET", key)]), got)
            for number, key in enumerate(keys)
        ]
        self._selector = self.enter_context(selectors.DefaultSelector())
        self._clients: list[socket.socket] = []
        # of each connection what is to come: when it was due, and its bytes
        self._awaited: dict[socket.socket, deque[tuple[float, int]]] = {}
        self._surplus: dict[socket.socket, int] = {}
        for _ in range(CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.append(self.enter_context(client))
            self._selector.register(client, selectors.EVENT_READ)
            self._awaited[client] = deque()
            self._surplus[client] = 0

    def highest_rate(self, for_s: float) -> float:
        """Requests a second when each connection always has one under way."""
        number = 0
        began = perf_counter()
        for client in self._clients:
            self._ask(client, number, began)
            number += 1
        answered = 0
        while perf_counter() - began < for_s:
            for client, _late_s in self._answers():
                answered += 1
                self._ask(client, number, began)
                number += 1
        rate = answered / (perf_counter() - began)
        self._take_the_rest()
        return rate

    def delays_at(self, rate: float, for_s: float) -> list[float]:
        """Seconds from when each request was due to its answer, sorted."""
        delays: list[float] = []
        wanted = int(rate * for_s)
        number = 0
        began = perf_counter()
        while len(delays) < wanted:
            now = perf_counter()
            while number < wanted and (due := began + number / rate) <= now:
                self._ask(self._clients[number % CONNECTIONS], number, due)
                number += 1
            delays += [late_s for _client, late_s in self._answers()]
        return sorted(delays)

    def _ask(self, client: socket.socket, number: int, due: float) -> None:
        request, size = self._exchanges[number % KEYS]
        self._awaited[client].append((due, size))
        client.sendall(request)

    def _answers(self) -> list[tuple[socket.socket, float]]:
        """What has come by now: on which connection, and how late."""
        found = []
        # not for a millisecond: that is the least that a selector waits
        for key, _events in self._selector.select(0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            received = client.recv(65536)
            if not received:
                raise ConnectionError("the server disconnected")
            now = perf_counter()
            size = self._surplus[client] + len(received)
            awaited = self._awaited[client]
            while awaited and awaited[0][1] <= size:
                due, taken = awaited.popleft()
                size -= taken
                found.append((client, now - due))
            self._surplus[client] = size
        return found

    def _take_the_rest(self) -> None:
        while any(self._awaited.values()):
            self._answers()


def percentile(ordered: Sequence[float], share: float) -> float:
    """What such a share of sorted values is not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
