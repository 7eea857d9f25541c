"""The lease: how long it lasts, and what a node says in it, as bytes. Pure.

Used by `leases.py`, which decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

LEASE_PREFIX: Final = "node-"


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient nodes are.

    Attributes:
        ttl_ms: how long a lease lasts.
        margin_ms: how much earlier its holder stops.
        look_ms: between two looks at the records.
        most_moves: slots on their way at a time.
        replicas: how many each node that has slots is to have.
    """

    ttl_ms: int
    margin_ms: int
    look_ms: int
    most_moves: int
    replicas: int = 0

    @property
    def renew_ms(self) -> int:
        """Between two renewals."""
        return self.ttl_ms // 4

    @property
    def grace_ms(self) -> int:
        """For how long others wait for a node whose lease has ended to take it up again."""
        return 3 * self.look_ms


def lease_name(node_id: str) -> str:
    """The record of the lease of a node."""
    return LEASE_PREFIX + node_id


class Copied(NamedTuple):
    """What a replica has of its primary, now that it follows it no more.

    Attributes:
        term: of the lease of that primary, which has ended.
        history, offset: how much of its stream.
    """

    term: str
    history: str
    offset: int


NOTHING: Final = Copied("", "", 0)


@dataclass(slots=True)
class Seen:
    """A lease as another node sees it: since when it has been the same, by its own clock."""

    version: str
    since_ms: int
    term: str
    ttl_ms: int
    copied: Copied


def lease_of(value: bytes, ttl_ms: int) -> tuple[str, int, Copied]:
    """The term and the length of a lease, and what it says of a primary.

    Of one that cannot be read, none, as usual, and nothing.
    """
    try:
        term, length, _, of, history, offset = json.loads(value)
    except (ValueError, TypeError):
        return "", ttl_ms, NOTHING
    has_length = type(length) is int and length > 0
    copied = Copied(str(of), str(history), offset if type(offset) is int else 0)
    return str(term), length if has_length else ttl_ms, copied


def lease_bytes(term: str, ttl_ms: int, salt: int, copied: Copied) -> bytes:
    """The value of a lease; of a renewal another one each time."""
    return json.dumps([term, ttl_ms, salt, *copied]).encode("ascii")
