"""The effects: the queue between the store and its listeners, and who delivers it.

The store calls `record` while it holds its latch. A caller that has recorded something calls
`deliver` with its last effect after it has released the latch. Nothing here calls the store.

1. Effects are delivered in the order in which they were recorded, outside of the latch, by
   one thread at a time.
2. A thread delivers up to the last effect of its own, and hands over to the next of those that
   wait. So no thread works for those who write after it, and with a listener that takes d no
   write of w threads takes more than about w * d.
3. Who finds another one delivering waits for its turn, or until its effects are told. A
   listener may be waiting for the very thread that writes: so nobody waits longer than
   LONGEST_WAIT_S, and as long as that listener does not return only those wait who find more
   than MOST_WAITING_BYTES untold. What they leave behind is told by who delivers. Dropping
   effects was rejected: a listener that closes removed values would leave some open.
4. A thread that is here already, in whose middle a listener, a finalizer or a signal handler
   writes, tells that too before it returns: nothing is told within a listener's call.
5. A listener that raises affects nobody else: its error goes to the log `cachestorm` and to
   `sys.unraisablehook`, and the others are told all the same. A KeyboardInterrupt reaches the
   writer, but only after all effects have been delivered.
"""

from __future__ import annotations

import sys
import time
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import Final, cast

from librt.threading import Lock
from mypy_extensions import i64

from cachestorm.codec import Stored
from cachestorm.events import (
    SPACE,
    VALUES,
    WITH_CAUSE,
    WITH_EFFECT,
    WITH_KEY,
    WITH_VALUE,
    Effect,
    is_invalidation,
)

MOST_WAITING_BYTES: Final = 16 << 20
LONGEST_WAIT_S: Final = 1.0
LOOK_S: Final = 0.0001

MOST_TAPPED: Final = 4096

RAISED: Final = "a listener of a cache raised"


class Listening:
    """A listener, and what it is told of.

    Attributes:
        listener: who is called.
        interest: of what, bits of `Interest`.
        namespace: of which namespace; None for all.
        form: how it is called, `WITH_EFFECT` and so on of `events.py`.
    """

    def __init__(
        self,
        listener: object,
        interest: i64,
        namespace: str | None,
        form: i64,
    ) -> None:
        self.listener: Final = listener
        self.interest: Final[i64] = interest
        self.namespace: Final = namespace
        self.form: Final[i64] = form

    def tell(self, effect: Effect) -> None:
        """Calls the listener, if it asked for this."""
        if self.interest & effect.interest == 0 or (
            self.namespace is not None and effect.namespace != self.namespace
        ):
            return
        if isinstance(effect.value, Stored):
            # the lock is free; each listener after the first gets the same object
            effect.value = effect.value.load()
        called = cast("Callable[..., object]", self.listener)
        form = self.form
        if form == WITH_EFFECT:
            called(effect)
        elif form == WITH_VALUE:
            called(effect.key, effect.value)
        elif form == WITH_CAUSE:
            called(effect.key, effect.value, effect.cause)
        elif form == WITH_KEY or is_invalidation(effect):
            called(effect.key)


class Tap:
    """Effects that are kept as they are recorded, for code of ours to look at later.

    So the holder of the latch can know all that has happened, delivered or not. Beyond
    MOST_TAPPED of them all are dropped.

    Attributes:
        interest: of what, bits of `Interest`.
        namespace: of which namespace; of the others it is told of what exchanges the two.
        effects: what nobody has taken yet, the oldest first.
        missed: the version of the last effect that was dropped; 0 for none.
    """

    def __init__(self, interest: i64, namespace: str) -> None:
        self.interest: Final[i64] = interest
        self.namespace: Final = namespace
        self.effects: Final[deque[Effect]] = deque()
        self.missed: i64 = 0

    def interest_in(self, namespace: str) -> i64:
        """What of a namespace it is to be told."""
        return self.interest if namespace == self.namespace else self.interest & SPACE

    def keep(self, effect: Effect) -> None:
        """Takes an effect in. The caller holds the latch."""
        # the key of a swap is the other namespace
        is_there = effect.namespace == self.namespace or effect.key == self.namespace
        if not is_there or effect.interest & self.interest_in(effect.namespace) == 0:
            return
        if len(self.effects) >= MOST_TAPPED:
            self.effects.clear()
            self.missed = effect.version
        self.effects.append(effect)


