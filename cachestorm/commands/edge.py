"""The edge: where a public method enters the store and leaves it.

Every family of commands is a trait on top of this one. A method takes the latch here,
works on its keyspace, and gives the latch back here, whatever happens in between.

1. What a user may have written (iterables, codecs, weighers, listeners, finalizers) runs
   before `enter` or after `leave`, never between them. One exception: commands that compare
   elements (LPOS, LREM, LINSERT, SORT, HINCRBY) spell objects as JSON in between, and a
   subclass of `dict` or `list` may have its own `items` or `__iter__` called there.
2. `enter` and its kin are functions: compiled, a method of a trait has to be searched for.
3. A method calls undecorated helpers of its family, not another public method: the latch
   is not re-entrant.
"""

from __future__ import annotations

from types import GenericAlias

from mypy_extensions import mypyc_attr, trait

from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import NamespaceReference, Store
from cachestorm.keyspace.tiering import Demoted
from cachestorm.operations.long_command import Away, LongCommand, Unfinished, finish
from cachestorm.values.forms import Forms
from cachestorm.values.weights import box


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Edge:
    """What the families of commands stand on: one keyspace of one store."""

    _store: Store
    _space: Keyspace
    # keeps the namespace while this view is alive
    _reference: NamespaceReference
    # whether the caller does the slices of a long command himself
    _serves_others: bool
    # whether the caller awaits what is in a colder tier
    _awaits: bool
    # what is done with values as they come and go; None for nothing, and for the wire
    _forms: Forms | None

    @classmethod
    def __class_getitem__(cls, kind: object) -> GenericAlias:
        # what `Generic` would do, which compiled classes do not have among their bases
        return GenericAlias(cls, kind)

    def _enter_to_see(self, keys: list[str], wanted: list[Demoted]) -> Keyspace:
        """As `enter_for_all`, for a method that leaves values where they are.

        Args:
            wanted: gets what was read ahead; `_leave_seen` drops that.
        """
        space = self._space
        space.shared.enter()
        if space.demoted_count != 0:
            wanted.extend(space.wanted_by(keys, True))
            if wanted:
                space.shared.leave()
                space.read_ahead(wanted)
                space.shared.enter()
        return space

    def _leave_seen(self, wanted: list[Demoted]) -> None:
        """Gives the latch back that `_enter_to_see` took."""
        shared = self._space.shared
        if wanted and shared.tiering is not None:
            shared.tiering.forget(wanted)
        shared.leave()

    def _near(self, keys: list[str]) -> None:
        """What `enter_for_all` does, for a caller who takes the latch later."""
        enter_for_all(self, keys)
        self._leave()

    def _bring_home(self, keys: list[str]) -> None:
        """As `_near`; what somebody has read ahead comes to memory now."""
        space = enter_for_all(self, keys)
        try:
            space.bring(keys, [])
        finally:
            self._leave()

    def _bring(self, keys: list[str]) -> None:
        space = self._space
        wanted = space.wanted_by(keys)
        if not wanted:
            return
        space.shared.leave()
        if self._awaits:
            raise Away(wanted)
        space.read_ahead(wanted)
        space.shared.enter()
        try:
            space.bring(keys, wanted)
        except BaseException:
            space.shared.leave()
            raise

    def _leave(self) -> None:
        self._store.leave()

    def _box(self, value: object) -> object:
        """A value as the store is to hold it; before the lock is taken."""
        forms = self._forms
        return box(value) if forms is None else forms.take(value)

    def _give(self, value: object, default: object) -> object:
        """A stored value as the caller gets it; after the lock has been given back."""
        forms = self._forms
        return value if forms is None or value is default else forms.give(value)

    def _run_on(self, keys: list[str], long_command: LongCommand) -> object:
        """As `_run`, for one that looks at the values of keys: see `enter_for`."""
        self._near(keys)
        return self._run(long_command)

    def _run(self, long_command: LongCommand) -> object:
        """Runs a long command to its end; in a transaction, without a pause.

        Raises:
            Unfinished: after the first slice, on a view that serves others.
        """
        if long_command.step():
            return long_command.result()
        if self._serves_others:
            long_command.reference = self._reference
            raise Unfinished(long_command)
        return finish(long_command)


def enter(view: Edge) -> Keyspace:
    """Takes the latch, which `leave` of what it returns gives back, as `_leave` does."""
    space = view._space
    space.shared.enter()
    return space


def enter_for(view: Edge, key: str) -> Keyspace:
    """As `enter`, for a method that looks at the value of a key.

    One that is in a colder tier is read before, without the latch, and comes to memory.

    Raises:
        Away: where a view waits for it in another way; nothing has happened.
    """
    space = view._space
    space.shared.enter()
    if space.demoted_count != 0:
        view._bring([key])
    return space


def enter_for_all(view: Edge, keys: list[str]) -> Keyspace:
    """As `enter_for`, for several."""
    space = view._space
    space.shared.enter()
    if space.demoted_count != 0:
        view._bring(keys)
    return space
