"""Conversations: what takes several commands or clients, beside redis-server and Valkey.

Goals, compiled, of what redis-server does in a second: 0.7 of the transactions, 0.8 of the
messages, 0.9 of the elements that are handed to a client that waits, 0.5 of the scripts, 0.7 of
the SETs of keys that somebody tracks.
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
TRACKED = 10_000

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
* *script*: EVAL of a script with two calls, by one connection; *{PIECE} at once*: in one piece.
* *tracked SET*: one connection has read {TRACKED:,} keys under CLIENT TRACKING; another sets
  each of them once, {PIECE} in a piece, and the first is told of all before the next piece. The
  reading does not count.

*server CPU* is the processor time of the server process for each of what is counted, system
calls included. The ratio is that of the medians.
"""


class Watch:
    """Adds up the time that is spent in its block, and the server's processor time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    def __enter__(self) -> None:
        self.cpu_seconds -= cpu_seconds(self._server.process_id)
        self.seconds -= perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds += perf_counter()
        self.cpu_seconds += cpu_seconds(self._server.process_id)


@dataclass(frozen=True)
class Case:
    """One kind of conversation.

    Attributes:
        name: in the tables.
        run: has the conversation so many times, under the watch what counts; returns how many
            things happened, for each of which a rate is told.
        times: of one round; the pure build has a quarter of them.
        goal: what part of redis-server's rate is to be reached.
    """

    name: str
    run: Callable[[Server, int, Watch], int]
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

    def take_until(self, end: bytes) -> None:
        """Waits until what has come ends so."""
        come = b""
        while not come.endswith(end):
            come += bytes(self._buffer[: self.receive()])


def transactions(server: Server, times: int, watch: Watch, at_once: int) -> int:
    """Transactions, so many in a piece."""
    writes = [(b"SET", b"key:%d" % number, VALUE) for number in range(WRITES)]
    piece = spelled([(b"MULTI",), *writes, (b"EXEC",)] * at_once)
    queued = b"+OK\r\n" + b"+QUEUED\r\n" * WRITES
    done = b"*%d\r\n" % WRITES + b"+OK\r\n" * WRITES
    with Client(server) as client, watch:
        for _ in range(times):
            client.send(piece)
            client.take(at_once * len(queued + done))
    return times * at_once


def messages(server: Server, times: int, watch: Watch, subscribers: int) -> int:
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
        stack.enter_context(watch)
        for _ in range(times):
            publisher.send(piece)
            missing = subscribers * told
            while missing > 0:
                for key, _events in ready.select():
                    missing -= key.data.receive()
            assert missing == 0, "more was published than was sent"
            publisher.take(replies)
    return times * PIECE * subscribers


def hand_overs(server: Server, times: int, watch: Watch) -> int:
    """Elements that are pushed to a connection that waits, there and back."""
    push = spelled([(b"RPUSH", b"queue", VALUE)])
    wait = spelled([(b"BLPOP", b"queue", b"0")])
    given = len(spelled([(b"queue", VALUE)]))
    with Client(server) as one, Client(server) as other, watch:
        waiting, pushing = one, other
        for _ in range(times):
            waiting.send(wait)
            pushing.send(push)
            pushing.take(len(b":1\r\n"))
            waiting.take(given)
            waiting, pushing = pushing, waiting
    return times


SCRIPT = b"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"


def scripts(server: Server, times: int, watch: Watch, at_once: int) -> int:
    """Scripts of two calls, so many in a piece."""
    piece = spelled([(b"EVAL", SCRIPT, b"1", b"key", VALUE)] * at_once)
    answers = at_once * (len(spelled([(VALUE,)])) - len(b"*1\r\n"))
    with Client(server) as client, watch:
        for _ in range(times):
            client.send(piece)
            client.take(answers)
    return times * at_once


def tracked_sets(server: Server, times: int, watch: Watch) -> int:
    """SETs of keys that another connection has read, so many rounds of all of them."""
    keys = [b"key:%05d" % number for number in range(TRACKED)]
    pieces = [keys[at : at + PIECE] for at in range(0, TRACKED, PIECE)]
    got = len(spelled([(VALUE,)])) - len(b"*1\r\n")
    told = len(b">2\r\n$10\r\ninvalidate\r\n" + spelled([(keys[0],)]))
    done = len(b"+OK\r\n")
    with Client(server) as near, Client(server) as writer:
        server.pipeline([(b"SET", key, VALUE) for key in keys])
        near.send(
            spelled([(b"HELLO", b"3"), (b"CLIENT", b"TRACKING", b"ON"), (b"ECHO", b"end")])
        )
        near.take_until(b"$3\r\nend\r\n")
        writes = [
            (len(piece), spelled([(b"SET", key, VALUE) for key in piece])) for piece in pieces
        ]
        for _ in range(times):
            for piece in pieces:
                near.send(spelled([(b"GET", key) for key in piece]))
                near.take(len(piece) * got)
            with watch:
                for count, write in writes:
                    writer.send(write)
                    writer.take(count * done)
                    near.take(count * told)
    return times * TRACKED


CASES = (
    Case(
        "transaction",
        lambda server, times, watch: transactions(server, times, watch, 1),
        6_000,
        0.7,
    ),
    Case(
        f"transaction, {PIECE} at once",
        lambda server, times, watch: transactions(server, times, watch, PIECE),
        800,
        0.7,
    ),
    Case(
        "messages, 1 subscriber",
        lambda server, times, watch: messages(server, times, watch, 1),
        4000,
        0.8,
    ),
    Case(
        "messages, 100 subscribers",
        lambda server, times, watch: messages(server, times, watch, 100),
        300,
        0.8,
    ),
    Case("hand-over", hand_overs, 12_000, 0.9),
    Case("script", lambda server, times, watch: scripts(server, times, watch, 1), 12_000, 0.5),
    Case(
        f"script, {PIECE} at once",
        lambda server, times, watch: scripts(server, times, watch, PIECE),
        2_000,
        0.5,
    ),
    Case("tracked SET", tracked_sets, 8, 0.7),
)


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer times and rounds.
        progress: told of each step.
    """
    rounds, share = (1, 8) if quick else (7, 1)
    page = Page(
        "conversations", "Transactions, messages, waiting, scripts and tracking", METHOD
    )
    with ExitStack() as stack:
        servers = start_servers(stack, page)
        rates = {name: {case: Sample() for case in CASES} for name in servers}
        cpu_us = {name: {case: Sample() for case in CASES} for name in servers}
        for turn in range(rounds):
            for case in CASES:
                for name, server in servers.items():
                    progress.step(f"round {turn + 1} of {rounds}, {case.name}, {name}")
                    times = case.times // share // (4 if name == Build.PURE.subject else 1)
                    watch = Watch(server)
                    count = case.run(server, max(times, 1), watch)
                    rates[name][case].add(count / watch.seconds)
                    cpu_us[name][case].add(watch.cpu_seconds / count * 1e6)
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
