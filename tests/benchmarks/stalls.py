"""Stalls: how long others wait while one operation is at work on a million elements.

Goal: compiled, no other thread and no other connection waits for more than 10 ms because of
anything that is done to one key or one tag. What Redis documents as O(N), asked of a value of
a million elements, is measured beside it and has no goal.
"""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from time import perf_counter, sleep
from typing import Any

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_server
from tests.benchmarks.page import NOTHING, Page, Table, Verdict
from tests.benchmarks.progress import Progress
from tests.benchmarks.servers import Server, pipe_to_all
from tests.benchmarks.worker import Worker, check_build

LONGEST_WAIT_MS = 10.0
ELEMENTS = 1_000_000
QUICK_ELEMENTS = 100_000
# between two looks of a watcher, which so leaves the machine to what it watches
LOOK_EVERY_S = 0.0003
# a connection is watched for so long after the reply: the server lets go of what has left
AFTERMATH_S = 0.15
# and between two operations it gets so long for the rest of that
REST_S = 0.3
BATCH = 1000
# the number of collections of the young that lead to one of all
NEVER = 1_000_000

METHOD = """
`big` and `large` hold a million elements each, `other` is one more key; where the row says so
there are a million keys that bear a tag instead. *thread*: the operation runs in process,
then `cache.reap()` until nothing is left to let go; a second thread looks `other` up every
0.3 ms meanwhile, and the longest time beyond that from one look to the next is shown. *alone*
is the same while nothing else runs. *connection*: the operation goes over the wire to a
server in a process of its own; a second connection asks for `other` as often, until 0.15 s
after the reply, and the longest time to an answer is shown. *Redis* is the same with redis-
server. Milliseconds; *took* is the time of the operation itself, in process. What waited for
longer than the goal is measured twice more where it can be repeated, and the median is shown.

The first table is what CacheStorm promises: what is long is cut into slices. The second is
what takes its time, as in Redis: replies and requests of a million elements, and what cannot
be cut. The third is what Python's garbage collector would take to look at all there is. A
server lets it do so only while nobody asks; the program that measures *thread* keeps it from
that, as [Threads](../threads.md) advises, and leaves it at work otherwise.
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


def _geo(count: int) -> Iterator[Words]:
    def place(number: int) -> Words:
        longitude = number * 7919 % 359_001 / 1000 - 179.5
        latitude = number * 104_729 % 160_001 / 1000 - 80.0
        return f"{longitude:.3f}", f"{latitude:.3f}", _member(number)

    yield from _batches(("GEOADD", "big"), place, count)


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

# What has gone or changed after these is made again: by COPY where `big` alone is concerned.
CHANGES_BIG = (
    "DEL",
    "UNLINK",
    "SET",
    "RENAME",
    "LSET",
    "LPOP",
    "RPUSH",
    "SPOP",
    "ZPOPMIN",
    "LTRIM",
)
CHANGES_BIG += ("LREM", "ZREMRANGEBYRANK")
CHANGES_ALL = ("FLUSHALL", "INVALIDATE", "RANDOMKEY")

_WORLD = ("FROMLONLAT", "10", "45", "BYRADIUS", "21000", "KM")

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
    ("COPY of a hash", _hash, ("COPY", "big", "to"), True),
    ("COPY of a list", _list, ("COPY", "big", "to"), True),
    ("COPY of a set", _set, ("COPY", "big", "to"), True),
    ("COPY of a sorted set", _zset, ("COPY", "big", "to"), True),
    ("LREM of what is not there", _list, ("LREM", "big", "0", "x"), True),
    ("LREM of the last", _list, ("LREM", "big", "-1", _member(5)), True),
    ("LPOS of what is not there", _list, ("LPOS", "big", "x"), True),
    ("LINSERT of what is not there", _list, ("LINSERT", "big", "BEFORE", "x", "y"), True),
    ("LTRIM to ten", _list, ("LTRIM", "big", "0", "9"), True),
    ("LTRIM to half", _list, ("LTRIM", "big", "0", "{half}"), True),
    ("SORT ALPHA LIMIT 0 10", _set, ("SORT", "big", "ALPHA", "LIMIT", "0", "10"), True),
    ("SORT ALPHA STORE", _list, ("SORT", "big", "ALPHA", "STORE", "to"), True),
    ("SINTERCARD of two", _two_sets, ("SINTERCARD", "2", "big", "large"), True),
    ("SINTERSTORE of two", _two_sets, ("SINTERSTORE", "to", "big", "large"), True),
    ("SUNIONSTORE of two", _two_sets, ("SUNIONSTORE", "to", "big", "large"), True),
    ("SDIFFSTORE of two", _two_sets, ("SDIFFSTORE", "to", "big", "large"), True),
    ("SDIFF of one and itself", _two_sets, ("SDIFF", "big", "big"), True),
    ("ZCOUNT of all", _zset, ("ZCOUNT", "big", "-inf", "+inf"), True),
    ("ZREMRANGEBYRANK of all but ten", _zset, ("ZREMRANGEBYRANK", "big", "10", "-1"), True),
    ("ZRANGESTORE of all", _zset, ("ZRANGESTORE", "to", "big", "0", "-1"), True),
    ("ZUNIONSTORE of two", _two_zsets, ("ZUNIONSTORE", "to", "2", "big", "large"), True),
    ("ZINTERSTORE of two", _two_zsets, ("ZINTERSTORE", "to", "2", "big", "large"), True),
    ("ZINTERCARD of two", _two_zsets, ("ZINTERCARD", "2", "big", "large"), True),
    ("ZLEXCOUNT where scores differ", _zset, ("ZLEXCOUNT", "big", "[m", "[n"), True),
    ("GEOSEARCH for the nearest ten", _geo, ("GEOSEARCH", "big", *_WORLD, "COUNT", "10"), True),
    ("GEOSEARCHSTORE of all", _geo, ("GEOSEARCHSTORE", "to", "big", *_WORLD), True),
]

LISTED: list[Case] = [
    ("LPOP of all", _list, ("LPOP", "big", "{count}"), True),
    ("LRANGE of all", _list, ("LRANGE", "big", "0", "-1"), True),
    (
        "SORT by other keys LIMIT 0 10",
        _list,
        ("SORT", "big", "BY", "w_*", "LIMIT", "0", "10"),
        True,
    ),
    ("SPOP of all but ten", _set, ("SPOP", "big", "{most}"), True),
    ("SMEMBERS", _set, ("SMEMBERS", "big"), True),
    ("SUNION of two", _two_sets, ("SUNION", "big", "large"), True),
    ("HGETALL", _hash, ("HGETALL", "big"), True),
    ("ZRANGE of all", _zset, ("ZRANGE", "big", "0", "-1"), True),
    ("ZPOPMIN of all but ten", _zset, ("ZPOPMIN", "big", "{most}"), True),
    ("DUMP of a sorted set", _zset, ("DUMP", "big"), True),
    ("KEYS of all", _tagged, ("KEYS", "*"), False),
    ("TAGKEYS", _tagged, ("TAGKEYS", "tag:0"), False),
    (
        "INVALIDATE CASCADE of {hundredth} tags",
        _children,
        ("INVALIDATE", "parent", "CASCADE"),
        False,
    ),
]


CASES = [*PROMISED, *LISTED]

# what the data is called, in the table of collections
_FILLS: dict[Fill, str] = {
    _hash: "a hash",
    _list: "a list",
    _set: "a set",
    _zset: "a sorted set",
    _geo: "places",
    _two_sets: "two sets",
    _two_zsets: "two sorted sets",
    _zset_and_set: "a sorted set and a key",
    _own_tags: "keys, each with a tag of its own and a TTL",
    _tagged: "keys with one tag",
    _tagged_ten: "keys with ten tags",
    _softened: "keys with one tag, softly invalidated",
    _children: "a hundredth as many keys, each with a tag that has a parent",
}


def _spelled(words: Words, count: int) -> Words:
    numbers = {
        "count": count,
        "half": count // 2,
        "half_and_9": count // 2 + 9,
        "most": count - 10,
        "hundredth": count // 100,
    }
    return tuple(word.format(**numbers) for word in words)


def _named(case: Case, count: int) -> str:
    return _spelled((case[0],), count)[0]


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
    """One build, in a worker: the waits of a thread. It keeps what one operation left."""

    def __init__(self) -> None:
        self._cache: Any = None

    def measure(self, case: int, count: int, fill: bool) -> dict[str, float]:
        """One operation, watched; or how long a full collection takes of what was made.

        Args:
            case: which.
            count: of the elements.
            fill: only makes the data; else it is there from before.
        """
        if fill:
            return self._fill(CASES[case][1], count)
        words = CASES[case][2]
        cache = self._cache
        operation = _spelled(words, count)
        with Watcher(lambda: cache.exists("other")) as watcher:
            sleep(0.1)
            alone_ms = watcher.longest_ms()
            watcher.begin()
            began = perf_counter()
            reply = cache.execute(*operation)
            took_s = perf_counter() - began
            while cache.reap():
                sleep(LOOK_EVERY_S)
            wait_ms = watcher.longest_ms()
        del reply
        cache.delete("to")
        if words[0] in CHANGES_BIG:
            cache.copy("kept", "big", replace=True)
            cache.set("other", b"value")
        while cache.reap():
            pass
        return {"took_ms": took_s * 1e3, "wait_ms": wait_ms, "alone_ms": alone_ms}

    def _fill(self, fill: Fill, count: int) -> dict[str, float]:
        check_build()
        from cachestorm import Cache

        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        # the cache before is a circle: nothing but the collector lets go of it
        self._cache = None
        gc.collect()
        # what the program is made of does not count
        gc.freeze()
        cache = self._cache = Cache()
        for line in fill(count):
            cache.execute(*line)
        cache.set("other", b"value")
        gc.collect()
        began = perf_counter()
        gc.collect()
        collected_s = perf_counter() - began
        cache.copy("big", "kept")
        return {"collected_ms": collected_s * 1e3}


class Asker:
    """A connection that asks for one key, again and again."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        self._socket.sendall(b"EXISTS other\r\n")
        assert self._socket.recv(100)

    def count_keys(self) -> int:
        """How many keys there are."""
        self._socket.sendall(b"DBSIZE\r\n")
        return int(self._socket.recv(100)[1:])

    def close(self) -> None:
        self._socket.close()


