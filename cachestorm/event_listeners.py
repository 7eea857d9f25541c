"""The listeners of one event: what `Cache.on` returns. Calls the cache that it was made by.

Not compiled: it is called with whatever arguments its function takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from cachestorm.cache import Cache
    from cachestorm.keyspace.effects import Listening

P = ParamSpec("P")
T = TypeVar("T")


class EventListener(Generic[P, T]):
    """A function that is told of an event until it is closed; also a context manager.

    Called, it calls the function, which so keeps its name where `on` decorates it.

    Attributes:
        event: of what it is told.
        function: who is told.
        is_open: whether it is told still.
    """

    def __init__(
        self, cache: Cache, event: str, function: Callable[P, T], listening: Listening
    ) -> None:
        self.event: Final = event
        self.function: Final = function
        self.is_open = True
        self._cache: Final = cache
        self._listening: Final = listening

    def close(self) -> None:
        """Ends it; nothing if it has ended. What has happened before may still be told."""
        if self.is_open:
            self.is_open = False
            self._cache._unlisten(self._listening)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.function(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        name: Any = getattr(self.function, "__qualname__", self.function)
        return f"<EventListener of {self.event!r} in {self._cache.name!r}: {name}, {state}>"
