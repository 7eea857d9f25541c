"""Events: why entries leave, and what listeners are told, in order.

The store calls `Effects.record` while it holds its lock; whoever gives the lock back
calls `Effects.drain`. Nothing here calls the store.

1. Effects carry a sequence number and are delivered in its order, outside of the lock,
   by one thread at a time.
2. An effect is a delta of state, never the request that caused it.
3. A listener that raises harms nobody: its error is reported through
   `sys.unraisablehook`, and the others are told all the same.
4. What waits to be told is bounded: a write that finds more than MOST_WAITING_BYTES of it waits
   until there is less, but for no longer than LONGEST_WAIT_S. A listener may be waiting for
   the very thread that writes, and so nobody waits for it for ever. To drop effects was
   rejected: whoever closes what is removed would leave it open.
"""

from __future__ import annotations

import enum
import sys
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import Final, cast

from librt.threading import Lock
from mypy_extensions import i64

MOST_WAITING_BYTES: Final = 16 << 20
LONGEST_WAIT_S: Final = 1.0
# How often whoever waits looks again.
LOOK_S: Final = 0.001
# What an effect takes beside its values.
EFFECT_BYTES: Final = 256


class Cause(enum.Enum):
    """Why an entry left, or why its value was let go."""

    DELETED = "deleted"
    REPLACED = "replaced"
    EXPIRED = "expired"
    EVICTED = "evicted"
    INVALIDATED = "invalidated"
    EMPTIED = "emptied"
    RENAMED = "renamed"
    FLUSHED = "flushed"


class Effect:
    """One change of state.

    Attributes:
        sequence: position in the order of all effects of this cache; no two have the same.
        name: `put`, `changed`, `expiry`, `tags`, `removed`, `flushed`, `linked`,
            `unlinked`, `invalidated`, `softened` or `swapped`; `deleted` where a key that was
            missing was deleted, which ends loads of it.
        namespace: where it happened.
        key: which key or tag; empty for a whole namespace; the other one of a swap.
        detail: what changed: the `Cause` of a removal, else see the emitter. None for a
            hash, a list, a set or a sorted set.
        value: of a removal: what was let go, if it was set in one piece.
        size_bytes: what it is reckoned at while it waits to be told.
    """

    def __init__(
        self,
        sequence: int,
        name: str,
        namespace: str,
        key: str,
        detail: object,
        value: object = None,
        size_bytes: i64 = 0,
    ) -> None:
        self.sequence: Final = sequence
        self.name: Final = name
        self.namespace: Final = namespace
        self.key: Final = key
        self.detail: Final = detail
        self.value: Final = value
        self.size_bytes: Final = size_bytes + EFFECT_BYTES


Listener = Callable[[Effect], object]
# told of the key, the value and the cause of a removal
RemovalListener = Callable[[str, object, Cause], object]


class RemovalRelay:
    """A listener that passes the removals of one namespace on to a `RemovalListener`.

    Attributes:
        listener: whom.
        causes: which of them; None for all.
    """

    def __init__(
        self,
        listener: RemovalListener,
        namespace: str,
        causes: frozenset[Cause] | None,
    ) -> None:
        self.listener: Final = listener
        self.causes: Final = causes
        self._namespace: Final = namespace

    def __call__(self, effect: Effect) -> None:
        if effect.name != "removed" or effect.namespace != self._namespace:
            return
        cause = effect.detail
        assert isinstance(cause, Cause)
        if self.causes is None or cause in self.causes:
            self.listener(effect.key, effect.value, cause)

    def hears_of(self, cause: Cause) -> bool:
        """Whether it is told of removals for this cause."""
        return self.causes is None or cause in self.causes


