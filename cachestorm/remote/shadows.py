"""Shadows: what is kept of a load on a server, beside its value and beyond its end.

A shadow is a key beside the one that was loaded: how long the load took, how long the value was
fresh, and, if it may be served stale, the value again. Called by `RemoteLoading`, and written
by `leases.py`.

1. It is written in one step with the value and bears its tags, so that INVALIDATE takes both. A
   deletion through a connected cache takes both as well (`leases.beside`).
2. It lasts as long as the value may be served stale. What is left of its time to live tells how
   long ago the value has ended: no clock but that of the server is asked.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.declare.kinds import Lifetime
from cachestorm.envelope import Envelope
from cachestorm.loading.context import LoadContext
from cachestorm.loading.notes import Note
from cachestorm.loading.options import LoadTimeoutError, Options
from cachestorm.markers import MISSING

_HEADER: Final = b"%d %d %d %d\n"
# of the header, at most
HEADER_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Shadow:
    """What is known of the last load of a key.

    Attributes:
        load_ms: how long it took.
        ttl_ms: how long its value was to be fresh.
        stale_ms, error_ms: how long after that it may be served: see `Options`.
        left_ms: how long the shadow lasts.
        value: MISSING if it may not be served, or was not asked for.
    """

    load_ms: int
    ttl_ms: int
    stale_ms: int
    error_ms: int
    left_ms: int
    value: Any = MISSING

    @property
    def span_ms(self) -> int:
        """How long beyond the end of the value it lasts."""
        return max(self.stale_ms, self.error_ms)

    def is_servable(self, options: Options, has_failed: bool) -> bool:
        """Whether its value may be served to a call."""
        if self.value is MISSING:
            return False
        span = min(options.stale_ms, self.stale_ms)
        if has_failed:
            span = min(options.error_ms, self.error_ms)
        return self.span_ms - self.left_ms < span

    def is_due(self, left_ms: int, options: Options, random: float) -> bool:
        """Whether a value that is fresh for so much longer is to be loaded anew.

        Args:
            random: between 0 and 1.

        Source: see `Records._is_due`.
        """
        if left_ms < 0 or self.ttl_ms <= 0:
            return False
        if self.ttl_ms - left_ms >= self.ttl_ms * options.eager:
            return True
        lead_ms = -math.log(1.0 - random) * self.load_ms * options.early
        return lead_ms >= left_ms


def packed(shadow: Shadow, value: bytes) -> bytes:
    """A shadow as it is stored, with the stored form of the value."""
    facts = (shadow.load_ms, shadow.ttl_ms, shadow.stale_ms, shadow.error_ms)
    return _HEADER % facts + (value if shadow.span_ms else b"")


def unpacked(raw: bytes | None, left_ms: int, envelope: Envelope | None) -> Shadow | None:
    """The shadow that is stored; None if there is none.

    Args:
        left_ms: as PTTL says.
        envelope: to open the value; None to leave it.
    """
    if raw is None or left_ms < 0:
        return None
    header, _, value = raw.partition(b"\n")
    try:
        facts = [int(word) for word in header.split(b" ")]
        load_ms, ttl_ms, stale_ms, error_ms = facts
    except ValueError:
        # somebody else's
        return None
    found: Any = MISSING
    if envelope is not None and value:
        found = envelope.loads(value)
    return Shadow(load_ms, ttl_ms, stale_ms, error_ms, left_ms, found)


def shadow_of(
    options: Options, context: LoadContext, ttl: object, load_ms: int
) -> Shadow | None:
    """What is kept beside a value; None if nobody asks for it, or no end of it is known."""
    if not options.keeps_notes or not isinstance(ttl, Lifetime):
        return None
    stale_ms = min(options.stale_ms, context.stale_ms)
    error_ms = min(options.error_ms, context.error_ms)
    return Shadow(load_ms, ttl.ms, stale_ms, error_ms, 0)


def note_of(shadow: Shadow) -> Note:
    """What a loader finds of the last load."""
    note = Note()
    note.value = shadow.value
    return note


# -- what callers are served


def served_for(shadow: Shadow | None, options: Options, error: BaseException) -> Any:
    """The stale value that stands for an error; MISSING for none."""
    if shadow is None or not isinstance(error, Exception):
        return MISSING
    return shadow.value if shadow.is_servable(options, True) else MISSING


def patience_s_of(options: Options, shadow: Shadow | None) -> float | None:
    """How long a caller waits, for what there is to serve then."""
    patience_s, soft_s = options.timeout_s, options.soft_timeout_s
    if soft_s is not None and shadow is not None and shadow.is_servable(options, True):
        return soft_s if patience_s is None else min(soft_s, patience_s)
    return patience_s


def has_waited(key: str, options: Options, began_at: float, shadow: Shadow | None) -> bool:
    """Whether a caller is to take the stale value, as it has waited for long enough.

    Raises:
        LoadTimeoutError: if there is none, and it has no more patience.
    """
    patience_s = patience_s_of(options, shadow)
    waited_s = time.monotonic() - began_at
    if patience_s is None or waited_s < patience_s:
        return False
    if shadow is not None and shadow.is_servable(options, True):
        return True
    raise LoadTimeoutError(f"{key!r} was not loaded within {waited_s:.3g} s")
