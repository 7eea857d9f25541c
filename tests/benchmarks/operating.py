"""What operating a server costs: users, plugins, TLS, idle clients, large values, half load.

Goals, compiled: with slow log, statistics, metrics and a user of key patterns at most 3 % more
time a command than with all of it off, of which a user that may use all keys has no part; 150
ns a key for patterns, and for a hook before commands; over TLS 0.8 of redis-server's rate;
20 KB for an idle client; nobody waits for 100 ms for a value of 100 MB; at half of the load
that is borne, 99 of 100 answers come within 1.5 of redis-server's time.
"""

from __future__ import annotations

import csv
import io
import resource
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time_ns, sleep

from cachestorm.plugins import Call, hookimpl
from tests.benchmarks.builds import Build, builds
from tests.benchmarks.dispatch import Transport
from tests.benchmarks.half_load import CONNECTIONS, VALUE, Party, percentile
from tests.benchmarks.machine import redis_benchmark, redis_server, resident_bytes
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import IN_MEMORY, Server, free_port, spelled
from tests.benchmarks.worker import Worker, check_build

DEPTH = 16
BUFFERS = 500
CLIENTS, QUICK_CLIENTS = 10_000, 1000
LARGE_BYTES, QUICK_LARGE_BYTES = 100 << 20, 10 << 20
# between two looks of the one who waits beside the large value
LOOK_EVERY_S = 0.001
REQUESTS, QUICK_REQUESTS = 400_000, 50_000

MOST_MORE = 1.03
MOST_NS = 150.0
TLS_GOAL = 0.8
MOST_CLIENT_KB = 20.0
LONGEST_WAIT_MS = 100.0
MOST_LATE = 1.5

METHOD = f"""
*Commands*: processor time in nanoseconds a command, a SET of 100 bytes or a GET, {DEPTH} in a
piece, by calls of a connection's `data_received`, without event loop and system calls. One
process has a connection to each of several endpoints, which differ in what is switched on, and
takes turns between them.

| what is on | |
| --- | --- |
| nothing | no slow log, no statistics |
| defaults | slow log and statistics, from which the metrics are drawn |
| `~*` | the same, by a user `on nopass ~* +@all` |
| patterns | the same, by a user `on nopass ~app:* ~key:* ~other:* +@all` |
| a hook | the defaults, and a plugin whose `before_command` does nothing |

*TLS*: `redis-benchmark --tls -P {DEPTH} -c 50 -r 10000 -d 100 -t set,get`, requests a
second, of both servers in turn with the same certificate.

*Idle clients*: by how much the resident set of the server grows with {CLIENTS:,} connections
that have each sent one PING, divided by their number; the sockets' own memory is the system's.

*A large value*: a connection sets a value of {LARGE_BYTES >> 20} MB and reads it, another one
sends PING each millisecond meanwhile; shown is its longest wait for an answer.

*Half load*: {CONNECTIONS} connections, nine GETs for a SET of {len(VALUE)} bytes. The highest
rate is what this client, a process of Python, gets out of a server when each connection always
has a request under way. Then requests are sent at half of the lower one, the same rate for
both, at times of their own: an answer is late from the time at which its request was due.
"""

OFF, ON, ALL_KEYS, PATTERNS, HOOK = "nothing", "defaults", "`~*`", "patterns", "a hook"
SET = (b"SET", b"key:000000000001", b"x" * 100)
GET = (b"GET", b"key:000000000001")
COMMANDS = {"SET": SET, "GET": GET}
USERS = {ALL_KEYS: "~*", PATTERNS: "~app:* ~key:* ~other:*"}


SETTINGS: dict[str, str] = {
    OFF: "plugins: {stats: {enabled: false}, slowlog: {enabled: false}}",
    HOOK: "plugins: {bench: {path: 'tests.benchmarks.operating:NothingBefore'}}",
}
PING, PONG = b"PING\r\n", b"+PONG\r\n"


class NothingBefore:
    """A plugin that lets all commands pass."""

    @hookimpl
    def before_command(self, call: Call) -> None:
        """Refuses nothing."""


