"""Stalls: how long others wait while one operation is at work on a million elements.

Goal: compiled, no other thread and no other connection waits for more than 10 ms because of
anything that is done to one key or one tag. What Redis documents as O(N), asked of a value of
a million elements, is measured beside it and has no goal.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from time import perf_counter, sleep, time

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_server
from tests.benchmarks.page import NOTHING, Page, Table, Verdict
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server
from tests.benchmarks.worker import Worker, check_build

LONGEST_WAIT_MS = 10.0
ELEMENTS = 1_000_000
QUICK_ELEMENTS = 100_000
# between two looks of a watcher, which so leaves the machine to what it watches
LOOK_EVERY_S = 0.0003
# a connection is watched for so long after the reply: the server lets go of what has left
AFTERMATH_S = 0.4
BATCH = 1000
# the row of the keys that are due together, and how long before they are the fill begins
DUE = "keys that are due in the same second"
DUE_IN_S, QUICK_DUE_IN_S = 30.0, 8.0
# a backlog that is not reaped by then is a stall of its own
REAPED_WITHIN_S = 20.0

METHOD = f"""
`big` and `large` hold a million elements each, `other` is one more key; where the row says so
there are a million keys that bear a tag instead. *thread*: the operation runs in process,
then `cache.reap()` until nothing is left to let go; a second thread looks `other` up every
0.3 ms meanwhile, and the longest time beyond that from one look to the next is shown. *alone*
is the same while nothing else runs. *connection*: the operation goes over the wire to a
server in a process of its own; a second connection asks for `other` as often, until 0.4 s
after the reply, and the longest time to an answer is shown. *Redis* is the same with redis-
server. Milliseconds, medians of the rounds; *took* is the time of the operation itself, in
process.

*{DUE}*: a million keys with one deadline. In process a clock is put forward past it
while `cache.reaper()` runs; over the wire it comes by itself. The waits are those until the
last of the keys is gone, which is what *took* says.

