"""What a client may ask about what is kept on disk: SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF.

Declared like all commands, with a session in the place of the cache. Calls the data directory.

1. The journal begins with a snapshot: to save, and to rewrite the journal, is the same.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.durability.directory import DataDirectory
from cachestorm.errors import CacheStormError
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)


def _directory(session: Session) -> DataDirectory:
    directory = session.endpoint.cache._directory()
    if directory is None:
        raise CacheStormError("nothing is kept on disk: start the server with --data-dir")
    return directory


@command(
    "SAVE",
    complexity="O(N) in the keys",
    flags="admin noscript no_async_loading no_multi",
    summary="Write a snapshot of all keys, and wait for its end.",
)
def save(session: Session) -> str:
    """Begins the journal anew with a snapshot; other clients wait meanwhile.

    Raises:
        CacheStormError: without a data directory, or if it cannot be written.
    """
    _directory(session).rewrite()
    return "OK"


@command(
    "BGSAVE [SCHEDULE]",
    complexity="O(1)",
    flags="admin noscript no_async_loading",
    summary="Write a snapshot of all keys in the background.",
)
def bgsave(session: Session, schedule: bool = False) -> str:
    """Begins the journal anew with a snapshot, while all clients are served.

    Raises:
        CacheStormError: without a data directory, or while it is being done.
    """
    _directory(session).rewrite_soon()
    return "Background saving started"


@command(
    "BGREWRITEAOF",
    complexity="O(1)",
    flags="admin noscript no_async_loading",
    summary="Begin the journal anew in the background.",
)
def bgrewriteaof(session: Session) -> str:
    """Does what BGSAVE does.

    Raises:
        CacheStormError: without a data directory, or while it is being done.
    """
    _directory(session).rewrite_soon()
    return "Background append only file rewriting started"


@command(
    "LASTSAVE",
    complexity="O(1)",
    fast=True,
    flags="loading stale @admin @dangerous",
    summary="Return when the last snapshot was written.",
)
def lastsave(session: Session) -> int:
    """Seconds since 1970; the start of the server if none was written since."""
    directory = session.endpoint.cache._directory()
    return int(session.endpoint.started_at if directory is None else directory.saved_at)
