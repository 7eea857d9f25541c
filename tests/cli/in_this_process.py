"""What the fixtures of this folder give: a server in this process, and runs of `cachestorm`.

A module of its own, so that tests of several folders can be collected in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachestorm import Cache


@dataclass
class Outcome:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


@dataclass
class Served:
    """A cache and where it is served."""

    cache: Cache
    url: str
    http_url: str


CommandLine = Callable[..., Outcome]
