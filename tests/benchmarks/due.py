"""Keys that are due together: how long others wait while a million of them are reaped.

Goal: compiled, no other thread and no other connection waits for more than 10 ms.
"""

from __future__ import annotations

from time import perf_counter, sleep, time

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_server
from tests.benchmarks.page import NOTHING, Page, Table, Verdict
from tests.benchmarks.progress import Progress
from tests.benchmarks.servers import Server
from tests.benchmarks.stalls import LONGEST_WAIT_MS, LOOK_EVERY_S, Asker, Watcher
from tests.benchmarks.worker import Worker, check_build

KEYS, QUICK_KEYS = 1_000_000, 100_000
# how long before they are due the fill over the wire begins
DUE_IN_S, QUICK_DUE_IN_S = 30.0, 8.0
# a backlog that is not reaped by then is a stall of its own
REAPED_WITHIN_S = 20.0
BATCH = 1000

METHOD = f"""
Keys with values of 100 characters and one deadline for all. *thread*: in process a clock is put
forward past it while `cache.reaper()` runs, and a second thread looks another key up every
{LOOK_EVERY_S * 1e3} ms; the longest time beyond that from one look to the next is shown.
*alone* is the same while nothing else runs. *connection*: over the wire the deadline comes by
itself, and a second connection asks for a key as often. *Redis* is the same with redis-server.
The waits are those until the last of the keys is gone, which is what *took* says, in process.
"""


def _key(number: int) -> str:
    return f"member:{number:012d}"


class Measurer:
    """One build, in a worker: the waits of a thread."""

    def measure(self, count: int) -> dict[str, float]:
        """The reaping of all keys, watched."""
        check_build()
        from cachestorm import Cache, ManualClock

        clock = ManualClock()
        cache = Cache(clock=clock)
        for number in range(count):
            cache.set(_key(number), "x" * 100, 60)
        cache.set("other", b"value")
        with Watcher(lambda: cache.exists("other")) as watcher, cache.reaper(0.01):
            sleep(0.1)
            alone_ms = watcher.longest_ms()
            watcher.begin()
            began = perf_counter()
            clock.advance(62)
            while len(cache) > 1:
                sleep(LOOK_EVERY_S)
            took_s = perf_counter() - began
            wait_ms = watcher.longest_ms()
        return {"took_ms": took_s * 1e3, "wait_ms": wait_ms, "alone_ms": alone_ms}


def connection_wait_ms(server: Server, count: int, due_in_s: float) -> float | None:
    """The longest that a connection waits while the keys fall due, and until they are gone.

    Returns:
        None if filling the server took longer than they had to live, or reaping them too long.
    """
    due_at_s = time() + due_in_s
    deadline = b"%d" % (due_at_s * 1000)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        server.pipeline(
            [(b"SET", _key(n).encode(), b"x" * 100, b"PXAT", deadline) for n in numbers]
        )
    server.pipeline([(b"SET", b"other", b"value")])
    if time() > due_at_s - 0.2:
        return None
    sleep(due_at_s - time() - 0.1)
    asker, counter = Asker(server.port), Asker(server.port)
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


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer keys.
        progress: told of each step.
    """
    count = QUICK_KEYS if quick else KEYS
    due_in_s = QUICK_DUE_IN_S if quick else DUE_IN_S
    page = Page("due", f"{count:,} keys that are due together", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    progress.step("in process")
    with Worker("due", build) as worker:
        measured = worker.measure(count=count)
    servers = {"connection": Server.of_cachestorm(build)}
    redis = redis_server()
    if redis is None:
        page.missing.append("Redis: redis-server is not installed")
    else:
        servers["Redis"] = Server.of_redis(redis)
    waits: dict[str, float | None] = {"thread": measured["wait_ms"]}
    for name, server in servers.items():
        progress.step(f"over the wire, {name}")
        with server:
            waits[name] = connection_wait_ms(server, count, due_in_s)
    table = Table(["ms", "took", "thread", "alone", "connection", "Redis"])
    table.add(
        f"{count:,} keys",
        f"{measured['took_ms']:.1f}",
        f"{measured['wait_ms']:.1f}",
        f"{measured['alone_ms']:.1f}",
        *(
            NOTHING if (wait_ms := waits.get(name)) is None else f"{wait_ms:.1f}"
            for name in ("connection", "Redis")
        ),
    )
    page.tables.append(table)
    for name in ("thread", "connection"):
        wait_ms = waits[name]
        page.verdicts.append(
            Verdict(
                f"another {name} waits no longer than {LONGEST_WAIT_MS:.0f} ms",
                "not reaped in time" if wait_ms is None else f"{wait_ms:.1f} ms",
                wait_ms is not None and wait_ms <= LONGEST_WAIT_MS,
            )
        )
    return page
