"""The commands of scripts: EVAL, EVALSHA, their read-only variants, and SCRIPT.

Declared like all commands, with a session in the place of the cache. Called by plans.

1. A script holds the lock of the store while it runs, as EXEC does: it is one step for all
   others.

Source: https://redis.io/docs/latest/commands/?group=scripting, and `eval.c` of Redis 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm_server.replies import Encoded
from cachestorm_server.scripting.engine import Engine
from cachestorm_server.scripting.scripts import Runnable
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="scripting", connection=True, writes=False)

_FLAGS: Final = "noscript stale skip_monitor no_mandatory_keys"
_WORDS: Final = "numkeys:script-keys [key:rw-access-update [key ...]] [arg:blob [arg ...]]"
_READ_WORDS: Final = "numkeys:script-keys [key [key ...]] [arg:blob [arg ...]]"


def engine_of(session: Session) -> Engine:
    """What runs the scripts of the session's endpoint."""
    engine = session.endpoint.engine
    if not isinstance(engine, Engine):
        engine = session.endpoint.engine = Engine()
    return engine


def run(
    session: Session,
    runnable: Runnable,
    command: list[bytes],
    key: Sequence[str],
    arg: Sequence[bytes],
    read_only: bool,
) -> Encoded:
    """Runs a script or a function.

    Args:
        command: what was asked, up to the number of the keys.
    """
    keys = [bytes_of(name) for name in key]
    engine = engine_of(session)
    return Encoded(engine.run(session, runnable, command, keys, list(arg), read_only))


@command(
    "EVAL script:blob " + _WORDS,
    complexity="Depends on the script",
    flags=_FLAGS,
    note="We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
    summary="Run a script in Lua.",
)
def eval_(
    session: Session, script: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """Runs a script, which is kept for EVALSHA."""
    with session.cache.transaction():
        known = engine_of(session).scripts.add(script, False)
        return run(session, known, [b"EVAL", script], key, arg, False)


@command(
    "EVALSHA sha1:blob " + _WORDS,
    complexity="Depends on the script",
    flags=_FLAGS,
    summary="Run a loaded script by its digest.",
)
def evalsha(
    session: Session, sha1: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """Runs a script.

    Raises:
        NoScriptError: if it is not known.
    """
    with session.cache.transaction():
        known = engine_of(session).scripts.find(sha1)
        return run(session, known, [b"EVALSHA", sha1], key, arg, False)


@command(
    "EVAL_RO script:blob " + _READ_WORDS,
    complexity="Depends on the script",
    flags=f"readonly {_FLAGS}",
    note="We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
    summary="Run a script in Lua that may not write.",
)
def eval_ro(
    session: Session, script: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """As EVAL, but commands that write are refused."""
    with session.cache.transaction():
        known = engine_of(session).scripts.add(script, False)
        return run(session, known, [b"EVAL_RO", script], key, arg, True)


@command(
    "EVALSHA_RO sha1:blob " + _READ_WORDS,
    complexity="Depends on the script",
    flags=f"readonly {_FLAGS}",
    summary="Run a loaded script that may not write, by its digest.",
)
def evalsha_ro(
    session: Session, sha1: bytes, key: Sequence[str] = (), arg: Sequence[bytes] = ()
) -> Encoded:
    """As EVALSHA, but commands that write are refused."""
    with session.cache.transaction():
        known = engine_of(session).scripts.find(sha1)
        return run(session, known, [b"EVALSHA_RO", sha1], key, arg, True)


@command(
    "SCRIPT LOAD script:blob",
    complexity="O(N) in the length of the script",
    flags="noscript stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Load a script without running it.",
)
def script_load(session: Session, script: bytes) -> bytes:
    """Compiles a script.

    Returns:
        Its digest.

    Raises:
        ScriptError: if it is no script.
    """
    with session.cache.transaction():
        return engine_of(session).scripts.add(script, True).name


@command(
    "SCRIPT EXISTS sha1:blob [sha1 ...]",
    complexity="O(N) in the scripts asked for",
    flags="noscript stale",
    tips="request_policy:all_shards response_policy:agg_logical_and",
    summary="Tell which scripts are loaded.",
)
def script_exists(session: Session, *sha1: bytes) -> list[int]:
    """1 for each script that is known, 0 for others."""
    with session.cache.transaction():
        scripts = engine_of(session).scripts
        return [int(scripts.has(each)) for each in sha1]


@command(
    "SCRIPT FLUSH [mode:<ASYNC | SYNC>]",
    complexity="O(N) in the scripts that are known",
    reply="ok",
    stray="SCRIPT FLUSH only support SYNC|ASYNC option",
    once="ASYNC SYNC",
    flags="noscript stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Remove all scripts.",
)
def script_flush(session: Session, mode: str | None = None) -> None:
    """Forgets all scripts, at once in any case."""
    with session.cache.transaction():
        engine_of(session).scripts.flush()


@command(
    "SCRIPT KILL",
    complexity="O(1)",
    reply="ok",
    flags="noscript allow_busy",
    tips="request_policy:all_shards response_policy:one_succeeded",
    summary="Stop the script that is running.",
)
def script_kill(session: Session) -> None:
    """Ends a script that others have to wait for, and that has not written.

    Raises:
        CacheStormError: if there is none, or if it has written.
    """
    engine_of(session).kill(True)


@command(
    "SCRIPT HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def script_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("SCRIPT")
