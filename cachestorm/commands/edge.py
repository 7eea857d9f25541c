"""The edge: where a public method enters the store and leaves it.

Every family of commands is a trait on top of this one. A method takes the latch here,
works on its keyspace, and gives the latch back here, whatever happens in between.

1. What a user may have written (iterables, codecs, weighers, listeners, finalizers) runs
   before `_enter` or after `_leave`, never between them. One exception: commands that compare
   elements (LPOS, LREM, LINSERT, SORT, HINCRBY) spell objects as JSON in between, and a
   subclass of `dict` or `list` may have its own `items` or `__iter__` called there.
2. A method calls undecorated helpers of its family, not another public method: the latch
   is not re-entrant.
"""

from __future__ import annotations

import time

from mypy_extensions import mypyc_attr, trait

from cachestorm.keyspace.commons import PAUSE_S
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Hold, Store
from cachestorm.operations.errand import Errand, Unfinished


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Edge:
    """What the families of commands stand on: one keyspace of one store."""

    _store: Store
    _space: Keyspace
    # keeps the namespace while this view is alive
    _hold: Hold
    # whether the caller does the slices of an errand himself
    _serves_others: bool

    def _enter(self) -> Keyspace:
        self._store.enter()
        return self._space

    def _leave(self) -> None:
        self._store.leave()

    def _run(self, errand: Errand) -> object:
        """Runs an errand to its end; in a transaction, without a pause.

        Raises:
            Unfinished: after the first slice, on a view that serves others.
        """
        if errand.step():
            return errand.result()
        pauses = not self._store.in_transaction()
        if pauses and self._serves_others:
            errand.hold = self._hold
            raise Unfinished(errand)
        try:
            while True:
                if pauses:
                    time.sleep(PAUSE_S)
                if errand.step():
                    return errand.result()
        except BaseException:
            errand.abandon()
            raise
