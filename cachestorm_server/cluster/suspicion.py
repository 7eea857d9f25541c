"""The suspicion: who is thought to be gone, by what was heard and not heard. Pure.

Part of a node's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final


class Suspicion:
    """Of one node.

    Args:
        timeout_ms: after how much silence another is suspected.

    Attributes:
        heard_ms: when each of the others was heard of last, by itself.
        asked_ms: when each was asked last and has not answered since.
    """

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms: Final = timeout_ms
        self.heard_ms: Final[dict[str, int]] = {}
        self.asked_ms: Final[dict[str, int]] = {}
        self._ran_ms = 0
        # by whom is suspected: who suspects it, and when that was said
        self._reports: Final[dict[str, dict[str, int]]] = {}

    def hear_from(self, node_id: str, now_ms: int) -> None:
        """A member is there."""
        self.heard_ms[node_id] = now_ms
        self.asked_ms.pop(node_id, None)

    def pass_time(self, now_ms: int) -> bool:
        """Has time pass. Returns whether this node itself did not run for much of it.

        What others said meanwhile has not been read yet, so that it is no silence of theirs.
        """
        slept_ms = now_ms - self._ran_ms
        self._ran_ms = now_ms
        if slept_ms <= self.timeout_ms // 2:
            return False
        for node_id, heard_ms in self.heard_ms.items():
            self.heard_ms[node_id] = min(heard_ms + slept_ms, now_ms)
        return True

    def is_silent(self, node_id: str, now_ms: int) -> bool:
        """Whether nothing was heard from a member for too long."""
        return now_ms - self.heard_ms.get(node_id, 0) > self.timeout_ms

    def is_given_up(self, node_id: str, now_ms: int) -> bool:
        """Whether a member is silent for so long that it is not merely busy."""
        return now_ms - self.heard_ms.get(node_id, 0) > 2 * self.timeout_ms

    def is_to_be_asked(self, node_id: str, now_ms: int) -> bool:
        """Whether a member will be silent for too long unless it is asked."""
        last_ms = max(self.heard_ms.get(node_id, 0), self.asked_ms.get(node_id, 0))
        return now_ms - last_ms > self.timeout_ms // 2

    def hear_of(
        self, members: Iterable[str], suspects: Iterable[str], by: str, now_ms: int
    ) -> None:
        """What a member thinks of these."""
        suspected = set(suspects)
        for node_id in members:
            if node_id in suspected:
                self._reports.setdefault(node_id, {})[by] = now_ms
            elif node_id in self._reports:
                self._reports[node_id].pop(by, None)

    def reporting(self, node_id: str, now_ms: int) -> list[str]:
        """Which other members suspect one, as they said not long ago."""
        reports = self._reports.get(node_id, {})
        return [by for by, at in reports.items() if now_ms - at <= 2 * self.timeout_ms]

    def forget(self, node_id: str) -> None:
        """A member is none any more, and what it said does not count."""
        self.heard_ms.pop(node_id, None)
        self.asked_ms.pop(node_id, None)
        self._reports.pop(node_id, None)
        for reports in self._reports.values():
            reports.pop(node_id, None)