class Turn:
    """A thread that waits until its effects are told, or for its turn to tell them."""

    def __init__(self, last: Effect) -> None:
        self.last: Final = last
        self.is_next: bool = False
        self._is_over: bool = False
        # taken by who ends the wait: who delivers, or the thread itself when it gives up
        self._claim: Final = Lock()
        self._call: Final = allocate_lock()
        self._call.acquire()

    def claim(self) -> bool:
        """Whether the caller is the one who ends the wait."""
        return self._claim.acquire(False)

    def end(self, is_next: bool) -> None:
        """Wakes the thread. The caller has claimed it."""
        self.is_next = is_next
        self._is_over = True
        self._call.release()

    def wait(self) -> bool:
        """Waits for `end`. Returns False if nobody came."""
        if self._call.acquire(True, LONGEST_WAIT_S) or not self.claim():
            self.ended()
            return True
        return False

    def ended(self) -> bool:
        """Whether it is the thread's turn. Somebody else has claimed it, and ends it now."""
        gives_up_at = time.monotonic() + LONGEST_WAIT_S
        while not self._is_over and time.monotonic() < gives_up_at:
            time.sleep(LOOK_S)
        return self.is_next


class Effects:
    """The queue between the store and its listeners.

    Attributes:
        newest: the last effect of the visit that is under way, or None.
    """

    def __init__(self) -> None:
        self.newest: Effect | None = None
        self.listenings: list[Listening] = []
        self.taps: list[Tap] = []
        self._queue: Final[deque[Effect]] = deque()
        # what the effects take that were ever queued and ever delivered: the first is written
        # under the store's latch, the second by who delivers
        self._queued_bytes: i64 = 0
        self._delivered_bytes: i64 = 0
        # held by who delivers, and handed from one to the next
        self._telling: Lock = Lock()
        self._waiting: Final[deque[Turn]] = deque()
        # the last effects of those who gave up waiting
        self._left: Final[deque[Effect]] = deque()
        # whether somebody has given up since the last effect was told
        self._is_stuck: bool = False
        # by thread that is here: the last effect of its own
        self._last: Final[dict[int, Effect]] = {}

    def forked(self) -> None:
        """In a child process no other thread waits or delivers."""
        self._telling = Lock()
        self._last.clear()
        self._waiting.clear()
        self._is_stuck = False
        self._delivered_bytes = self._queued_bytes
        for effect in self._queue:
            self._delivered_bytes -= effect.size_bytes

    def interest_in(self, namespace: str) -> i64:
        """All that anybody wants to be told of a namespace."""
        interest: i64 = 0
        for listening in self.listenings:
            if listening.namespace is None or listening.namespace == namespace:
                interest |= listening.interest
        for tap in self.taps:
            interest |= tap.interest_in(namespace)
        return interest

    def values_of(self, namespace: str) -> i64:
        """Of what anybody wants to be told the values."""
        interest: i64 = 0
        for listening in self.listenings:
            if listening.interest & VALUES != 0 and (
                listening.namespace is None or listening.namespace == namespace
            ):
                interest |= listening.interest
        return interest

    def listen(self, listening: Listening) -> None:
        """Adds a listener. The caller holds the latch and tells the keyspaces."""
        self.listenings = [*self.listenings, listening]

    def unlisten(self, listener: object) -> None:
        """Takes a listener, or one `Listening`, away; one that is not there is no error."""
        self.listenings = [
            each
            for each in self.listenings
            if each is not listener and not _is_same(each.listener, listener)
        ]

    def record(self, effect: Effect) -> None:
        """Queues an effect. The caller holds the store's latch."""
        for tap in self.taps:
            tap.keep(effect)
        if self.listenings:
            self._queued_bytes += effect.size_bytes
            self._queue.append(effect)
            self.newest = effect

    def waiting_bytes(self) -> i64:
        """What the effects take that are queued."""
        return self._queued_bytes - self._delivered_bytes

    # -- delivery

    def deliver(self, last: Effect) -> None:
        """Has everything told up to an effect. The caller does not hold the latch.

        Args:
            last: the last one that the caller has recorded.

        Raises:
            KeyboardInterrupt: if one has interrupted a listener; all has been told then.
        """
        thread = get_ident()
        if thread in self._last:
            self._last[thread] = last
            return
        while not last.is_told:
            self._last[thread] = last
            try:
                if self._telling.acquire(False) or self._wait(last):
                    self._tell(thread)
            finally:
                newest = self._last.pop(thread, last)
            if newest is last:
                return
            # a finalizer has written since this thread looked last
            last = newest

    def _wait(self, last: Effect) -> bool:
        """Waits while others deliver. Returns whether it is this thread's turn now."""
        if self._is_stuck and self.waiting_bytes() <= MOST_WAITING_BYTES:
            return self._leave_behind(last)
        turn = Turn(last)
        self._waiting.append(turn)
        if self._telling.acquire(False):
            # whoever delivered has handed over before it could see this turn
            turn.claim()
            return True
        try:
            came = turn.wait()
        except BaseException:
            # a signal handler has raised: it goes on to the caller
            if (not turn.claim() and turn.ended()) or self._leave_behind(last):
                self._tell(get_ident())
            raise
        if came:
            return turn.is_next
        self._is_stuck = True
        return self._leave_behind(last)

    def _leave_behind(self, last: Effect) -> bool:
        """Leaves effects to who delivers. Returns whether that is this thread after all."""
        self._left.append(last)
        return self._telling.acquire(False)

    def _tell(self, thread: int) -> None:
        """Tells what is this thread's to tell. It is its turn; then it is that of the next."""
        interrupt: BaseException | None = None
        # in the child of a listener that forks there is another one meanwhile
        telling = self._telling
        is_mine = True
        try:
            while is_mine and telling is self._telling:
                while self._has_more(thread):
                    interrupt = self._tell_next() or interrupt
                is_mine = False
                if not self._hand_over():
                    telling.release()
                    # somebody may have come since this thread looked
                    is_mine = bool(self._waiting or self._is_left()) and telling.acquire(False)
        finally:
            if is_mine and not self._hand_over():
                telling.release()
        if interrupt is not None:
            raise interrupt

    def _has_more(self, thread: int) -> bool:
        """Whether something is queued that this thread is to tell."""
        if not self._queue:
            return False
        last = self._last.get(thread)
        if last is not None and not last.is_told:
            return True
        if self._waiting:
            return False
        while self._left and self._left[0].is_told:
            self._left.popleft()
        return bool(self._left)

    def _is_left(self) -> bool:
        """Whether something was left behind that nobody has told. Changes nothing."""
        return bool(self._queue) and bool(self._left)

    def _tell_next(self) -> BaseException | None:
        """Tells the first effect of the queue. Returns what is to be raised for it later."""
        interrupt: BaseException | None = None
        effect = self._queue.popleft()
        self._delivered_bytes += effect.size_bytes
        try:
            for listening in self.listenings:
                interrupt = _told(listening, effect) or interrupt
        finally:
            effect.is_told = True
            self._is_stuck = False
        while self._waiting and self._waiting[0].last.is_told:
            turn = self._waiting.popleft()
            if turn.claim():
                turn.end(False)
        return interrupt

    def _hand_over(self) -> bool:
        """Gives the turn to the next who waits. Returns False if there is nobody."""
        while self._waiting:
            turn = self._waiting.popleft()
            if turn.claim():
                is_next = not turn.last.is_told
                turn.end(is_next)
                if is_next:
                    return True
        return False


