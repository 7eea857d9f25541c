"""A cache that has been given more than its memory takes, for the tests of the warm tier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cachestorm import Cache

KB = b"0123456789abcdef" * 64


def value(number: int) -> bytes:
    return b"%d:" % number + KB


def filled(folder: Path, count: int = 600, **settings: Any) -> Cache[Any]:
    """A cache of 256 KiB that has been given more than that."""
    settings.setdefault("max_memory", "256kb")
    cache: Cache[Any] = Cache(warm={"path": folder, "engine": "sqlite"}, **settings)
    for number in range(count):
        cache.set(f"k{number}", value(number))
    return cache


def tiers(cache: Cache[Any], count: int) -> list[str | None]:
    return [cache.object_tier(f"k{number}") for number in range(count)]
