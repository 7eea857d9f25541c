"""Calls: a command of the server as a subcommand, `cachestorm get KEY`.

Made by `groups` for every name that no tool has. What a command takes, its options, its help
and what is completed are drawn from its declaration.

1. Words go to the server as they are given; options may stand anywhere among them.
2. An option that the command does not have is refused. Behind `--` all is words.
3. Where the server is, and how the reply is printed, are options of every command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import CacheStormError
from cachestorm_cli import addresses
from cachestorm_cli.command_help import help_of
from cachestorm_cli.command_options import Given, Option, UsageError, find, options_of
from cachestorm_cli.connecting import client_for
from cachestorm_cli.live_names import LiveNames
from cachestorm_cli.printing import CSV, JSON, PEOPLE, RAW
from cachestorm_cli.syntax import Syntax, known, what_follows

PLACES: Final = {
    "--url": "address of the server: redis://, rediss://, unix://, http://, https://",
    "--host": "host of the server",
    "--port": "its port",
    "--namespace": "namespace to work in",
    "--password": "password; safer in CACHESTORM_AUTH_PASSWORD",
}
# as the tools have them
SHORT: Final = {"-u": "--url", "-p": "--port", "-n": "--namespace", "-a": "--password"}
FORMATS: Final = {
    "--json": JSON,
    "--raw": RAW,
    "--no-raw": PEOPLE,
    "--csv": CSV,
}
FORMAT_HELP: Final = {
    "--json": "print the reply as JSON",
    "--raw": "print the bare reply, as is done without a terminal",
    "--no-raw": "print the reply for people, as on a terminal",
    "--csv": "print the reply as comma-separated values",
}


@dataclass(slots=True)
class Call:
    """What was typed behind the name of a command.

    Attributes:
        argv: of the command, its name and subcommand first.
        places: the options that say where the server is.
        format: how to print; empty: by where the output goes.
    """

    argv: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    format: str = ""
    wants_help: bool = False


def address_of(places: dict[str, str]) -> addresses.Address:
    """The address that such options ask for.

    Raises:
        ConfigError: for one that is wrong.
    """
    port = places.get("--port")
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"--port is a number from 1 to 65535, not {port!r}")
    return addresses.resolve(
        places.get("--url"),
        places.get("--host"),
        int(port) if port is not None else None,
        places.get("--password"),
        places.get("--namespace"),
        os.environ,
    )


def read(name: str, words: Sequence[str]) -> Call:
    """Reads what was typed behind the name of a command.

    Raises:
        UsageError: for an option that the command does not have, or without its values.

    Examples:
        >>> read("invalidate", ["--cascade", "home", "--dry-run"]).argv
        ['INVALIDATE', 'home', 'CASCADE', 'DRYRUN']
    """
    prefix, rest = _split_name(name, words)
    declaration = REGISTRY.get(" ".join(prefix))
    options = options_of(declaration) if declaration is not None else []
    given = Given(options)
    call = Call()
    left = list(rest)
    while left:
        word = left.pop(0)
        if word == "--":
            given.words.extend(left)
            break
        if not _looks_like_option(word):
            given.words.append(word)
            continue
        flag, equals, value = _flag_of(word)
        if equals:
            left.insert(0, value)
        option = find(options, flag)
        if option is not None:
            if equals and not option.values:
                raise UsageError(f"{option.flag} takes no value")
            given.add(option, _taken(flag, option.values, left))
        elif flag in PLACES:
            call.places[flag] = _taken(flag, ("value",), left)[0]
        elif flag in FORMATS and not equals:
            call.format = FORMATS[flag]
        elif flag == "--help":
            call.wants_help = True
        else:
            raise UsageError(_unknown_option(flag, " ".join(prefix), options))
    call.argv = [*prefix, *given.argv()]
    return call


def _looks_like_option(word: str) -> bool:
    if word.startswith("--"):
        return len(word) > 2 and word[2].isalpha()
    # -p and its like; a number is a word, and so is -inf
    return len(word) == 2 and word[0] == "-" and word[1].isalpha()


def _flag_of(word: str) -> tuple[str, str, str]:
    """The flag of a word, "=" if a value is in it, and that value."""
    flag, equals, value = word.partition("=")
    return SHORT.get(flag, flag), equals, value


def _taken(flag: str, names: Sequence[str], left: list[str]) -> list[str]:
    if len(left) < len(names):
        raise UsageError(f"{flag} needs {' '.join(name.upper() for name in names)}")
    values, left[:] = left[: len(names)], left[len(names) :]
    return values


def _unknown_option(flag: str, name: str, options: Sequence[Option]) -> str:
    listed = ", ".join(option.flag for option in options)
    has = f"; its options: {listed}" if options else ""
    return f"{name.lower()} has no option {flag}{has}. Behind -- a word is never an option"


def _split_name(name: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command's name, and what follows; its subcommand may stand in both."""
    prefix = name.upper().split()
    if len(prefix) == 1 and words and REGISTRY.get(f"{prefix[0]} {words[0]}") is not None:
        return [prefix[0], words[0].upper()], list(words[1:])
    return prefix, list(words)


