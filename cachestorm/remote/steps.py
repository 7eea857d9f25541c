"""Steps: what a method of a connected cache asks of its connection, one after the other.

A course is a generator that yields steps, is sent their replies and returns the method's value.
So a method is written once, and run by a thread (`wire.py`) or by a task (`async_wire.py`).

1. A refusal is raised in the course, at its step, as the error of a cache.
2. After `Watch`, the next `Ask` is a transaction: it raises WatchError if a key was touched.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from cachestorm.remote.arguments import Words


@dataclass(frozen=True, slots=True)
class Ask:
    """Commands that are sent together.

    Attributes:
        commands: each with its words.
        atomic: whether they are one step for everybody else.
        blocks: whether the only one may wait for somebody else.
    """

    commands: list[Words]
    atomic: bool = False
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Keys that must not be touched from here on, and commands that look at them now."""

    keys: list[Any]
    commands: list[Words]


Step = Ask | Watch
Course = Generator[Step, list[Any], Any]
