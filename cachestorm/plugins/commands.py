"""Commands of plugins: declared as those of CacheStorm are, but for one server."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from cachestorm.declare.declaration import Declaration, Declarations

GROUP: Final = "module"


def declare(
    spec: str,
    function: Callable[..., object],
    *,
    summary: str,
    complexity: str = "O(1)",
    grows: bool = False,
    fast: bool = False,
    reply: str = "native",
    flags: str = "",
) -> Declaration:
    """A command of a plugin.

    Args:
        spec: its name and arguments in Redis' notation: `"RATE.GET key:key [COUNT n:integer]"`.
        function: called with the cache of the client's namespace and the arguments, which have
            the names of the notation.
        summary: what it does, in a sentence.
        complexity: for COMMAND DOCS.
        grows: it may need memory, and is refused when there is none.
        fast: it is O(1) or O(log N).
        reply: how the result is replied: `native`, `ok` and so on.
        flags: more flags of COMMAND INFO: `"admin"`.

    Examples:
        >>> def double(cache, number):
        ...     return 2 * number
        >>> declare("DOUBLE number:integer", double, summary="Double a number.")
        <Declaration DOUBLE>
    """
    declaration = Declaration(
        spec,
        group=GROUP,
        complexity=complexity,
        summary=summary,
        grows=grows,
        fast=fast,
        reply=reply,
        flags=flags,
        own=True,
        declarations=Declarations(),
    )

    # a method of the plugin is none of the cache, which its qualified name would say
    @wraps(function)
    def command(cache: object, *args: object, **options: object) -> object:
        return function(cache, *args, **options)

    command.__qualname__ = command.__name__
    declaration(command)
    return declaration
