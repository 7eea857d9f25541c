"""A call that leaves defaults as they are is looked up without them, and is no other call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

from cachestorm import Cache


def function(cache: Cache, calls: list[Any], **options: Any) -> Callable[..., int]:
    @cache.memoize(**options)
    def f(x: Any, y: Any = 2, *, z: Any = "z") -> int:
        calls.append((x, y, z))
        return len(calls)

    return f


def method(cache: Cache, calls: list[Any], **options: Any) -> Callable[..., int]:
    class A:
        @cache.memoize(**options)
        def f(self, x: Any, y: Any = 2, *, z: Any = "z") -> int:
            calls.append((x, y, z))
            return len(calls)

    return A().f


MADE = pytest.mark.parametrize("made", [function, method])


@MADE
@pytest.mark.parametrize("options", [{}, {"key": "{x}:{y}:{z}"}], ids=["no key", "a key"])
def test_a_default_that_is_passed_is_the_call_without_it(
    made: Callable[..., Any], options: dict[str, Any]
) -> None:
    calls: list[Any] = []
    f = made(Cache(), calls, **options)
    same = "".join(["z", ""])
    for _ in range(2):
        assert [f(1), f(1, 2), f(1, z=same), f(x=1, y=2, z="z")] == [1] * 4
        assert [f(1, 3), f(1, z="y"), f((1, 2)), f((1, 2, "z"))] == [2, 3, 4, 5]
    assert len(calls) == 5


@MADE
def test_an_argument_equal_to_the_default_is_the_call_without_it(
    made: Callable[..., Any],
) -> None:
    calls: list[Any] = []
    f = made(Cache(), calls)
    assert [f(1), f(1, 2.0), f(1.0, 2.0), f(True)] == [1] * 4


@MADE
def test_typed_arguments_are_told_from_a_default_of_another_type(
    made: Callable[..., Any],
) -> None:
    calls: list[Any] = []
    f = made(Cache(), calls, typed=True)
    for _ in range(2):
        assert [f(1), f(1, 2.0), f(1.0), f(1, 2)] == [1, 2, 3, 1]


def test_an_invalidation_finds_the_result_in_either_spelling() -> None:
    calls: list[Any] = []
    f: Any = function(Cache(), calls)
    assert f(1) == 1
    f.invalidate(1, 2.0)
    assert f(1) == 2
    f.put(7, 1, 2.0)
    assert (f(1), f.peek(1)) == (7, 7)
    f.cache_clear()
    assert f(1) == 3


def test_objects_without_a_text_of_their_own_have_one_key_after_a_sweep() -> None:
    cache = Cache(max_entries=10)

    @cache.memoize
    def f(x: object, y: int = 2) -> object:
        return x

    one = object()
    f(one)
    for _ in range(3000):
        f(object())
    assert f(one) is f(one, 2) is one
    assert f.key(one) == f.key(one, 2)
    places = f.key.__self__._index.places
    assert len(places.briefs) <= len(places.keys) <= 1024
    for brief, key in places.briefs.items():
        assert places.keys.get((brief, 2)) == key


def test_an_instance_takes_its_places_along() -> None:
    cache = Cache()

    class A:
        @cache.memoize
        def f(self, x: int = 1) -> int:
            return x

    index = A.f.key.__self__._index  # type: ignore[attr-defined]
    one = A()
    one.f()
    assert len(index.briefs_of_instances) == 1
    reference = weakref.ref(one)
    del one
    assert reference() is None
    assert (len(index.briefs_of_instances), len(index.of_instances)) == (0, 0)


def test_arguments_beside_a_default_are_let_go() -> None:
    cache = Cache()

    class Argument:
        pass

    @cache.memoize
    def f(x: object, y: int = 2) -> int:
        return 1

    argument = Argument()
    f(argument)
    reference = weakref.ref(argument)
    f.cache_clear()
    del argument
    assert reference() is None


def test_a_default_without_a_hash_is_named() -> None:
    @Cache().memoize
    def f(x: int, y: Any = []) -> int:  # noqa: B006
        return x

    for _ in range(2):
        with pytest.raises(TypeError, match="argument 'y' is unhashable: list"):
            f(1)
    with pytest.raises(TypeError, match="argument 'x' is unhashable: set"):
        f(set())  # type: ignore[arg-type]
