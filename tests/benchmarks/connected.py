"""Connected caches: what `cachestorm.connect` costs beside a local cache and beside redis-py.

Goals, compiled: a hit of a near cache within 1.5 times of a local get; gets of `local://` by
all workers at once at least as many as redis-py's of redis-server by a socket of Unix; gets and
sets of a server no slower than redis-py's own; `cache.redis()` faster than fakeredis.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import IN_MEMORY, Server
from tests.benchmarks.worker import Worker, check_build

CALLS = 1000
WORKERS = 2
VALUE = b"v" * 100
KEYS = [f"key:{number:04d}" for number in range(CALLS)]
MOST_NEAR = 1.5
CROWD = "redis-py by a socket"
FAKE = "fakeredis"
METHODS = ("get", "set")
PLACES = ("CacheStorm", "redis-server")

METHOD = f"""
Gets and sets of {CALLS:,} keys with values of {len(VALUE)} bytes, one after the other, in
passes that take turns between the subjects.

*Hits*: processor time in nanoseconds a call, in one process: of a `Cache`, and of
`connect(url, near=True)` whose values are all at hand.

*Without a socket*: the same, of `Redis.get` and `Redis.set` of the clients that `cache.redis()`
and `fakeredis.FakeRedis()` give.

*One client*: microseconds a call, of `connect` and of redis-py's `Redis.get` and `Redis.set`,
to one and the same server on the loopback interface, a CacheStorm server (of this build) and
redis-server: what differs is the client alone.

*All workers*: gets a second of {WORKERS} processes at once, of `local://` and of redis-py with
redis-server by a socket of Unix.
"""


class Measurer:
    """Measures in a process of its own.

    Args:
        subject: `cache`, `near`, `embedded`, `fakeredis`, `connect`, `redis-py` or `local`.
        url: where, for those that connect.
    """

    def __init__(self, subject: str, url: str = "") -> None:
        check_build()
        self._client = _client(subject, url)
        self._is_near = subject == "near"
        for key in KEYS:
            self._client.set(key, VALUE)

    def measure(self, *, method: str, at_least_ms: float) -> dict[str, float]:
        """Calls a method for so long: seconds by the clock and of the processor, a call."""
        call = getattr(self._client, method)
        if self._is_near:
            # the others have written the same keys meanwhile
            _settle(self._client)
        passes = 0
        begun, cpu = perf_counter(), process_time()
        while True:
            if method == "set":
                for key in KEYS:
                    call(key, VALUE)
            else:
                for key in KEYS:
                    call(key)
            passes += 1
            elapsed = perf_counter() - begun
            if elapsed * 1e3 >= at_least_ms:
                calls = passes * CALLS
                return {"clock": elapsed / calls, "cpu": (process_time() - cpu) / calls}


def _client(subject: str, url: str) -> Any:
    if subject == "redis-py":
        import redis

        return redis.Redis.from_url(url)
    if subject == FAKE:
        import fakeredis

        return fakeredis.FakeRedis()
    from cachestorm import Cache, connect

    if subject == "cache":
        return Cache()
    if subject == "embedded":
        return Cache().redis()
    return connect(url, near={"max_entries": 2 * CALLS} if subject == "near" else False)


def _settle(cache: Any) -> None:
    """Reads until all is at hand."""
    assert cache.get("none") is None
    assert cache.near.wait_until_live(20.0)
    while len(cache.near.values) < CALLS:
        for key in KEYS:
            cache.get(key)


@contextmanager
def unix_server(path: str) -> Iterator[str]:
    """redis-server on a socket of Unix; its address."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder, "redis.sock"))
        command = [path, *IN_MEMORY, "--unixsocket", place, "--port"]
        with Server(command):
            yield f"unix://{place}"


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms = (1, 50.0) if quick else (9, 500.0)
    page = Page("connected", "A cache near and far", METHOD)
    redis_server = shutil.which("redis-server")
    if redis_server is None:
        page.missing.append("everything: redis-server is not installed")
        return page
    for build in builds():
        with ExitStack() as stack:
            server = stack.enter_context(Server.of_redis(Path(redis_server)))
            ours = stack.enter_context(Server.of_cachestorm(build))
            ports = (ours.port, server.port)
            urls = {place: f"redis://127.0.0.1:{port}" for place, port in zip(PLACES, ports)}
            socket_url = stack.enter_context(unix_server(redis_server))
            _measure_build(page, build, urls, socket_url, rounds, at_least_ms, progress)
    return page


