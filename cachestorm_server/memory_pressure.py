"""Memory pressure: how full the cache is, as the log and INFO tell it.

Asked by the server's timer and by INFO. Nothing is evicted for it.
"""

from __future__ import annotations

from typing import Final

from cachestorm_server.endpoint import Endpoint

NAMES: Final = ("none", "warning", "critical")


def used_percent(endpoint: Endpoint) -> int:
    """How much of the limit is used; 0 without a limit."""
    stats = endpoint.cache.store_stats()
    return 100 * stats.used_memory // stats.max_memory if stats.max_memory else 0


def pressure(endpoint: Endpoint) -> int:
    """The place in `NAMES` of what the limit comes to."""
    settings = endpoint.settings
    percent = used_percent(endpoint)
    if 0 < settings.pressure_critical <= percent:
        return 2
    return 1 if 0 < settings.pressure_warning <= percent else 0
