"""The governing: what has a node's leases asked for, and does what they come to.

Made and started by the joining where an authority other than `static` is configured. It asks
the store in a thread, one thing at a time, gives the answers to the leases, has the membership
settle what they have changed, and moves the keys of slots that are to be handed over.

1. The event loop never waits for the store. What takes too long the store gives up.
2. Whatever fails is tried again: a node without its lease does not serve, and that is all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from cachestorm_server.cluster.leases import Leases
from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.moving import Moving
from cachestorm_server.cluster.records import Answer, RecordStore, Request, StoreError, do
from cachestorm_server.cluster.state_file import ClusterStateError
from cachestorm_server.cluster.succession import has_unproven_heir

TELL_EVERY_S: Final = 60.0
# how often it is looked at whether all slots have gone
DRAIN_LOOK_S: Final = 0.05

_log = logging.getLogger("cachestorm.cluster")


class Governing:
    """Of one node.

    Args:
        make_store: connects to the store; called in the thread that uses it.
    """

    def __init__(
        self,
        leases: Leases,
        make_store: Callable[[], RecordStore],
        membership: Membership,
        moving: Moving,
    ) -> None:
        self._leases: Final = leases
        self._make_store: Final = make_store
        self._membership: Final = membership
        self._moving: Final = moving
        self._store: RecordStore | None = None
        self._thread: Final = ThreadPoolExecutor(1, "cachestorm-authority")
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._news: Final = asyncio.Event()
        self._told: Final[dict[str, float]] = {}
        leases.notifier = moving.notifier = self._news.set

    def start(self) -> None:
        """Asks for a lease from now on."""
        for work in (self._govern, self._move):
            self._tasks.append(asyncio.get_running_loop().create_task(self._guard(work)))

    async def stop(self, drain_s: float) -> None:
        """Hands the slots over to others, for so long at most, and gives the lease back."""
        leases, node = self._leases, self._membership.node
        ends_at = time.monotonic() + drain_s
        if self._tasks and leases.may_serve(self._membership.clock()):
            leases.leaves = True
            leases.hear_of_news()
            me, history = node.me.id, node.copies.history
            while (
                time.monotonic() < ends_at
                and (
                    node.slots.counts.get(me, 0)
                    or has_unproven_heir(leases.assignment, me, history)
                )
                and leases.has_somebody_else()
                and leases.may_serve(self._membership.clock())
            ):
                await asyncio.sleep(DRAIN_LOOK_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        request = leases.end()
        self._settle()
        if request is not None:
            await self._asked(request)
        if self._store is not None:
            self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def _guard(self, work: Callable[[], object]) -> None:
        while True:
            try:
                await work()  # type: ignore[misc]
            except Exception:
                _log.exception("a step of the cluster failed")
                await asyncio.sleep(1)

    # -- the leases

    async def _govern(self) -> None:
        leases, clock = self._leases, self._membership.clock
        while True:
            self._news.clear()
            now_ms = clock()
            request = leases.next(now_ms)
            if request is not None:
                answer = await self._asked(request)
                leases.hear(request, answer, now_ms, clock())
            self._settle()
            if request is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(leases.wakes_at(now_ms) - now_ms, 1) / 1000):
                        await self._news.wait()
            if leases.problem:
                self._tell(f"{leases.name} holds what is not understood: {leases.problem}")

    async def _asked(self, request: Request) -> Answer | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._ask, request
            )
        except StoreError as error:
            self._tell(f"{self._leases.name}: {error}")
            return None

    def _ask(self, request: Request) -> Answer:
        if self._store is None:
            self._store = self._make_store()
        return do(self._store, request)

    def _settle(self) -> None:
        membership = self._membership
        try:
            membership.settle(membership.node.take_outbox())
        except ClusterStateError as error:
            self._tell(f"nothing is said to other nodes: {error}")

    def _tell(self, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told.get(text, -TELL_EVERY_S) >= TELL_EVERY_S:
            self._told.clear()
            self._told[text] = now_s
            _log.warning("%s", text)

    # -- the slots that are to be handed over

    async def _move(self) -> None:
        leases = self._leases
        while True:
            await self._moving.move_all(leases.moved)
            await asyncio.sleep(leases.timing.look_ms / 4000)
