"""Memoized methods: results by instance, instances let go, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from cachestorm import Cache


class Greeter:
    cache = Cache()

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    @cache.memoize
    def greet(self, whom: str = "you") -> str:
        self.calls += 1
        return f"{self.name} greets {whom}"

    @property
    @cache.memoize
    def inner(self) -> str:
        return self.name

    @cache.memoize
    @property
    def outer(self) -> str:
        return self.name

    @classmethod
    @cache.memoize
    def below(cls, x: int) -> str:
        return f"{cls.__name__}{x}"

    @cache.memoize
    @classmethod
    def above(cls, x: int) -> str:
        return f"{cls.__name__}{x}"

    @cache.memoize
    @staticmethod
    def fixed(x: int) -> int:
        return x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Greeter)

    __hash__ = None  # type: ignore[assignment]


class Child(Greeter):
    pass


def test_results_of_a_method_are_kept_by_instance() -> None:
    ada, bob = Greeter("Ada"), Greeter("Bob")
    assert [ada.greet(), ada.greet(whom="you"), bob.greet()] == [
        "Ada greets you", "Ada greets you", "Bob greets you",
    ]  # fmt: skip
    assert (ada.calls, bob.calls) == (1, 1)
    assert Greeter.greet.invalidate(ada) is True
    assert (ada.greet(), bob.greet(), ada.calls, bob.calls) == (
        "Ada greets you", "Bob greets you", 2, 1,
    )  # fmt: skip


def test_properties_and_class_methods_are_kept() -> None:
    ada, bob = Greeter("Ada"), Child("Bob")
    assert [ada.inner, bob.inner, ada.outer, bob.outer] == ["Ada", "Bob", "Ada", "Bob"]
    ada.name = "Cy"
    assert [ada.inner, ada.outer] == ["Ada", "Ada"]
    assert [Greeter.below(1), Child.below(1), ada.below(1)] == [
        "Greeter1",
        "Child1",
        "Greeter1",
    ]
    assert [Greeter.above(1), Child.above(1), bob.above(1)] == ["Greeter1", "Child1", "Child1"]
    assert [Greeter.fixed(3), ada.fixed(3)] == [3, 3]


def test_an_instance_is_not_kept_alive_and_its_results_go_with_it() -> None:
    cache = Cache()

    class A:
        @cache.memoize
        def m(self, x: int) -> int:
            return x

    one, other = A(), A()
    one.m(1), one.m(2), other.m(1)
    reference = weakref.ref(one)
    gc.disable()
    try:
        del one
        assert reference() is None
    finally:
        gc.enable()
    other.m(2)
    assert (cache.dbsize(), A.m.cache_info().currsize) == (2, 2)


def test_an_instance_at_the_address_of_a_former_one_finds_nothing_of_it() -> None:
    cache = Cache()

    class A:
        def __init__(self, name: int) -> None:
            self.name = name

        @cache.memoize
        def m(self) -> int:
            return self.name

    assert [A(number).m() for number in range(50)] == list(range(50))


def test_a_template_over_the_instance_is_shared_by_equal_ones() -> None:
    cache = Cache()

    class A:
        def __init__(self, number: int) -> None:
            self.id = number

        @cache.memoize(key="a:{self.id}:{x}")
        def m(self, x: int) -> int:
            return self.id + x

    assert [A(1).m(2), A(1).m(2), A(2).m(2)] == [3, 3, 4]
    assert sorted(cache.keys()) == ["a:1:2", "a:2:2"]


def test_an_instance_that_takes_no_weak_reference_is_refused_with_advice() -> None:
    cache = Cache()

    class A:
        __slots__ = ()

        @cache.memoize
        def m(self) -> int:
            return 1

    with pytest.raises(TypeError, match="__weakref__"):
        A().m()


def test_a_memoized_async_method_is_kept_by_instance() -> None:
    cache = Cache()

    class A:
        def __init__(self, number: int) -> None:
            self.number = number

        @cache.memoize
        async def m(self) -> int:
            return self.number

    async def main() -> list[int]:
        one, other = A(1), A(2)
        return [await one.m(), await other.m(), await one.m()]

    assert asyncio.run(main()) == [1, 2, 1]


def test_places_of_a_method_are_forgotten_too() -> None:
    cache = Cache(max_entries=100)

    class A:
        @cache.memoize
        def m(self, x: int) -> int:
            return x

    one = A()
    for x in range(3000):
        one.m(x)
    index = A.m.key.__self__._index
    assert len(index.of_instances[id(one)]) <= 1024
