"""The output limits: how much may wait for a client that does not take it. Sans-IO.

Called by sessions, with what their carrier has not sent yet, and by CONFIG. A client belongs
to one of Redis' classes; each class has a hard limit, and a soft one that may be exceeded for
so many seconds.

Source: `client-output-buffer-limit` of Redis, and `checkClientOutputBufferLimits` of its
`networking.c`.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import INT64_MAX
from cachestorm.errors import ArgumentError

NORMAL: Final = "normal"
PUBSUB: Final = "pubsub"
REPLICA: Final = "slave"
# in the order in which CONFIG GET shows them, by the name it gives them
CLASSES: Final = (NORMAL, REPLICA, PUBSUB)

# as Redis reads them: k is a thousand, kb is 1024
_MEMORY_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1 << 10,
    "m": 1000**2,
    "mb": 1 << 20,
    "g": 1000**3,
    "gb": 1 << 30,
}


class OutputLimit:
    """The limit of one class; 0 for none.

    Attributes:
        hard_bytes: who exceeds it is disconnected at once.
        soft_bytes: who exceeds it for longer than `soft_s` is disconnected.
        soft_s: seconds.
    """

    def __init__(self, hard_bytes: i64, soft_bytes: i64, soft_s: i64) -> None:
        self.hard_bytes: Final = hard_bytes
        self.soft_bytes: Final = soft_bytes
        self.soft_s: Final = soft_s

    def is_none(self) -> bool:
        """Whether anything may wait."""
        return self.hard_bytes == 0 and self.soft_bytes == 0

    def is_exceeded(self, unsent_bytes: i64, soft_for_s: i64) -> bool:
        """Whether a client has to go.

        Args:
            unsent_bytes: what waits for it.
            soft_for_s: how long it has been above the soft limit.
        """
        if self.hard_bytes != 0 and unsent_bytes >= self.hard_bytes:
            return True
        return self.is_soft_exceeded(unsent_bytes) and soft_for_s > self.soft_s

    def is_soft_exceeded(self, unsent_bytes: i64) -> bool:
        """Whether the seconds are counted."""
        return self.soft_bytes != 0 and unsent_bytes >= self.soft_bytes


def default_limits() -> dict[str, OutputLimit]:
    """The limits of Redis' own defaults, by class."""
    return {
        NORMAL: OutputLimit(0, 0, 0),
        REPLICA: OutputLimit(256 << 20, 64 << 20, 60),
        PUBSUB: OutputLimit(32 << 20, 8 << 20, 60),
    }


def spell_limits(limits: dict[str, OutputLimit]) -> str:
    """The limits as CONFIG GET shows them."""
    parts = []
    for name in CLASSES:
        limit = limits[name]
        parts.append(f"{name} {limit.hard_bytes} {limit.soft_bytes} {limit.soft_s}")
    return " ".join(parts)


def parse_limits(text: str) -> dict[str, OutputLimit]:
    """The limits of the classes that a text names: `class hard soft seconds`, repeated.

    Raises:
        ArgumentError: for anything else.
    """
    words = text.split()
    if len(words) % 4:
        raise ArgumentError("Wrong number of arguments in buffer limit configuration.")
    found = {}
    for at in range(0, len(words), 4):
        name = words[at].lower()
        name = "slave" if name == "replica" else name
        if name not in CLASSES:
            raise ArgumentError("Invalid client class specified in buffer limit configuration.")
        try:
            hard, soft = parse_memory(words[at + 1]), parse_memory(words[at + 2])
        except ArgumentError as error:
            raise _bad_limit() from error
        digits = words[at + 3]
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise _bad_limit()
        found[name] = OutputLimit(hard, soft, int(digits))
    return found


def parse_memory(text: str) -> int:
    """A number of bytes as CONFIG SET reads it.

    Raises:
        ArgumentError: for anything else.
    """
    digits = text.lower().rstrip("bkmg")
    unit = _MEMORY_UNITS.get(text.lower()[len(digits) :])
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
    if unit is None or not is_number or int(digits) * unit > INT64_MAX:
        raise ArgumentError("argument must be a memory value")
    return int(digits) * unit


def _bad_limit() -> ArgumentError:
    return ArgumentError(
        "Error in hard, soft or soft_seconds setting in buffer limit configuration."
    )