def _is_same(one: object, other: object) -> bool:
    """Whether two are one listener; a bound method is another object at every look."""
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other


def _told(listening: Listening, effect: Effect) -> BaseException | None:
    """Tells one listener. Returns what is to be raised when all is told."""
    try:
        listening.tell(effect)
    except KeyboardInterrupt as interrupt:
        return interrupt
    except BaseException as error:
        return _report(listening.listener, error)
    return None


class _Unraisable:
    """What `sys.unraisablehook` reads."""

    def __init__(self, listener: object, error: BaseException) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.err_msg = RAISED
        self.object = listener


def _report(listener: object, error: BaseException) -> BaseException | None:
    """Neither the log, the hook nor the listener's `repr` may harm the writer."""
    try:
        _log(listener, error)
        if sys.unraisablehook is sys.__unraisablehook__:
            _print(listener, error)
        else:
            hook = cast("Callable[[object], object]", sys.unraisablehook)
            hook(_Unraisable(listener, error))
    except KeyboardInterrupt as interrupt:
        return interrupt
    except BaseException:
        return None
    return None


def _log(listener: object, error: BaseException) -> None:
    # here, as it takes longer to import than all of the rest
    import logging

    log = logging.getLogger("cachestorm")
    # where nobody has set up logging, what is printed is enough
    if log.hasHandlers():
        log.error("%s: %r", RAISED, listener, exc_info=error)


def _print(listener: object, error: BaseException) -> None:
    """What the interpreter's own hook does, which takes only what the interpreter made."""
    import traceback

    if sys.stderr is not None:
        print(f"{RAISED}: {listener!r}", file=sys.stderr)
        traceback.print_exception(error)
