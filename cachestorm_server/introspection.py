"""What a client may ask about the server: COMMAND, INFO, TIME.

Declared like all commands, with a session in the place of the cache. Called by plans; all
that is said about commands is drawn from their declarations.

Source: https://redis.io/docs/latest/commands/command/
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.declaration import STRAY_IS_NOTHING, Declaration
from cachestorm.declare.facts import categories_of, help_of
from cachestorm.declare.kinds import FoundKey
from cachestorm.declare.notation import key_nodes
from cachestorm.declare.wire_values import Members, Status
from cachestorm.errors import (
    ArgumentError,
    ArityError,
    CacheStormError,
    UnknownCommandError,
    UnknownSubcommandError,
)
from cachestorm.patterns import matches
from cachestorm_server.info import info_text
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)

_NO_KEYS: Final = "The command has no key arguments"


@command(
    "COMMAND",
    complexity="O(N) in the commands",
    stray=STRAY_IS_NOTHING,
    flags="loading stale @connection",
    tips="nondeterministic_output_order",
    summary="Describe all commands.",
)
def command_(session: Session) -> list[object]:
    """An entry of COMMAND INFO for every command."""
    registry = session.endpoint.registry
    return [registry.info(name) for name in registry.names()]


@command(
    "COMMAND COUNT",
    complexity="O(1)",
    flags="loading stale @connection",
    summary="Return the number of commands.",
)
def command_count(session: Session) -> int:
    """How many commands there are, containers counted once."""
    return len(session.endpoint.registry.names())


@command(
    "COMMAND LIST [FILTERBY <MODULE module-name:string | ACLCAT category:string | "
    "PATTERN pattern>]",
    complexity="O(N) in the commands",
    once="FILTERBY",
    flags="loading stale @connection",
    tips="nondeterministic_output_order",
    summary="Return the names of the commands.",
)
def command_list(
    session: Session,
    module_name: str | None = None,
    category: str | None = None,
    pattern: str | None = None,
) -> list[str]:
    """The names of all commands and subcommands, or of those that a filter lets through."""
    registry = session.endpoint.registry
    if module_name is not None:
        return []
    if category is not None:
        wanted = f"@{category.lower()}"
        return [each.full_name for each in registry if wanted in categories_of(each)]
    names = registry.names()
    names.extend(each.full_name for each in registry if each.subcommand)
    if pattern is not None:
        glob = bytes_of(pattern.lower())
        return [name for name in names if matches(glob, bytes_of(name))]
    return names


@command(
    "COMMAND INFO [command-name:string [command-name ...]]",
    complexity="O(N) in the names given",
    flags="loading stale @connection",
    tips="nondeterministic_output_order",
    summary="Describe commands.",
)
def command_info(session: Session, *command_name: str) -> list[object]:
    """An entry for each name, null for an unknown one; without names, for all."""
    registry = session.endpoint.registry
    return [registry.info(name) for name in command_name or registry.names()]


@command(
    "COMMAND DOCS [command-name:string [command-name ...]]",
    complexity="O(N) in the names given",
    flags="loading stale @connection",
    tips="nondeterministic_output_order",
    summary="Document commands.",
)
def command_docs(session: Session, *command_name: str) -> dict[str, object]:
    """The documentation of each known name; without names, of all."""
    registry = session.endpoint.registry
    entries: dict[str, object] = {}
    for name in command_name or registry.names():
        docs = registry.docs(name)
        if docs is not None:
            entries[name.lower()] = docs
    return entries


@command(
    "COMMAND GETKEYS command:value [arg:value [arg ...]]",
    complexity="O(N) in the arguments",
    flags="loading stale @connection",
    summary="Return the keys among the arguments of a command.",
)
def command_getkeys(session: Session, command: object, *arg: object) -> list[str]:
    """The keys, in the order of the declaration.

    Raises:
        ArgumentError: for anything that is not a command, has no keys, or does not fit.
    """
    return [key for key, _ in _keys_of(session, [command, *arg])]


@command(
    "COMMAND GETKEYSANDFLAGS command:value [arg:value [arg ...]]",
    complexity="O(N) in the arguments",
    flags="loading stale @connection",
    summary="Return the keys among the arguments of a command, and how it accesses them.",
)
def command_getkeysandflags(session: Session, command: object, *arg: object) -> list[object]:
    """Of each key its name and Redis' flags, in the order of the declaration.

    Raises:
        ArgumentError: for anything that is not a command, has no keys, or does not fit.
    """
    found: list[object] = []
    for key, access in _keys_of(session, [command, *arg]):
        flags: list[object] = [Status(flag) for flag in access.flags]
        found.append([key, Members(flags)])
    return found


def _keys_of(session: Session, argv: list[object]) -> list[FoundKey]:
    try:
        plan = session.endpoint.registry.resolve(argv)
    except UnknownCommandError as error:
        raise ArgumentError("Invalid command specified") from error
    except ArityError as error:  # a container without a subcommand
        raise ArgumentError(_NO_KEYS) from error
    try:
        keys = plan.keys(argv)
    except ArityError as error:
        raise ArgumentError("Invalid number of arguments specified for command") from error
    except CacheStormError as error:
        raise ArgumentError("Invalid arguments specified for command") from error
    if not keys and not key_nodes(plan.declaration.notation.arguments):
        raise ArgumentError(_NO_KEYS)
    return keys


@command(
    "COMMAND HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale @connection",
    summary="Print this help.",
)
def command_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("COMMAND")


@command(
    "INFO [section:string [section ...]]",
    complexity="O(N) in the namespaces",
    reply="verbatim",
    flags="loading stale @dangerous",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Return facts and counters of the server.",
)
def info(session: Session, *section: str) -> str:
    """The sections asked for; by default all but `namespaces`, a line for each of them."""
    return info_text(session.endpoint, list(section))


@command(
    "TIME",
    complexity="O(1)",
    fast=True,
    flags="loading stale",
    tips="nondeterministic_output",
    summary="Return the server's time.",
)
def time_(session: Session) -> list[str]:
    """Seconds since 1970, and microseconds within the second."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return [str(seconds), str(nanoseconds // 1000)]


