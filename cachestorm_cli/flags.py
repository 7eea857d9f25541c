"""Old flags: what users of the two Go projects type, in our words.

Called by `main` with the arguments before Typer sees them. `FLAGS` is the one table; the
documentation of the command line is drawn from it.

1. Flags without a command mean `serve`, or `cli` where `-cli` is among them.
2. A flag whose feature is not there yet is refused, unless it says what is the case anyway.
3. Go takes one dash or two, `-flag value` or `-flag=value`, and stops at the first word
   that is no flag; so does this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cachestorm.errors import CacheStormError


class FlagError(CacheStormError):
    """A flag that cannot be honoured."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class OldFlag:
    """One flag of AutoCache or of CacheStorm in Go.

    Attributes:
        name: without its dash.
        means: ours; empty where there is none.
        is_switch: takes no value but `=true` and `=false`.
        awaits: the feature that is not there yet; or empty.
        harmless: the values that may be given nevertheless.
    """

    name: str
    means: str
    is_switch: bool = False
    awaits: str = ""
    harmless: tuple[str, ...] = ()


_CLUSTER: Final = "the cluster"
_PERSISTENCE: Final = "persistence"

FLAGS: Final = (
    OldFlag("addr", "serve --bind HOST --port PORT (':6379' is every interface, as in Go)"),
    OldFlag("bind", "serve --bind"),
    OldFlag("port", "serve --port"),
    OldFlag("config", "serve --config"),
    OldFlag("cluster-enabled", "", is_switch=True, awaits=_CLUSTER, harmless=("false",)),
    OldFlag("cluster", "", is_switch=True, awaits=_CLUSTER, harmless=("false",)),
    OldFlag("cluster-port", "", awaits=_CLUSTER, harmless=("16379",)),
    OldFlag("cluster-seeds", "", awaits=_CLUSTER, harmless=("",)),
    OldFlag("seeds", "", awaits=_CLUSTER, harmless=("",)),
    OldFlag("node-id", "", awaits=_CLUSTER, harmless=("",)),
    OldFlag("data-dir", "", awaits=_PERSISTENCE, harmless=("./data",)),
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
        FlagError: for a flag whose feature is not there yet, or that lacks its value.

    Example:
        >>> translate(["-addr", "127.0.0.1:7000"])
        ['serve', '--bind', '127.0.0.1', '--port', '7000']
        >>> translate(["-cli", "-p", "7000", "GET", "-p"])
        ['cli', '--port', '7000', 'GET', '-p']
    """
    words = list(arguments)
    if not words or words[0] in _OURS:
        return words
    if words == ["-h"]:
        return ["--help"]
    if words[0] == "serve":
        return ["serve", *_translated(words[1:], "serve")]
    if not words[0].startswith("-"):
        return words
    command = "cli" if _asks_for_client(words) else "serve"
    return [command, *_translated(words, command)]


def _read(word: str) -> tuple[OldFlag | None, str | None]:
    """The flag that a word is, and the value that it carries."""
    dashes = len(word) - len(word.lstrip("-"))
    if dashes not in (1, 2) or len(word) == dashes:
        return None, None
    name, equals, value = word[dashes:].partition("=")
    return _BY_NAME.get(name), value if equals else None


def _asks_for_client(words: list[str]) -> bool:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        flag, value = _read(words[at])
        if flag is not None and flag.name == "cli":
            return value != "false"
        at += 2 if flag is not None and not flag.is_switch and value is None else 1
    return False


def _translated(words: list[str], command: str) -> list[str]:
    ours: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" or (command == "cli" and not word.startswith("-")):
            return [*ours, word, *words[at:]]
        flag, value = _read(word)
        if flag is None:
            ours.append(word)
            continue
        if flag.is_switch:
            value = "true" if value is None else value.lower()
        elif value is None:
            if at == len(words):
                raise FlagError(f"{word} needs a value")
            value = words[at]
            at += 1
        ours += _meaning(flag, word, value, command)
    return ours


def _meaning(flag: OldFlag, word: str, value: str, command: str) -> list[str]:
    if flag.awaits:
        if value in flag.harmless:
            return []
        raise FlagError(f"{word}: {flag.awaits} is not there yet; leave it out")
    if flag.name == "cli":
        return []
    target = flag.means.split()[0]
    if target != command:
        raise FlagError(f"{word} belongs to 'cachestorm {flag.means}', not to '{command}'")
    if flag.name == "addr":
        host, colon, port = value.rpartition(":")
        if not colon:
            raise FlagError(f"{word}: {value!r} is no address: write host:port, or :port")
        return ["--bind", host.strip("[]") or EVERY_INTERFACE, "--port", port]
    return [flag.means.split()[1], value]
