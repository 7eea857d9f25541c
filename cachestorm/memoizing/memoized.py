"""The memoized function, as its users see it: the type, its controls and its errors.

A memoized function is a plain function with these controls as attributes. An object with a
`__call__` would cost a third of a hit, and would be no method of a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from cachestorm.errors import CacheStormError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cachestorm.markers import Missing

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class TemplateError(CacheStormError, ValueError):
    """A template of keys or tags that does not fit the parameters of its function."""


class CacheInfo(NamedTuple):
    """What `functools.lru_cache` tells, by the same names.

    Attributes:
        hits: calls that found their value, about: threads may lose some to each other.
        misses: calls that did not.
        maxsize: None; the limits are those of the cache.
        currsize: how many results are kept.
    """

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class Memoized(Protocol[P, R_co]):
    """A function whose results are kept.

    Of a method, the controls are found at the class and take the instance as its first
    argument: `User.avatar.invalidate(user)`.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result, kept or new."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Memoized[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Callable[..., R_co]: ...

    @property
    def uncached(self) -> Callable[P, R_co]:
        """The function itself: neither reads the cache nor writes to it."""

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key under which the result of a call is kept."""

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> Any | Missing:
        """The result that is kept, or MISSING. Never calls the function."""

    @property
    def put(self) -> Callable[..., None]:
        """Keeps a result: `f.put(result, *args, **kwargs)`."""

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Calls the function in any case, and keeps what it gives."""

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Lets go of a result. Returns whether there was one."""

    def cache_info(self) -> CacheInfo:
        """How often results were found."""

    def cache_clear(self) -> None:
        """Lets go of all results, and counts from 0."""

    # the same for tasks, which must not wait for a server otherwise

    async def apeek(self, *args: P.args, **kwargs: P.kwargs) -> Any | Missing:
        """As `peek`, to be awaited."""

    @property
    def aput(self) -> Callable[..., Awaitable[None]]:
        """As `put`, to be awaited."""

    async def ainvalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """As `invalidate`, to be awaited."""

    async def acache_info(self) -> CacheInfo:
        """As `cache_info`, to be awaited."""

    async def acache_clear(self) -> None:
        """As `cache_clear`, to be awaited."""
