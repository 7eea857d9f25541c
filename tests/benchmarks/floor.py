"""The floor: a dict behind compiled methods, as far down as CacheStorm could ever come.

Compiled by mypyc, as CacheStorm is, and no cache: no limit, time, tag, count or lock. What a
cache of this kind takes beyond it is its duties.
"""

from __future__ import annotations


class Floor:
    """Keys and values."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}

    def get(self, key: str, default: object = None) -> object:
        """The value of a key."""
        return self._values.get(key, default)

    def set(self, key: str, value: object) -> bool:
        """Sets a key."""
        self._values[key] = value
        return True
