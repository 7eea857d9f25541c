"""The methods of connected caches that are made: one for each of `Cache` that has no other.

Called by `connected.py`, for both of its classes, so that none can be forgotten.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of
from cachestorm.errors import CacheStormError
from cachestorm.markers import UNSET
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.operations.names import checked_tags, exact_key
from cachestorm.remote.commands import REMOTE
from cachestorm.remote.courses import Courses
from cachestorm.remote.steps import Course

if TYPE_CHECKING:
    from cachestorm.remote.connected import AsyncConnectedCache, ConnectedCache

_TAGS_ALONE: Final = {"tags"}
# beside the declared ones
COMPOSED: Final = tuple(
    name
    for name, value in vars(Courses).items()
    if not name.startswith("_") and callable(value) and name not in ("call", "watched", "write")
)


def course_of(name: str, courses: Courses, args: Any, options: Any) -> Course:
    """The course of a method, from its arguments."""
    if name in COMPOSED:
        course: Course = getattr(courses, name)(*args, **options)
        return course
    return courses.call(name, *args, **options)


def threaded(name: str) -> Callable[..., Any]:
    """A method for threads."""

    def method(self: ConnectedCache, *args: Any, **options: Any) -> Any:
        return self._call(name, *args, **options)

    return dressed(method, name, "ConnectedCache")


def awaited(name: str) -> Callable[..., Any]:
    """A method for tasks."""

    async def method(self: AsyncConnectedCache, *args: Any, **options: Any) -> Any:
        return await self._call(name, *args, **options)

    return dressed(method, name, "AsyncConnectedCache")


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        raise self._courses.refused(name)

    method.is_refusal = True  # type: ignore[attr-defined]
    return dressed(method, name, "ConnectedCache")


def set_plainly(
    self: ConnectedCache, key: str, value: Any, ttl: object = UNSET, **options: Any
) -> Any:
    """What is asked most but `get`: without a course, where there is nothing to think about."""
    is_span = type(ttl) in (int, float) and ttl > 0  # type: ignore[operator]
    if not self._wire.sets_at_once or not (is_span or ttl is UNSET):
        return self._call("set", key, value, ttl, **options)
    names: list[str] = []
    if options:
        known = self._courses.capabilities
        if known is None or not known.tags or options.keys() != _TAGS_ALONE:
            return self._call("set", key, value, ttl, **options)
        names = checked_tags(options["tags"])
    words: list[Any] = ["SET", bytes_of(exact_key(key)), self._envelope.dumps(value)]
    if is_span:
        words += ["PX", milliseconds_of(ttl)]
    if names:
        words += ["TAGS", *map(bytes_of, names)]
    try:
        return self._wire.set_at_once(words) is not None
    except CacheStormError as error:
        return self._absence.answer(error, "set", (key, value, ttl), options)


def dressed(method: Callable[..., Any], name: str, owner: str) -> Callable[..., Any]:
    """A method that looks like the one of `Cache`."""
    functools.update_wrapper(method, getattr(Cache, name), updated=())
    method.__qualname__ = f"{owner}.{name}"
    method.__module__ = "cachestorm.remote.connected"
    return method


def complete(kind: type, maker: Callable[[str], Callable[..., Any]]) -> None:
    """Gives a class all methods of `Cache` that it has not."""
    for name in dir(Cache):
        if name.startswith("_") or name in vars(kind):
            continue
        if not callable(inspect.getattr_static(Cache, name)):
            continue
        is_known = name in REMOTE or name in COMPOSED
        setattr(kind, name, maker(name) if is_known else _refused(name))
