"""Listeners: the methods of a cache that tell a function of yours what happens in it.

A trait of `Cache`. Calls the store, which keeps the listeners and queues the effects for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import checked_text
from cachestorm.commands.edge import Edge, enter
from cachestorm.events import (
    CHANGES,
    REMOVED,
    RENAMED,
    VALUES,
    WITH_CAUSE,
    WITH_EFFECT,
    Cause,
    Listener,
    RemovalListener,
    bit_of,
    interest_named,
)
from cachestorm.keyspace.effects import Listening
from cachestorm.operations.names import many

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.event_listeners import EventListener

T = TypeVar("T")
P = ParamSpec("P")

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
            TypeError: for a listener that cannot be called.

        Examples:
            >>> from cachestorm import Cache, Interest
            >>> cache = Cache()
            >>> cache.listen(lambda effect: print(effect.event, effect.key), Interest.CHANGED)
            >>> cache.incr("k"), cache.incr("k")
            incrby k
            (1, 2)
        """
        _check_callable(listener)
        name = None if namespace is None else checked_text(namespace)
        self._listen(Listening(listener, int(interest), name, WITH_EFFECT))

    def _listen(self, listening: Listening) -> None:
        enter(self)
        try:
            self._store.listen(listening)
        finally:
            self._leave()

    @overload
    def on(self, event: str, function: Callable[P, T]) -> EventListener[P, T]: ...
    @overload
    def on(
        self, event: str, function: None = None
    ) -> Callable[[Callable[P, T]], EventListener[P, T]]: ...
    def on(self, event: object, function: Any = None) -> Any:
        """Tells a function of one event in this namespace, outside of the lock.

        | `event` | The function is called with | When |
        |---|---|---|
        | `hit`, `miss` | key | it was read, and was there or not |
        | `set` | key, value | it was written as a whole, or made |
        | `removed` | key, value, cause | it left: as `on_removed` |
        | `invalidated` | tag | it was invalidated, hard or soft, itself or by a parent |
        | `loaded` | key, value | the result of a loader was kept |

        The value of a hash, a list, a set or a sorted set is told as None. While somebody
        hears of hits or misses every read takes the lock. An error that the function raises
        is logged.

        Args:
            function: left out, `on` is a decorator.

        Returns:
            What is called as the function is, and ends it by `close` or by a `with` block.

        Raises:
            ArgumentError: for another event.
            TypeError: for what cannot be called.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> @cache.on("miss")
            ... def note(key):
            ...     print("no", key)
            >>> cache.get("k")
            no k
            >>> note.close()
            >>> cache.get("k")
        """
        form, interest = interest_named(event)
        if function is None:
            return partial(self.on, cast(str, event))
        _check_callable(function)
        from cachestorm.event_listeners import EventListener

        listening = Listening(function, interest, self._space.name, form)
        self._listen(listening)
        return EventListener(cast("Cache", self), cast(str, event), function, listening)

    def on_removed(
        self, listener: RemovalListener, causes: Iterable[Cause] | None = None
    ) -> RemovalListener:
        """Tells a function of every removal from this namespace, outside of the lock.

        Each removal is told once, in the order of the removals; an error that it raises
        is logged and reported through `sys.unraisablehook`. `unlisten` takes it away.

        Args:
            listener: called with key, value and cause. A value of another type than those
                that can be set in one piece (a hash, a list, a set) is passed as None.
            causes: which ones; None for all by which a value leaves, so all but RENAMED. A
                value that is replaced by itself is not told either. While a listener asks for
                FLUSHED, a flush takes O(N).

        Returns:
            The listener, so that this is a decorator as well.

        Raises:
            TypeError: for a listener that cannot be called, and a cause that is not a `Cause`.

        Examples:
            >>> from cachestorm import Cache
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
        self._listen(Listening(listener, wanted | VALUES, self._space.name, WITH_CAUSE))
        return listener

    def unlisten(self, listener: Listener | RemovalListener) -> None:
        """Takes away what `listen`, `on` or `on_removed` added; nothing if it is not there."""
        self._unlisten(listener)

    def _unlisten(self, listener: object) -> None:
        enter(self)
        try:
            self._store.unlisten(listener)
        finally:
            self._leave()


def _check_callable(listener: object) -> None:
    if not callable(listener):
        raise TypeError(f"a listener is called, which {listener!r} cannot be")


def _bits_of(causes: Iterable[object]) -> int:
    bits: int = 0
    for cause in many(causes, "causes"):
        if not isinstance(cause, Cause):
            raise TypeError(f"causes are of Cause, such as Cause.EXPIRED, not {cause!r}")
        bits |= bit_of(cause)
    return bits