class Measurer:
    """One build, in a worker."""

    def __init__(self) -> None:
        check_build()
        self._receivers = {name: receiver(name) for name in (OFF, ON, ALL_KEYS, PATTERNS, HOOK)}
        self._pieces = {name: spelled([command] * DEPTH) for name, command in COMMANDS.items()}

    def measure(self, command: str, at_least_ms: float) -> dict[str, float]:
        """Nanoseconds a command by what is on; passes take turns, and the fastest counts."""
        piece = self._pieces[command]
        fastest = dict.fromkeys(self._receivers, float("inf"))
        end = perf_counter_ns() + int(at_least_ms * 1e6)
        while perf_counter_ns() < end:
            for name, receive in self._receivers.items():
                start = process_time_ns()
                for _ in range(BUFFERS):
                    receive(piece)
                spent = (process_time_ns() - start) / (BUFFERS * DEPTH)
                fastest[name] = min(fastest[name], spent)
        return fastest


def receiver(name: str) -> Callable[[bytes], object]:
    """The `data_received` of a connection to a server where this is on."""
    from cachestorm_server.app import Application
    from cachestorm_server.config import load
    from cachestorm_server.net import Connection

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "cachestorm.yaml")
        file.write_text(SETTINGS.get(name, ""), "utf-8")
        endpoint = Application(load(str(file), {})).resp.endpoint
    connection = Connection(endpoint)
    connection.connection_made(Transport())  # type: ignore[arg-type]
    if name in USERS:
        rules = f"ACL SETUSER ann on nopass {USERS[name]} +@all\r\nAUTH ann any\r\n"
        connection.data_received(rules.encode())
    connection.data_received(spelled([SET]))
    return connection.data_received


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds, fewer clients and a smaller value.
        progress: told of each step.
    """
    page = Page("operating", "What operating a server costs", METHOD)
    commands(page, progress, (1, 100.0) if quick else (9, 1000.0))
    compiled = Build.COMPILED
    if not compiled.is_there:
        page.missing.append("TLS, idle clients and large values: there is no compiled build")
        return page
    over_tls(page, progress, (1, QUICK_REQUESTS) if quick else (5, REQUESTS))
    progress.step("idle clients")
    idle_clients(page, QUICK_CLIENTS if quick else CLIENTS)
    rounds, size = (1, QUICK_LARGE_BYTES) if quick else (5, LARGE_BYTES)
    large_value(page, progress, rounds, size)
    half_load(page, progress, (1, 1.0) if quick else (7, 4.0))
    return page


def commands(page: Page, progress: Progress, effort: tuple[int, float]) -> None:
    """Times commands by what is on, in so many rounds of so many milliseconds."""
    rounds, at_least_ms = effort
    workers = {build: Worker("operating", build) for build in builds()}
    samples: dict[tuple[Build, str], dict[str, Sample]] = {}
    try:
        for turn in range(rounds):
            for command in COMMANDS:
                for build, worker in workers.items():
                    progress.step(f"round {turn + 1} of {rounds}, {command}, {build.value}")
                    found = worker.measure(command=command, at_least_ms=at_least_ms)
                    by_name = samples.setdefault((build, command), {})
                    for name, spent in found.items():
                        by_name.setdefault(name, Sample()).add(spent)
    finally:
        for worker in workers.values():
            worker.close()
    table = Table(["ns of CPU a command", OFF, ON, ALL_KEYS, PATTERNS, HOOK])
    for (build, command), by_name in samples.items():
        table.add(f"{build.subject}, {command}", *(spread(each) for each in by_name.values()))
        if build is Build.COMPILED:
            judge(page, command, {name: each.median for name, each in by_name.items()})
    page.tables.append(table)


def judge(page: Page, command: str, spent: dict[str, float]) -> None:
    """Says of a command what came of the goals."""
    goals = [
        (f"the defaults: at most {MOST_MORE} of the time with nothing on", ON, OFF, MOST_MORE),
        (f"a user of `~*`: at most {MOST_MORE} of the time without", ALL_KEYS, ON, MOST_MORE),
    ]
    for goal, costs, base, most in goals:
        ratio = spent[costs] / spent[base]
        page.verdicts.append(Verdict(f"{command}, {goal}", f"{ratio:.2f}", ratio <= most))
    for what, costs in (("a user of key patterns", PATTERNS), ("a hook", HOOK)):
        more = spent[costs] - spent[ON]
        goal = f"{command}, {what}: at most {number(MOST_NS)} ns more"
        page.verdicts.append(Verdict(goal, f"{number(more)} ns", more <= MOST_NS))


def over_tls(page: Page, progress: Progress, effort: tuple[int, int]) -> None:
    """Compares rates over TLS, in so many rounds of so many requests."""
    rounds, requests = effort
    tool, peer = redis_benchmark(), redis_server()
    try:
        import trustme
    except ImportError:
        trustme = None
    if tool is None or peer is None or trustme is None:
        page.missing.append("TLS: redis-server, redis-benchmark or trustme is not installed")
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        authority = trustme.CA()
        names = {kind: str(Path(folder, kind)) for kind in ("ca", "cert", "key")}
        issued = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(names["ca"])
        issued.cert_chain_pems[0].write_to_path(names["cert"])
        issued.private_key_pem.write_to_path(names["key"])
        flags = ["--tls-cert-file", names["cert"], "--tls-key-file", names["key"]]
        ports = {"CacheStorm": free_port(), "redis-server": free_port()}
        ours = ["--tls-port", str(ports["CacheStorm"]), *flags]
        theirs = ["--tls-port", str(ports["redis-server"]), *flags]
        theirs += ["--tls-ca-cert-file", names["ca"], "--tls-auth-clients", "no"]
        stack.enter_context(Server.of_cachestorm(Build.COMPILED, *ours))
        stack.enter_context(Server([str(peer), *IN_MEMORY, *theirs, "--port"]))
        load = [str(tool), "--tls", "--cacert", names["ca"], "-P", str(DEPTH), "-c", "50"]
        load += ["-r", "10000", "-d", "100", "-t", "set,get", "-n", str(requests), "--csv"]
        rates: dict[str, dict[str, Sample]] = {name: {} for name in ports}
        for turn in range(rounds):
            for name, port in ports.items():
                progress.step(f"round {turn + 1} of {rounds}, TLS, {name}")
                command = [*load, "-p", str(port)]
                done = subprocess.run(
                    command, capture_output=True, text=True, check=True, timeout=600
                )
                for row in csv.DictReader(io.StringIO(done.stdout)):
                    rates[name].setdefault(row["test"], Sample()).add(float(row["rps"]))
    table = Table(["requests a second over TLS", *COMMANDS])
    for name, by_command in rates.items():
        table.add(name, *(spread(by_command[command]) for command in COMMANDS))
    page.tables.append(table)
    for command in COMMANDS:
        ratio = rates["CacheStorm"][command].median / rates["redis-server"][command].median
        goal = f"{command} over TLS: {TLS_GOAL} of redis-server"
        page.verdicts.append(Verdict(goal, f"{ratio:.2f}", ratio >= TLS_GOAL))


def idle_clients(page: Page, count: int) -> None:
    """Weighs a server by what idle clients add to it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = count + 100
    if hard < room:
        page.missing.append(f"{count} idle clients: ulimit -Hn is {hard}")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, room), hard))
    table = Table(["KB a client", "resident", "idle clients"])
    peer = redis_server()
    with ExitStack() as stack:
        limit = ("--max-connections", str(room))
        servers = {
            "CacheStorm": stack.enter_context(Server.of_cachestorm(Build.COMPILED, *limit))
        }
        if peer is not None:
            start = [str(peer), *IN_MEMORY, "--maxclients", str(room), "--port"]
            servers["redis-server"] = stack.enter_context(Server(start))
        for name, server in servers.items():
            before = resident_bytes(server.process_id)
            with ExitStack() as opened:
                for _ in range(count):
                    client = opened.enter_context(connected(server.port))
                    client.sendall(PING)
                    assert client.recv(100) == PONG
                more = resident_bytes(server.process_id) - before
            table.add(name, number(more / count / 1000), f"{count:,}")
            if name == "CacheStorm":
                kilobytes = more / count / 1000
                goal = f"an idle client: under {number(MOST_CLIENT_KB)} KB"
                measured = f"{number(kilobytes)} KB"
                page.verdicts.append(Verdict(goal, measured, kilobytes < MOST_CLIENT_KB))
    page.tables.append(table)