def batches_of(fill: Fill, count: int) -> Iterator[list[tuple[bytes, ...]]]:
    """What makes the data from nothing, in pieces that are sent at once."""
    batch: list[tuple[bytes, ...]] = [(b"FLUSHALL",)]
    for line in fill(count):
        batch.append(tuple(word.encode() for word in line))
        # lines of a thousand elements, or of one key
        if len(batch) >= BATCH or (len(line) > BATCH and len(batch) >= 10):
            yield batch
            batch = []
    yield [*batch, (b"SET", b"other", b"value"), (b"COPY", b"big", b"kept")]


def connection_wait_ms(server: Server, case: Case, count: int) -> float:
    """The longest that a second connection waits during an operation and after it."""
    words = case[2]
    operation = tuple(word.encode() for word in _spelled(words, count))
    asker = Asker(server.port)
    try:
        with Watcher(asker.ask) as watcher:
            server.pipeline([operation])
            sleep(AFTERMATH_S)
            longest = watcher.longest_ms()
    finally:
        asker.close()
    if words[0] in CHANGES_BIG:
        server.pipeline([(b"COPY", b"kept", b"big", b"REPLACE"), (b"SET", b"other", b"value")])
    if "to" in words:
        server.pipeline([(b"DEL", b"to")])
    if words[0] in CHANGES_BIG or "to" in words:
        sleep(REST_S)
    return longest


