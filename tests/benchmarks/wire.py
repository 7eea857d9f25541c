"""The wire: redis-benchmark against CacheStorm, redis-server and Valkey in turn.

Goals: compiled, the geometric mean of the ratios over ten commands at all depths of pipelining
is 0.9 or better and none is below 0.6, and over SET and GET 0.95; pure, 0.85 over SET and GET
at a depth of one.
"""

from __future__ import annotations

import csv
import io
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.machine import cpu_seconds, redis_benchmark, redis_server, valkey_server
from tests.benchmarks.page import Page, Table, Verdict, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, geometric_mean
from tests.benchmarks.servers import Server

DEPTHS = (1, 16, 64)
# as redis-benchmark is asked for them, and as it calls them
COMMANDS = {
    "set": "SET",
    "get": "GET",
    "incr": "INCR",
    "lpush": "LPUSH",
    "rpop": "RPOP",
    "sadd": "SADD",
    "hset": "HSET",
    "zadd": "ZADD",
    "mset": "MSET (10 keys)",
    "lrange_100": "LRANGE_100 (first 100 elements)",
}
PLAIN = ("SET", "GET")
PLAIN_COMMANDS = [command.lower() for command in PLAIN]
CLIENTS, KEYS, VALUE_BYTES = 50, 10_000, 100
COMPILED_GOAL = 0.9
LEAST_GOAL = 0.6
PLAIN_GOAL = 0.95
PURE_GOAL = 0.85

# requests of one run of a command at each depth
REQUESTS = {1: 40_000, 16: 300_000, 64: 500_000}
QUICK_REQUESTS = {1: 10_000, 16: 50_000, 64: 100_000}
# pipelined, the pure build would take most of the time of the case
PURE_SHARE = 5

METHOD = f"""
`redis-benchmark -c {CLIENTS} -r {KEYS} -d {VALUE_BYTES} -t {",".join(COMMANDS)} -P <depth>`,
requests a second. All servers run at the same time, on this machine, without persistence and
with nothing else to do, and are measured in turn, so that all but one are idle; each is emptied
before, and asked for a tenth of the requests, which nobody counts. The client takes one
processor and the server another, on the same two cores. The pure build is asked for SET and GET
only. *server CPU* is the processor time of the server process over SET and GET divided by their
requests, system calls included. The ratio is that of the medians; a mean is geometric.
"""

Key = tuple[str, int]


def load(
    tool: Path, port: int, depth: int, requests: int, commands: Sequence[str]
) -> dict[str, float]:
    """Requests a second of some commands, by their names in tables.

    Args:
        commands: keys of `COMMANDS`.

    Raises:
        subprocess.CalledProcessError: when redis-benchmark gives up.
    """
    command = [str(tool), "-p", str(port), "-c", str(CLIENTS), "-r", str(KEYS)]
    command += [
        "-d",
        str(VALUE_BYTES),
        "-t",
        ",".join(commands),
        "-P",
        str(depth),
        "-n",
        str(requests),
    ]
    output = subprocess.run(
        [*command, "--csv"], capture_output=True, text=True, check=True, timeout=300
    ).stdout
    rates = {row["test"]: float(row["rps"]) for row in csv.DictReader(io.StringIO(output))}
    return {name_of(command): rates[COMMANDS[command]] for command in commands}


