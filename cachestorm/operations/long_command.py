"""The long command: a command that is too long for one step, a slice at a time.

Made by the few commands that may meet a whole keyspace (INVALIDATE, KEYS, RANDOMKEY), and by
those that work on large values (`derivation.py`); run by `Edge._run`: to its end, with others
let in between the slices, or one slice only, and what remains is handed to a caller who has
others to serve.

1. A slice ends after `SLICE_S` or `SLICE` pieces of work, whichever comes first.
2. What a long command must do in one step for all readers it does in its first slice.
3. One that is abandoned leaves nothing behind that reaping would not finish. Whoever does
   not go on with it says so (`abandon`).
5. One that waits for others sleeps: it is not stepped before `wake`, which any thread may
   call, under the latch too. Whoever is to step it then has set `notifier`.
4. Its result is the value of the command; `Plan.reply` makes the reply of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.keyspace.store import NamespaceReference, Store


class LongCommand:
    """A long command on its way.

    Attributes:
        reference: of the namespace, where nobody else may be holding it.
        sleeps: there is nothing to do before `wake`.
        notifier: called by `wake`; it runs no code of a user's and takes no lock.
    """

    def __init__(self, store: Store) -> None:
        self._store: Final = store
        self.reference: NamespaceReference | None = None
        self.sleeps: bool = False
        self.notifier: Callable[[], None] | None = None

    def step(self) -> bool:
        """Does one slice. The caller does not hold the latch.

        Returns:
            Whether it was the last one.
        """
        self._store.enter()
        try:
            return self._slice()
        finally:
            self._store.leave()

    def wake(self) -> None:
        """Ends the sleep, and tells whoever is to go on."""
        self.sleeps = False
        notifier = self.notifier
        if notifier is not None:
            notifier()

    def abandon(self) -> None:
        """Lets go of what was begun. The caller does not hold the latch."""

    def result(self) -> object:
        """The value of the command, once `step` has said that it is done."""
        raise NotImplementedError

    def _slice(self) -> bool:
        raise NotImplementedError


@mypyc_attr(native_class=False)
class Unfinished(Exception):
    """A command has done its first slice, and the caller is to do the others.

    Attributes:
        long_command: what remains.
    """

    def __init__(self, long_command: LongCommand) -> None:
        super().__init__()
        self.long_command: Final = long_command
