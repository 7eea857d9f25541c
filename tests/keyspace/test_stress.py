"""Everything at once: threads, deadlines, tags, containers, eviction, limits that move.

Each test runs for a second; with CACHESTORM_NIGHTLY=1 both of them together for a minute.
Threads draw what they do from seeds, so that the mix is the same every time, and only the
order is not.

1. No update is lost. Where counters may be evicted, a listener is told what each had when it
   left: all increments are what is there and what was told. Where they may not, because they
   have no deadline and the policy is volatile, all of them are there; the same holds for the
   fields of a hash, the scores of a sorted set, and what is moved between lists and sets.
2. A reader gets the value of the key it asked for, or nothing.
3. Effects come in the order of their versions.
4. Whatever was done, every invariant holds in the end, and so do the limits; and when all is
   flushed, nothing is charged and nothing waits to be let go of.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from cachestorm import Cache, CacheStormError, Cause, Effect
from cachestorm.errors import NoSuchKeyError, OutOfMemoryError, ReentrancyError
from cachestorm.eviction.policies import POLICIES

SECONDS = 30.0 if os.environ.get("CACHESTORM_NIGHTLY") else 1.0
# a thread that has not ended by then hangs
PATIENCE_S = 60.0
COUNTERS = 8
KEYS = 400
TAGS = 12
MOVED = 40
# of the namespaces beside the one that counts, so that a volatile policy finds victims there
DEFAULT_TTL_S = 0.5


@pytest.fixture(autouse=True)
def switchy() -> Iterator[None]:
    """Switches threads far more often than the interpreter does by itself."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(former)


class Knocker:
    """A value whose finalizer counts in the cache that held it."""

    def __init__(self, stress: Stress) -> None:
        self.stress = stress

    def __del__(self) -> None:
        # refused where the collector strikes in the middle of a call of this thread
        with suppress(ReentrancyError, OutOfMemoryError):
            self.stress.cache.incr("n0")
            self.stress.knocks.append(1)