def empty(port: int) -> None:
    """Removes all keys of a server."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(b"FLUSHALL\r\n")
        assert client.recv(16) == b"+OK\r\n"


def name_of(command: str) -> str:
    """What a table calls a command of redis-benchmark."""
    return command.upper()


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer requests and rounds.
        progress: told of each step.
    """
    rounds, requests = (1, QUICK_REQUESTS) if quick else (5, REQUESTS)
    page = Page("wire", "The wire", METHOD)
    tool = redis_benchmark()
    if tool is None:
        page.missing.append("all of it: redis-benchmark is not installed (package redis-tools)")
        return page
    with ExitStack() as stack:
        servers = start_servers(stack, page)
        rates: dict[str, dict[Key, Sample]] = {name: {} for name in servers}
        cpu_us: dict[str, dict[int, Sample]] = {name: {} for name in servers}
        for turn in range(rounds):
            for depth in DEPTHS:
                for name, server in list(servers.items()):
                    progress.step(f"round {turn + 1} of {rounds}, -P {depth}, {name}")
                    count = requests[depth]
                    if name == Build.PURE.subject and depth > 1:
                        count //= PURE_SHARE
                    others = [] if name == Build.PURE.subject else list(COMMANDS)[len(PLAIN) :]
                    empty(server.port)
                    try:
                        load(tool, server.port, depth, count // 10, [*PLAIN_COMMANDS, *others])
                        before = cpu_seconds(server.process_id)
                        measured = load(tool, server.port, depth, count, PLAIN_COMMANDS)
                        spent_s = cpu_seconds(server.process_id) - before
                        if others:
                            measured |= load(tool, server.port, depth, count, others)
                    except subprocess.SubprocessError as error:
                        page.missing.append(f"{name}: {error}")
                        del servers[name], rates[name], cpu_us[name]
                        continue
                    for command, rate in measured.items():
                        rates[name].setdefault((command, depth), Sample()).add(rate)
                    cpu_us[name].setdefault(depth, Sample()).add(
                        spent_s / (len(PLAIN) * count) * 1e6
                    )
    tell(page, rates, cpu_us)
    return page


def start_servers(
    stack: ExitStack, page: Page, ours: Sequence[Build] | None = None
) -> dict[str, Server]:
    """Starts every server there is; what cannot be started is noted in the page.

    Args:
        stack: ends them.
        page: of the case.
        ours: the builds to start; None for all there are.
    """
    servers = {}
    for build in builds() if ours is None else ours:
        try:
            servers[build.subject] = stack.enter_context(Server.of_cachestorm(build))
        except OSError as error:
            page.missing.append(f"{build.subject}: does not start ({error})")
    for name, path in (("redis-server", redis_server()), ("Valkey", valkey_server())):
        if path is None:
            page.missing.append(f"{name}: not installed")
        else:
            servers[name] = stack.enter_context(Server.of_redis(path))
    return servers


def tell(
    page: Page, rates: dict[str, dict[Key, Sample]], cpu_us: dict[str, dict[int, Sample]]
) -> None:
    """Draws tables and verdicts of requests a second and processor time a request."""
    names = [name_of(command) for command in COMMANDS]
    for depth in DEPTHS:
        table = Table([f"requests a second, -P {depth}", *rates])
        for name in names:
            table.add(name, *(spread(samples.get((name, depth))) for samples in rates.values()))
        page.tables.append(table)

    ours = rates.get(Build.COMPILED.subject)
    peers = [peer for peer in ("redis-server", "Valkey") if peer in rates]
    if ours is not None and peers:
        table = Table(
            [
                "CacheStorm compiled",
                *(f"of {peer} -P {depth}" for peer in peers for depth in DEPTHS),
            ]
        )
        for name in names:
            ratios = [
                ours[name, depth].median / rates[peer][name, depth].median
                for peer in peers
                for depth in DEPTHS
            ]
            table.add(name, *(f"{ratio:.2f}" for ratio in ratios))
        page.tables.append(table)
    for build in builds():
        for peer in peers:
            if build.subject in rates:
                verdicts(page, build, peer, rates[build.subject], rates[peer])

    cpu = Table(["server CPU, µs a request", *(f"-P {depth}" for depth in DEPTHS)])
    for name, by_depth in cpu_us.items():
        cpu.add(name, *(spread(by_depth.get(depth)) for depth in DEPTHS))
    page.tables.append(cpu)


def verdicts(
    page: Page, build: Build, peer: str, ours: dict[Key, Sample], theirs: dict[Key, Sample]
) -> None:
    """Whether a build keeps up with a peer."""
    by_case = {case: sample.median / theirs[case].median for case, sample in ours.items()}
    plain = {case: ratio for case, ratio in by_case.items() if case[0] in PLAIN}
    if build is Build.PURE:
        at_one = geometric_mean(ratio for (_, depth), ratio in plain.items() if depth == 1)
        goal = f"pure, SET and GET: {PURE_GOAL} of {peer} at -P 1"
        page.verdicts.append(Verdict(goal, f"{at_one:.2f}", at_one >= PURE_GOAL))
        return
    mean = geometric_mean(by_case.values())
    goal = f"compiled: geometric mean {COMPILED_GOAL} of {peer}"
    page.verdicts.append(Verdict(goal, f"{mean:.2f}", mean >= COMPILED_GOAL))
    (command, depth), least = min(by_case.items(), key=lambda case: case[1])
    goal = f"compiled: nothing under {LEAST_GOAL} of {peer}"
    page.verdicts.append(
        Verdict(goal, f"{least:.2f} ({command} -P {depth})", least >= LEAST_GOAL)
    )
    mean = geometric_mean(plain.values())
    goal = f"compiled, SET and GET: geometric mean {PLAIN_GOAL} of {peer}"
    page.verdicts.append(Verdict(goal, f"{mean:.2f}", mean >= PLAIN_GOAL))
