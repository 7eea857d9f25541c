"""The clock by which nodes count silence and leases.

Called by the gate, the membership and whoever drives them.
"""

from __future__ import annotations

import time
from typing import Final

# goes on while the machine is suspended, as the clocks of other nodes do; only Linux has it
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_ms() -> int:
    """Milliseconds since some moment; never goes back."""
    if _CLOCK is None:
        return time.monotonic_ns() // 1_000_000
    return time.clock_gettime_ns(_CLOCK) // 1_000_000
