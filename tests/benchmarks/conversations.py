"""Conversations: transactions, messages and waiting, beside redis-server and Valkey.

Goals, compiled, of what redis-server does in a second: 0.7 of the transactions, 0.8 of the
messages, 0.9 of the elements that are handed to a client that waits.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.page import Page, Table, Verdict, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server, spelled
from tests.benchmarks.wire import start_servers

WRITES = 14
VALUE = b"x" * 100
MESSAGE = b"m" * 100
# so many transactions or messages are sent in one piece
PIECE = 16

METHOD = f"""
What happens in a second. All servers run at the same time, on this machine, without
persistence, and are measured in turn, so that all but one are idle. The client is this
process: it sends bytes that were spelled beforehand and counts the bytes that come back, so
it costs little, and the same for every server; it takes one processor and the server another.

* *transaction*: one connection sends MULTI, {WRITES} SET of {len(VALUE)} bytes and EXEC in one
  piece and waits for the replies; *{PIECE} at once*: so many of them in one piece.
* *messages*: one connection publishes messages of {len(MESSAGE)} bytes, {PIECE} in a piece, to
  one channel, and every subscriber has them before the next piece. Counted are messages that
  arrive: with 100 subscribers, 100 for each PUBLISH.
* *hand-over*: of two connections one waits in BLPOP, the other pushes by RPUSH; then they
  change places.

*server CPU* is the processor time of the server process for each of what is counted, system
calls included. The ratio is that of the medians.
"""


@dataclass(frozen=True)
class Case:
    """One kind of conversation.

    Attributes:
        name: in the tables.
        run: has the conversation so many times; returns how many things happened, for each
            of which a rate is told.
        times: of one round; the pure build has a quarter of them.
        goal: what part of redis-server's rate is to be reached.
    """

    name: str
    run: Callable[[Server, int], int]
    times: int
    goal: float


class Client:
    """A connection that sends bytes and counts those that come."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 20)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, request: bytes) -> None:
        """Sends, and waits for nothing."""
        self.socket.sendall(request)

    def receive(self) -> int:
        """Takes what has come, or waits for something. Returns how many bytes there were.

        Raises:
            ConnectionError: when the server has disconnected.
        """
        size = self.socket.recv_into(self._buffer)
        if size == 0:
            raise ConnectionError("the server disconnected")
        return size

    def take(self, size: int) -> None:
        """Waits until so many bytes have come."""
        while size > 0:
            size -= self.receive()
        assert size == 0, "the server sent more than was expected"


def transactions(server: Server, times: int, at_once: int) -> int:
    """Transactions, so many in a piece."""
    writes = [(b"SET", b"key:%d" % number, VALUE) for number in range(WRITES)]
    piece = spelled([(b"MULTI",), *writes, (b"EXEC",)] * at_once)
    queued = b"+OK\r\n" + b"+QUEUED\r\n" * WRITES
    done = b"*%d\r\n" % WRITES + b"+OK\r\n" * WRITES
    with Client(server) as client:
        for _ in range(times):
            client.send(piece)
            client.take(at_once * len(queued + done))
    return times * at_once


def messages(server: Server, times: int, subscribers: int) -> int:
    """Pieces of messages from one publisher to so many subscribers."""
    piece = spelled([(b"PUBLISH", b"news", MESSAGE)] * PIECE)
    replies = PIECE * len(b":%d\r\n" % subscribers)
    told = PIECE * len(spelled([(b"message", b"news", MESSAGE)]))
    begun = len(spelled([(b"subscribe", b"news")])) + len(b":1\r\n")
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        listeners = [stack.enter_context(Client(server)) for _ in range(subscribers)]
        for listener in listeners:
            listener.send(spelled([(b"SUBSCRIBE", b"news")]))
            listener.take(begun)
            ready.register(listener.socket, selectors.EVENT_READ, listener)
        publisher = stack.enter_context(Client(server))
        for _ in range(times):
            publisher.send(piece)
            missing = subscribers * told
            while missing > 0:
                for key, _events in ready.select():
                    missing -= key.data.receive()
            assert missing == 0, "more was published than was sent"
            publisher.take(replies)
    return times * PIECE * subscribers


def hand_overs(server: Server, times: int) -> int:
    """Elements that are pushed to a connection that waits, there and back."""
    push = spelled([(b"RPUSH", b"queue", VALUE)])
    wait = spelled([(b"BLPOP", b"queue", b"0")])
    given = len(spelled([(b"queue", VALUE)]))
    with Client(server) as one, Client(server) as other:
        waiting, pushing = one, other
        for _ in range(times):
            waiting.send(wait)
            pushing.send(push)
            pushing.take(len(b":1\r\n"))
            waiting.take(given)
            waiting, pushing = pushing, waiting
    return times


CASES = (
    Case("transaction", lambda server, times: transactions(server, times, 1), 6_000, 0.7),
    Case(
        f"transaction, {PIECE} at once",
        lambda server, times: transactions(server, times, PIECE),
        800,
        0.7,
    ),
    Case("messages, 1 subscriber", lambda server, times: messages(server, times, 1), 4000, 0.8),
    Case(
        "messages, 100 subscribers",
        lambda server, times: messages(server, times, 100),
        300,
        0.8,
    ),
    Case("hand-over", hand_overs, 12_000, 0.9),
)


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer times and rounds.
        progress: told of each step.
    """
    rounds, share = (1, 8) if quick else (7, 1)
    page = Page("conversations", "Transactions, messages and waiting", METHOD)
    with ExitStack() as stack:
        servers = start_servers(stack, page)
        rates = {name: {case: Sample() for case in CASES} for name in servers}
        cpu_us = {name: {case: Sample() for case in CASES} for name in servers}
        for turn in range(rounds):
            for case in CASES:
                for name, server in servers.items():
                    progress.step(f"round {turn + 1} of {rounds}, {case.name}, {name}")
                    times = case.times // share // (4 if name == Build.PURE.subject else 1)
                    before, start = cpu_seconds(server.process_id), perf_counter()
                    count = case.run(server, times)
                    spent_s = perf_counter() - start
                    rates[name][case].add(count / spent_s)
                    cpu_us[name][case].add(
                        (cpu_seconds(server.process_id) - before) / count * 1e6
                    )
    tell(page, rates, cpu_us)
    return page


def tell(
    page: Page,
    rates: dict[str, dict[Case, Sample]],
    cpu_us: dict[str, dict[Case, Sample]],
) -> None:
    """Draws the tables and the verdicts."""
    header = [case.name for case in CASES]
    table = Table(["a second", *header])
    for name, samples in rates.items():
        table.add(name, *(spread(sample) for sample in samples.values()))
    ratios = Table(["ratio", *header])
    for build in builds():
        for peer in ("redis-server", "Valkey"):
            ours, theirs = rates.get(build.subject), rates.get(peer)
            if ours is None or theirs is None:
                continue
            by_case = {case: ours[case].median / theirs[case].median for case in CASES}
            ratios.add(
                f"{build.subject} / {peer}", *(f"{ratio:.2f}" for ratio in by_case.values())
            )
            if build is Build.COMPILED and peer == "redis-server":
                for case, ratio in by_case.items():
                    goal = f"{case.name}: {case.goal} of {peer}"
                    page.verdicts.append(Verdict(goal, f"{ratio:.2f}", ratio >= case.goal))
    cpu = Table(["server CPU, µs", *header])
    for name, samples in cpu_us.items():
        cpu.add(name, *(spread(sample) for sample in samples.values()))
    page.tables += [table, ratios, cpu]