def connected(port: int) -> socket.socket:
    """A client."""
    return socket.create_connection(("127.0.0.1", port), 60)


def large_value(page: Page, progress: Progress, rounds: int, size: int) -> None:
    """Sets and reads a large value, and has another client wait beside."""
    waits: dict[str, dict[str, Sample]] = {}
    peer = redis_server()
    with ExitStack() as stack:
        servers = {"CacheStorm": stack.enter_context(Server.of_cachestorm(Build.COMPILED))}
        if peer is not None:
            servers["redis-server"] = stack.enter_context(Server.of_redis(peer))
        for turn in range(rounds):
            for name, server in servers.items():
                progress.step(f"round {turn + 1} of {rounds}, a large value, {name}")
                found = waits.setdefault(name, {"set": Sample(), "read": Sample()})
                with connected(server.port) as busy:
                    request = b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n" % size
                    pieces = [request, bytes(size), b"\r\n"]
                    found["set"].add(longest_wait(server, busy, pieces, len(b"+OK\r\n")))
                    answer = len(b"$%d\r\n\r\n" % size) + size
                    read = [b"GET large\r\n"]
                    found["read"].add(longest_wait(server, busy, read, answer))
    table = Table([f"ms another client waits, {size >> 20} MB", "set", "read"])
    for name, found in waits.items():
        table.add(name, *(spread(each) for each in found.values()))
    page.tables.append(table)
    for what, sample in waits["CacheStorm"].items():
        goal = (
            f"a value of {size >> 20} MB {what}: nobody waits for {number(LONGEST_WAIT_MS)} ms"
        )
        measured = f"{number(sample.median)} ms"
        page.verdicts.append(Verdict(goal, measured, sample.median < LONGEST_WAIT_MS))


