"""Commands of plugins: declared as those of CacheStorm are, but for one server."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from cachestorm.declare.declaration import Declaration, Declarations
from cachestorm.declare.notation import parse
from cachestorm.errors import DeclarationError

GROUP: Final = "module"

# of the kinds of parameters, those that suit any command
USUAL_KINDS: Final = (
    "key",
    "tag",
    "string",
    "blob",
    "value",
    "integer",
    "positive",
    "double",
    "seconds",
    "milliseconds",
    "timeout",
    "pattern",
)


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
            A parameter is `name:kind`; the name alone is that of a kind: `key`.
        function: called with the cache of the client's namespace and the arguments, which have
            the names of the notation.
        summary: what it does, in a sentence.
        complexity: for COMMAND DOCS.
        grows: it may need memory, and is refused when there is none.
        fast: it is O(1) or O(log N).
        reply: how the result is replied: `native`, `ok` and so on.
        flags: more flags of COMMAND INFO: `"admin"`.

    Raises:
        DeclarationError: for a notation that cannot be read, such as one with an unknown kind.

    Examples:
        >>> def double(cache, number):
        ...     return 2 * number
        >>> declare("DOUBLE number:integer", double, summary="Double a number.")
        <Declaration DOUBLE>
    """
    try:
        parse(spec)
    except DeclarationError as error:
        kinds = ", ".join(USUAL_KINDS)
        raise DeclarationError(
            f"{error}; a parameter is name:kind, with a kind such as {kinds}"
        ) from error
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
