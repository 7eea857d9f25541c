"""The contestants: everything that can be sent through a trace, driven as its user would.

Called by the judge in its workers, by the notebook and by tests. A contestant is asked for
a key, and at a miss the key is set. A reference does both by itself.

1. Real caches get `str` keys, each key the same object whenever it comes, as from a table of
   names; a value is True.
2. The names of our own policies are those of the table of policies, so a new one is judged
   without a word here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cachestorm import Cache
from cachestorm.eviction.policies import POLICIES
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.references.optimum import Optimum

OPTIMUM: Final = "optimum"
# where a trace is longer than this many capacities, the rest says what a policy has learnt
WARM: Final = 20
# how they refuse a write at a limit; the others evict
REFUSES: Final = "noeviction"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hits of one contestant with one capacity.

    Attributes:
        early: hits among the first `WARM` capacities of requests.
        hits: among all.
    """

    early: int
    hits: int


def own_policies() -> list[str]:
    """CacheStorm's policies that evict by themselves.

    Those that evict only keys with a deadline are told of none here, and refuse.
    """
    return [name for name in POLICIES if name != REFUSES and not name.startswith("volatile-")]


def run_reference(name: str, keys: Sequence[int], capacity: int) -> Outcome:
    """Sends a trace through a reference or the optimum."""
    reference = Optimum(capacity, keys) if name == OPTIMUM else FIXED[name](capacity)
    warm = WARM * capacity
    early = sum(map(reference.request, keys[:warm]))
    return Outcome(early, early + sum(map(reference.request, keys[warm:])))


def run_own(policy: str, names: Sequence[str], capacity: int) -> Outcome:
    """Sends a trace through a `Cache` with one of our policies."""
    cache = Cache(max_entries=capacity, policy=policy)
    return run_cache(cache.get, cache.set, names, capacity)


def run_peer(name: str, names: Sequence[str], capacity: int) -> Outcome:
    """Sends a trace through another library's cache.

    Raises:
        ImportError: where it is not installed.
    """
    get, set_ = PEERS[name](capacity)
    return run_cache(get, set_, names, capacity)


def run_cache(
    get: Callable[[str], object],
    set_: Callable[[str, object], object],
    names: Sequence[str],
    capacity: int,
) -> Outcome:
    """Asks for every key in turn, and sets it where there is nothing."""
    hits = early = 0
    early = hits = 0
    for part in (names[: WARM * capacity], names[WARM * capacity :]):
        early = hits
        for key in part:
            if get(key) is None:
                set_(key, True)
            else:
                hits += 1
    return Outcome(early, hits)


def spelt(keys: Sequence[int]) -> list[str]:
    """The keys of a trace as `str`, each key one object."""
    names = {key: f"key:{key}" for key in set(keys)}
    return [names[key] for key in keys]


Methods = tuple[Callable[[str], object], Callable[[str, object], object]]


def cachetools_lru(capacity: int) -> Methods:
    import cachetools

    cache: Any = cachetools.LRUCache(capacity)
    return cache.get, cache.__setitem__


def cachetools_lfu(capacity: int) -> Methods:
    import cachetools

    cache: Any = cachetools.LFUCache(capacity)
    return cache.get, cache.__setitem__


def cachebox_lru(capacity: int) -> Methods:
    import cachebox

    cache: Any = cachebox.LRUCache(capacity)
    return cache.get, cache.insert


def cachebox_lfu(capacity: int) -> Methods:
    import cachebox

    cache: Any = cachebox.LFUCache(capacity)
    return cache.get, cache.insert


def moka(capacity: int) -> Methods:
    import moka_py

    cache: Any = moka_py.Moka(capacity)
    return cache.get, cache.set


def theine(capacity: int) -> Methods:
    from theine import Cache as Theine

    cache: Any = Theine(capacity)
    ask = cache.get
    # it answers with a value and whether that was there
    return lambda key: ask(key)[0], cache.set


PEERS: Final[dict[str, Callable[[int], Methods]]] = {
    "cachetools LRU": cachetools_lru,
    "cachetools LFU": cachetools_lfu,
    "cachebox LRU": cachebox_lru,
    "cachebox LFU": cachebox_lfu,
    "theine": theine,
    "moka-py": moka,
}
