"""Databases: the numbers that clients know namespaces by. Calls nothing."""

from __future__ import annotations

from cachestorm.keyspace.store import DATABASES, DEFAULT


def database_of(namespace: str) -> int:
    """The number that SELECT knows a namespace by; -1 if it has none."""
    if namespace == DEFAULT:
        return 0
    digits = namespace[2:]
    if not namespace.startswith("db") or not digits.isdecimal() or digits.startswith("0"):
        return -1
    return int(digits) if len(digits) < 3 and int(digits) < DATABASES else -1
