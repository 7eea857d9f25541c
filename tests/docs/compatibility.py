"""The table of `docs/compatibility.md`: Redis 7.2's commands, which are here, and how.

Drawn by `command_pages.py` from the registry and the list of differences; what is absent, and
why, stands here. `test_compatibility.py` compares the names with those of a real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from differences import DIFFERENCES

from cachestorm.declare.registry import REGISTRY

CLUSTER: Final = "its subcommands are not listed one by one"
REPLICATION: Final = "only CacheStorm can be a replica, by `FOLLOW`"
STREAMS: Final = "there are no streams"
MODULES: Final = "there are no modules"
_AS_PROMISED: Final = "as in Redis 7.2"
INTERNAL: Final = "for developers of Redis"
# By group, and by name where a group is there.
ABSENT: Final[dict[str, str]] = {
    "FAILOVER": REPLICATION,
    "MODULE LOAD": MODULES,
    "MODULE LOADEX": MODULES,
    "MODULE UNLOAD": MODULES,
    "PFSELFTEST": INTERNAL,
    "PSYNC": REPLICATION,
    "REPLCONF": REPLICATION,
    "SCRIPT DEBUG": "there is no debugger of scripts",
    "SYNC": REPLICATION,
    **dict.fromkeys(
        [
            *("XACK", "XADD", "XAUTOCLAIM", "XCLAIM", "XDEL", "XGROUP", "XINFO", "XLEN"),
            *("XPENDING", "XRANGE", "XREAD", "XREADGROUP", "XREVRANGE", "XSETID", "XTRIM"),
        ],
        STREAMS,
    ),
}
# Containers whose subcommands share their fate.
WHOLE: Final = ("CLUSTER", "XGROUP", "XINFO")
# Commands that reply as in Redis, but to less: what remains is said in a sentence.
PARTIAL: Final[dict[str, str]] = {
    "CLUSTER": CLUSTER,
    "DEBUG": "off by default; has what test suites use, see `DEBUG HELP`",
    "LOLWUT": "prints the version, and no picture",
    "MEMORY MALLOC-STATS": "Python has no such statistics",
    "MODULE LIST": MODULES,
    "REPLICAOF": "of another CacheStorm, not of Redis",
    "SLAVEOF": "of another CacheStorm, not of Redis",
    "WAIT": "also waits for writes of other clients",
}


def names_here() -> list[str]:
    """The names of the commands that Redis has and that are here."""
    return [each.name for each in REGISTRY if not each.own]


def whys(name: str) -> Iterator[str]:
    """Why a command differs from that of Redis 7.2.

    The server that it is compared with is older: where ours is as in 7.2, the row says so. A
    row about a container is about all of it, unless its text begins with a subcommand.
    """
    container, _, subcommand = name.partition(" ")
    for each in DIFFERENCES:
        word = getattr(each.condition, "word", subcommand)
        is_meant = not subcommand or word == subcommand
        first = each.why.split()[0]
        is_of_another = subcommand and first.isupper() and first != subcommand
        if _AS_PROMISED in each.why or is_of_another:
            continue
        if each.server != "valkey" and container in each.commands and is_meant:
            yield each.why


def as_table(newer: set[str]) -> str:
    """The table.

    Args:
        newer: names that Redis 7.2 does not have.
    """
    rows: dict[str, tuple[str, str]] = {}
    for name in names_here():
        if name in newer:
            continue
        notes = [PARTIAL[name]] if name in PARTIAL else list(dict.fromkeys(whys(name)))
        rows[name] = ("different" if notes else "there", "; ".join(notes))
    for name, why in ABSENT.items():
        rows[name] = ("absent", why)
    counts = [sum(state == each for state, _ in rows.values()) for each in STATES]
    head = ", ".join(f"{count} {state}" for count, state in zip(counts, STATES, strict=True))
    lines = [f"{head}.", "", "| Command | | |", "|---|---|---|"]
    for name, (state, note) in sorted(rows.items()):
        lines.append(f"| `{name}` | {state} | {note} |")
    return "\n".join(lines)


STATES: Final = ("there", "different", "absent")
# Not of Redis 7.2, but of Valkey or of a later Redis.
NEWER: Final = {
    *("DELIFEQ", "HEXPIRE", "HEXPIREAT", "HEXPIRETIME", "HGETDEL", "HGETEX", "HPERSIST"),
    *("HPEXPIRE", "HPEXPIREAT", "HPEXPIRETIME", "HPTTL", "HSETEX", "HTTL", "MSETEX"),
    "SCRIPT SHOW",
}
