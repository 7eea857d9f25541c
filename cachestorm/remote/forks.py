"""Forks: what a connected cache has in this process begins anew in the child of a fork.

Called by whatever has locks, threads or loads under way. They are kept by weak references.
"""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forked(Protocol):
    """What has to know of a fork."""

    def forked(self) -> None:
        """In the child, which has none of the threads but the one that forked."""


_ALL: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()


def tell_of_forks(what: Forked) -> None:
    """Has `forked` called in each child of a fork."""
    _ALL.add(what)


def _tell() -> None:
    for each in list(_ALL):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
