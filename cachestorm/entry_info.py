"""The entry info: what `Cache.entry` tells of a key.

Not compiled: mypyc makes no named tuple that has an `object`.
"""

from __future__ import annotations

from typing import Generic, NamedTuple

from cachestorm.typevars import V


class EntryInfo(NamedTuple, Generic[V]):
    """A key as it was at one moment: what `Cache.entry` gives.

    Attributes:
        key: its name.
        type: `string`, `object`, `hash`, `list`, `set` or `zset`.
        value: None for a container.
        ttl: seconds that it has left; None for no end.
        tags: in the order of tagging.
        version: a number that every write to the key raises; unique in the whole cache.
        size: what it is charged at, in bytes, with its value and its tags.
        idle: how many seconds it outlives a hit, if it was set with an idle time.
    """

    key: str
    type: str
    value: V | None
    ttl: float | None
    tags: tuple[str, ...]
    version: int
    size: int
    idle: float | None