def is_command(name: str) -> bool:
    """Whether a command, or a container of commands, has this name: `get`, `config get`."""
    return name.upper() in known()


def names() -> list[str]:
    """All commands and containers, lower case."""
    return sorted(name.lower() for name in known() if " " not in name)


def subcommands_of(container: str) -> list[str]:
    """The subcommands of a container, lower case."""
    syntax = known().get(container.upper())
    return [name.lower() for name in syntax.subcommands] if syntax is not None else []


def summary_of(name: str) -> str:
    """What a command does, in a line."""
    syntax = known().get(name.upper())
    return syntax.summary if syntax is not None else ""


def run(name: str, words: Sequence[str]) -> int:
    """Sends a command and prints its reply. Returns an exit code.

    Raises:
        CacheStormError: for what is wrong with the words, or with the server.
    """
    from cachestorm_cli.shell import ask_once

    call = read(name, words)
    if call.wants_help:
        syntax = known()[" ".join(_split_name(name, words)[0])]
        print(help_of(syntax, _options_for(syntax.name)))
        return 0
    client = client_for(address_of(call.places))
    form = call.format or (PEOPLE if sys.stdout.isatty() else RAW)
    try:
        return ask_once(client, [os.fsencode(arg) for arg in call.argv], form)
    finally:
        client.close()


def _options_for(name: str) -> list[Option]:
    declaration: Declaration | None = REGISTRY.get(name)
    return options_of(declaration) if declaration is not None else []


def complete(name: str, words: Sequence[str], incomplete: str) -> list[tuple[str, str]]:
    """What a shell may complete a word to, each with a help; live names among them.

    A server that is not there, or refuses, has no names; nothing is said of it.
    """
    prefix, rest = _split_name(name, words)
    syntax = known().get(" ".join(prefix))
    if syntax is None:
        return []
    options = _options_for(syntax.name)
    call, given, open_flag = _partly_read(options, rest)
    if open_flag:
        option = find(options, open_flag)
        if option is None:
            return []
        return _of_values(option, call, incomplete)
    if incomplete.startswith("-"):
        return _of_flags(options, incomplete)
    if syntax.subcommands and not given:
        children = known()
        return [
            (child.lower(), children[f"{syntax.name} {child}"].summary)
            for child in syntax.subcommands
            if child.lower().startswith(incomplete.lower())
        ]
    return _of_words(syntax, call, given, incomplete)


def _partly_read(
    options: Sequence[Option], words: Sequence[str]
) -> tuple[Call, list[str], str]:
    """A line that is not finished: its options, its words, and what awaits a value."""
    call = Call()
    given: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return call, given + left, ""
        if not _looks_like_option(word):
            given.append(word)
            continue
        flag, equals, value = _flag_of(word)
        if equals:
            left.insert(0, value)
        option = find(options, flag)
        count = len(option.values) if option is not None else int(flag in PLACES)
        if len(left) < count:
            return call, given, flag
        if flag in PLACES and option is None:
            call.places[flag] = left[0]
        del left[:count]
    return call, given, ""


def _of_flags(options: Sequence[Option], incomplete: str) -> list[tuple[str, str]]:
    found = [(option.flag, " ".join(v.upper() for v in option.values)) for option in options]
    found.extend(PLACES.items())
    found.extend(FORMAT_HELP.items())
    found.append(("--help", "show what the command does"))
    return [row for row in found if row[0].startswith(incomplete)]


def _of_values(option: Option, call: Call, incomplete: str) -> list[tuple[str, str]]:
    expected = what_follows([option.node], [option.token])
    if option.is_counted:
        expected = what_follows([option.node], [option.token, "1"])
    choices = [(token.lower(), "") for token in expected.tokens]
    if not (expected.is_key or expected.is_tag):
        return [row for row in choices if row[0].startswith(incomplete.lower())]
    return _live(call, incomplete, tags=expected.is_tag)


def _of_words(
    syntax: Syntax, call: Call, given: Sequence[str], incomplete: str
) -> list[tuple[str, str]]:
    expected = what_follows(syntax.arguments, given)
    if expected.is_key or expected.is_tag:
        return _live(call, incomplete, tags=expected.is_tag)
    if expected.parameter is None:
        upper = incomplete.upper()
        return [(token, "") for token in expected.tokens if token.startswith(upper)]
    return []


def _live(call: Call, incomplete: str, tags: bool) -> list[tuple[str, str]]:
    try:
        client = client_for(address_of(call.places))
    except CacheStormError:
        return []
    try:
        live = LiveNames(client)
        found = live.tags(incomplete) if tags else live.keys(incomplete)
    finally:
        client.close()
    return [(name, "") for name in found]
