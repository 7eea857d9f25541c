"""What many threads, misbehaving values, garbage collection and forks do to a cache."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from cachestorm import MISSING, Cache, Effect
from cachestorm.errors import ReentrancyError


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Runs `work(number)` in threads and raises what any of them raised."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


@pytest.fixture
def switchy() -> object:
    """Switches threads as often as the interpreter can."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


@pytest.mark.usefixtures("switchy")
class TestThreads:
    def test_no_increment_is_lost(self) -> None:
        cache = Cache()

        def work(_: int) -> None:
            for _ in range(2000):
                cache.incr("count")

        in_threads(4, work)
        assert cache.get("count") == 8000
        cache._check()

    def test_hammering_the_same_keys_keeps_every_invariant(self) -> None:
        cache = Cache(max_memory="40kb")
        keys = [f"key:{n}" for n in range(40)]

        def work(number: int) -> None:
            for turn in range(1500):
                key = keys[(turn * 7 + number) % len(keys)]
                match (turn + number) % 6:
                    case 0:
                        cache.set(key, b"x" * (turn % 900), tags=[f"tag:{turn % 3}"])
                    case 1:
                        cache.set(key, turn, ttl=0.001)
                    case 2:
                        cache.delete(key)
                    case 3:
                        cache.invalidate(f"tag:{turn % 3}")
                    case 4:
                        cache.keys()
                    case _:
                        value = cache.get(key)
                        assert value is None or isinstance(value, (bytes, int))

        in_threads(4, work)
        cache._check()

    def test_a_reader_never_gets_the_value_of_another_key(self) -> None:
        cache = Cache()
        stop = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                for turn in range(4000):
                    key = f"k{turn % 50}"
                    cache.delete(key)
                    cache.set(key, key)
                stop.set()
            else:
                while not stop.is_set():
                    for n in range(50):
                        assert cache.get(f"k{n}") in (None, f"k{n}")

        in_threads(3, work)

    def test_nobody_sees_half_an_invalidation(self) -> None:
        cache = Cache()
        names = [f"k{n}" for n in range(6000)]
        stop = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                for _ in range(5):
                    with cache.transaction():
                        for name in names:
                            cache.set(name, 1, tags=["group"])
                    assert cache.invalidate("group") == len(names)
                stop.set()
            else:
                while not stop.is_set():
                    # the first key goes with the last, so what is seen later is not more
                    first = cache.exists(names[0])
                    last = cache.exists(names[-1])
                    both = cache.exists(names[0], names[3000], names[-1])
                    assert both in (0, 3), (first, both, last)

        in_threads(2, work)
        cache._check()

    def test_a_transaction_is_seen_whole(self) -> None:
        cache = Cache()
        cache.mset({"a": 0, "b": 0})
        stop = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                for turn in range(2000):
                    with cache.transaction():
                        cache.set("a", turn)
                        cache.set("b", turn)
                stop.set()
            else:
                while not stop.is_set():
                    a, b = cache.mget("a", "b")
                    assert a == b

        in_threads(2, work)


def test_other_threads_go_on_while_a_large_tag_is_reaped() -> None:
    cache = Cache()
    cache.set("other", 1)
    turns = 0
    stop = threading.Event()

    def has_reaped_alone() -> bool:
        """Whether the other thread stood still: on a busy machine it may for a while."""
        cache.set_many({f"k{n}": n for n in range(100_000)}, tags=["big"])
        before = turns
        assert cache.invalidate("big") == 100_000
        return turns == before

    def work(number: int) -> None:
        nonlocal turns
        if number == 0:
            try:
                assert not all(has_reaped_alone() for _ in range(10))
            finally:
                stop.set()
        else:
            while not stop.is_set():
                cache.incr("other")
                turns += 1

    in_threads(2, work)
    cache._check()


class Knocker:
    """A value whose finalizer comes back to the cache that held it."""

    def __init__(self, cache: Cache, knock: Callable[[Cache], object]) -> None:
        self.cache = cache
        self.knock = knock

    def __del__(self) -> None:
        self.knock(self.cache)


