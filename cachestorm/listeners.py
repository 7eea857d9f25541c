"""Listeners: the methods of a cache that tell a function of yours what happens in it.

A trait of `Cache`. Calls the store, which keeps the listeners and queues the effects for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import checked_text
from cachestorm.commands.edge import Edge
from cachestorm.events import (
    CHANGES,
    REMOVED,
    RENAMED,
    VALUES,
    Cause,
    Listener,
    RemovalListener,
    bit_of,
)
from cachestorm.keyspace.effects import Listening

# What a listener is told that asks for nothing in particular.
CHANGES_AND_VALUES: Final = CHANGES | VALUES


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Listeners(Edge):
    """Telling a function of what happens, outside of the lock."""

    def listen(
        self,
        listener: Listener,
        interest: int = CHANGES_AND_VALUES,
        *,
        namespace: str | None = None,
    ) -> None:
        """Tells a function what happens, in order and outside of the lock.

        A command returns when all listeners have been told of it, but waits for no longer
        than a second.

        Args:
            listener: called with an `Effect`; an error that it raises is logged.
            interest: of what, joined from `Interest`; every change of state with its values
                if left out.
            namespace: only of this one; None for all of them.

        Raises:
            TypeError: for what cannot be called.

        Example:
            >>> from cachestorm import Interest
            >>> cache = Cache()
            >>> cache.listen(lambda effect: print(effect.event, effect.key), Interest.CHANGED)
            >>> cache.incr("k"), cache.incr("k")
            incrby k
            (1, 2)
        """
        _check_callable(listener)
        name = None if namespace is None else checked_text(namespace)
        self._listen(Listening(listener, int(interest), name, False))

    def _listen(self, listening: Listening) -> None:
        self._enter()
        try:
            self._store.listen(listening)
        finally:
            self._leave()

    def on_removed(
        self, listener: RemovalListener, causes: Iterable[Cause] | None = None
    ) -> RemovalListener:
        """Tells a function of every removal from this namespace, outside of the lock.

        Each removal is told once, in the order of the removals; an error that it raises
        is logged and reported through `sys.unraisablehook`. `unlisten` takes it away.

        Args:
            listener: called with key, value and cause. A value of another type than those
                that can be set in one piece (a hash, a list, a set) is passed as None.
            causes: which ones; None for all by which a value leaves, which is not RENAMED.
                Nor is a value told as replaced by itself. While somebody hears of FLUSHED a
                flush takes O(N).

        Returns:
            The listener, so that this is a decorator as well.

        Raises:
            TypeError: for what cannot be called, and a cause that is no `Cause`.

        Example:
            >>> cache = Cache()
            >>> @cache.on_removed
            ... def tell(key, value, cause):
            ...     print(key, value, cause.value)
            >>> cache.set("k", "v")
            True
            >>> cache.delete("k")
            k v deleted
            1
        """
        _check_callable(listener)
        wanted = (REMOVED ^ RENAMED) if causes is None else _bits_of(causes)
        self._listen(Listening(listener, wanted | VALUES, self._space.name, True))
        return listener

    def unlisten(self, listener: Listener | RemovalListener) -> None:
        """Takes away what `listen` or `on_removed` added; nothing if it was not there."""
        self._enter()
        try:
            self._store.unlisten(listener)
        finally:
            self._leave()


def _check_callable(listener: object) -> None:
    if not callable(listener):
        raise TypeError(f"a listener is called, which {listener!r} cannot be")


def _bits_of(causes: Iterable[object]) -> int:
    bits: int = 0
    for cause in causes:
        if not isinstance(cause, Cause):
            raise TypeError(f"causes are of Cause, such as Cause.EXPIRED, not {cause!r}")
        bits |= bit_of(cause)
    return bits
