"""Steps: what a method of a connected cache asks of its connection, one after the other.

A course is a generator that yields steps, is sent their replies and returns the method's value.
So a method is written once, and run by a thread (`wire.py`) or by a task (`async_wire.py`).

1. A refusal is raised in the course, at its step, as the error of a cache.
2. After `Watch`, the next `Ask` is a transaction: it raises WatchError if a key was touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from cachestorm.remote.arguments import Words


@dataclass(frozen=True, slots=True)
class Ask:
    """Commands that are sent together.

    Attributes:
        commands: each with its words.
        atomic: whether they are one step for everybody else.
        blocks: whether the only one may wait for somebody else.
        removes: whether there are two: one that removes what is beside keys, and one that
            removes these.
        is_kept: whether the server is told later of what it has missed (`recovery.py`).
    """

    commands: list[Words]
    atomic: bool = False
    blocks: bool = False
    is_kept: bool = True
    removes: bool = False

    @property
    def writes(self) -> list[Words]:
        """What is outdated if it fails, as commands."""
        return self.commands if self.is_kept else []


@dataclass(frozen=True, slots=True)
class Watch:
    """Keys that must not be touched from here on, and commands that look at them now.

    They are about to be written. With `is_kept` False that is nothing to tell a server of
    which cannot be reached: see `Ask`.
    """

    keys: list[Any]
    commands: list[Words]
    is_kept: bool = True

    @property
    def writes(self) -> list[Words]:
        """What is outdated if it fails, as commands."""
        return [["DEL", *self.keys]] if self.is_kept else []


@dataclass(frozen=True, slots=True)
class Await:
    """What a task is to await: code of the caller. The only reply is its result."""

    awaitable: Awaitable[Any]
    commands: ClassVar[list[Words]] = []
    writes: ClassVar[list[Words]] = []


Step = Ask | Watch
Course = Generator[Step | Await, list[Any], Any]
