"""The wire: redis-benchmark against CacheStorm, redis-server and Valkey in turn.

Goal: the geometric mean of the ratios over SET and GET at all depths of pipelining is 0.95 or
better compiled; pure, 0.85 at a depth of one.
"""

from __future__ import annotations

import csv
import io
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
COMMANDS = ("SET", "GET")
CLIENTS, KEYS, VALUE_BYTES = 50, 10_000, 100
COMPILED_GOAL = 0.95
PURE_GOAL = 0.85

# requests of one run at each depth: a second or two
REQUESTS = {1: 100_000, 16: 800_000, 64: 1_600_000}
QUICK_REQUESTS = {1: 20_000, 16: 100_000, 64: 200_000}
# pipelined, the pure build would take most of the time of the case
PURE_SHARE = 5

METHOD = f"""
`redis-benchmark -c {CLIENTS} -r {KEYS} -d {VALUE_BYTES} -t set,get -P <depth>`, requests a
second. All servers run at the same time, on this machine, without persistence and with
nothing else to do, and are measured in turn, so that all but one are idle. The client takes
one processor and the server another. *server CPU* is the processor time of the server process
divided by the requests, system calls included. The ratio is that of the medians; the mean is
geometric, over SET and GET at all depths.
"""

Key = tuple[str, int]


def load(tool: Path, port: int, depth: int, requests: int) -> dict[str, float]:
    """Requests a second of SET and of GET, by name.

    Raises:
        subprocess.CalledProcessError: when redis-benchmark gives up.
    """
    command = [str(tool), "-p", str(port), "-c", str(CLIENTS), "-r", str(KEYS)]
    command += ["-d", str(VALUE_BYTES), "-t", "set,get", "-P", str(depth), "-n", str(requests)]
    output = subprocess.run(
        [*command, "--csv"], capture_output=True, text=True, check=True, timeout=300
    ).stdout
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(io.StringIO(output))}


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
                    before = cpu_seconds(server.process_id)
                    try:
                        measured = load(tool, server.port, depth, count)
                    except subprocess.SubprocessError as error:
                        page.missing.append(f"{name}: {error}")
                        del servers[name], rates[name], cpu_us[name]
                        continue
                    spent_s = cpu_seconds(server.process_id) - before
                    for command, rate in measured.items():
                        rates[name].setdefault((command, depth), Sample()).add(rate)
                    cpu_us[name].setdefault(depth, Sample()).add(
                        spent_s / (len(COMMANDS) * count) * 1e6
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
    cases = [(command, depth) for depth in DEPTHS for command in COMMANDS]
    header = [f"{command} -P {depth}" for command, depth in cases]
    table = Table(["requests a second", *header])
    for name, samples in rates.items():
        table.add(name, *(spread(samples.get(case)) for case in cases))
    page.tables.append(table)

    ratios = Table(["ratio", *header, "mean"])
    for build in builds():
        for peer in ("redis-server", "Valkey"):
            ours, theirs = rates.get(build.subject), rates.get(peer)
            if ours is None or theirs is None:
                continue
            by_case = {case: ours[case].median / theirs[case].median for case in cases}
            mean = geometric_mean(by_case.values())
            ratios.add(
                f"{build.subject} / {peer}",
                *(f"{ratio:.2f}" for ratio in by_case.values()),
                f"{mean:.2f}",
            )
            page.verdicts.append(verdict(build, peer, by_case, mean))
    page.tables.append(ratios)

    cpu = Table(["server CPU, µs a request", *(f"-P {depth}" for depth in DEPTHS)])
    for name, by_depth in cpu_us.items():
        cpu.add(name, *(spread(by_depth.get(depth)) for depth in DEPTHS))
    page.tables.append(cpu)


def verdict(build: Build, peer: str, by_case: dict[Key, float], mean: float) -> Verdict:
    """Whether a build keeps up with a peer."""
    if build is Build.COMPILED:
        goal = f"compiled: geometric mean {COMPILED_GOAL} of {peer}"
        return Verdict(goal, f"{mean:.2f}", mean >= COMPILED_GOAL)
    at_one = geometric_mean(ratio for (_, depth), ratio in by_case.items() if depth == 1)
    goal = f"pure: {PURE_GOAL} of {peer} at -P 1"
    return Verdict(goal, f"{at_one:.2f}", at_one >= PURE_GOAL)