The first table is what CacheStorm promises. The second is what takes its time, as in Redis:
whoever does such a thing to a value of that size keeps the others waiting.
"""

Words = tuple[str, ...]
Fill = Callable[[int], Iterator[Words]]


def _batches(head: Words, words: Callable[[int], Words], count: int) -> Iterator[Words]:
    for start in range(0, count, BATCH):
        batch: list[str] = []
        for number in range(start, min(start + BATCH, count)):
            batch.extend(words(number))
        yield (*head, *batch)


def _member(number: int) -> str:
    return f"member:{number:012d}"


def _hash(count: int) -> Iterator[Words]:
    yield from _batches(("HSET", "big"), lambda n: (_member(n), f"value:{n}"), count)


def _list(count: int) -> Iterator[Words]:
    yield from _batches(("RPUSH", "big"), lambda n: (_member(n),), count)


def _set(count: int) -> Iterator[Words]:
    yield from _batches(("SADD", "big"), lambda n: (_member(n),), count)


def _zset(count: int) -> Iterator[Words]:
    yield from _batches(("ZADD", "big"), lambda n: (str(n * 7919 % count), _member(n)), count)


def _two_sets(count: int) -> Iterator[Words]:
    yield from _set(count)
    yield from _batches(("SADD", "large"), lambda n: (_member(n + count // 2),), count)


def _two_zsets(count: int) -> Iterator[Words]:
    yield from _zset(count)
    yield from _batches(("ZADD", "large"), lambda n: (str(n), _member(n + count // 2)), count)


def _zset_and_set(count: int) -> Iterator[Words]:
    yield from _zset(count)
    yield ("SADD", "small", "a")


def _tagged(count: int, tags: int = 1) -> Iterator[Words]:
    names = [f"tag:{number}" for number in range(tags)]
    for number in range(count):
        yield ("SETTAG", _member(number), "x" * 100, *names)


def _tagged_ten(count: int) -> Iterator[Words]:
    yield from _tagged(count, 10)


def _softened(count: int) -> Iterator[Words]:
    yield from _tagged(count)
    yield ("INVALIDATE", "tag:0", "SOFT")


def _own_tags(count: int) -> Iterator[Words]:
    for number in range(count):
        yield ("SET", _member(number), "x", "EX", str(60 + number // 10), "TAGS", f"t:{number}")


def _children(count: int) -> Iterator[Words]:
    for number in range(count // 100):
        yield ("SETTAG", _member(number), "x", f"child:{number}")
        yield ("TAGLINK", "parent", f"child:{number}")


# what is said of it, what is there before, the operation, and whether Redis has it
Case = tuple[str, Fill, Words, bool]

PROMISED: list[Case] = [
    ("DEL of a hash", _hash, ("DEL", "big"), True),
    ("DEL of a list", _list, ("DEL", "big"), True),
    ("DEL of a set", _set, ("DEL", "big"), True),
    ("DEL of a sorted set", _zset, ("DEL", "big"), True),
    ("UNLINK of a sorted set", _zset, ("UNLINK", "big"), True),
    ("SET over a sorted set", _zset, ("SET", "big", "x"), True),
    ("RENAME over a sorted set", _zset_and_set, ("RENAME", "small", "big"), True),
    ("FLUSHALL of a sorted set", _zset, ("FLUSHALL",), True),
    ("FLUSHALL of keys with tags and TTLs", _own_tags, ("FLUSHALL",), False),
    ("INVALIDATE, one tag a key", _tagged, ("INVALIDATE", "tag:0"), False),
    ("INVALIDATE, ten tags a key", _tagged_ten, ("INVALIDATE", "tag:0"), False),
    ("INVALIDATE SOFT", _tagged, ("INVALIDATE", "tag:0", "SOFT"), False),
    ("RANDOMKEY after INVALIDATE SOFT", _softened, ("RANDOMKEY",), False),
    ("KEYS that fit no key", _tagged, ("KEYS", "nothing*"), False),
    ("SCAN", _tagged, ("SCAN", "0"), False),
    ("TAGCOUNT", _tagged, ("TAGCOUNT", "tag:0"), False),
    ("LINDEX in the middle", _list, ("LINDEX", "big", "{half}"), True),
    ("LSET in the middle", _list, ("LSET", "big", "{half}", "x"), True),
    ("LRANGE of ten in the middle", _list, ("LRANGE", "big", "{half}", "{half_and_9}"), True),
    ("LPOP", _list, ("LPOP", "big"), True),
    ("RPUSH", _list, ("RPUSH", "big", "x"), True),
    ("SPOP", _set, ("SPOP", "big"), True),
    ("SRANDMEMBER of ten", _set, ("SRANDMEMBER", "big", "10"), True),
    ("SSCAN", _set, ("SSCAN", "big", "0"), True),
    ("HRANDFIELD of ten", _hash, ("HRANDFIELD", "big", "10"), True),
    ("HSCAN", _hash, ("HSCAN", "big", "0"), True),
    ("ZRANK", _zset, ("ZRANK", "big", _member(7)), True),
    ("ZRANGE of ten in the middle", _zset, ("ZRANGE", "big", "{half}", "{half_and_9}"), True),
    ("ZPOPMIN", _zset, ("ZPOPMIN", "big"), True),
    ("ZSCAN", _zset, ("ZSCAN", "big", "0"), True),
]

LISTED: list[Case] = [
    ("LREM of what is not there", _list, ("LREM", "big", "0", "x"), True),
    ("LREM of the last", _list, ("LREM", "big", "-1", _member(5)), True),
    ("LPOS of what is not there", _list, ("LPOS", "big", "x"), True),
    ("LINSERT of what is not there", _list, ("LINSERT", "big", "BEFORE", "x", "y"), True),
    ("LTRIM to ten", _list, ("LTRIM", "big", "0", "9"), True),
    ("LPOP of all", _list, ("LPOP", "big", "{count}"), True),
    ("LRANGE of all", _list, ("LRANGE", "big", "0", "-1"), True),
    ("SPOP of all but ten", _set, ("SPOP", "big", "{most}"), True),
    ("SMEMBERS", _set, ("SMEMBERS", "big"), True),
    ("SINTERCARD of two", _two_sets, ("SINTERCARD", "2", "big", "large"), True),
    ("SINTERSTORE of two", _two_sets, ("SINTERSTORE", "to", "big", "large"), True),
    ("SUNIONSTORE of two", _two_sets, ("SUNIONSTORE", "to", "big", "large"), True),
    ("SDIFFSTORE of two", _two_sets, ("SDIFFSTORE", "to", "big", "large"), True),
    ("HGETALL", _hash, ("HGETALL", "big"), True),
    ("ZRANGE of all", _zset, ("ZRANGE", "big", "0", "-1"), True),
    ("ZCOUNT of all", _zset, ("ZCOUNT", "big", "-inf", "+inf"), True),
    ("ZREMRANGEBYRANK of all but ten", _zset, ("ZREMRANGEBYRANK", "big", "10", "-1"), True),
    ("ZRANGESTORE of all", _zset, ("ZRANGESTORE", "to", "big", "0", "-1"), True),
    ("ZUNIONSTORE of two", _two_zsets, ("ZUNIONSTORE", "to", "2", "big", "large"), True),
    ("ZINTERSTORE of two", _two_zsets, ("ZINTERSTORE", "to", "2", "big", "large"), True),
    ("SORT ALPHA LIMIT 0 10", _set, ("SORT", "big", "ALPHA", "LIMIT", "0", "10"), True),
    ("COPY of a sorted set", _zset, ("COPY", "big", "to"), True),
    ("KEYS of all", _tagged, ("KEYS", "*"), False),
    ("TAGKEYS", _tagged, ("TAGKEYS", "tag:0"), False),
    (
        "INVALIDATE CASCADE of {hundredth} tags",
        _children,
        ("INVALIDATE", "parent", "CASCADE"),
        False,
    ),
]


def _spelled(words: Words, count: int) -> Words:
    numbers = {
        "count": count,
        "half": count // 2,
        "half_and_9": count // 2 + 9,
        "most": count - 10,
        "hundredth": count // 100,
    }
    return tuple(word.format(**numbers) for word in words)


class Watcher:
    """A thread that does something small again and again, and keeps the longest wait for it."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._longest_s = 0.0
        self._looks = 0
        self._stop = False
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        sleep(0.05)
        self.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop = True
        self._thread.join()

    def begin(self) -> None:
        """Forgets what was seen."""
        self._longest_s = 0.0

    def longest_ms(self) -> float:
        """The longest wait so far, that which goes on now included."""
        seen = self._looks
        while self._looks < seen + 2:
            sleep(0.001)
        return self._longest_s * 1e3

    def _watch(self) -> None:
        last = perf_counter()
        while not self._stop:
            sleep(LOOK_EVERY_S)
            self._look()
            now = perf_counter()
            self._longest_s = max(self._longest_s, now - last - LOOK_EVERY_S)
            self._looks += 1
            last = now


