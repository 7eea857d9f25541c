"""The moving: takes the keys of slots that are to be handed over to where they are to be.

Called by the governing. It sends keys as MIGRATE does, a batch at a time, and lets clients have
as much time in between as a batch has taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from cachestorm.errors import CacheStormError
from cachestorm.keyspace.slot_keys import count_keys, keys_in
from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.migration import Migration, Target

_log = logging.getLogger("cachestorm.cluster")


class Moving:
    """Of one node.

    Args:
        batch: how many keys are sent at a time.
        timeout_ms: for the other node.
        auth: what it is told first: nothing, a password, or a name and a password.

    Attributes:
        notifier: called when slots may have become empty.
    """

    def __init__(
        self, membership: Membership, batch: int, timeout_ms: int, auth: tuple[str, ...]
    ) -> None:
        self.notifier: Callable[[], object] | None = None
        self._membership: Final = membership
        self._batch: Final = batch
        self._timeout_ms: Final = timeout_ms
        self._auth: Final = auth

    async def move_all(self, moved: set[int]) -> None:
        """Sends what is in the slots that are to be handed over, until one is not taken.

        Args:
            moved: slots that have no keys any more are put in here.
        """
        membership, loop = self._membership, asyncio.get_running_loop()
        while membership.node.may_serve(membership.clock()):
            names, target = self._batch_of(moved)
            if moved and self.notifier is not None:
                self.notifier()
            if target is None:
                return
            began_at = loop.time()
            try:
                await self._send(names, target)
            except CacheStormError as error:
                # it may not have heard of it yet
                _log.debug("keys do not move to %s: %s", target.id, error)
                return
            await asyncio.sleep(loop.time() - began_at)

    def _batch_of(self, moved: set[int]) -> tuple[list[str], Member | None]:
        """Some keys that go to the same node, and which that is."""
        node, store = self._membership.node, self._membership.store
        names: list[str] = []
        target: Member | None = None
        store.enter()
        try:
            for slot in sorted(node.migrating.keys() - moved):
                to = node.known(node.migrating[slot])
                if to is None:
                    # where it is will be heard of
                    continue
                left = self._batch - len(names)
                if not count_keys(store, slot):
                    moved.add(slot)
                elif left and target in (None, to):
                    # what is found to be dead is removed: it may have been all that there was
                    names += keys_in(store, slot, left)
                    target = to
        finally:
            store.leave()
        return names, target if names else None

    async def _send(self, names: list[str], target: Member) -> None:
        membership = self._membership
        spaces = membership.store.spaces()
        # the other node may have a copy that it was sent before: the one that is here is newer
        migration = Migration(
            spaces[0],
            spaces,
            names,
            Target(target.host, target.port, 0, self._timeout_ms, self._auth),
            b"RESTORE-ASKING",
            False,
            True,
            membership.seen,
        )
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        migration.notifier = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            while not migration.step():
                if migration.sleeps:
                    await woken.wait()
                    woken.clear()
                else:
                    await asyncio.sleep(0)
        except BaseException:
            migration.abandon()
            raise
