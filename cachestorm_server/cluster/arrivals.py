"""RESTORE-ASKING: a key that arrives from another node.

Declared like all commands, with a session in the place of the cache. Called by plans; compiled,
since a slot that moves sends one for each of its keys.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="generic", connection=True)


@command(
    "RESTORE-ASKING key:ow-update ttl:integer serialized-value:blob [REPLACE] [ABSTTL] "
    "[IDLETIME idletime:idle-time] [FREQ frequency:hit-frequency] [SEEN seen:string] "
    "[IDLE idle:integer ends-in:integer]",
    complexity="O(N) in the size of the value",
    group="server",
    grows=True,
    reply="ok",
    flags="asking @dangerous @keyspace",
    summary="Create a key of a slot that is being imported; sent by nodes.",
)
def restore_asking(
    session: Session,
    key: str,
    ttl: int,
    serialized_value: bytes,
    *,
    replace: bool = False,
    absttl: bool = False,
    idletime: int | None = None,
    frequency: int | None = None,
    seen: str = "",
    idle: tuple[int, int] | None = None,
) -> None:
    """Does what RESTORE does, as if the client had said ASKING before.

    Args:
        seen: which invalidations the other node had done when it copied the key; those that
            this one has done beyond them take the key away at once.
        idle: of a key that ends when nobody asks for it: how many milliseconds it outlives a
            hit, and how many it may live at all; 0 for ever.
    """
    session.cache.restore(
        key,
        ttl,
        serialized_value,
        replace=replace,
        absttl=absttl,
        idletime=idletime,
        frequency=frequency,
    )
    if idle is not None:
        _keep_idle(session.cache._space, key, *idle)
    gate = session.endpoint.cluster
    if gate is not None and seen:
        gate.router.catch_escaped(session, key, seen)


def _keep_idle(space: Keyspace, key: str, idle_ms: int, ends_in_ms: int) -> None:
    """Has a key that has arrived with a deadline end when nobody asks for it."""
    shared = space.shared
    shared.enter()
    try:
        entry = space.peek(key)
        if entry is not None and entry.expires_at_ms and idle_ms > 0:
            ends_at_ms = shared.now_ms() + ends_in_ms if ends_in_ms > 0 else 0
            space.set_idle(key, Idle(idle_ms, ends_at_ms, entry.expires_at_ms - idle_ms))
    finally:
        shared.leave()
