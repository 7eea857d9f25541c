"""Instructions an operation of the compiled build: `python -m tests.benchmarks.instructions`.

For comparing two trees on a busy machine: the counts hardly differ from run to run. Counted is
what happens inside `data_received`, or inside the method that is called, by callgrind; a call
that nothing else makes tells it where an operation ends. What comes before is not counted, so
all of it takes a minute. It measures the build of the tree that it lies in. Needs valgrind.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

from cachestorm import Cache
from cachestorm.keyspace.slot_index import SLOTS
from cachestorm.keyspace.slot_keys import keep_slots
from cachestorm_server.cluster.gate import SERVED, Gate, Router
from cachestorm_server.net import Connection
from cachestorm_server.replication.primary import Follower
from cachestorm_server.replication.stream import Stream
from cachestorm_server.server import RespServer
from tests.benchmarks.builds import Build, builds
from tests.benchmarks.dispatch import Transport
from tests.benchmarks.servers import spelled
from tests.benchmarks.worker import check_build

# enough for one allocation in a thousand operations to show
TIMES = 2000
# until hits of the same key are counted many at a time
WARM = 10_000
# entered from outside compiled code, by the operations in this process and by all others
IN_PROCESS = ("strings___Strings___get", "strings___Strings___set")
ON_THE_WIRE = ("net___Connection___data_received",)
VALUE = b"x" * 100
FULL = 10_000
# so many requests come in one piece
PIECE = 50


@dataclass(frozen=True)
class Operation:
    """What is counted.

    Attributes:
        make: prepares it, and returns what runs it; made of nothing interpreted, for the
            instructions of the call count too.
        share: how many operations one call of that runs.
    """

    make: Callable[[], Callable[[], object]]
    share: int = 1


def get() -> Callable[[], object]:
    """A get that hits, in this process."""
    return partial(a_cache().get, "key")


def put() -> Callable[[], object]:
    """A set of a key that there is, in this process."""
    return partial(a_cache().set, "key", VALUE)


def put_new() -> Callable[[], object]:
    """A set of a key that never was, in a cache that is full and has evicted as many."""
    cache = Cache(max_entries=FULL)
    for at in range(2 * FULL):
        cache.set(f"old:{at:012}", VALUE)
    names = [f"new:{at:012}" for at in range(WARM + TIMES)]
    return partial(next, map(cache.set, names, repeat(VALUE)))


def a_cache() -> Cache:
    """A cache with one key."""
    cache = Cache()
    cache.set("key", VALUE)
    return cache


def received(*commands: tuple[bytes, ...], is_node: bool = False) -> Callable[[], object]:
    """A piece of requests that comes from a client.

    Args:
        is_node: it comes to a node of a cluster that has all slots.
    """
    cache = a_cache()
    if is_node:
        keep_slots(cache._store)
    # what other families work on: longer than all pops together, and with many names
    cache.rpush("list", *[VALUE] * 4 * TIMES)
    cache.hset("hash", mapping={_name(at): VALUE for at in range(NAMES)})
    cache.sadd("set", *[_name(at) for at in range(NAMES)])
    cache.zadd("zset", {_name(at): float(at) for at in range(NAMES)})
    cache.mset({key.decode(): VALUE for key in TEN})
    endpoint = RespServer(cache).endpoint
    if is_node:
        endpoint.cluster = Gate(Router())
        for slot in range(SLOTS):
            endpoint.cluster.set_state(slot, SERVED)
    connection = Connection(endpoint)
    connection.connection_made(Transport())
    return partial(connection.data_received, spelled(commands))


def _name(at: int) -> str:
    return f"element:{at:012}"


def many(*command: bytes, is_node: bool = False) -> Operation:
    """The same command again and again."""
    return Operation(lambda: received(*[command] * PIECE, is_node=is_node), PIECE)


def many_names(make: Callable[[int, bytes], tuple[bytes, ...]]) -> Operation:
    """A command for each of many names, in each piece once.

    Args:
        make: the command, from the number of the name and the name.
    """
    names = [(at * 37 % NAMES, _name(at * 37 % NAMES).encode()) for at in range(PIECE)]
    return Operation(lambda: received(*[make(at, name) for at, name in names]), PIECE)


def other_scores() -> Callable[[], object]:
    """Members that are given another score each time."""
    pairs = [(at * 37 % NAMES, (at * 4001 + 17) % NAMES) for at in range(PIECE // 2)]
    commands = [
        (b"ZADD", b"zset", b"%d" % score, _name(at).encode())
        for at, other in pairs
        for score in (other, at)
    ]
    return received(*commands)


class OpenTransport(Transport):
    """One that replies which have waited for a journal are written to."""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def told(follows: bool) -> Callable[[], object]:
    """A turn of an event loop in which several clients have written.

    Args:
        follows: whether a replica is told of it; else it is written to a journal.
    """
    folder = tempfile.TemporaryDirectory()
    cache = Cache() if follows else Cache(data_dir=folder.name)
    endpoint = RespServer(cache).endpoint
    connections = [Connection(endpoint) for _ in range(CLIENTS + 1)]
    for each in connections:
        each.connection_made(OpenTransport())
    piece, loop = spelled([WRITE] * CLIENT_PIECE), asyncio.new_event_loop()

    async def begin() -> None:
        *_, replica = endpoint.sessions.values()
        replica.is_replica = True
        Stream(endpoint).accept(replica, Follower("host", 1, "", 0.0), b"")

    async def turn() -> None:
        for each in connections[:CLIENTS]:
            each.data_received(piece)
        # until the replies have gone, and what a replica gets
        for _ in range(3):
            await asyncio.sleep(0)

    if follows:
        loop.run_until_complete(begin())
    # with the folder, which is there as long as it is called
    return partial(_run_turn, loop, turn, folder)


def _run_turn(
    loop: asyncio.AbstractEventLoop, turn: Callable[[], Coroutine[None, None, None]], _: object
) -> None:
    loop.run_until_complete(turn())


NAMES = 10_000
# so many clients write in a turn, and so much comes of each
CLIENTS, CLIENT_PIECE = 25, 16
WRITE = (b"SET", b"key", VALUE)
# of two calls
SCRIPT = b"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
TEN = [b"key:%012d" % at for at in range(10)]

OPERATIONS = {
    "cache.get": Operation(get),
    "cache.set": Operation(put),
    "cache.set of a new key": Operation(put_new),
    "GET": many(b"GET", b"key"),
    "SET": many(*WRITE),
    "GET of 16": many(b"GET", TEN[0]),
    "SET of 16": many(b"SET", TEN[0], VALUE),
    "GET at a node": many(b"GET", TEN[0], is_node=True),
    "SET at a node": many(b"SET", TEN[0], VALUE, is_node=True),
    "SET, in a journal": Operation(partial(told, False), CLIENTS * CLIENT_PIECE),
    "SET, to a replica": Operation(partial(told, True), CLIENTS * CLIENT_PIECE),
    "MULTI, 14 SET, EXEC": Operation(lambda: received((b"MULTI",), *[WRITE] * 14, (b"EXEC",))),
    "INCR": many(b"INCR", b"number"),
    "RPOP": many(b"RPOP", b"list"),
    "LPUSH": many(b"LPUSH", b"list", VALUE),
    "SADD": many_names(lambda at, name: (b"SADD", b"set", name)),
    "HSET": many_names(lambda at, name: (b"HSET", b"hash", name, VALUE)),
    "ZADD": Operation(other_scores, PIECE),
    "MSET of ten": many(b"MSET", *[word for key in TEN for word in (key, VALUE)]),
    "MGET of ten": many(b"MGET", *TEN),
    "SET EX": many(*WRITE, b"EX", b"100"),
    "SETTAG of three": many(b"SETTAG", b"tagged", VALUE, b"one", b"two", b"three"),
    "LRANGE of ten": many(b"LRANGE", b"list", b"0", b"9"),
    "EVAL of two": many(b"EVAL", SCRIPT, b"1", b"key", VALUE),
}


def run(names: list[str]) -> None:
    """Runs operations, each warmed up, and marks where it begins and ends."""
    check_build()
    for name in names:
        operation = OPERATIONS[name]
        call = operation.make()
        for _ in range(WARM // operation.share):
            call()
        os.times()
        for _ in range(TIMES // operation.share):
            call()
        os.times()


def counted(names: list[str], functions: Sequence[str]) -> dict[str, float]:
    """Instructions of each operation.

    Args:
        names: of the operations.
        functions: inside which they are counted; none of them may call another.

    Raises:
        subprocess.CalledProcessError: when the process that runs them fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/part",
            "--collect-atstart=no",
            *[f"--toggle-collect=CPyPy_{function}" for function in functions],
            # what `os.times` is in C
            "--dump-before=os_times",
        ]
        code = f"from tests.benchmarks.instructions import run; run({names!r})"
        subprocess.run(
            [*command, sys.executable, "-c", code],
            # strings hash alike in every run
            env={**Build.COMPILED.environment(), "PYTHONHASHSEED": "0"},
            capture_output=True,
            check=True,
        )
        found = {}
        for at, name in enumerate(names):
            # two parts an operation: the first is what came before it
            part = Path(folder, f"part.{2 * at + 2}").read_text("utf-8")
            total = re.search(r"^totals: (\d+)", part, re.MULTILINE)
            assert total is not None, part[:500]
            share = OPERATIONS[name].share
            found[name] = int(total[1]) / (TIMES // share * share)
        return found


def main() -> int:
    """Prints a table: 1 when valgrind or the build is missing."""
    if shutil.which("valgrind") is None or Build.COMPILED not in builds():
        print("valgrind is not installed, or nothing is compiled", file=sys.stderr)
        return 1
    chosen = sys.argv[1:] or list(OPERATIONS)
    unknown = [name for name in chosen if name not in OPERATIONS]
    if unknown:
        print(f"no such operation: {unknown[0]}; there are {', '.join(OPERATIONS)}")
        return 2
    for functions in (IN_PROCESS, ON_THE_WIRE):
        is_here = functions is IN_PROCESS
        names = [name for name in chosen if name.startswith("cache.") == is_here]
        for name, count in counted(names, functions).items() if names else ():
            print(f"{name:24}{count:12,.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
