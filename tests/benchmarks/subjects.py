"""The caches that the in-process cases measure: one recipe for each.

A recipe makes a cache and names its bound methods, in the fastest spelling that its own
documentation offers. Nothing is wrapped: what a benchmark calls is the subject's own method,
but for functools.lru_cache, which has no set.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.builds import ROOT
from tests.benchmarks.worker import check_build

Get = Callable[[str], object]
Set = Callable[[str, object], object]
SetTtl = Callable[[str, object, Any], object]

# large enough that nothing is evicted: all columns measure the cache at work, not at its end
CAPACITY = 2_000_000


class Subject:
    """A fresh cache and its methods; None for what it does not offer.

    Attributes:
        get: takes a key.
        set: takes a key and a value.
        set_ttl: takes a key, a value and `ttl`.
        ttl: a minute, as the subject spells it.
        always_ttl: every key has the same time to live, so `set` is a set with TTL.
    """

    get: Get
    set: Set | None = None
    set_ttl: SetTtl | None = None
    ttl: Any = 60
    always_ttl: bool = False

    def fill(self, key: str, value: object) -> None:
        """Puts a value that stays."""
        assert self.set is not None
        self.set(key, value)

    def fill_ttl(self, key: str, value: object) -> None:
        """Puts a value that ends in a minute."""
        if self.set_ttl is not None:
            self.set_ttl(key, value, self.ttl)
        else:
            self.fill(key, value)


class CacheStorm(Subject):
    """The store with all its duties on: locks, accounting, eviction policy, versions, tags.

    Args:
        policy: the default, or another.
        max_memory: its limit; the default is far away.
    """

    def __init__(self, policy: str = "adaptive", max_memory: int | str = "8gb") -> None:
        check_build()
        from cachestorm import Cache

        cache = Cache(max_memory=max_memory, policy=policy)
        self.cache = cache
        self.get = cache.get
        self.set = cache.set
        self.set_ttl = cache.set


class Dict(Subject):
    """No cache, but the floor under all of them."""

    def __init__(self) -> None:
        self.cache: dict[str, object] = {}
        self.get = self.cache.get
        self.set = self.cache.__setitem__


class CompiledDict(Subject):
    """No cache either: what a compiled method over a dict takes, before any duty."""

    def __init__(self) -> None:
        sys.path.insert(0, str(compiled_floor()))
        from floor import Floor

        self.cache = Floor()
        self.get = self.cache.get
        self.set = self.cache.set


def compiled_floor() -> Path:
    """The folder of `floor.py`, compiled; it is made at the first use.

    Raises:
        subprocess.CalledProcessError: when it cannot be compiled.
    """
    folder = ROOT / "build" / "floor"
    if not list(folder.glob("*.so")):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("floor.py"), folder)
        subprocess.run(
            [sys.executable, "-m", "mypyc", "floor.py"],
            cwd=folder,
            env={**os.environ, "MYPYC_OPT_LEVEL": "3"},
            check=True,
            capture_output=True,
        )
        (folder / "floor.py").unlink()
    return folder


class LruFunction(Subject):
    """functools.lru_cache: a get is a call that hits, a set of a new key a call that misses."""

    def __init__(self) -> None:
        values: list[object] = [None]

        @functools.lru_cache(maxsize=CAPACITY)
        def load(key: str) -> object:
            return values[0]

        self.get = load
        self._values = values

    def fill(self, key: str, value: object) -> None:
        # the function returns this value for this key from now on
        self._values[0] = value
        self.get(key)


class CacheboxLru(Subject):
    def __init__(self) -> None:
        import cachebox

        self.cache = cachebox.LRUCache(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.insert


class CacheboxVttl(Subject):
    def __init__(self) -> None:
        import cachebox

        self.cache = cachebox.VTTLCache(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.insert
        self.set_ttl = self.cache.insert


class LruDict(Subject):
    def __init__(self) -> None:
        import lru

        self.cache = lru.LRU(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.__setitem__


class Moka(Subject):
    def __init__(self) -> None:
        import moka_py

        self.cache = moka_py.Moka(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.set
        self.set_ttl = self.cache.set


class Theine(Subject):
    ttl = timedelta(seconds=60)

    def __init__(self) -> None:
        import theine

        self.cache = theine.Cache(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.set
        self.set_ttl = self.cache.set


class CachetoolsLru(Subject):
    def __init__(self) -> None:
        import cachetools

        self.cache = cachetools.LRUCache(CAPACITY)
        self.get = self.cache.get
        self.set = self.cache.__setitem__


class CachetoolsTtl(Subject):
    always_ttl = True

    def __init__(self) -> None:
        import cachetools

        self.cache = cachetools.TTLCache(CAPACITY, ttl=60)
        self.get = self.cache.get
        self.set = self.cache.__setitem__


PEERS: dict[str, type[Subject]] = {
    "dict": Dict,
    "dict, behind a compiled method": CompiledDict,
    "functools.lru_cache": LruFunction,
    "cachebox LRU": CacheboxLru,
    "cachebox VTTL": CacheboxVttl,
    "lru-dict": LruDict,
    "moka-py": Moka,
    "theine": Theine,
    "cachetools LRU": CachetoolsLru,
    "cachetools TTL": CachetoolsTtl,
}
# they show what lies below every cache, and are none
NO_CACHES = ("dict", "dict, behind a compiled method")