class Measurer:
    """One build, in a worker: the waits of a thread."""

    def measure(self, case: int, count: int) -> dict[str, float]:
        """One operation, watched; below 0, keys that are due together."""
        check_build()
        from cachestorm import Cache

        if case < 0:
            return self._measure_due(count)
        _, fill, words, _ = [*PROMISED, *LISTED][case]
        cache = Cache()
        for line in fill(count):
            cache.execute(*line)
        cache.set("other", b"value")
        operation = _spelled(words, count)
        with Watcher(lambda: cache.exists("other")) as watcher:
            sleep(AFTERMATH_S)
            alone_ms = watcher.longest_ms()
            watcher.begin()
            began = perf_counter()
            reply = cache.execute(*operation)
            took_s = perf_counter() - began
            while cache.reap():
                sleep(LOOK_EVERY_S)
            wait_ms = watcher.longest_ms()
        del reply
        return {"took_ms": took_s * 1e3, "wait_ms": wait_ms, "alone_ms": alone_ms}

    def _measure_due(self, count: int) -> dict[str, float]:
        from cachestorm import Cache, ManualClock

        clock = ManualClock()
        cache = Cache(clock=clock)
        for number in range(count):
            cache.set(_member(number), "x" * 100, 60)
        cache.set("other", b"value")
        with Watcher(lambda: cache.exists("other")) as watcher, cache.reaper(0.01):
            sleep(AFTERMATH_S)
            alone_ms = watcher.longest_ms()
            watcher.begin()
            began = perf_counter()
            clock.advance(62)
            while len(cache) > 1:
                sleep(LOOK_EVERY_S)
            took_s = perf_counter() - began
            wait_ms = watcher.longest_ms()
        return {"took_ms": took_s * 1e3, "wait_ms": wait_ms, "alone_ms": alone_ms}


