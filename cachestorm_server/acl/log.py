"""The log of what was denied, and of logins that failed: ACL LOG.

Written by `users.py`, read by the command.

Source: `addACLLogEntry` in `acl.c` of Redis 7.2.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

MOST_ENTRIES: Final = 128
# what is the same within this time is one entry
TOGETHER_MS: Final = 60_000

# where a call came from
TOPLEVEL: Final = "toplevel"
MULTI: Final = "multi"
LUA: Final = "lua"


@dataclass(slots=True)
class Entry:
    """What was denied.

    Attributes:
        reason: `auth`, or what kind of thing is out of reach.
        context: where the call came from.
        name: of the command, key or channel.
        client: as CLIENT LIST shows it.
    """

    number: int
    reason: str
    context: str
    name: str
    username: str
    client: str
    count: int
    created_ms: int
    updated_ms: int

    def shown(self, now_ms: int) -> dict[str, object]:
        """As ACL LOG replies it."""
        return {
            "count": self.count,
            "reason": self.reason,
            "context": self.context,
            "object": self.name,
            "username": self.username,
            "age-seconds": (now_ms - self.updated_ms) / 1000,
            "client-info": self.client,
            "entry-id": self.number,
            "timestamp-created": self.created_ms,
            "timestamp-last-updated": self.updated_ms,
        }


class AclLog:
    """The entries, the latest first.

    Attributes:
        totals: how often anything was denied, by reason; noted here or not.
    """

    def __init__(self) -> None:
        self.totals: Final[dict[str, int]] = {}
        self._entries: deque[Entry] = deque()
        self._most = MOST_ENTRIES
        self._count = 0

    @property
    def most(self) -> int:
        """How many entries are kept."""
        return self._most

    def keep(self, most: int) -> None:
        """Keeps so many entries from now on."""
        self._most = most
        while len(self._entries) > most:
            self._entries.pop()

    def add(self, reason: str, context: str, name: str, username: str, client: str) -> None:
        """Notes one; what was noted a moment ago already is counted, and comes to the front."""
        now = _now_ms()
        self.totals[reason] = self.totals.get(reason, 0) + 1
        for entry in self._entries:
            same = (reason, context, name, username)
            if same == (entry.reason, entry.context, entry.name, entry.username) and (
                now - entry.created_ms <= TOGETHER_MS
            ):
                entry.count += 1
                entry.updated_ms = now
                entry.client = client
                self._entries.remove(entry)
                self._entries.appendleft(entry)
                return
        number = self._count
        self._count += 1
        self._entries.appendleft(
            Entry(number, reason, context, name, username, client, 1, now, now)
        )
        self.keep(self._most)

    def latest(self, count: int) -> list[dict[str, object]]:
        """So many entries, the latest first."""
        now = _now_ms()
        return [entry.shown(now) for entry in list(self._entries)[: max(count, 0)]]

    def reset(self) -> None:
        """Forgets them."""
        self._entries.clear()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
