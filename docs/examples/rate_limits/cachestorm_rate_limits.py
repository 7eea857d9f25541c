"""Rate limits by key prefix: a plugin for CacheStorm, as an example of how to write one.

    plugins:
      rate_limits:
        limits: {"login:": 5, "api:": 1000}   # calls, for each address
        window: 1m

A client that asks for more keys with a prefix than its limit within the window is refused with
RATELIMITED, or with 429 over HTTP. `RATELIMIT prefix` tells how many calls there were,
`GET /rate-limits` who has made them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from cachestorm import Cache
from cachestorm.plugins import Call, Refused, Request, Route, declare, hookimpl
from cachestorm_server.setting_kinds import DURATION_MS


@dataclass(frozen=True)
class Settings:
    """What the section of the configuration may hold."""

    limits: Mapping[str, int] = field(
        default_factory=dict, metadata={"help": "calls within the window, by prefix of the key"}
    )
    window: Annotated[int, DURATION_MS] = field(
        default=60_000, metadata={"help": "after which the counts begin anew"}
    )

    def __post_init__(self) -> None:
        wrong = [prefix for prefix, limit in self.limits.items() if limit < 1]
        if wrong:
            raise ValueError(f"the limit of {wrong[0]!r} is not positive")


class RateLimits:
    """Counts the calls of each address, and refuses those beyond a limit.

    Args:
        settings: see there.
        clock: seconds that never go back; a test gives its own.
    """

    version = "1.0"
    Settings = Settings

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._window_ends = 0.0
        # by prefix and address
        self._counts: dict[tuple[str, str], int] = {}

    @hookimpl
    def before_command(self, call: Call) -> None:
        # most commands have a key without any limit: this is all that they cost
        for key in call.keys:
            for prefix, limit in self._settings.limits.items():
                if key.startswith(prefix):
                    self._count(prefix, limit, _host(call.address))

    @hookimpl
    def commands(self) -> list[object]:
        return [
            declare(
                "RATELIMIT prefix:string",
                self.used,
                summary="Return how many calls were made for a prefix within the window.",
                fast=True,
            )
        ]

    @hookimpl
    def http_routes(self) -> list[Route]:
        return [Route("/rate-limits", self.show, "How often each address has asked.")]

    def used(self, cache: Cache, prefix: str) -> int:
        """The calls of all addresses."""
        self._begin_anew()
        return sum(count for (known, _), count in self._counts.items() if known == prefix)

    def show(self, request: Request) -> object:
        self._begin_anew()
        return [
            {"prefix": prefix, "address": host, "calls": count}
            for (prefix, host), count in sorted(self._counts.items())
        ]

    def _count(self, prefix: str, limit: int, host: str) -> None:
        self._begin_anew()
        count = self._counts.get((prefix, host), 0)
        if count >= limit:
            left_s = max(self._window_ends - self._clock(), 0.0)
            raise Refused(
                f"{limit} calls for {prefix}* are allowed; try again in {left_s:.0f} seconds",
                code="RATELIMITED",
                http_status=429,
            )
        self._counts[prefix, host] = count + 1

    def _begin_anew(self) -> None:
        now = self._clock()
        if now >= self._window_ends:
            self._counts.clear()
            self._window_ends = now + self._settings.window / 1000


def _host(address: str) -> str:
    """An address without its port: the connections of a client count together."""
    return address.rpartition(":")[0]