# The subcommands of CLUSTER in Redis 7.2, and how many arguments each takes, as COMMAND INFO
# counts them.
NUL: Final = "\0"
_OF_CLUSTER: Final = {
    **dict.fromkeys(("BUMPEPOCH", "FLUSHSLOTS", "HELP", "INFO", "LINKS", "MYID"), 2),
    **dict.fromkeys(("MYSHARDID", "NODES", "SAVECONFIG", "SHARDS", "SLOTS"), 2),
    **dict.fromkeys(("COUNT-FAILURE-REPORTS", "COUNTKEYSINSLOT", "FORGET", "KEYSLOT"), 3),
    **dict.fromkeys(("REPLICAS", "REPLICATE", "SET-CONFIG-EPOCH", "SLAVES"), 3),
    "GETKEYSINSLOT": 4,
    **dict.fromkeys(("FAILOVER", "RESET"), -2),
    **dict.fromkeys(("ADDSLOTS", "DELSLOTS"), -3),
    **dict.fromkeys(("ADDSLOTSRANGE", "DELSLOTSRANGE", "MEET", "SETSLOT"), -4),
}


@command(
    "CLUSTER subcommand:string [argument:string [argument ...]]",
    group="cluster",
    complexity="O(1)",
    summary="Query or change a node of a cluster.",
)
def cluster(session: Session, subcommand: str, *argument: str) -> object:
    """Answers as a node of a cluster, or says that there is none.

    Raises:
        UnknownSubcommandError: for what Redis does not know.
        ArityError: for what it refuses for the number of arguments.
        CacheStormError: without a cluster, and what the cluster refuses.
    """
    arity = _OF_CLUSTER.get(subcommand.upper())
    if arity is None:
        raise UnknownSubcommandError(
            # a string of C ends at the first NUL
            f"unknown subcommand '{subcommand[:128].partition(NUL)[0]}'. Try CLUSTER HELP."
        )
    count = len(argument) + 2
    if count != arity if arity > 0 else count < -arity:
        raise ArityError(f"cluster|{subcommand.lower()}")
    gate = session.endpoint.cluster
    if gate is None:
        raise CacheStormError("This instance has cluster support disabled")
    return gate.router.command(session, subcommand.upper(), list(argument))
