"""The capabilities of a cache: what the place where it is can do, and what is exact there.

Made by `remote/capabilities.py` for a server; `Cache.capabilities` gives IN_PROCESS. Not
compiled: nobody asks often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Capabilities:
    """What a cache can do where it is, and what is exact there.

    Attributes:
        server: `memory` for this process, `cachestorm`, `valkey` or `redis`; `unknown` for one
            that cannot be reached, whose errors are ignored.
        version: as it says; empty in this process.
        tags: whether tags work there, and a value is set with its tags in one step.
        tags_follow: whether tags do what the semantics say whatever other clients do. Not on
            Redis and Valkey, where a key that another client renames or copies is without tags
            under its new name, and one that it overwrites keeps them.
        stale: whether `invalidate(soft=True)` leaves the value for whoever may read it stale;
            where not, it deletes it.
        no_tags: why tags do not work there; empty if they do.
        namespaces: whether `namespace(name)` works there.
        namespaces_apart: whether the server itself keeps them apart. Not on Redis and Valkey,
            where one is the beginning of its keys: `flushdb`, `clear` and `len` of the cache
            without a name concern all of them, and these of one with a name look at every key.
        near: whether a near cache can be told what changes there.
        cluster: whether it is a cluster, where what concerns several keys is one step only if
            they are in one slot.
        missing: declared commands that it lacks.
    """

    server: str
    version: str
    tags: bool
    tags_follow: bool
    stale: bool
    no_tags: str
    namespaces: bool
    namespaces_apart: bool
    near: bool
    cluster: bool
    missing: frozenset[str] = field(repr=False, default=frozenset())


# of a cache in this process
IN_PROCESS: Final = Capabilities(
    "memory",
    "",
    tags=True,
    tags_follow=True,
    stale=True,
    no_tags="",
    namespaces=True,
    namespaces_apart=True,
    near=False,
    cluster=False,
)
