"""The latch: the one lock of a cache.

Taken at the edge of every public method and by `transaction()`; everything inside
assumes that it is held.

1. Not re-entrant. A thread that enters again while it is inside (a finalizer or signal
   handler that runs in the middle of an operation) gets ReentrancyError, and nothing
   has changed.
2. `acquire_bare` notes no holder where it can do without: it is for operations that are
   compiled throughout, in the middle of which no other code can run.
3. A fork waits for it, so the child finds a consistent cache and a free latch.

What runs without it, and so relies on the interpreter's global lock or on less than that:

* `Strings.get` by `Keyspace.read`, and with it the notes of the hot keys and the policy's
  `hit`: compiled only, where STEPS_ARE_ATOMIC; where FINALIZERS_INTERRUPT only while nobody
  holds the latch and noted it.
* `Strings.set` by `PlainWrites.put_plain`: compiled only, where NOTHING_INTERRUPTS, or for a
  write that makes nothing the garbage collector tracks where STEPS_ARE_ATOMIC; and with it
  what joins a run of a journal.
* The end of a run, when a journal writes it: a step where STEPS_ARE_ATOMIC, else under a lock
  of its own.
* What reads one number or the length of one list: `len(cache)`, DBSIZE, TAGCOUNT, the
  limits, `SharedState.transaction`, `Latch.is_noted`. It may be out of date, and is whole on
  every build.
* What begins when the latch is given back: the queue of effects (deques and a dict, and a lock
  for who delivers), the list `to_drop` (taken away under the latch), lazy freeing (a list, and
  a lock for what is counted).
* The last view of a namespace, as it ends (`Store.hold`): its entry leaves a dict of weak
  references, which nobody relies on to be there. One is added under the latch.
* `forks.py`: a dict by thread, and weak references to all caches.

Pure Python relies on the first two nowhere. Neither does a build for an interpreter without
the global lock: `setup.py` leaves it pure, since what mypyc makes says of itself that it needs
no lock, while its attributes are not safe to share. Were it compiled all the same, all
constants below are False there, and all of the store is under the latch. The lock cannot go
away while a program runs; when an extension module brings it back, both stay False.
"""

from __future__ import annotations

import sys
from _thread import RLock, allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from typing import Final

from librt.threading import Lock

from cachestorm.errors import ReentrancyError

COMPILED: Final = not __file__.endswith(".py")
# What threading.Condition asks of every lock it is given; unbound, it is spared a call.
_is_owned: Final[Callable[[RLock], bool]] = RLock._is_owned  # type: ignore[attr-defined]
# a global that is not final is looked up at every call
_get_ident: Final[Callable[[], object]] = get_ident


def _gil_is_enabled() -> bool:
    probe = getattr(sys, "_is_gil_enabled", None)
    return probe is None or bool(probe())


HAS_GLOBAL_LOCK: Final = _gil_is_enabled()
# A compiled read is one step under the GIL: no other thread runs in the middle of it.
STEPS_ARE_ATOMIC: Final = COMPILED and HAS_GLOBAL_LOCK
# From 3.12 on the garbage collector waits for the interpreter's own loop, so that not
# even a finalizer runs in the middle of compiled code.
NOTHING_INTERRUPTS: Final = STEPS_ARE_ATOMIC and sys.version_info >= (3, 12)
# Below, a finalizer may give up the GIL in the middle of a write: a reader looks whether
# somebody is in the middle of one.
FINALIZERS_INTERRUPT: Final = STEPS_ARE_ATOMIC and sys.version_info < (3, 12)


class Proxy:
    """A thread that waits for a lock on behalf of one that cannot wait for ever.

    Compiled code's lock has no timeout, and who only looks now and then whether it is free may
    never see that: where many threads write, whoever waits for the interpreter holds it.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock: Final = lock
        # taken by who decides: the proxy that it hands the lock over, or the other to give up
        self._claim: Final = Lock()
        self._arrival: Final = allocate_lock()

    def acquires_within(self, wait_s: float) -> bool:
        """Whether the lock is the caller's, who may release it."""
        self._arrival.acquire()
        try:
            start_new_thread(self._wait, ())
        except RuntimeError:  # the interpreter is about to end
            return False
        return self._arrival.acquire(True, wait_s) or not self._claim.acquire(False)

    def _wait(self) -> None:
        self._lock.acquire()
        if self._claim.acquire(False):
            self._arrival.release()
        else:
            self._lock.release()


class Latch:
    """A lock that names its holder where re-entry is possible."""

    def __init__(self) -> None:
        self._lock: Lock = Lock()
        # Interpreted, a signal handler may run between taking a lock and noting who did:
        # this one does both in one step.
        self._owned: Final = RLock()
        # an object as `get_ident` makes it: compiled, an `int` alone would be taken out of it
        self._holder: object = None
        # Whatever has to live as long as this latch.
        self.keeper: object = None

    def acquire(self) -> None:
        """Waits for the lock.

        Raises:
            ReentrancyError: if this thread holds it already.
        """
        if not COMPILED:
            if _is_owned(self._owned):
                raise ReentrancyError()
            self._owned.acquire()
            return
        thread = _get_ident()
        if not self._lock.acquire(False):
            if self._holder == thread:
                raise ReentrancyError()
            self._lock.acquire()
        self._holder = thread

    def try_acquire(self, wait_s: float = 0.0) -> bool:
        """Takes the lock if it is free, or within a time.

        Raises:
            ReentrancyError: if this thread holds it already.
        """
        if self.is_mine():
            raise ReentrancyError()
        if not COMPILED:
            return self._owned.acquire(timeout=wait_s)
        if not self._lock.acquire(False) and (
            wait_s <= 0.0 or not Proxy(self._lock).acquires_within(wait_s)
        ):
            return False
        self._holder = _get_ident()
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if not COMPILED:
            self._owned.release()
            return
        self._holder = None
        self._lock.release()

    def acquire_bare(self) -> None:
        """Waits for the lock on behalf of an operation that nothing can interrupt."""
        if NOTHING_INTERRUPTS:
            if not self._lock.acquire(False):
                if self._holder is not None and self._holder == _get_ident():
                    raise ReentrancyError()
                self._lock.acquire()
        else:
            self.acquire()

    def is_mine(self) -> bool:
        """Whether this thread holds the lock and noted it."""
        if not COMPILED:
            return _is_owned(self._owned)
        return self._holder is not None and self._holder == _get_ident()

    def is_noted(self) -> bool:
        """Whether anybody is inside of an operation that can be interrupted. Compiled only.

        Cheaper than `locked`. Under the GIL it is all that a single step needs to know:
        who took the lock and noted nobody has not begun, or has ended.
        """
        return self._holder is not None

    def locked(self) -> bool:
        """Whether anybody holds the lock."""
        if not COMPILED:
            if self.is_mine():
                return True
            if self._owned.acquire(blocking=False):
                self._owned.release()
                return False
            return True
        return self._lock.locked()