class Effects:
    """The queue between the store and its listeners."""

    def __init__(self) -> None:
        self.wanted: bool = False
        # whether a flush is to be told key by key, which takes it O(N)
        self.flushes_wanted: bool = False
        self.queue: Final[deque[Effect]] = deque()
        self._recorded: i64 = 0
        # what the effects take that were ever queued and ever delivered: the first is written
        # under the store's lock, the second by who delivers
        self._queued_bytes: i64 = 0
        self._delivered_bytes: i64 = 0
        self._listeners: list[Listener] = []
        self._draining: Lock = Lock()
        # the thread that delivers
        self._teller: int = 0

    def forked(self) -> None:
        """In a child process nobody is delivering, whoever was in the parent."""
        self._draining = Lock()
        self._teller = 0
        self._delivered_bytes = self._queued_bytes
        for effect in self.queue:
            self._delivered_bytes -= effect.size_bytes

    def listen(self, listener: Listener) -> None:
        """Adds a listener; it is told of every effect from now on."""
        self._set([*self._listeners, listener])

    def unlisten(self, listener: object) -> None:
        """Takes a listener away; one that was never added is no error."""
        kept = []
        for each in self._listeners:
            inner = each.listener if isinstance(each, RemovalRelay) else each
            if not _is_same(inner, listener):
                kept.append(each)
        self._set(kept)

    def _set(self, listeners: list[Listener]) -> None:
        self._listeners = listeners
        self.wanted = bool(listeners)
        self.flushes_wanted = any(
            isinstance(each, RemovalRelay) and each.hears_of(Cause.FLUSHED)
            for each in listeners
        )

    def record(
        self,
        name: str,
        namespace: str,
        key: str,
        detail: object,
        value: object = None,
        size_bytes: i64 = 0,
    ) -> None:
        """Queues an effect. The caller holds the store's lock and has seen `wanted`.

        Args:
            size_bytes: what detail and value take.
        """
        self._recorded += 1
        effect = Effect(self._recorded, name, namespace, key, detail, value, size_bytes)
        self._queued_bytes += effect.size_bytes
        self.queue.append(effect)

    def waiting_bytes(self) -> i64:
        """What the effects take that are queued."""
        return self._queued_bytes - self._delivered_bytes

    def drain(self) -> None:
        """Delivers what is queued. The caller does not hold the store's lock.

        A thread that finds another one delivering leaves its effects to it, and waits a
        while if that is far behind; unless it delivers itself, and a listener has written.
        """
        self._deliver()
        if self.waiting_bytes() <= MOST_WAITING_BYTES or self._teller == get_ident():
            return
        ends_at = time.monotonic() + LONGEST_WAIT_S
        while self.waiting_bytes() > MOST_WAITING_BYTES and time.monotonic() < ends_at:
            time.sleep(LOOK_S)
            self._deliver()

    def _deliver(self) -> None:
        # in the child of a listener that forks there is another one meanwhile
        draining = self._draining
        while self.queue and draining.acquire(False):
            self._teller = get_ident()
            try:
                while self.queue:
                    effect = self.queue.popleft()
                    self._delivered_bytes += effect.size_bytes
                    for listener in self._listeners:
                        _tell(listener, effect)
            finally:
                self._teller = 0
                draining.release()


def _is_same(one: object, other: object) -> bool:
    """Whether two are one listener; a bound method is another object at every look."""
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other


def _tell(listener: Listener, effect: Effect) -> None:
    try:
        listener(effect)
    except Exception as error:
        _report(listener, error)


class _Unraisable:
    """What `sys.unraisablehook` reads."""

    def __init__(self, listener: Listener, error: Exception) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.err_msg = "a listener of a cache raised"
        self.object = listener


def _report(listener: Listener, error: Exception) -> None:
    hook = cast("Callable[[object], object]", sys.unraisablehook)
    try:
        if sys.unraisablehook is sys.__unraisablehook__:
            _print(listener, error)
        else:
            hook(_Unraisable(listener, error))
    except Exception:
        # neither the hook nor the listener's `repr` may harm whoever wrote to the cache
        return


def _print(listener: Listener, error: Exception) -> None:
    """What the interpreter's own hook does, which takes only what the interpreter made."""
    import traceback

    inner = listener.listener if isinstance(listener, RemovalRelay) else listener
    if sys.stderr is not None:
        print(f"a listener of a cache raised: {inner!r}", file=sys.stderr)
        traceback.print_exception(error)