def half_load(page: Page, progress: Progress, effort: tuple[int, float]) -> None:
    """Compares how late answers are, in so many rounds of so many seconds."""
    rounds, for_s = effort
    peer = redis_server()
    if peer is None:
        page.missing.append("half load: redis-server is not installed")
        return
    with ExitStack() as stack:
        servers = {
            "CacheStorm": Server.of_cachestorm(Build.COMPILED),
            "redis-server": Server.of_redis(peer),
        }
        parties = {
            name: stack.enter_context(Party(stack.enter_context(server)))
            for name, server in servers.items()
        }
        highest = {name: Sample() for name in parties}
        halves = {name: Sample() for name in parties}
        late = {name: Sample() for name in parties}
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}, half load")
            for name, party in parties.items():
                highest[name].add(party.highest_rate(for_s / 4))
            rate = min(sample.rounds[-1] for sample in highest.values()) / 2
            for name, party in parties.items():
                delays = party.delays_at(rate, for_s)
                halves[name].add(percentile(delays, 0.5) * 1e6)
                late[name].add(percentile(delays, 0.99) * 1e6)
    table = Table(["at half load", "highest rate", "median, µs", "p99, µs"])
    for name in parties:
        table.add(name, spread(highest[name]), spread(halves[name]), spread(late[name]))
    page.tables.append(table)
    ratio = late["CacheStorm"].median / late["redis-server"].median
    goal = f"p99 at half load: at most {MOST_LATE} of redis-server's"
    page.verdicts.append(Verdict(goal, f"{ratio:.2f}", ratio <= MOST_LATE))


def longest_wait(
    server: Server, busy: socket.socket, pieces: list[bytes], answer: int
) -> float:
    """Milliseconds that another client waits at most while one is answered.

    Args:
        pieces: what the one sends.
        answer: how many bytes it is answered.
    """
    longest = 0.0
    is_over = threading.Event()

    def talk() -> None:
        for piece in pieces:
            busy.sendall(piece)
        left, buffer = answer, bytearray(1 << 20)
        while left:
            left -= busy.recv_into(buffer)
        is_over.set()

    with connected(server.port) as other:
        talker = threading.Thread(target=talk)
        talker.start()
        while not is_over.is_set():
            start = perf_counter()
            other.sendall(PING)
            assert other.recv(100) == PONG
            longest = max(longest, perf_counter() - start)
            sleep(LOOK_EVERY_S)
        talker.join()
    return longest * 1000
