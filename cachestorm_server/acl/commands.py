"""The commands of ACL.

Declared like all commands, with a session in the place of the cache. Called by plans; calls
the endpoint's users, and sees to it that a change holds for clients that are connected.

Source: https://redis.io/docs/latest/commands/?name=acl, and `aclCommand` in `acl.c` of Redis.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.declare.wire_values import OK, Members, Status
from cachestorm.errors import ArgumentError, ArityError, CacheStormError
from cachestorm_server.acl.denial import ANY_KEY
from cachestorm_server.acl.enforcement import follow_users
from cachestorm_server.acl.rules import RuleError
from cachestorm_server.acl.selector import Selector
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)

_ADMIN: Final = "admin noscript loading stale"
_MOST_BITS: Final = 4096
_EXCESS: Final = (
    "unknown subcommand or wrong number of arguments for '{subcommand}'. Try ACL HELP."
)


@command(
    "ACL CAT [category:string]",
    excess=_EXCESS,
    complexity="O(N) in the commands",
    flags="noscript loading stale",
    summary="Return the categories of commands, or the commands of one.",
)
def acl_cat(session: Session, category: str | None = None) -> list[str]:
    """The names of all categories, or of the commands and subcommands in one.

    Raises:
        ArgumentError: for a category that there is not.
    """
    rules = session.endpoint.users.rules
    if category is None:
        return rules.categories()
    try:
        names = rules.commands_in(category)
    except RuleError as error:
        raise ArgumentError(f"Unknown category '{category:.128}'") from error
    return [name.lower().replace(" ", "|") for name in names]


@command(
    "ACL DELUSER username:string [username ...]",
    complexity="O(N) in the connections",
    flags=_ADMIN,
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Delete users, and disconnect their clients.",
)
def acl_deluser(session: Session, *username: str) -> int:
    """Deletes users.

    Returns:
        How many there were.

    Raises:
        ArgumentError: for the default user.
    """
    count = session.endpoint.users.delete(username)
    follow_users(session.endpoint, session)
    return count


@command(
    "ACL DRYRUN username:string command:string [arg:value [arg ...]]",
    complexity="O(1)",
    flags=_ADMIN,
    summary="Tell whether a user may run a command, without running it.",
)
def acl_dryrun(session: Session, username: str, command: str, *arg: object) -> object:
    """What the user is denied; OK if nothing is.

    Raises:
        ArgumentError: for a user or a command that there is not.
        ArityError: for a number of arguments that the command never has.
    """
    user = session.endpoint.users.get(username)
    if user is None:
        raise ArgumentError(f"User '{username}' not found")
    argv: list[object] = [command, *arg]
    try:
        plan = session.endpoint.registry.resolve(argv)
    except ArityError:
        raise
    except CacheStormError as error:
        raise ArgumentError(f"Command '{command}' not found") from error
    plan.check_arity(argv)
    try:
        denial = user.check(plan, argv, session.cache.name)
    except CacheStormError:
        # what the command itself refuses names nothing
        denial = None
    if denial is None or denial.code == ANY_KEY:
        # what SORT refuses by itself
        return OK
    return denial.dry_text(username)


@command(
    "ACL GENPASS [bits:integer]",
    excess=_EXCESS,
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Return a password that nobody can guess.",
)
def acl_genpass(session: Session, bits: int = 256) -> str:
    """Random hexadecimal digits of so many bits.

    Raises:
        ArgumentError: for no bits, or more than 4096.
    """
    if not 0 < bits <= _MOST_BITS:
        raise ArgumentError(
            "ACL GENPASS argument must be the number of bits for the output password, a "
            f"positive number up to {_MOST_BITS}"
        )
    digits = (bits + 3) // 4
    return os.urandom((digits + 1) // 2).hex()[:digits]


@command(
    "ACL GETUSER username:string",
    complexity="O(N) in the rules of the user",
    flags=_ADMIN,
    summary="Describe a user.",
)
def acl_getuser(session: Session, username: str) -> dict[str, object] | None:
    """Flags, hashes of passwords, and the permissions; None for a user that there is not."""
    user = session.endpoint.users.get(username)
    if user is None:
        return None
    flags: list[object] = [Status(flag) for flag in user.flags()]
    return {
        "flags": Members(flags),
        "passwords": list(user.passwords),
        **_shown(user.selectors[0]),
        "selectors": [_shown(selector) for selector in user.selectors[1:]],
    }


def _shown(selector: Selector) -> dict[str, object]:
    return {
        "commands": selector.describe_commands(),
        "keys": selector.describe_keys(),
        "channels": selector.describe_channels(),
        "tags": selector.describe_tags(),
        "namespaces": selector.describe_namespaces(),
    }


@command(
    "ACL LIST",
    complexity="O(N) in the users",
    flags=_ADMIN,
    summary="Return the users as lines of an ACL file.",
)
def acl_list(session: Session) -> list[str]:
    """A line for each user, by name."""
    return [user.describe() for user in session.endpoint.users]


@command(
    "ACL LOAD",
    complexity="O(N) in the users",
    reply="ok",
    flags=_ADMIN,
    summary="Read the users from the ACL file.",
)
def acl_load(session: Session) -> None:
    """Reads the file in place of the users; clients of users that are gone are disconnected.

    Raises:
        ArgumentError: without a file, or with all that is wrong with it; nothing has changed.
    """
    session.endpoint.users.load()
    follow_users(session.endpoint, session)


@command(
    "ACL LOG [count:integer | RESET]",
    excess=_EXCESS,
    complexity="O(N) in the entries",
    flags=_ADMIN,
    summary="Return what was denied lately, or clear the log.",
)
def acl_log(session: Session, count: int = 10, reset: bool = False) -> object:
    """So many entries, the latest first; or, with RESET, forgets all of them."""
    log = session.endpoint.users.log
    if reset:
        log.reset()
        return OK
    return log.latest(count)


@command(
    "ACL SAVE",
    complexity="O(N) in the users",
    reply="ok",
    flags=_ADMIN,
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Write the users to the ACL file.",
)
def acl_save(session: Session) -> None:
    """Writes the file.

    Raises:
        ArgumentError: without a file.
        CacheStormError: if it cannot be written; the old one is as it was.
    """
    session.endpoint.users.save()


@command(
    "ACL SETUSER username:string [rule:string [rule ...]]",
    complexity="O(N) in the rules",
    reply="ok",
    flags=_ADMIN,
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Create a user, or change its permissions.",
)
def acl_setuser(session: Session, username: str, *rule: str) -> None:
    """Says rules to a user; all of them, or none.

    Raises:
        ArgumentError: for a name or a rule that is none.
    """
    session.endpoint.users.set(username, rule)
    follow_users(session.endpoint, session)


@command(
    "ACL USERS",
    complexity="O(N) in the users",
    flags=_ADMIN,
    summary="Return the names of the users.",
)
def acl_users(session: Session) -> list[str]:
    """Their names, sorted."""
    return [user.name for user in session.endpoint.users]


@command(
    "ACL WHOAMI",
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Return the name of the user of this connection.",
)
def acl_whoami(session: Session) -> str:
    """The name."""
    return session.user.name


@command(
    "ACL HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def acl_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("ACL")
