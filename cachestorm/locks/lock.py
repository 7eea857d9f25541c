"""The lock: a key that holds its owner's token. What `Cache.lock` returns.

1. Taken by `SET key token NX PX ttl`, released by the owner of that token, as redis-py's `Lock`
   does: clients on the wire and callers in process exclude each other.
2. It expires with its time to live, whatever becomes of its owner.
3. The first who waits is woken by a release in this process, and looks every LOOK_S for a
   release over the wire and for expiry. Those behind look more seldom the more are ahead, so
   that many cost no more than one. Whoever leaves wakes the one who is the first then.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from cachestorm.errors import CacheStormError
from cachestorm.loading.drivers import arun, run
from cachestorm.loading.flight import GATE
from cachestorm.loading.leading import Course, Wait
from cachestorm.loading.waiters import ThreadWaiter, Waiter, current_owner, task_waiter
from cachestorm.markers import MISSING
from cachestorm.operations.lifetimes import milliseconds_of, named_span
from cachestorm.operations.names import exact_key

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from cachestorm.cache import Cache
    from cachestorm.declare.kinds import Lifetime

LOOK_S: Final = 0.05

# who waits in this process, by store, namespace and key
_queues: Final[dict[tuple[int, str, str], deque[Waiter]]] = {}


class LockError(CacheStormError, RuntimeError):
    """A lock was given back, or prolonged, by somebody who does not hold it."""

    http_status = 409


class Lock:
    """A lock, to be taken by `with`, by `async with`, or by `acquire`.

    Attributes:
        key: the key that stands for it.

    Examples:
        >>> from cachestorm import Cache
        >>> cache = Cache()
        >>> with cache.lock("report", ttl=30) as lock:
        ...     cache.lock("report").acquire(timeout=0)
        False
        >>> lock.locked()
        False
    """

    def __init__(self, cache: Cache, key: str, ttl: object, reentrant: bool) -> None:
        self._cache: Final = cache
        self.key: Final = exact_key(key)
        self._ttl: Final = None if ttl is None else named_span(ttl, "ttl")
        self._reentrant: Final = reentrant
        self._token: str | None = None
        self._owner: object = None
        self._depth = 0
        # on a server there is no store: who waits through one connected cache is woken there
        self._queue: Final = (id(getattr(cache, "_store", cache)), cache.name, self.key)

    # -- taking it

    def acquire(self, blocking: bool = True, timeout: object = None) -> bool:
        """Takes the lock. Returns whether it did.

        Args:
            blocking: wait for it.
            timeout: for how long at most; None for as long as it takes, 0 not at all.
        """
        return bool(run(self._acquiring(blocking, timeout, ThreadWaiter)))

    async def aacquire(self, blocking: bool = True, timeout: object = None) -> bool:
        """As `acquire`, to be awaited by a task of asyncio or trio."""
        return bool(await arun(self._acquiring(blocking, timeout, task_waiter)))

    def _acquiring(self, blocking: bool, timeout: object, waiter: Any) -> Course:
        blocks = waiter is ThreadWaiter
        gives_up_at = None
        if not blocking:
            gives_up_at = 0.0
        elif timeout is not None:
            gives_up_at = time.monotonic() + milliseconds_of(timeout) / 1000.0
        has_waited = is_first = False
        try:
            while True:
                if (yield from self._try(blocks)):
                    return True
                left = math.inf if gives_up_at is None else gives_up_at - time.monotonic()
                if left <= 0.0:
                    return False
                waiting = waiter()
                has_waited = True
                patience = self._line_up(waiting, is_first)
                try:
                    # it may have been given back before the caller stood in the queue
                    if (yield from self._try(blocks)):
                        return True
                    yield Wait(waiting, min(patience, left))
                finally:
                    is_first = self._step_out(waiting)
        finally:
            if has_waited:
                self._wake_one()

    def _try(self, blocks: bool) -> Course:
        me = current_owner()
        if self._depth and (yield from self._is_owned(blocks)):
            if self._reentrant and self._owner == me:
                self._depth += 1
                return True
            return False
        token = secrets.token_hex(16)
        if not (yield from self._take(token, blocks)):
            return False
        self._token = token
        self._owner = me
        self._depth = 1
        return True

    # -- what is done to the key; where that takes time, a driver does it

    def _take(self, token: str, blocks: bool) -> Course:
        """Sets the key, if it is free. Returns whether it was."""
        return self._cache.set(self.key, token, self._ttl, nx=True)
        yield

    def _is_owned(self, blocks: bool) -> Course:
        """Whether the key holds the token."""
        return self._token is not None and self._text() == self._token
        yield

    def _prolong(self, span: Lifetime, blocks: bool) -> Course:
        """Gives the key another time to live. Returns whether it held the token."""
        with self._cache.transaction():
            return self.owned() and self._cache.expire(self.key, span)
        yield

    def _give_back(self, blocks: bool) -> Course:
        """Deletes the key. Returns whether it held the token."""
        with self._cache.transaction():
            return self.owned() and self._cache.delete(self.key) == 1
        yield

    def _line_up(self, waiter: Waiter, is_first: bool) -> float:
        """Enters the queue, at its end or in front. Returns for how long to wait there."""
        with GATE:
            queue = _queues.setdefault(self._queue, deque())
            if is_first:
                queue.appendleft(waiter)
                return LOOK_S
            queue.append(waiter)
            return LOOK_S * len(queue)

    def _step_out(self, waiter: Waiter) -> bool:
        """Leaves the queue. Returns whether the waiter was the first, or was woken as such."""
        with GATE:
            queue = _queues.get(self._queue)
            if queue is None or waiter not in queue:
                return True
            is_first = queue[0] is waiter
            queue.remove(waiter)
            if not queue:
                del _queues[self._queue]
            return is_first

    def _wake_one(self) -> None:
        with GATE:
            queue = _queues.get(self._queue)
            if queue is None:
                return
            waiter = queue.popleft()
            if not queue:
                del _queues[self._queue]
        waiter.wake()

    # -- holding it

    def owned(self) -> bool:
        """Whether it was taken through this object and is still held."""
        return bool(run(self._is_owned(True)))

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self._cache.exists(self.key) == 1

    def _text(self) -> object:
        held = self._cache.get(self.key, MISSING)
        return held.decode() if isinstance(held, bytes) else held

    def extend(self, ttl: object) -> None:
        """Has it last for another time to live from now on.

        Raises:
            LockError: if it is not held any more.
        """
        run(self._extending(ttl, True))

    async def aextend(self, ttl: object) -> None:
        """As `extend`, to be awaited."""
        await arun(self._extending(ttl, False))

    def _extending(self, ttl: object, blocks: bool) -> Course:
        if not (yield from self._prolong(named_span(ttl, "ttl"), blocks)):
            raise self._lost()

    def release(self) -> None:
        """Gives it back.

        Raises:
            LockError: if it is not held any more; who holds it now keeps it.
        """
        run(self._releasing(True))

    async def arelease(self) -> None:
        """As `release`, to be awaited."""
        await arun(self._releasing(False))

    def _releasing(self, blocks: bool) -> Course:
        if self._depth > 1 and (yield from self._is_owned(blocks)):
            self._depth -= 1
            return
        was_held = yield from self._give_back(blocks)
        self._token, self._owner, self._depth = None, None, 0
        if not was_held:
            raise self._lost()
        self._wake_one()

    def _lost(self) -> LockError:
        return LockError(f"lock {self.key!r} is not held by this owner any more")

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        await self.aacquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.arelease()

    def __repr__(self) -> str:
        state = "held here" if self.owned() else "held" if self.locked() else "free"
        return f"<Lock {self.key!r} in {self._cache.name!r}: {state}>"


if hasattr(os, "register_at_fork"):
    # those who waited in other threads stayed behind
    os.register_at_fork(after_in_child=_queues.clear)