def in_groups() -> Iterator[list[int]]:
    """The numbers of all cases, those together that are measured on the same data.

    What changes all of it is the last of its group.
    """
    for fill in dict.fromkeys(fill for _, fill, _, _ in CASES):
        group: list[int] = []
        for number, (_, own, words, _) in enumerate(CASES):
            if own is not fill:
                continue
            if words[0] in CHANGES_ALL:
                yield [number]
            else:
                group.append(number)
        if group:
            yield group


def settled(case: Case, measure: Callable[[], float]) -> float:
    """What is measured; the median of three times if it is too long, and can be repeated."""
    first = measure()
    if first <= LONGEST_WAIT_MS or case[2][0] in CHANGES_ALL or case in LISTED:
        return first
    return median([first, measure(), measure()])


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer elements.
        progress: told of each step.
    """
    count = QUICK_ELEMENTS if quick else ELEMENTS
    page = Page("stalls", f"Waits of others, at {count:,} elements", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    redis = redis_server()
    if redis is None:
        page.missing.append("Redis: redis-server is not installed")
    rows: dict[int, list[str]] = {}
    longest: dict[int, float] = {}
    collections = Table(["", "full collection"], title="What the collector would take")
    with ExitStack() as stack:
        worker = stack.enter_context(Worker("stalls", build))
        servers = [stack.enter_context(Server.of_cachestorm(build))]
        if redis is not None:
            servers.append(stack.enter_context(Server.of_redis(redis)))
        told: set[Fill] = set()
        for group in in_groups():
            fill = CASES[group[0]][1]
            progress.step(f"{_named(CASES[group[0]], count)}: the data")
            worker.ask(case=group[0], count=count, fill=True)
            # all of them at a time, with the worker
            pipe_to_all(servers, batches_of(fill, count))
            collected_ms = worker.answer()["collected_ms"]
            if fill not in told:
                told.add(fill)
                collections.add(_FILLS[fill], f"{collected_ms:.1f}")
            sleep(REST_S)
            for number in group:
                case = CASES[number]
                progress.step(_named(case, count))
                rows[number], longest[number] = measure_case(number, count, worker, servers)
    for title, cases, offset in (
        ("What is promised", PROMISED, 0),
        ("What takes its time", LISTED, len(PROMISED)),
    ):
        table = Table(["", "took", "thread", "alone", "connection", "Redis"], title=title)
        for place, case in enumerate(cases):
            name = _named(case, count)
            cells = rows[offset + place]
            table.add(name, *cells, *[NOTHING] * (5 - len(cells)))
            if cases is PROMISED:
                wait_ms = longest[offset + place]
                page.verdicts.append(
                    Verdict(
                        f"{name}: nobody waits longer than {LONGEST_WAIT_MS:.0f} ms",
                        f"{wait_ms:.1f} ms",
                        wait_ms <= LONGEST_WAIT_MS,
                    )
                )
        page.tables.append(table)
    page.tables.append(collections)
    return page


def measure_case(
    number: int, count: int, worker: Worker, servers: list[Server]
) -> tuple[list[str], float]:
    """The cells of one operation, and how long others wait at the most."""
    case = CASES[number]
    measured: dict[str, float] = {}

    def in_process() -> float:
        measured.update(worker.measure(case=number, count=count, fill=False))
        return measured["wait_ms"]

    wait_ms = settled(case, in_process)
    cells = [f"{each:.1f}" for each in (measured["took_ms"], wait_ms, measured["alone_ms"])]
    longest = wait_ms
    for server in servers if case[3] else servers[:1]:
        is_ours = server is servers[0]
        if is_ours:
            wait_ms = settled(case, lambda: connection_wait_ms(servers[0], case, count))
            longest = max(longest, wait_ms)
        else:
            wait_ms = connection_wait_ms(server, case, count)
        cells.append(f"{wait_ms:.1f}")
    return cells, longest
