"""No method of a subclass of a user's runs under the lock, whatever argument it is given as.

Each method that takes a key is called with subclasses of `str`, `bytes`, `int` and `float`, and
once more with each of its options. A call may be refused; what counts is when user code runs.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from wrong_calls import keyed_methods

from cachestorm import Cache

inside: list[str] = []
watched: list[Cache] = []

_METHODS = (types.MethodDescriptorType, types.WrapperDescriptorType)
_OF_EVERY_OBJECT = set(dir(object)) - {
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
}
_OF_EVERY_OBJECT -= {"__hash__", "__str__", "__repr__", "__format__"}


def hooked(kind: type[Any]) -> type[Any]:
    """A subclass that notes which of its methods run while a cache is locked."""

    def hook(name: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if any(cache._store.latch.locked() for cache in watched):
                inside.append(f"{kind.__name__}.{name}")
            return getattr(kind, name)(self, *args, **kwargs)

        return call

    names = [
        name
        for name in dir(kind)
        if isinstance(inspect.getattr_static(kind, name), _METHODS)
        and name not in _OF_EVERY_OBJECT
    ]
    return type(f"Hooked{kind.__name__}", (kind,), {name: hook(name) for name in names})


SUBCLASSES = {kind: hooked(kind) for kind in (str, bytes, int, float)}


def wrapped(value: object) -> object:
    if isinstance(value, dict):
        return {wrapped(key): wrapped(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [wrapped(inner) for inner in value]
    kind = SUBCLASSES.get(type(value))
    return value if kind is None else kind(value)


def options(name: str) -> Iterator[dict[str, object]]:
    """No option, and each one alone."""
    yield {}
    for parameter in inspect.signature(getattr(Cache, name)).parameters.values():
        if parameter.default is inspect.Parameter.empty:
            continue
        for value in _fitting(str(parameter.annotation)):
            yield {parameter.name: value}


def _fitting(annotation: str) -> list[object]:
    """What may be given for a parameter; a bool has no subclasses."""
    values: dict[str, object] = {"int": 1, "str": "1", "bytes": b"1", "float": 1.0}
    if "object" in annotation or "Any" in annotation:
        return [*values.values(), ["1"]]
    return [value for name, value in values.items() if name in annotation]


KEYS = ("string", "hash", "list", "set", "zset", "new")


def fresh() -> Cache:
    cache = Cache()
    cache.set("string", "1", tags=["t"])
    cache.hset("hash", "f", 1)
    cache.rpush("list", "1", "2")
    cache.sadd("set", "1", "2")
    cache.zadd("zset", {"1": 1, "2": 2})
    return cache


# these wait
_WAITING = frozenset({"blmove", "blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin"})
METHODS = {name: needed for name, needed in keyed_methods() if name not in _WAITING}


@pytest.mark.parametrize("name", METHODS)
def test_no_method_of_an_argument_runs_under_the_lock(name: str) -> None:
    found: dict[str, list[str]] = {}
    method = getattr(Cache, name)
    needed = METHODS[name]
    for key in KEYS:
        for option in options(name):
            cache = fresh()
            watched[:] = [cache]
            inside.clear()
            given = {what: wrapped(value) for what, value in option.items()}
            with suppress(Exception):
                method(cache, wrapped(key), *[wrapped(each) for each in needed], **given)
            if inside:
                found[f"{key} {option}"] = sorted(set(inside))
    assert found == {}
