"""The capabilities: what a server can do of what a cache can."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cachestorm.remote.arguments import Words
from cachestorm.remote.commands import remote_declarations


@dataclass(frozen=True)
class Capabilities:
    """What the other side is, and what is exact there.

    Attributes:
        server: `memory`, `cachestorm`, `valkey` or `redis`.
        version: as it says.
        tags: whether it knows tags, and SET sets them in the same step as the value.
        namespaces: whether it knows namespaces by name.
        near: whether a near cache can be told what changes there.
        missing: declared commands that it lacks.
    """

    server: str
    version: str
    tags: bool
    namespaces: bool
    near: bool
    missing: frozenset[str] = field(repr=False, default=frozenset())


# what is asked of a server
QUESTIONS: list[Words] = [
    ["INFO", "server"],
    # another server knows no such section, and tells nothing
    ["INFO", "cachestorm"],
    ["COMMAND", "INFO", *sorted({d.container for d in remote_declarations()})],
]


def capabilities_of(replies: list[Any]) -> Capabilities:
    """What the replies to `QUESTIONS` tell."""
    lines = (_text(replies[0]) + _text(replies[1])).splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    asked = QUESTIONS[2][2:]
    missing = frozenset(name for name, found in zip(asked, replies[2]) if not found)
    has_tags = "INVALIDATE" not in missing
    version = facts.get("redis_version", "")
    server = "redis"
    if has_tags:
        server, version = "cachestorm", facts.get("cachestorm_version", version)
    elif "valkey_version" in facts:
        server, version = "valkey", facts["valkey_version"]
    major = int(facts.get("redis_version", "0").partition(".")[0] or 0)
    return Capabilities(server, version, has_tags, has_tags, major >= 6, missing)


def _text(raw: object) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
