"""Availability: what a server cannot answer for now, because of its data directory.

Asked by the session and by HTTP for each request while `is_limited`; told by the application
that it loads, and once a second, and by connections, that the disk fails or works again.

1. While the data directory is loaded, what is not declared with `loading` is refused with
   LOADING: the keys that are there would be a part of them, as they were at some time.
2. While what is written cannot reach the disk, every command that writes is refused with
   MISCONF before it changes anything, and so is PING, by which tools ask. Reads go on.

3. A replica refuses every command that writes with READONLY. While it has only a part of its
   primary's keys, it is as if it loaded them. One of a cluster does so once it is clear that no
   other node is to be asked: the router sees to that.

Source: `processCommand` in `server.c` of Redis 7.2, whose texts these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachestorm.errors import CacheStormError, DurabilityError

if TYPE_CHECKING:
    from cachestorm.declare.plan import Plan
    from cachestorm.durability.directory import DataDirectory
    from cachestorm_server.transaction import Transaction


class LoadingError(CacheStormError):
    """The data directory is being loaded."""

    code = "LOADING"
    http_status = 503

    def __init__(self, text: str = "Redis is loading the dataset in memory") -> None:
        super().__init__(text)


class ReadOnlyError(CacheStormError):
    """This server follows another one, which takes the writes."""

    code = "READONLY"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("You can't write against a read only replica.")


class Availability:
    """Of one cache.

    Attributes:
        directory: what the cache is kept in; None for nothing.
        is_limited: whether anything at all is refused.
        is_loading: whether the directory is being loaded.
        is_replica: whether writes are refused as another server takes them.
        is_syncing: whether a copy of that one's keys is under way.
        failure: why writes are refused; empty if they are not.
        loading_since: when the load began, in seconds since 1970.
    """

    def __init__(self) -> None:
        self.directory: DataDirectory | None = None
        self.is_limited = False
        self.is_loading = False
        self.is_replica = False
        self.is_syncing = False
        self.failure = ""
        self.loading_since = 0.0

    def begin_loading(self, directory: DataDirectory | None, now_s: float) -> None:
        """Refuses what needs keys from now on."""
        self.directory = directory
        self.loading_since = now_s
        self.is_limited = self.is_loading = True

    def end_loading(self) -> None:
        """Refuses nothing for it any more."""
        self.is_loading = False
        self._look_at_all()

    def follow(self, is_replica: bool, is_syncing: bool) -> None:
        """Refuses what a replica refuses, or no longer."""
        self.is_replica = is_replica
        self.is_syncing = is_syncing
        self._look_at_all()

    def _look_at_all(self) -> None:
        self.is_limited = self.is_loading or self.is_replica or self.failure != ""

    def look(self) -> bool:
        """Looks whether the disk works. Returns whether that has changed."""
        directory = self.directory
        failure = "" if directory is None or self.is_loading else directory.refusal()
        if failure == self.failure:
            return False
        self.failure = failure
        self._look_at_all()
        return True

    def check(
        self, plan: Plan, transaction: Transaction | None = None, is_routed: bool = False
    ) -> None:
        """Refuses a request that cannot be answered now.

        Args:
            transaction: what EXEC would run.
            is_routed: what a replica refuses is left to the router.

        Raises:
            LoadingError: while the keys are not all there.
            ReadOnlyError: for a write, of a replica.
            DurabilityError: for a write that could not reach the disk.
        """
        if self.failure and (plan.name == "PING" or writes(plan, transaction)):
            raise DurabilityError(self.failure)
        if self.is_replica and not is_routed and writes(plan, transaction):
            raise ReadOnlyError()
        is_partial = self.is_loading or (self.is_syncing and not is_routed)
        if is_partial and "loading" not in plan.declaration.flags.split():
            raise LoadingError()


def writes(plan: Plan, transaction: Transaction | None) -> bool:
    """Whether a request changes keys; EXEC, whether anything does that it would run."""
    if plan.name == "EXEC" and transaction is not None:
        return any(queued.declaration.writes for queued, _ in transaction.requests)
    return plan.declaration.writes
