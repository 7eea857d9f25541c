"""Old flags: those of AutoCache and of CacheStorm in Go, translated to ours.

Called by `main` with the arguments before Typer sees them. `FLAGS` is the one table; the
documentation of the command line is drawn from it.

1. Flags without a command mean `serve`, or `cli` where `-cli` is among them.
2. A flag that says nothing, as Go's empty defaults do, is dropped.
3. Go takes one dash or two, `-flag value` or `-flag=value`, and stops at the first argument
   that is not a flag; so does this.

Sources: https://github.com/10yihang/autocache and https://github.com/cachestorm/cachestorm
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class FlagError(Exception):
    """A flag that cannot be honoured.

    None of the tree of `cachestorm.errors`, whose import takes longer than all of this.
    """

    exit_code: Final = 2


@dataclass(frozen=True, slots=True)
class OldFlag:
    """One flag of AutoCache or of CacheStorm in Go.

    Attributes:
        name: without its dash.
        means: ours.
        is_switch: takes no value but `=true` and `=false`.
        may_be_empty: an empty value says nothing.
    """

    name: str
    means: str
    is_switch: bool = False
    may_be_empty: bool = False


FLAGS: Final = (
    OldFlag("addr", "serve --bind HOST --port PORT (':6379' is every interface, as in Go)"),
    OldFlag("bind", "serve --bind"),
    OldFlag("port", "serve --port"),
    OldFlag("config", "serve --config"),
    OldFlag("cluster-enabled", "serve --cluster", is_switch=True),
    OldFlag("cluster", "serve --cluster", is_switch=True),
    OldFlag("cluster-port", "serve --cluster-port"),
    OldFlag("cluster-seeds", "serve --seeds", may_be_empty=True),
    OldFlag("seeds", "serve --seeds", may_be_empty=True),
    OldFlag("node-id", "serve --node-name", may_be_empty=True),
    OldFlag("data-dir", "serve --data-dir"),
    OldFlag("cli", "cli", is_switch=True),
    OldFlag("h", "cli --host"),
    OldFlag("p", "cli --port"),
)
_BY_NAME: Final = {flag.name: flag for flag in FLAGS}
_OURS: Final = ("--help", "--version", "--install-completion", "--show-completion")
EVERY_INTERFACE: Final = "0.0.0.0"


def translate(arguments: Sequence[str]) -> list[str]:
    """The arguments in our words; those that are ours already stay as they are.

    Raises:
        FlagError: for a flag of another command, or that lacks its value.

    Examples:
        >>> translate(["-addr", "127.0.0.1:7000"])
        ['serve', '--bind', '127.0.0.1', '--port', '7000']
        >>> translate(["-cli", "-p", "7000", "GET", "-p"])
        ['cli', '--port', '7000', 'GET', '-p']
    """
    argv = list(arguments)
    if not argv or argv[0] in _OURS:
        return argv
    if argv == ["-h"]:
        return ["--help"]
    if argv[0] == "serve":
        return ["serve", *_translated(argv[1:], "serve")]
    if not argv[0].startswith("-"):
        return argv
    command = "cli" if _asks_for_client(argv) else "serve"
    return [command, *_translated(argv, command)]


def _read(arg: str) -> tuple[OldFlag | None, str | None]:
    """The flag that a word is, and the value that it carries."""
    dashes = len(arg) - len(arg.lstrip("-"))
    if dashes not in (1, 2) or len(arg) == dashes:
        return None, None
    name, equals, value = arg[dashes:].partition("=")
    return _BY_NAME.get(name), value if equals else None


def _asks_for_client(argv: list[str]) -> bool:
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        flag, value = _read(argv[at])
        if flag is not None and flag.name == "cli":
            return value != "false"
        at += 2 if flag is not None and not flag.is_switch and value is None else 1
    return False


def _translated(argv: list[str], command: str) -> list[str]:
    ours: list[str] = []
    at = 0
    while at < len(argv):
        arg = argv[at]
        at += 1
        if arg == "--" or (command == "cli" and not arg.startswith("-")):
            return [*ours, arg, *argv[at:]]
        flag, value = _read(arg)
        if flag is None:
            ours.append(arg)
            continue
        if flag.is_switch:
            value = "true" if value is None else value.lower()
        elif value is None:
            if at == len(argv):
                raise FlagError(f"{arg} needs a value")
            value = argv[at]
            at += 1
        ours += _meaning(flag, arg, value, command)
    return ours


def _meaning(flag: OldFlag, arg: str, value: str, command: str) -> list[str]:
    if flag.name == "cli":
        return []
    target = flag.means.split()[0]
    if target != command:
        raise FlagError(f"{arg} belongs to 'cachestorm {flag.means}', not to '{command}'")
    if flag.is_switch:
        return [flag.means.split()[1]] if value == "true" else []
    if not value and flag.may_be_empty:
        return []
    if flag.name == "addr":
        host, colon, port = value.rpartition(":")
        if not colon:
            raise FlagError(f"{arg}: {value!r} is not an address: write host:port, or :port")
        return ["--bind", host.strip("[]") or EVERY_INTERFACE, "--port", port]
    return [flag.means.split()[1], value]
