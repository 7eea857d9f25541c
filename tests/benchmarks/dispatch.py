"""Processor time of one command inside `data_received`, without socket and event loop.

Goal: under 300 ns compiled, GET and SET, 64 commands in a buffer.
"""

from __future__ import annotations

import random
from time import process_time_ns

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.worker import Worker, check_build

DEPTH = 64
KEYS = 10_000
BUFFERS = 200
LIMIT_NS = 300.0
COMMANDS = ("SET", "GET")

METHOD = f"""
Processor time in nanoseconds a command. A connection is given the buffers that a client of
`redis-benchmark -r {KEYS} -d 100 -P {DEPTH}` sends, {DEPTH} commands each, by calls of its
`data_received`; its transport throws the replies away. So parsing, lookup, the command itself
and the reply are in the number, and the event loop and the system calls are not.
"""


class Transport:
    """A transport that lets go of what is written to it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return None if name == "socket" else ("127.0.0.1", 0)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass


class Measurer:
    """One build, in a worker."""

    def __init__(self) -> None:
        check_build()
        from cachestorm import Cache
        from cachestorm_server.net import Connection
        from cachestorm_server.server import RespServer

        self._connection = Connection(RespServer(Cache(max_memory="1gb")).endpoint)
        self._transport = Transport()
        self._connection.connection_made(self._transport)
        source = random.Random(1)
        self._buffers = {
            command: [buffer(command, source) for _ in range(BUFFERS)] for command in COMMANDS
        }
        for index in range(KEYS):
            self._connection.data_received(
                b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$100\r\n%s\r\n" % (index, b"x" * 100)
            )

    def measure(self, command: str, at_least_ms: float) -> float:
        """Nanoseconds of processor time a command."""
        return nanoseconds_a_call(lambda: self._receive(self._buffers[command]), at_least_ms)

    def _receive(self, buffers: list[bytes]) -> float:
        receive = self._connection.data_received
        self._transport.size = 0
        start = process_time_ns()
        for data in buffers:
            receive(data)
        spent = process_time_ns() - start
        assert self._transport.size >= BUFFERS * DEPTH * len(b"+OK\r\n")
        return spent / (BUFFERS * DEPTH)


def buffer(command: str, source: random.Random) -> bytes:
    """What a pipelining client sends at once: the same command with keys at random."""
    value = b"$100\r\n%s\r\n" % (b"x" * 100) if command == "SET" else b""
    count = 3 if command == "SET" else 2
    return b"".join(
        b"*%d\r\n$3\r\n%s\r\n$16\r\nkey:%012d\r\n%s"
        % (count, command.encode(), source.randrange(KEYS), value)
        for _ in range(DEPTH)
    )


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms = (3, 30.0) if quick else (15, 150.0)
    workers = {build: Worker("dispatch", build) for build in builds()}
    samples = {build: {command: Sample() for command in COMMANDS} for build in workers}
    try:
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}")
            for command in COMMANDS:
                for build, worker in workers.items():
                    samples[build][command].add(
                        worker.measure(command=command, at_least_ms=at_least_ms)
                    )
    finally:
        for worker in workers.values():
            worker.close()
    page = Page("dispatch", "One command inside data_received", METHOD)
    table = Table(["ns of CPU a command", *COMMANDS])
    for build, by_command in samples.items():
        table.add(build.subject, *(spread(sample) for sample in by_command.values()))
    page.tables.append(table)
    for command, sample in samples.get(Build.COMPILED, {}).items():
        goal = f"{command}, {DEPTH} in a buffer: under {number(LIMIT_NS)} ns"
        page.verdicts.append(
            Verdict(goal, f"{number(sample.median)} ns", sample.median < LIMIT_NS)
        )
    return page