@pytest.mark.parametrize(
    "drop",
    [
        lambda cache: cache.delete("k"),
        lambda cache: cache.set("k", 1),
        lambda cache: cache.invalidate("t"),
        lambda cache: cache.flushdb(),
        lambda cache: cache.getset("k", 1) and None,
        lambda cache: cache.rename("other", "k"),
    ],
    ids=["delete", "set", "invalidate", "flushdb", "getset", "rename"],
)
def test_a_finalizer_may_use_the_cache_that_let_its_value_go(
    drop: Callable[[Cache], object],
) -> None:
    cache = Cache()
    seen: list[object] = []
    cache.set("other", 7)

    def knock(held: Cache) -> None:
        seen.append(held.get("other", "gone"))
        held.set("written", True)

    cache.set("k", Knocker(cache, knock), tags=["t"])
    drop(cache)
    gc.collect()
    assert len(seen) == 1
    assert cache.get("written") is True
    cache._check()


def test_a_value_that_refers_to_the_cache_is_freed_with_it() -> None:
    class Probe:
        pass

    probe = Probe()
    watch = weakref.ref(probe)
    cache = Cache()
    cache.set("self", (cache, probe), ttl=60, tags=["a", "b"])
    cache.set("b", [cache], tags=["a"])
    cache.namespace("n").set("k", cache)
    del cache, probe
    gc.collect()
    assert watch() is None


def test_a_value_that_refuses_comparison_and_hashing_is_a_value_like_any_other() -> None:
    class Hostile:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

        def __sizeof__(self) -> int:
            raise RuntimeError("weighed")

        def __bool__(self) -> bool:
            raise RuntimeError("asked for its truth")

    cache = Cache(max_memory="1mb")
    value = Hostile()
    cache.set("k", value, tags=["t"])
    cache.set("k", value)
    assert cache.get("k") is value
    assert cache.getdel("k") is value
    cache._check()


def test_a_listener_may_use_the_cache_and_gets_effects_in_order() -> None:
    cache = Cache()
    seen: list[tuple[str, str]] = []

    def listener(effect: Effect) -> None:
        seen.append((effect.kind, effect.key))
        if effect.key == "a" and effect.kind == "put":
            cache.set("from listener", 1)

    cache.listen(listener)
    cache.set("a", 1)
    cache.delete("a")
    cache.unlisten(listener)
    cache.set("b", 1)
    assert seen == [("put", "a"), ("put", "from listener"), ("removed", "a")]


def test_a_listener_that_raises_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    cache = Cache()
    seen: list[str] = []

    def broken(effect: Effect) -> None:
        raise RuntimeError("broken")

    cache.listen(broken)
    cache.listen(lambda effect: seen.append(effect.key))
    cache.set("a", 1)
    assert seen == ["a"]
    assert len(reports) == 1


def test_entering_the_same_cache_from_inside_is_refused_and_changes_nothing() -> None:
    cache = Cache()
    cache.set("k", 1)
    latch = cache._store.latch
    latch.acquire()
    try:
        with pytest.raises(ReentrancyError, match="re-entered"):
            cache.delete("k")
        with pytest.raises(ReentrancyError):
            cache.set("k", 2)
    finally:
        latch.release()
    assert cache.get("k") == 1
    cache._check()


def test_collecting_garbage_in_the_middle_of_writes_is_harmless() -> None:
    cache = Cache()
    outcomes: list[object] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                cache.set("from a finalizer", 1)
                outcomes.append(True)
            except ReentrancyError:
                outcomes.append(False)

    former = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for n in range(2000):
            Cycle()
            cache.set(f"k{n % 50}", [n], ttl=60, tags=[f"t{n % 7}", "all"])
            cache.tagkeys("all")
    finally:
        gc.set_threshold(*former)
    gc.collect()
    assert outcomes
    cache._check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_middle_of_writes_leaves_a_usable_cache_in_the_child() -> None:
    cache = Cache()
    stop = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    try:
                        cache._check()
                        cache.set("child", 1)
                        cache.invalidate("t")
                        os._exit(0)
                    except BaseException:
                        os._exit(1)
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    done, status = os.waitpid(child, os.WNOHANG)
                    if done:
                        break
                    time.sleep(0.005)
                else:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    raise AssertionError("the child hangs")
                assert status == 0
            stop.set()
        else:
            turn = 0
            while not stop.is_set():
                turn += 1
                cache.set(f"k{turn % 100}", turn, tags=["t"])

    in_threads(4, work)
    assert cache.get("child", MISSING) is MISSING
    cache._check()