def _measure_build(
    page: Page,
    build: Build,
    urls: dict[str, str],
    socket_url: str,
    rounds: int,
    at_least_ms: float,
    progress: Progress,
) -> None:
    samples: dict[str, Sample] = {}

    def note(name: str, figure: float) -> None:
        samples.setdefault(name, Sample()).add(figure)

    with ExitStack() as stack:

        def worker(subject: str, where: str = "") -> Worker:
            return stack.enter_context(Worker("connected", build, subject=subject, url=where))

        alone = {"cache": worker("cache"), "near": worker("near", urls[PLACES[0]])}
        bare = {name: worker(name) for name in ("embedded", FAKE)}
        clients = {
            f"{name} to {place}": worker(name, url)
            for place, url in urls.items()
            for name in ("connect", "redis-py")
        }
        crowds = {
            "local": [worker("local", "local://benchmark") for _ in range(WORKERS)],
            CROWD: [worker("redis-py", socket_url) for _ in range(WORKERS)],
        }
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}, {build.value}")
            for name, each in alone.items():
                found = each.measure(method="get", at_least_ms=at_least_ms)
                note(name, found["cpu"] * 1e9)
            for method in METHODS:
                for name, each in bare.items():
                    found = each.measure(method=method, at_least_ms=at_least_ms)
                    note(f"{name} {method}", found["cpu"] * 1e6)
                for name, each in clients.items():
                    found = each.measure(method=method, at_least_ms=at_least_ms)
                    note(f"{name} {method}", found["clock"] * 1e6)
            for name, crowd in crowds.items():
                for each in crowd:
                    each.ask(method="get", at_least_ms=at_least_ms)
                note(name, sum(1 / each.answer()["clock"] for each in crowd))
    tell(page, build, samples)


def tell(page: Page, build: Build, samples: dict[str, Sample]) -> None:
    """Draws the table of a build, and the verdicts of the compiled one."""
    shown = {
        "cache": "local get, ns",
        "near": "near hit, ns",
        "local": "local://, all workers, gets a second",
        CROWD: "redis-py by a socket, all workers, gets a second",
    }
    table = Table(["", "measured"], title=f"CacheStorm {build.value}")
    for name, sample in samples.items():
        table.add(shown.get(name, f"{name}, µs"), spread(sample))
    page.tables.append(table)
    if build is not Build.COMPILED:
        return
    goals = [("near", "cache", MOST_NEAR, "a near hit, beside a local get")]
    goals += [
        (f"embedded {each}", f"{FAKE} {each}", 1.0, f"cache.redis(), {each}, beside {FAKE}")
        for each in METHODS
    ]
    goals += [
        (
            f"connect to {place} {each}",
            f"redis-py to {place} {each}",
            1.0,
            f"connect to {place}, {each}, beside redis-py",
        )
        for place in PLACES
        for each in METHODS
    ]
    for mine, theirs, most, what in goals:
        ratio = samples[mine].median / samples[theirs].median
        goal = f"{what}: at most {number(most)} x"
        page.verdicts.append(Verdict(goal, f"{number(ratio)} x", ratio <= most))
    share = samples["local"].median / samples[CROWD].median
    goal = "local://, all workers, beside redis-py and redis-server: at least 1 x"
    page.verdicts.append(Verdict(goal, f"{number(share)} x", share >= 1.0))