class Stress:
    """One cache, and the threads that do everything to it.

    Args:
        keeps: whether what has no deadline is there to stay in the cache's own namespace.

    Attributes:
        counted: what the increments of each thread came to.
        told: the values of counters that have left, as a listener heard of them.
        knocks: one for each increment by a finalizer.
    """

    def __init__(self, cache: Cache, keeps: bool = False) -> None:
        self.cache = cache
        self.others = [
            cache.namespace("db1", default_ttl=DEFAULT_TTL_S),
            cache.namespace("other", default_ttl=DEFAULT_TTL_S, max_memory="60kb"),
        ]
        self._homes = self.others if keeps else [cache, *self.others]
        self._policies = [name for name in POLICIES if not keeps or name.startswith("vol")]
        self.counted: list[int] = []
        self.told: list[int] = []
        self.knocks: list[int] = []
        self._ends_at = time.monotonic() + SECONDS
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def do(self, role: Callable[[random.Random], object], seed: int) -> None:
        """Starts a thread that plays a role, again and again until the time is over."""

        def run() -> None:
            rng = random.Random(seed)
            counted = 0
            try:
                while time.monotonic() < self._ends_at and not self._failures:
                    with suppress(OutOfMemoryError):
                        counted += int(role(rng) or 0)
            except BaseException as failure:
                self._failures.append(failure)
            self.counted.append(counted)

        self._threads.append(threading.Thread(target=run, name=role.__name__, daemon=True))

    def run(self) -> None:
        """Runs all threads to their ends, and raises what any of them raised."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join(SECONDS + PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self._failures:
            raise self._failures[0]
        gc.collect()
        self.cache._check()

    def end(self) -> None:
        """What must hold when all threads have ended."""
        cache = self.cache
        cache.policy = "adaptive"
        cache.max_entries = 200
        cache.max_memory = "100kb"
        assert cache.stats().used_memory <= 100 * 1024
        assert cache.stats().keys <= 200
        cache._check()
        # finalizers write again
        for _ in range(3):
            cache.flushall()
            gc.collect()
            while cache.reap():
                pass
        cache._check()
        assert cache.stats().keys == 0
        assert cache.stats().used_memory == 0
        assert cache._store.lazy_free.size_bytes == 0
        assert not cache._store.latch.locked()

    # -- roles: each does one thing, and returns by how much it raised the counters

    def count(self, rng: random.Random) -> int:
        cache = self.cache
        key = f"n{rng.randrange(COUNTERS)}"
        match rng.randrange(12):
            case 0:
                step = rng.randrange(1000)
                cache.incr(key, step)
                return step
            case 1:
                cache.decr(key)
                return -1
            case 2:
                done = 0
                with cache.transaction(), suppress(OutOfMemoryError):
                    for _ in range(2):
                        cache.incr(key)
                        done += 1
                return done
            case _:
                cache.incr(key)
                return 1

    def count_what_may_go(self, rng: random.Random) -> int:
        """Counters end in every way there is, but for one that changes their names."""
        cache = self.cache
        key = f"n{rng.randrange(COUNTERS)}"
        match rng.randrange(60):
            case 0:
                cache.expire(key, rng.choice([0.001, 0.02]))
            case 1 | 2:
                cache.addtag(key, _tag(rng), _tag(rng))
            case 3:
                cache.set(key, 0, rng.choice([None, 0.002]))
            case 4:
                cache.getset(key, 0)
            case 5:
                cache.getdel(key)
            case 6:
                cache.delete(key)
            case _:
                return self.count(rng)
        return 0

    def count_in_containers(self, rng: random.Random) -> int:
        cache = self.cache
        match rng.randrange(4):
            case 0:
                cache.hincrby("hash", f"f{rng.randrange(30)}", 1)
                return 1
            case 1:
                cache.zincrby("ranks", 1, f"m{rng.randrange(30)}")
                return 1
            case 2:
                cache.lmove(rng.choice("ab"), rng.choice("ab"), "LEFT", "RIGHT")
            case _:
                cache.smove(rng.choice("cd"), rng.choice("cd"), f"e{rng.randrange(MOVED)}")
        return 0

    def use(self, rng: random.Random) -> None:
        cache = rng.choice(self._homes)
        key = _key(rng)
        value = _value(rng, key)
        match rng.randrange(16):
            case 0:
                cache.set(key, value, tags=[_tag(rng) for _ in range(rng.randrange(4))])
            case 1:
                cache.set(key, value, rng.choice([0.001, 0.01, 0.1, 5]))
            case 2:
                cache.set(key, value, idle=0.01, ttl=0.05, tags=[_tag(rng)])
            case 3 | 4:
                cache.set(key, value)
            case 5:
                cache.delete(key)
            case 6:
                cache.expire(key, 0.005)
            case 7:
                cache.mset({key: value, f"{key}+": f"{key}+=".encode()})
            case 8:
                cache.setnx(key, value)
            case 9:
                cache.set(f"o{key}", Knocker(self))
            case _:
                _read(cache, key)

    def use_what_ends(self, rng: random.Random) -> None:
        """As `use`, beside counters that stay."""
        key = _key(rng)
        match rng.randrange(8):
            case 0 | 1:
                self.cache.set(key, _value(rng, key), rng.choice([0.01, 1, 50]))
            case 2:
                self.cache.set(key, _value(rng, key), 1, tags=[_tag(rng), _tag(rng)])
            case 3:
                self.cache.delete(key)
            case _:
                _read(self.cache, key)

    def use_containers(self, rng: random.Random) -> None:
        cache = rng.choice(self._homes)
        key = f"{rng.choice('hlszb')}{rng.randrange(12)}"
        names = [f"m{rng.randrange(2000)}" for _ in range(rng.choice([1, 5, 900]))]
        match (key[0], rng.randrange(4)):
            case (_, 0):
                cache.delete(key)
            case ("h", 1):
                cache.hexpire(key, 0.01, *names[:5])
            case ("h", _):
                cache.hset(key, mapping=dict.fromkeys(names, b"v"))
            case ("l", 1):
                cache.lpop(key, 300)
            case ("l", _):
                cache.rpush(key, *names)
            case ("s", 1):
                cache.spop(key, 500)
            case ("s", _):
                cache.sadd(key, *names)
            case ("z", 1):
                cache.zpopmin(key, 300)
            case ("z", 2):
                cache.zunionstore(f"z{rng.randrange(12)}", [key, "z1"])
            case ("z", _):
                cache.zadd(key, dict.fromkeys(names, 1.5))
            case (_, 1):
                cache.setbit(key, rng.randrange(90_000), 1)
            case _:
                cache.append(key, b"x" * rng.choice([10, 5000]))
        if rng.randrange(8) == 0:
            cache.addtag(key, _tag(rng))
            cache.expire(key, rng.choice([0.01, 1]))

    def upset(self, rng: random.Random) -> None:
        cache = self.cache
        other = rng.choice(self.others)
        match rng.randrange(24):
            case 0 | 1:
                cache.invalidate(_tag(rng), cascade=rng.random() < 0.5)
            case 2:
                cache.invalidate(_tag(rng), soft=True)
            case 3:
                cache.max_memory = rng.choice([60_000, 150_000, 400_000])
            case 4:
                cache.max_entries = rng.choice([None, 50, 300, 2000])
            case 5:
                cache.swapdb(1, 2)
            case 6:
                other.flushdb()
            case 7:
                with suppress(NoSuchKeyError):
                    other.rename(f"s{rng.randrange(9)}", f"s{rng.randrange(9)}")
            case 8:
                other.copy(f"k{rng.randrange(9)}", f"c{rng.randrange(9)}", replace=True)
            case 9:
                other.invalidate(_tag(rng))
            case 10:
                cache.namespacedel("other")
                cache.namespace("other", default_ttl=DEFAULT_TTL_S, max_memory="20kb")
            case 11:
                with suppress(CacheStormError):
                    # one that would close a circle
                    cache.taglink(_tag(rng), _tag(rng))
            case 12:
                cache.tagunlink(_tag(rng), _tag(rng))
            case 13:
                cache.reap()
            case 14:
                assert all(isinstance(key, str) for key in cache)
            case 15:
                cache.scan(rng.randrange(100), count=20)
            case 16:
                cache.hotkeys(), cache.stats(), cache.namespace_stats(), cache.hit_ratios()
            case 17:
                cache.why(f"k{rng.randrange(9)}"), cache.memory_usage(f"k{rng.randrange(9)}")
            case 18:
                cache.tagkeys(_tag(rng)), cache.tagcount(_tag(rng))
            case 19:
                dumped = other.dump(f"h{rng.randrange(12)}")
                if dumped is not None:
                    other.restore("restored", 50, dumped, replace=True)
            case 20:
                listener = other.on_removed(lambda key, value, cause: None, [Cause.EVICTED])
                other.unlisten(listener)
            case 21 if rng.random() < 0.2:
                cache.policy = rng.choice(self._policies)
            case _:
                time.sleep(0.0005)


def _tag(rng: random.Random) -> str:
    return f"t{rng.randrange(TAGS)}"


def _key(rng: random.Random) -> str:
    return f"k{min(int(rng.expovariate(6 / KEYS)), KEYS)}"


def _value(rng: random.Random, key: str) -> bytes:
    return key.encode() + b"=" + b"x" * rng.choice([1, 30, 300, 3000])


def _read(cache: Cache, key: str) -> None:
    found = cache.get(key)
    assert found is None or (isinstance(found, bytes) and found.startswith(key.encode() + b"="))


def test_what_leaves_takes_along_what_was_counted_and_nothing_else_is_lost() -> None:
    cache = Cache(max_memory=150_000, max_entries=500)
    stress = Stress(cache)
    last = 0
    late: list[int] = []

    def hear(effect: Effect) -> None:
        nonlocal last
        if effect.version < last:
            late.append(effect.version)
        last = effect.version

    def hear_of_removal(key: str, value: object, cause: Cause) -> None:
        if key.startswith("n"):
            assert isinstance(value, int), (key, value, cause)
            stress.told.append(value)

    cache.listen(hear)
    cache.on_removed(hear_of_removal)
    for seed in range(2):
        stress.do(stress.count_what_may_go, seed)
        stress.do(stress.use, 10 + seed)
    stress.do(stress.use_containers, 20)
    stress.do(stress.upset, 30)
    with cache.reaper(0.002):
        stress.run()

    cache.delete(*[f"n{number}" for number in range(COUNTERS)])
    assert sum(stress.told) == sum(stress.counted) + len(stress.knocks)
    assert late == []
    stats = cache.stats()
    assert stats.evicted > 0 and stats.expired > 0 and stats.invalidated > 0
    stress.end()


def test_what_may_not_leave_keeps_every_update() -> None:
    cache = Cache(max_memory=150_000, max_entries=500, policy="volatile-lru")
    elements = sorted(f"e{number}" for number in range(MOVED))
    cache.rpush("a", *elements)
    cache.sadd("c", *elements)
    stress = Stress(cache, keeps=True)
    for seed in range(2):
        stress.do(stress.count, seed)
        stress.do(stress.count_in_containers, 10 + seed)
    stress.do(stress.use, 20)
    stress.do(stress.use_what_ends, 21)
    stress.do(stress.use_containers, 30)
    stress.do(stress.upset, 40)
    with cache.reaper(0.002):
        stress.run()

    found = sum(cache.incr(f"n{number}", 0) for number in range(COUNTERS))
    found += sum(int(value) for value in cache.hvals("hash"))
    found += sum(int(score) for _, score in cache.zrange("ranks", 0, -1, withscores=True))
    assert found == sum(stress.counted) + len(stress.knocks)
    assert sorted(cache.lrange("a", 0, -1) + cache.lrange("b", 0, -1)) == elements
    assert sorted(cache.sunion("c", "d")) == elements
    assert cache.scard("c") + cache.scard("d") == MOVED
    assert cache.stats().evicted > 0 and cache.stats().expired > 0
    stress.end()
