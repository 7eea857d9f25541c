"""A server that could not be reached is told, when it is back, of what it has missed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from caches import address
from partitions import LOST, MUTE, SILENT, Partition, partition
from real_servers import HOST, free_port, redis_binary, running
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import our_server
from shared_owners import kill_owner
from test_loading import PATIENCE_S, Caller, Gate
from workers import NAME, until

from cachestorm import Cache, connect
from cachestorm.errors import ConfigError, OutOfMemoryError
from cachestorm.loading.context import current_load
from cachestorm.remote import owners, recovery
from cachestorm.remote.refusals import SlowServerError, UnreachableError
from cachestorm_server.settings import Settings

ONCE: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
SLOW: dict[str, Any] = {"socket_timeout": 0.2, **ONCE}


class Scene:
    """A server behind a proxy, and another client that reaches it in any case."""

    def __init__(self, server_port: int, proxy: Partition) -> None:
        self.url = f"redis://{HOST}:{proxy.port}"
        self.proxy = proxy
        self.other = connect(f"redis://{HOST}:{server_port}")
        self.other.flushall()

    def cache(self, **options: Any) -> Any:
        return connect(self.url, **{**ONCE, **options})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries often whether a server is back."""
    monkeypatch.setattr(recovery, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(recovery, "_LONGEST_PAUSE_S", 0.02)


@pytest.fixture(params=["cachestorm", "redis"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Each kind of server, which has tags of its own, or those of the script."""
    if request.param == "redis":
        port = int(address("redis", request).rpartition(":")[2])
        with partition(port) as proxy:
            yield Scene(port, proxy)
        return
    with our_server() as server, partition(server.port) as proxy:
        yield Scene(server.port, proxy)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has nobody try whether a server is back, but the next command."""
    monkeypatch.setattr(recovery, "_FIRST_PAUSE_S", 600)


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set("k", "new"),
    "delete": lambda cache: cache.delete("k"),
    "set_many": lambda cache: cache.set_many({"k": "new"}),
    "item": lambda cache: cache.__setitem__("k", "new"),
    "expire": lambda cache: cache.expire("k", 60),
    "rename": lambda cache: cache.rename("k", "other"),
    "pop": lambda cache: cache.pop("k"),
    "setdefault": lambda cache: cache.set("k", "new", get=True),
    "modify": lambda cache: cache.modify("k", lambda value: "new"),
}


@pytest.mark.parametrize(
    ("write", "lost", "near"),
    [
        *[(write, LOST, False) for write in WRITES],
        *[(write, MUTE, False) for write in ("set", "delete", "modify")],
        *[("set", lost, True) for lost in (LOST, MUTE)],
    ],
)
def test_a_write_that_failed_leaves_nothing_that_is_out_of_date(
    scene: Scene, write: str, lost: str, near: bool, late: None
) -> None:
    cache = scene.cache(near=near)
    scene.other.set("k", "old")
    assert cache.get("k") == "old"
    scene.proxy.cut(lost)
    with pytest.raises(UnreachableError):
        WRITES[write](cache)
    assert cache.stats().pending >= 1
    scene.proxy.mend()
    assert cache.get("k") is None
    assert scene.other.get("k") is None
    stats = cache.stats()
    assert (stats.pending, stats.recovered >= 1, stats.ignored_errors) == (0, True, 0)
    cache.close()


def test_a_server_that_is_back_is_told_without_being_asked_for_more(scene: Scene) -> None:
    cache = scene.cache()
    scene.other.set("k", "old")
    scene.proxy.cut(LOST)
    with pytest.raises(UnreachableError):
        cache.delete("k")
    assert scene.other.get("k") == "old"
    scene.proxy.mend()
    until(lambda: scene.other.get("k") is None)
    until(lambda: cache.stats().pending == 0)
    cache.close()


@pytest.mark.parametrize(
    ("options", "near"),
    [({}, False), ({}, True), ({"cascade": True}, False), ({"soft": True}, False)],
)
def test_an_invalidation_that_failed_is_done_when_the_server_is_back(
    scene: Scene, options: dict[str, bool], near: bool
) -> None:
    cache = scene.cache(near=near)
    scene.other.set("k", 1, tags=["t"])
    assert cache.get("k") == 1
    scene.proxy.cut(LOST)
    # its first call that needs to know what the server can do
    with pytest.raises(UnreachableError):
        cache.invalidate("t", **options)
    with pytest.raises(UnreachableError):
        cache.invalidate("u", dry_run=True)
    assert cache.stats().pending == 1
    scene.other.set("since", 1, tags=["t"])
    scene.proxy.mend()
    until(lambda: scene.other.get("k") is None)
    assert cache.get_many(["k", "since"]) == {}
    cache.close()


def test_what_a_load_has_found_before_a_failed_deletion_is_not_kept(
    scene: Scene, late: None
) -> None:
    cache = scene.cache()

    def loader() -> str:
        scene.proxy.cut(LOST)
        with pytest.raises(UnreachableError):
            cache.delete("k")
        scene.proxy.mend()
        assert cache.get("other") is None
        return "old"

    assert scene.other.get_or_set("k", loader) == "old"
    assert scene.other.get("k") is None
    cache.close()


def test_tasks_tell_a_server_once(scene: Scene, late: None) -> None:
    async def course() -> None:
        async with scene.cache().aio as tasks:
            scene.proxy.cut(LOST)
            found = await asyncio.gather(
                *[tasks.delete(f"k{number}") for number in range(10)], return_exceptions=True
            )
            assert {type(each) for each in found} == {UnreachableError}
            assert (await tasks.stats()).pending == 10
            scene.proxy.mend()
            assert await asyncio.gather(*[tasks.get(f"k{n}") for n in range(10)]) == [None] * 10
            stats = await tasks.stats()
            assert (stats.pending, stats.recovered) == (0, 10)

    scene.other.set_many({f"k{number}": 1 for number in range(10)})
    asyncio.run(course())
    assert len(scene.other) == 0


def test_a_task_that_was_cancelled_leaves_nothing_that_is_out_of_date(scene: Scene) -> None:
    async def course() -> None:
        async with connect(scene.url).aio as tasks:
            await tasks.get("k")
            scene.proxy.cut(SILENT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await tasks.set("k", "new")
            scene.proxy.mend()
            assert await tasks.get("k") is None

    scene.other.set("k", "old")
    asyncio.run(course())
    assert scene.other.get("k") is None


def test_what_only_adds_or_locks_or_waits_is_not_undone(scene: Scene, late: None) -> None:
    cache = scene.cache()
    lock = cache.lock("lock")
    lock.acquire()
    scene.proxy.cut(LOST)
    for run in (
        lambda: cache.add("k", 1),
        lambda: cache.set("k", 1, nx=True),
        lambda: cache.setnx("k", 1),
        lambda: cache.lock("other").acquire(),
        lambda: lock.extend(5),
        lock.release,
        lambda: cache.get_or_set("k", lambda: 1),
        lambda: cache.get("k"),
    ):
        with pytest.raises(UnreachableError):
            run()
    scene.proxy.mend()
    waits = Caller(lambda: cache.blpop("list"))
    until(lambda: b"cmd=blpop" in scene.other._wire.send("CLIENT", "LIST"))
    scene.proxy.mend()
    assert isinstance(waits.end(), UnreachableError)
    assert cache.stats().pending == 0
    cache.close()


def test_beyond_the_limit_the_server_is_emptied(scene: Scene, late: None) -> None:
    cache = scene.cache(max_pending=2)
    scene.other.set_many({"a": 1, "b": 1, "c": 1, "d": 1})
    scene.proxy.cut(LOST)
    for key in "abc":
        with pytest.raises(UnreachableError):
            cache.delete(key)
    assert (cache.stats().pending, cache.stats().emptied) == (1, 1)
    scene.proxy.mend()
    assert cache.get("d") is None
    assert len(scene.other) == 0
    cache.close()


def test_with_a_limit_of_nothing_nothing_is_kept(scene: Scene) -> None:
    cache = scene.cache(max_pending=0)
    scene.other.set("k", "old")
    scene.proxy.cut(LOST)
    with pytest.raises(UnreachableError):
        cache.delete("k")
    scene.proxy.mend()
    assert (cache.get("k"), cache.stats().pending) == ("old", 0)
    cache.close()


def test_a_flush_that_failed_takes_the_place_of_all_else(scene: Scene, late: None) -> None:
    cache = scene.cache()
    scene.other.set("k", "old")
    scene.proxy.cut(LOST)
    for run in (lambda: cache.delete("k"), cache.clear, lambda: cache.delete("k")):
        with pytest.raises(UnreachableError):
            run()
    assert cache.stats().pending == 1
    scene.proxy.mend()
    assert cache.get("k") is None
    cache.close()


def test_what_the_server_refuses_is_not_kept_for_ever(
    scene: Scene, late: None, caplog: pytest.LogCaptureFixture
) -> None:
    scene.other.set("k", "old")
    client = scene.other._wire.client
    client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-del")
    try:
        url = scene.url.replace("redis://", "redis://reader:pw@")
        with connect(url, **ONCE) as cache:
            cache.get("k")
            scene.proxy.cut(LOST)
            with pytest.raises(UnreachableError):
                cache.set("k", "new")
            scene.proxy.mend()
            assert cache.get("k") == "old"
            assert cache.stats().pending == 0
        assert "refused what it has missed" in caplog.text
    finally:
        client.execute_command("ACL", "DELUSER", "reader")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system stops no process")
def test_a_server_that_was_stopped_is_told_when_it_goes_on() -> None:
    with running("redis", redis_binary()) as server:
        url = f"redis://{HOST}:{server.port}"
        with connect(url) as other, connect(url, **SLOW) as cache:
            other.set("k", "old")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                with pytest.raises(SlowServerError):
                    cache.delete("k")
            finally:
                os.kill(server.pid, signal.SIGCONT)
            until(lambda: cache.stats().pending == 0)
            assert other.get("k") is None


def test_a_server_that_was_restarted_is_told() -> None:
    cache_of_server = Cache()
    with our_server(cache=cache_of_server) as server:
        port = server.port
        cache = connect(f"redis://{HOST}:{port}")
        cache.set("k", "old", tags=["t"])
    with pytest.raises(UnreachableError):
        cache.invalidate("t")
    with our_server(Settings(port=port), cache_of_server):
        assert cache.get("k") is None
        assert cache.stats().recovered == 1
    cache.close()


def test_the_owner_of_a_shared_cache_that_cannot_be_started_is_told(
    path: Path, late: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    cache = connect(NAME)
    cache.set("k", "old", tags=["t"])
    kill_owner(path)
    with monkeypatch.context() as broken:
        broken.setattr(owners, "_BOOT", "raise SystemExit('no')")
        with pytest.raises(UnreachableError):
            cache.invalidate("t")
        assert cache.stats().pending == 1
    assert cache.get("k") is None
    assert cache.stats().pending == 0
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_the_child_of_a_fork_tells_it_too(scene: Scene, late: None) -> None:
    cache = scene.cache()
    scene.other.set("k", "old")
    scene.proxy.cut(LOST)
    with pytest.raises(UnreachableError):
        cache.delete("k")
    scene.proxy.mend()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if cache.get("k") is None else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    cache.close()


# -- on_error="miss"


ABSENT: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "get": (lambda cache: cache.get("k", 5), 5),
    "get_many": (lambda cache: cache.get_many(["k"]), {}),
    "contains": (lambda cache: "k" in cache, False),
    "len": (len, 0),
    "set": (lambda cache: cache.set("k", 1), False),
    "set with tags": (lambda cache: cache.set("k", 1, tags=["t"]), False),
    "add": (lambda cache: cache.add("k", 1), False),
    "set_many": (lambda cache: cache.set_many({"k": 1}), False),
    "delete": (lambda cache: cache.delete("k"), 0),
    "invalidate": (lambda cache: cache.invalidate("t"), 0),
    "setdefault": (lambda cache: cache.setdefault("k", 5), 5),
    "modify": (lambda cache: cache.modify("k", lambda value: (value or 0) + 1), 1),
    "hgetall": (lambda cache: cache.hgetall("h"), {}),
    "smembers": (lambda cache: cache.smembers("s"), set()),
    "scan_iter": (lambda cache: list(cache.scan_iter()), []),
    "items": (lambda cache: list(cache.items()), []),
    "clear": (lambda cache: cache.clear(), None),
    "get_or_set": (lambda cache: cache.get_or_set("k", lambda: 7, tags=["t"]), 7),
    "get_or_set_many": (
        lambda cache: cache.get_or_set_many(["a"], lambda keys: dict.fromkeys(keys, 7)),
        {"a": 7},
    ),
    "memoize": (lambda cache: cache.memoize(lambda: 7)(), 7),
    "namespace": (lambda cache: cache.namespace("n").get("k"), None),
}


@pytest.mark.parametrize(
    ("name", "near"),
    [*[(name, False) for name in ABSENT], ("get", True), ("get_many", True), ("set", True)],
)
def test_a_server_that_is_away_answers_as_one_that_is_empty(name: str, near: bool) -> None:
    run, expected = ABSENT[name]
    cache = connect(f"redis://{HOST}:{free_port()}", on_error="miss", near=near, **ONCE)
    assert run(cache) == expected
    if name != "namespace":
        assert cache.stats().ignored_errors >= 1
    with pytest.raises(KeyError):
        cache["k"]
    cache.close()


def test_tasks_are_answered_so_too() -> None:
    async def course() -> list[Any]:
        cache = connect(f"redis://{HOST}:{free_port()}", on_error="miss", **ONCE)
        async with cache.aio as tasks:
            return [
                await tasks.get("k", 5),
                await tasks.set("k", 1, tags=["t"]),
                await tasks.get_or_set("k", lambda: 7),
                [key async for key in tasks.scan_iter()],
                (await tasks.stats()).pending,
            ]

    assert asyncio.run(course()) == [5, False, 7, [], 1]


def test_a_lock_and_a_wait_are_refused_all_the_same() -> None:
    cache = connect(f"redis://{HOST}:{free_port()}", on_error="miss", **ONCE)
    with pytest.raises(UnreachableError):
        cache.lock("k").acquire()
    with pytest.raises(UnreachableError):
        cache.blpop("list", 0)
    cache.close()


def test_faults_of_the_caller_are_raised(scene: Scene) -> None:
    cache = scene.cache(on_error="miss")
    cache.rpush("l", 1)
    with pytest.raises(TypeError):
        cache.incr("l")
    with pytest.raises(TypeError):
        cache.get(5)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("k", lambda: 1 / 0)
    assert cache.stats().ignored_errors == 0
    cache.close()


def test_threads_load_once_though_the_server_is_away() -> None:
    cache = connect(f"redis://{HOST}:{free_port()}", on_error="miss", **ONCE)
    gate = Gate(7)
    first = Caller(lambda: cache.get_or_set("k", gate))
    assert gate.began.wait(PATIENCE_S)
    second = Caller(lambda: cache.get_or_set("k", gate))
    flight = cache.loading.flights["k"]
    until(lambda: len(flight.waiters) == 1)
    gate.may_end.set()
    assert cache.stats().ignored_errors >= 4
    assert [first.end(), second.end(), gate.calls] == [7, 7, 1]
    cache.close()


def test_a_load_whose_inner_tags_are_not_known_is_not_kept(scene: Scene) -> None:
    cache = scene.cache(on_error="miss")
    scene.other.set("inner", 1, tags=["t"])
    assert cache.get("inner") == 1
    reads = cache.get

    def loader() -> Any:
        inner = cache.get_or_set("inner", lambda: 2)
        assert current_load() is not None
        return inner

    class Cutting:
        """Cuts the way behind the read of the inner value."""

        def __call__(self, key: str, default: Any) -> Any:
            found = reads(key, default)
            if key == "inner":
                scene.proxy.cut(LOST)
            return found

    cache.get = Cutting()
    assert cache.get_or_set("outer", loader) == 1
    scene.proxy.mend()
    until(lambda: cache.stats().pending == 0)
    assert scene.other.get("outer") is None
    cache.close()


def test_a_write_for_which_there_is_no_room_leaves_nothing_that_is_out_of_date() -> None:
    with our_server(cache=Cache(max_memory=200_000, policy="noeviction")) as server:
        url = f"redis://{HOST}:{server.port}"
        with connect(url) as cache:
            cache.set("k", "old")
            with pytest.raises(OutOfMemoryError):
                cache.set("k", "x" * 300_000)
            assert cache.get("k") == "old"
        with connect(url, on_error="miss") as cache:
            assert cache.set("k", "x" * 300_000) is False
            assert cache.get("k") is None
            assert cache.stats().ignored_errors == 1


@pytest.mark.parametrize(
    ("options", "part"),
    [({"on_error": "hide"}, "'raise' or 'miss'"), ({"max_pending": -1}, "0 for none")],
)
def test_wrong_options_are_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        connect(f"redis://{HOST}:{free_port()}", **options)


class CountedLock:
    """A lock that counts who has come to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came = 0

    def __enter__(self) -> None:
        self.came += 1
        self._lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()


def test_those_who_wait_for_a_try_do_not_try_themselves(late: None) -> None:
    tries: list[int] = []

    def send(commands: Any) -> Any:
        tries.append(len(commands))
        raise redis.ConnectionError("away")

    waiting = recovery.Recovery(send, "there", 10, False)
    waiting.keep([["DEL", "k"]])
    lock = CountedLock()
    waiting._trying = lock  # type: ignore[assignment]
    with lock:
        callers = [Caller(waiting.apply) for _ in range(8)]
        until(lambda: lock.came == 9)
    found = [caller.end() for caller in callers]
    assert {type(each) for each in found} == {redis.ConnectionError}
    assert len(tries) == 1


def test_the_statistics_do_not_print_what_there_is_none_of(scene: Scene) -> None:
    with scene.cache() as cache:
        cache.set("k", 1)
        printed = repr(cache.stats())
        assert "keys=" not in printed and "hit_ratio" not in printed
        assert "pending=0" in printed
        assert len(cache) == 1
    with scene.cache(near=True) as near:
        # what is read before the server has said that it tells of changes is not kept
        until(lambda: near.get("k") == 1 and near.stats().keys == 1)
        assert "keys=1" in repr(near.stats()) and "hit_ratio" in repr(near.stats())
