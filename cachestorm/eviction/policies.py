"""The policies by name: the one table that configuration, flags and `Cache` read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachestorm.errors import ConfigError
from cachestorm.eviction.adaptive import Adaptive
from cachestorm.eviction.deadline import NearestDeadline
from cachestorm.eviction.lfu import SampledLfu
from cachestorm.eviction.lru import SampledLru
from cachestorm.eviction.policy import Policy
from cachestorm.eviction.sampled import MOST_SAMPLES, SAMPLE_SIZE, Sampled

# What makes a policy, given how many entries a sample has.
POLICIES: Final[dict[str, Callable[[int], Policy]]] = {
    "adaptive": lambda sample_size: Adaptive(),
    "noeviction": lambda sample_size: Policy(),
    "allkeys-lru": lambda sample_size: SampledLru(False, sample_size),
    "allkeys-lfu": lambda sample_size: SampledLfu(False, sample_size),
    "allkeys-random": lambda sample_size: Sampled(False, 1),
    "volatile-lru": lambda sample_size: SampledLru(True, sample_size),
    "volatile-lfu": lambda sample_size: SampledLfu(True, sample_size),
    "volatile-random": lambda sample_size: Sampled(True, 1),
    "volatile-ttl": lambda sample_size: NearestDeadline(True, sample_size),
}


def policy_named(name: object) -> str:
    """The name of a policy, as it was given.

    Raises:
        ConfigError: if there is none of that name, and the text lists those that are.
    """
    if not isinstance(name, str) or name not in POLICIES:
        raise ConfigError(f"unknown eviction policy {name!r}: one of {', '.join(POLICIES)}")
    return name


def make_policy(name: str, sample_size: int = SAMPLE_SIZE) -> Policy:
    """A fresh policy for one keyspace.

    Args:
        sample_size: how many entries those that sample draw for a victim.

    Raises:
        ConfigError: if there is none of that name, and the text lists those that are; or
            for a sample of none.
    """
    factory = POLICIES[policy_named(name)]
    if not 1 <= sample_size <= MOST_SAMPLES:
        raise ConfigError(f"a sample has 1 to {MOST_SAMPLES} entries, not {sample_size}")
    return factory(sample_size)
