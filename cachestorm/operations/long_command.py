"""The long command: one generator, run in one step where it is short and in slices where not.

Made by the commands that may meet a whole keyspace (INVALIDATE, KEYS, RANDOMKEY), work on
large values (`optimistic_result.py`) or wait for something. Run by `Edge._run`, which does it
to the end with others let in between the slices, or hands what remains to a caller who has
others to serve.

1. The generator yields after each piece of work. A slice ends after `PIECES` of them or
   `SLICE_S`, whichever comes first; what is short ends within its first slice, and has cost a
   generator. In a transaction there is one slice.
2. What a long command must do in one step for all readers it does between two yields.
3. It may sleep (`_sleep`, then a yield): it has nothing to do until somebody calls `wake`. Its
   driver does not call `step` meanwhile. In a transaction it does not wait: it is unblocked at
   once.
4. A driver that does not go on calls `abandon`. Then nothing is left behind that reaping would
   not finish.
5. After each slice Python's collector looks at what is young, which is what that slice made. It
   would so at some time by itself, and at a million elements at once. A command that has slept
   makes little, and is many.

    thread                    event loop
    ------                    ----------
    finish                    while not step(): a turn of the loop
    sleeps: waits for a       sleeps: nothing until `notifier` is called; at `wakes_at`
    queue until `wakes_at`    a timer calls `unblock`
    an exception: abandon     the client has gone: abandon
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64, mypyc_attr

from cachestorm.errors import CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.latch import HAS_GLOBAL_LOCK
from cachestorm.keyspace.shared_state import LOOK, PAUSE_S, SLICE
from cachestorm.keyspace.store import NamespaceReference
from cachestorm.keyspace.tiering import Demoted

# A slice ends after so many seconds, looked at after each piece, or after so many pieces: it is
# short also where a look or a hit is all that there is to a piece.
SLICE_S: Final = 0.002
PIECES: Final = SLICE // LOOK
# Up to which generation things are young, as long as they have not been looked at twice.
_YOUNG: Final = 1 if sys.version_info < (3, 14) else 0
# A thread that waits looks at the clock as often as this, as no lock can wait for years.
_LONGEST_NAP_S: Final = 3600.0


# a test's long command is not compiled
@mypyc_attr(allow_interpreted_subclasses=True)
class LongCommand:
    """A long command on its way.

    Args:
        space: the namespace that it works on.

    Attributes:
        reference: of the namespace, where nobody else may be holding it.
        sleeps: there is nothing to do until `notifier` is called.
        notifier: called by `wake` from any thread, maybe under the latch: it does no more than
            pass the call on. Set by the driver of the command, before it looks at `sleeps`.
        is_gone: whether its driver has ended without `abandon`, which the loop of a task may
            when it is closed; asked under the latch. None where that cannot be.
        wakes_at: when a sleep ends by itself, as `time.monotonic` counts; 0 for never.
        is_unblocked: it is to end with what it has: its time is up, or somebody said so.
    """

    def __init__(self, space: Keyspace) -> None:
        self._space: Final = space
        self._pieces: Iterator[None] | None = None
        self._value: object = None
        self._steps: i64 = 0
        self.sleeps: bool = False
        self._woken: bool = False
        # it waits for others, and makes nothing meanwhile
        self._has_slept: bool = False
        self._refusal: CacheStormError | None = None
        self.reference: NamespaceReference | None = None
        self.notifier: Callable[[], object] | None = None
        self.is_gone: Callable[[], bool] | None = None
        self.wakes_at: float = 0.0
        self.is_unblocked: bool = False

    # -- what a command says of itself

    def _work(self) -> Iterator[None]:
        """All that is to be done, under the latch; sets `_value`. Yields after each piece."""
        raise NotImplementedError

    def _begin(self) -> Iterator[None]:
        return self._work()

    def _is_current(self) -> bool:
        """Whether it can go on where it stopped; if not, it begins again."""
        return True

    def _pauses(self) -> bool:
        """Whether others are let in between its slices."""
        return True

    def _drop(self) -> None:
        """Lets go of all but the result. The caller holds the latch."""
        self._pieces = None

    def _sleep(self, wakes_at: float = 0.0) -> None:
        """From the next yield on there is nothing to do until `wake`, or until then.

        What it waits for may have come, and `wake` been called, before it sleeps: then the
        sleep is over at once.
        """
        self.wakes_at = wakes_at
        self.sleeps = True
        self._has_slept = True

    # -- how it is carried

    def wake(self) -> None:
        """Ends a sleep. From any thread, with or without the latch; takes no lock."""
        self._woken = True
        self.sleeps = False
        notifier = self.notifier
        if notifier is not None:
            notifier()

    def unblock(self, refusal: CacheStormError | None = None) -> None:
        """Ends all sleep: with what it has, or with an error that the next step raises."""
        self._refusal = refusal
        self.is_unblocked = True
        self.wake()

    def step(self) -> bool:
        """Does one slice. The caller does not hold the latch.

        Returns:
            Whether it was the last one.
        """
        shared = self._space.shared
        shared.enter()
        try:
            is_last = self._slice(self._pauses() and not shared.transaction)
        finally:
            shared.leave()
        self._steps += 1
        is_short = is_last and self._steps == 1
        # without the global lock there are no generations, and all would be looked at
        if HAS_GLOBAL_LOCK and not (is_short or self._has_slept) and gc.isenabled():
            gc.collect(_YOUNG)
        return is_last

    def abandon(self) -> None:
        """Lets go of what was begun. The caller does not hold the latch."""
        shared = self._space.shared
        shared.enter()
        try:
            self._drop()
        finally:
            shared.leave()

    def result(self) -> object:
        """The value of the command, once `step` has said that it is done."""
        return self._value

    def _slice(self, pauses: bool) -> bool:
        self.sleeps = False
        # a call of `wake` from here on means something that is not looked at yet
        self._woken = False
        try:
            if self._refusal is not None:
                raise self._refusal
            pieces = self._pieces
            if pieces is None or not self._is_current():
                pieces = self._begin()
                self._pieces = pieces
                pauses = pauses and self._pauses()
            left: i64 = PIECES
            ends_at = wall_time() + SLICE_S if pauses else 0.0
            for _ in pieces:
                if self._woken:
                    self._woken = False
                    self.sleeps = False
                if self.sleeps:
                    if pauses:
                        return False
                    if self.is_unblocked:
                        raise RuntimeError(
                            "a command waits for what cannot come in a transaction"
                        )
                    self.sleeps = False
                    self.is_unblocked = True
                left -= 1
                if pauses and (left <= 0 or wall_time() > ends_at):
                    return False
        except BaseException:
            self._drop()
            raise
        self._drop()
        return True


@mypyc_attr(native_class=False)
class Unfinished(Exception):
    """A command has done its first slice, and the caller is to do the others.

    Attributes:
        long_command: what remains.
    """

    def __init__(self, long_command: LongCommand) -> None:
        super().__init__()
        self.long_command: Final = long_command


@mypyc_attr(native_class=False)
class Away(Exception):
    """Values are in a colder tier: whoever awaits them is to do so, and then to ask again.

    Attributes:
        wanted: what stands for them.
    """

    def __init__(self, wanted: list[Demoted]) -> None:
        super().__init__()
        self.wanted: Final = wanted


def finish(long_command: LongCommand) -> object:
    """Does what remains of a long command, in a thread that waits for it.

    Returns:
        The value of the command.
    """
    try:
        while True:
            if long_command.sleeps:
                _wait_for(long_command)
            else:
                time.sleep(PAUSE_S)
            if long_command.step():
                return long_command.result()
    except BaseException:
        long_command.abandon()
        raise


def _wait_for(long_command: LongCommand) -> None:
    # imported by who waits; a finalizer may put something in while another puts
    from queue import Empty, SimpleQueue

    bell: SimpleQueue[None] = SimpleQueue()
    long_command.notifier = partial(bell.put, None)
    while long_command.sleeps:
        left = _LONGEST_NAP_S
        if long_command.wakes_at != 0.0:
            left = min(long_command.wakes_at - time.monotonic(), left)
            if left <= 0.0:
                long_command.unblock()
                return
        try:
            bell.get(timeout=left)
        except Empty:
            continue