class _Asker:
    """A connection that asks for one key, again and again."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        self._socket.sendall(b"EXISTS other\r\n")
        assert self._socket.recv(100)

    def count_keys(self) -> int:
        self._socket.sendall(b"DBSIZE\r\n")
        return int(self._socket.recv(100)[1:])

    def close(self) -> None:
        self._socket.close()


def due_wait_ms(server: Server, count: int, due_in_s: float) -> float | None:
    """The longest that a connection waits while many keys fall due, and until they are gone.

    Returns:
        None if filling the server took longer than they had to live, or reaping them too long.
    """
    due_at_s = time() + due_in_s
    deadline = b"%d" % (due_at_s * 1000)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        server.pipeline(
            [(b"SET", _member(n).encode(), b"x" * 100, b"PXAT", deadline) for n in numbers]
        )
    server.pipeline([(b"SET", b"other", b"value")])
    if time() > due_at_s - 0.2:
        return None
    sleep(due_at_s - time() - 0.1)
    asker, counter = _Asker(server.port), _Asker(server.port)
    try:
        with Watcher(asker.ask) as watcher:
            while counter.count_keys() > 1:
                if time() > due_at_s + REAPED_WITHIN_S:
                    return None
                sleep(0.02)
            return watcher.longest_ms()
    finally:
        asker.close()
        counter.close()


def connection_wait_ms(server: Server, case: Case, count: int) -> float:
    """The longest that a second connection waits during an operation and after it."""
    _, fill, words, _ = case
    batch: list[tuple[bytes, ...]] = []
    for line in fill(count):
        batch.append(tuple(word.encode() for word in line))
        if len(batch) >= BATCH:
            server.pipeline(batch)
            batch = []
    server.pipeline([*batch, (b"SET", b"other", b"value")])
    operation = tuple(word.encode() for word in _spelled(words, count))
    asker = _Asker(server.port)
    try:
        with Watcher(asker.ask) as watcher:
            server.pipeline([operation])
            sleep(AFTERMATH_S)
            return watcher.longest_ms()
    finally:
        asker.close()


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer elements, one round.
        progress: told of each step.
    """
    count, rounds = (QUICK_ELEMENTS, 1) if quick else (ELEMENTS, 3)
    page = Page("stalls", f"Waits of others, at {count:,} elements", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    redis = redis_server()
    if redis is None:
        page.missing.append("Redis: redis-server is not installed")
    for title, cases, offset in (
        ("What is promised", PROMISED, 0),
        ("What takes its time", LISTED, len(PROMISED)),
    ):
        table = Table(["", "took", "thread", "alone", "connection", "Redis"], title=title)
        for place, case in enumerate(cases):
            name = _spelled((case[0],), count)[0]
            took, thread, alone, connection, peer = (Sample() for _ in range(5))
            for turn in range(rounds):
                progress.step(f"{name}, {turn + 1} of {rounds}")
                with Worker("stalls", build) as worker:
                    measured = worker.measure(case=offset + place, count=count)
                took.add(measured["took_ms"])
                thread.add(measured["wait_ms"])
                alone.add(measured["alone_ms"])
                with Server.of_cachestorm(build) as server:
                    connection.add(connection_wait_ms(server, case, count))
                if redis is not None and case[3]:
                    with Server.of_redis(redis) as server:
                        peer.add(connection_wait_ms(server, case, count))
            table.add(name, *map(_cell, (took, thread, alone, connection, peer)))
            if cases is PROMISED:
                page.verdicts.append(_verdict(name, thread, connection))
        if cases is PROMISED:
            progress.step(DUE)
            samples = measure_due(build, count, QUICK_DUE_IN_S if quick else DUE_IN_S)
            table.add(f"{count:,} {DUE}", *map(_cell, samples))
            page.verdicts.append(_verdict(f"{count:,} {DUE}", samples[1], samples[3]))
        page.tables.append(table)
    return page


def measure_due(build: Build, count: int, due_in_s: float) -> tuple[Sample, ...]:
    """The row of the keys that are due together, once: took, thread, alone and connections."""
    took, thread, alone, connection, peer = (Sample() for _ in range(5))
    with Worker("stalls", build) as worker:
        measured = worker.measure(case=-1, count=count)
    took.add(measured["took_ms"])
    thread.add(measured["wait_ms"])
    alone.add(measured["alone_ms"])
    redis = redis_server()
    servers = [(connection, Server.of_cachestorm(build))]
    if redis is not None:
        servers.append((peer, Server.of_redis(redis)))
    for sample, server in servers:
        with server:
            wait_ms = due_wait_ms(server, count, due_in_s)
        if wait_ms is not None:
            sample.add(wait_ms)
    return took, thread, alone, connection, peer


def _verdict(name: str, *waits: Sample) -> Verdict:
    longest = max((sample.median for sample in waits if sample.rounds), default=0.0)
    return Verdict(
        f"{name}: nobody waits longer than {LONGEST_WAIT_MS:.0f} ms",
        f"{longest:.1f} ms",
        longest <= LONGEST_WAIT_MS and all(sample.rounds for sample in waits),
    )


def _cell(sample: Sample) -> str:
    return f"{sample.median:.1f}" if sample.rounds else NOTHING
