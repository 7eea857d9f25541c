"""The commands of functions: FUNCTION, which keeps libraries, and FCALL, which calls them.

Declared like all commands, with a session in the place of the cache. Called by plans.

1. Libraries belong to an endpoint, as scripts do; FLUSHALL leaves both.

Source: https://redis.io/docs/latest/commands/?group=scripting, and `functions.c` of Redis 7.2.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.declare.wire_values import Members, Status
from cachestorm.patterns import matches
from cachestorm.payload.libraries import dump_libraries, read_libraries
from cachestorm_server.replies import Encoded
from cachestorm_server.scripting.commands import engine_of, run
from cachestorm_server.scripting.libraries import Library
from cachestorm_server.scripting.script_errors import ScriptError
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="scripting", connection=True, writes=False)

_FLAGS: Final = "noscript stale skip_monitor no_mandatory_keys"
_STRAY: Final = (
    "unknown subcommand or wrong number of arguments for '{subcommand}'. Try FUNCTION HELP."
)
_ENGINE: Final = "LUA"


@command(
    "FCALL function:blob numkeys:function-keys [key:rw-access-update [key ...]] "
    "[arg:blob [arg ...]]",
    complexity="Depends on the function",
    flags=_FLAGS,
    note="We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
    summary="Call a function of a library.",
)
def fcall(
    session: Session, function: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """Calls a function that FUNCTION LOAD has registered.

    Raises:
        CacheStormError: if there is none of that name.
    """
    with session.cache.transaction():
        found = engine_of(session).libraries.find(function)
        return run(session, found, [b"FCALL", function], key, arg, False)


@command(
    "FCALL_RO function:blob numkeys:function-keys [key [key ...]] [arg:blob [arg ...]]",
    complexity="Depends on the function",
    flags=f"readonly {_FLAGS}",
    note="We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
    summary="Call a function that does not write.",
)
def fcall_ro(
    session: Session, function: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """As FCALL; the function must be registered with the flag `no-writes`."""
    with session.cache.transaction():
        found = engine_of(session).libraries.find(function)
        return run(session, found, [b"FCALL_RO", function], key, arg, True)


@command(
    "FUNCTION LOAD [REPLACE] function-code:blob",
    complexity="O(N) in the length of the library",
    stray="Unknown option given: {arg}",
    grows=True,
    flags="noscript",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Load a library of functions.",
)
def function_load(session: Session, function_code: bytes, replace: bool = False) -> str:
    """Adds a library, or with REPLACE replaces the one of its name.

    Returns:
        Its name.

    Raises:
        CacheStormError: if it is no library, or a name is taken.
    """
    with session.cache.transaction():
        name = engine_of(session).libraries.load([function_code], replace)[0]
    _tell_replicas(session)
    return name


def _tell_replicas(session: Session) -> None:
    replication = session.endpoint.replication
    if replication is not None:
        replication.stream.tell_libraries()


@command(
    "FUNCTION DELETE library-name:string",
    complexity="O(N) in the functions",
    writes=True,
    reply="ok",
    flags="noscript",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Remove a library.",
)
def function_delete(session: Session, library_name: str) -> None:
    """Removes a library and its functions.

    Raises:
        CacheStormError: if there is none of that name.
    """
    with session.cache.transaction():
        engine_of(session).libraries.delete(library_name)
    _tell_replicas(session)


@command(
    "FUNCTION FLUSH [flush-type:<ASYNC | SYNC>]",
    complexity="O(N) in the functions",
    writes=True,
    reply="ok",
    stray="FUNCTION FLUSH only supports SYNC|ASYNC option",
    excess=_STRAY,
    flags="noscript",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Remove all libraries.",
)
def function_flush(session: Session, flush_type: str | None = None) -> None:
    """Removes all libraries, at once in any case."""
    with session.cache.transaction():
        engine_of(session).libraries.flush()
    _tell_replicas(session)


@command(
    "FUNCTION LIST [LIBRARYNAME library-name-pattern:string] [WITHCODE]",
    complexity="O(N) in the functions",
    stray="Unknown argument {arg}",
    once="LIBRARYNAME WITHCODE",
    flags="noscript",
    tips="nondeterministic_output_order",
    summary="Describe the libraries.",
)
def function_list(
    session: Session, library_name_pattern: str | None = None, withcode: bool = False
) -> list[object]:
    """The libraries, sorted by name, or those whose names a glob pattern matches."""
    found = engine_of(session).libraries.all()
    if library_name_pattern is not None:
        glob = bytes_of(library_name_pattern.lower())
        found = [each for each in found if matches(glob, each.name.lower().encode("ascii"))]
    return [_described(each, withcode) for each in found]


def _described(library: Library, with_code: bool) -> dict[str, object]:
    functions: list[object] = []
    for each in library.functions.values():
        flags: list[object] = [Status(flag) for flag in each.flags or ()]
        functions.append(
            {"name": each.name, "description": each.description, "flags": Members(flags)}
        )
    described: dict[str, object] = {
        "library_name": library.name,
        "engine": _ENGINE,
        "functions": functions,
    }
    if with_code:
        described["library_code"] = library.code
    return described


@command(
    "FUNCTION STATS",
    complexity="O(1)",
    flags="noscript allow_busy",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Tell which function runs, and how many there are.",
)
def function_stats(session: Session) -> dict[str, object]:
    """The function that others have to wait for, and how many there are.

    Raises:
        ScriptError: while a script keeps others waiting.
    """
    engine = engine_of(session)
    running = engine.running
    described: dict[str, object] | None = None
    if running is not None:
        if running.runnable.is_script:
            raise ScriptError(running.refusal)
        described = {
            "name": running.runnable.name,
            "command": running.command(),
            "duration_ms": int((time.monotonic() - running.began_at) * 1000),
        }
    libraries, functions = engine.libraries.count()
    counts = {"libraries_count": libraries, "functions_count": functions}
    return {"running_script": described, "engines": {_ENGINE: counts}}


@command(
    "FUNCTION DUMP",
    complexity="O(N) in the length of the libraries",
    flags="noscript",
    summary="Return all libraries as bytes.",
)
def function_dump(session: Session) -> bytes:
    """All libraries, for FUNCTION RESTORE here or in Redis."""
    return dump_libraries([each.code for each in engine_of(session).libraries.all()])


@command(
    "FUNCTION RESTORE serialized-value:blob [policy:<FLUSH | APPEND | REPLACE>]",
    complexity="O(N) in the length of the libraries",
    grows=True,
    reply="ok",
    stray="Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
    excess=_STRAY,
    flags="noscript",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Load the libraries that FUNCTION DUMP returned.",
)
def function_restore(session: Session, serialized_value: bytes, policy: str = "APPEND") -> None:
    """Adds libraries: all or none of them.

    Raises:
        CacheStormError: for bytes that are none, or for a name that is taken; with FLUSH and
            REPLACE a library of that name is replaced.
    """
    codes = read_libraries(serialized_value)
    with session.cache.transaction():
        engine_of(session).libraries.load(
            codes, policy == "REPLACE", policy == "FLUSH", "Library {} already exists"
        )
    _tell_replicas(session)


@command(
    "FUNCTION KILL",
    complexity="O(1)",
    reply="ok",
    flags="noscript allow_busy",
    tips="request_policy:all_shards response_policy:one_succeeded",
    summary="Stop the function that is running.",
)
def function_kill(session: Session) -> None:
    """Ends a function that others have to wait for, and that has not written.

    Raises:
        CacheStormError: if there is none, or if it has written.
    """
    engine_of(session).kill(False)


@command(
    "FUNCTION HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def function_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("FUNCTION")