@pytest.mark.usefixtures("switchy")
def test_single_reads_see_a_transaction_whole_too() -> None:
    cache = Cache()
    cache.mset({"a": 0, "b": 0})
    stop = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            for turn in range(2000):
                with cache.transaction():
                    cache.set("a", turn)
                    cache.get("c")
                    cache.set("b", turn)
            stop.set()
        else:
            while not stop.is_set():
                # `b` is written last: once it shows a turn, `a` shows that turn or a later one
                b = cache.get("b")
                a = cache.get("a")
                assert isinstance(a, int)
                assert isinstance(b, int)
                assert a >= b
                # and `a` is never seen ahead of a `b` that is read after it
                a = cache.get("a")
                b = cache.get("b")
                assert isinstance(a, int)
                assert isinstance(b, int)
                assert b >= a

    in_threads(2, work)


def test_a_transaction_may_be_nested_in_another() -> None:
    cache = Cache()
    with cache.transaction():
        cache.set("a", 1)
        with cache.transaction():
            cache.set("b", 2)
        cache.set("c", 3)
    assert cache.mget("a", "b", "c") == [1, 2, 3]
    assert not cache._store.latch.locked()


def test_a_transaction_is_ended_once_and_by_the_thread_that_began_it() -> None:
    cache = Cache()
    transaction = cache.transaction()
    transaction.__enter__()
    cache.set("a", 1)

    def leave(number: int) -> None:
        with pytest.raises(RuntimeError, match="by the thread that began it"):
            transaction.__exit__(None, None, None)

    in_threads(1, leave)
    assert cache._store.latch.locked()
    cache.set("a", 2)
    transaction.__exit__(None, None, None)
    assert not cache._store.latch.locked()
    leave(0)
    assert cache.get("a") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_by_a_listener_still_tells_its_listeners() -> None:
    cache = Cache()
    statuses: list[int] = []
    heard: list[str] = []

    def listener(effect: Effect) -> None:
        heard.append(effect.key)
        if effect.key == "fork":
            child = os.fork()
            if child == 0:
                os._exit(0 if told_in_the_child() else 1)
            statuses.append(os.waitpid(child, 0)[1])

    def told_in_the_child() -> bool:
        cache.set("child", 1)
        return heard[-1] == "child"

    cache.listen(listener)
    cache.set("fork", 1)
    assert statuses == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_by_a_listener_goes_on_after_it() -> None:
    cache = Cache()
    forked: list[int] = []
    cache.on_removed(lambda key, value, cause: forked.append(os.fork()))
    cache.set("a", 1)
    outcome: object = None
    try:
        outcome = cache.delete("a")
    finally:
        if forked == [0]:
            os._exit(0 if outcome == 1 else 1)
    assert os.waitpid(forked[0], 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threads_that_fork_at_the_same_time_give_back_what_they_took_themselves() -> None:
    caches = [Cache() for _ in range(10)]
    stop = threading.Event()

    def work(number: int) -> None:
        turn = 0
        while number == 0 and not stop.is_set():
            caches[turn % 10].set(f"k{turn % 99}", turn, tags=["t"])
            turn += 1
        for _ in range(10 if number else 0):
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(10)
                    for cache in caches:
                        cache.set("child", 1)
                        cache._check()
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            status = os.waitpid(child, 0)[1]
            if status != 0:
                stop.set()
            assert status == 0
        if number == 1:
            stop.set()

    in_threads(4, work)
    for cache in caches:
        assert not cache._store.latch.locked()
        cache._check()


def test_weighing_a_value_never_happens_under_the_lock() -> None:
    cache = Cache()
    seen: list[bool] = []

    class Weighed:
        def __sizeof__(self) -> int:
            seen.append(cache._store.latch.locked())
            return 100

    cache.set("a", Weighed())
    cache.mset({"b": Weighed()})
    cache.setnx("c", Weighed())
    cache.getset("a", Weighed())
    cache.settag("d", Weighed(), "t")
    cache.rpush("l", Weighed())
    cache.hset("h", "f", Weighed())
    assert seen
    assert not any(seen)
