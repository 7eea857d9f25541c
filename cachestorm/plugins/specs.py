"""The hooks that a plugin may have, as `pluggy` knows them.

Read by authors of plugins; `registering` checks plugins against it. A hook is a method with the
decorator `hookimpl`; it takes as many of the arguments below as it wants, by their names.

1. No hook runs while the cache is locked.
2. What a hook raises is logged and counted, and harms nobody; but for `before_command`, which
   refuses with an error of CacheStorm, and `on_startup`, which keeps the server from starting.
3. Hooks of one kind are called in the order in which the plugins are configured, but for those
   that ask to come first or last: `hookimpl(tryfirst=True)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final

import pluggy

from cachestorm.errors import CacheStormError

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.declare.declaration import Declaration
    from cachestorm.hooks import Call
    from cachestorm.plugins.routes import Route

PROJECT: Final = "cachestorm"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)


class Refused(CacheStormError):
    """What `before_command` raises to refuse a command.

    Args:
        text: for the client.
        code: the first word of the reply.
        http_status: over HTTP.
    """

    def __init__(self, text: str, code: str = "ERR", http_status: int = 403) -> None:
        super().__init__(text)
        self.code = code  # type: ignore[misc]
        self.http_status = http_status  # type: ignore[misc]


class Specs:
    """All hooks."""

    @hookspec
    def before_command(self, call: Call) -> None:
        """A client has asked for a command, which is valid and permitted.

        Commands of a transaction are asked about when they are queued, those of a script are
        not: they are part of EVAL.

        Raises:
            CacheStormError: refuses it, with its text.
        """

    @hookspec
    def after_command(self, call: Call) -> None:
        """A command has been answered: `call.duration_us` and `call.error` are known.

        Commands of a transaction or a script are told one by one, after the whole.
        """

    @hookspec
    def on_evict(self, key: str, value: object, namespace: str) -> None:
        """A key was evicted at a limit. The value of a container is None."""

    @hookspec
    def on_expire(self, key: str, value: object, namespace: str) -> None:
        """A key was removed, as its time was over. The value of a container is None."""

    @hookspec
    def on_tag_invalidate(self, tag: str, namespace: str) -> None:
        """A tag was invalidated, hard or soft, itself or by a parent."""

    @hookspec
    def on_startup(self, cache: Cache) -> Awaitable[None] | None:
        """The server is about to open its endpoints.

        Raises:
            Exception: keeps it from starting.
        """

    @hookspec
    def on_shutdown(self) -> Awaitable[None] | None:
        """The server has closed its endpoints; it waits for five seconds at most."""

    @hookspec
    def commands(self) -> Sequence[Declaration]:
        """Commands of its own, made by `declare`; every protocol has them."""
        return ()

    @hookspec
    def http_routes(self) -> Sequence[Route]:
        """Paths of its own; who may come in is decided before they are called."""
        return ()
