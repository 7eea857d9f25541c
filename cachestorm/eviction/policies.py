"""The policies by name: the one table that configuration, flags and `Cache` read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachestorm.errors import ConfigError
from cachestorm.eviction.lru import SampledLru
from cachestorm.eviction.policy import Policy

POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "noeviction": Policy,
    "allkeys-lru": SampledLru,
}


def make_policy(name: str) -> Policy:
    """A fresh policy for one keyspace.

    Raises:
        ConfigError: if there is none of that name; the text lists those that are.
    """
    factory = POLICIES.get(name)
    if factory is None:
        raise ConfigError(f"unknown eviction policy {name!r}: one of {', '.join(POLICIES)}")
    return factory()
