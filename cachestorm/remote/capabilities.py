"""The capabilities of a server: what it is asked, and what its replies tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from cachestorm.capabilities import IN_PROCESS, Capabilities
from cachestorm.remote.arguments import Words
from cachestorm.remote.commands import remote_declarations
from cachestorm.remote.dialect import SPOKEN

# of a server that cannot be asked
ASSUMED: Final = replace(IN_PROCESS, server="unknown", near=True)
# what is asked of a server
QUESTIONS: list[Words] = [
    ["INFO", "server"],
    # another server knows no such section, and tells nothing
    ["INFO", "cachestorm"],
    ["COMMAND INFO", *sorted({d.container for d in remote_declarations()})],
    ["INFO", "memory"],
]
# from which version on the tag script works
_OLDEST: Final = (6, 2)


def capabilities_of(replies: list[Any], is_cluster: bool = False) -> Capabilities:
    """What the replies to `QUESTIONS` tell."""
    facts = _facts(_text(replies[0]) + _text(replies[1]) + _text(replies[3]))
    asked = QUESTIONS[2][1:]
    missing = frozenset(name for name, found in zip(asked, replies[2]) if not found)
    is_ours = "INVALIDATE" not in missing
    version = facts.get("redis_version", "")
    server = "redis"
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    if is_ours:
        server, version = "cachestorm", facts.get("cachestorm_version", version)
    elif "valkey_version" in facts:
        server, version = "valkey", facts["valkey_version"]
    why = "" if is_ours else _why_not(facts, (*numbers, 0, 0)[:2])
    if not (is_ours or why):
        missing -= SPOKEN
    has_tracking = bool(numbers) and numbers[0] >= 6
    return Capabilities(
        server=server,
        version=version,
        tags=not why,
        tags_follow=is_ours,
        stale=is_ours,
        no_tags=why,
        namespaces=not (is_ours and is_cluster),
        namespaces_apart=is_ours,
        near=has_tracking,
        cluster=is_cluster,
        missing=missing,
    )


def _why_not(facts: dict[str, str], version: tuple[int, ...]) -> str:
    """Why there can be no tags on a server that has none itself; empty if there can."""
    if version < _OLDEST:
        return "tags need version 6.2 or newer"
    policy = facts.get("maxmemory_policy", "")
    if facts.get("maxmemory", "0") != "0" and policy.startswith("allkeys"):
        return (
            f"its maxmemory-policy {policy} may evict the index of the tags: use volatile-lru "
            "or another volatile policy, or a CacheStorm server"
        )
    return ""


def _facts(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _text(raw: object) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
