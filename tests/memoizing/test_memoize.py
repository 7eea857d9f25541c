"""Memoized functions: one key a call, and the signature kept."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import ArgumentError
from cachestorm.memoizing import TemplateError


@pytest.fixture
def cache() -> Cache:
    return Cache()


def counting(cache: Cache, **options: Any) -> Any:
    """A memoized function of x and y that numbers its calls."""
    calls: list[int] = []

    @cache.memoize(**options)
    def f(x: Any, y: Any = 2) -> int:
        calls.append(1)
        return len(calls)

    return f


def test_a_call_is_one_however_its_arguments_are_passed(cache: Cache) -> None:
    f = counting(cache)
    assert [f(1), f(x=1), f(1, 2), f(y=2, x=1), f(1, y=2)] == [1] * 5
    assert [f(2), f(1, 3)] == [2, 3]


def test_arguments_that_are_equal_are_one_call(cache: Cache) -> None:
    f = counting(cache)
    assert [f(1), f(1.0), f(True)] == [1, 1, 1]
    assert [f("1"), f(b"1"), f((1,)), f(None)] == [2, 3, 4, 5]
    assert len({f.key(1), f.key(1.0), f.key(True)}) == 1


def test_typed_arguments_of_another_type_are_another_call(cache: Cache) -> None:
    f = counting(cache, typed=True)
    assert [f(1), f(1.0), f(True), f(1)] == [1, 2, 3, 1]
    assert len({f.key(1), f.key(1.0), f.key(True)}) == 3


@pytest.mark.parametrize("typed", [False, True])
def test_every_kind_of_parameter_is_bound(cache: Cache, typed: bool) -> None:
    calls: list[Any] = []

    @cache.memoize(typed=typed)
    def f(a: int, /, b: int, *rest: int, k: int, l: int = 5, **more: int) -> int:  # noqa: E741
        calls.append((a, b, rest, k, l, more))
        return len(calls)

    assert f(1, 2, 3, 4, k=5, z=6, a=7) == f(1, 2, 3, 4, a=7, z=6, k=5, l=5) == 1
    assert calls == [(1, 2, (3, 4), 5, 5, {"z": 6, "a": 7})]
    assert f(1, b=2, k=5) == 2
    assert f(1, 2, 3, k=5) == 3
    assert f.key(1, 2, k=5) == f.key(1, b=2, k=5, l=5)


def test_functions_of_one_parameter_or_none_are_kept_too(cache: Cache) -> None:
    assert [cache.memoize(lambda: 1)(), cache.memoize(lambda x: x)((1, 2))] == [1, (1, 2)]

    @cache.memoize
    def rest(*args: int) -> tuple[int, ...]:
        return args

    @cache.memoize
    def only(a: int, /) -> int:
        return a

    @cache.memoize
    def named(*, k: int = 3) -> int:
        return k

    assert [rest(), rest(1), rest(1, 2), only(4), named(), named(k=5)] == [
        (), (1,), (1, 2), 4, 3, 5,
    ]  # fmt: skip


def test_names_that_the_source_uses_itself_may_be_parameters(cache: Cache) -> None:
    @cache.memoize
    def key(key: int, get: int, hits: int, place: int, id: int, tuple: int, type: int) -> int:
        return key + get + hits + place + id + tuple + type

    assert key(1, 2, 3, 4, 5, 6, 7) == key(1, 2, 3, 4, 5, 6, type=7) == 28


@pytest.mark.parametrize("typed", [False, True])
def test_functions_and_parameters_may_bear_the_names_of_builtins(
    cache: Cache, typed: bool
) -> None:
    @cache.memoize(typed=typed)
    def type(type: str, *map: str, tuple: int, sorted: int = 0, **key: int) -> str:
        return f"{type}{map}{tuple}{key}"

    @cache.memoize(typed=typed)
    def sorted(KeyError: int, TypeError: int, **rest: int) -> int:
        return KeyError + TypeError

    assert [type("a", "b", tuple=1, more=2) for _ in range(2)] == ["a('b',)1{'more': 2}"] * 2
    assert [sorted(1, 2, rest=3) for _ in range(2)] == [3, 3]
    assert (type.cache_info().hits, sorted.cache_info().hits) == (1, 1)


def test_wrong_arguments_are_refused_as_the_function_itself_does(cache: Cache) -> None:
    f = counting(cache)
    with pytest.raises(TypeError, match=r"f\(\) missing 1 required positional argument: 'x'"):
        f()
    with pytest.raises(TypeError, match=r"f\(\) got an unexpected keyword argument 'z'"):
        f(1, z=2)


def test_the_signature_and_the_names_are_kept(cache: Cache) -> None:
    def original(x: int, y: str = "b") -> bool:
        """What it does."""
        return True

    memoized = cache.memoize(original)
    assert inspect.signature(memoized) == inspect.signature(original)
    assert (memoized.__name__, memoized.__doc__) == ("original", "What it does.")
    assert memoized.__wrapped__ is memoized.uncached is original


@functools.partial(lambda function: Cache().memoize(function))
def importable(x: int) -> int:
    return x


def test_a_memoized_function_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(importable)) is importable


def test_results_of_any_value_are_kept(cache: Cache) -> None:
    calls: list[Any] = []

    @cache.memoize
    def f(x: Any) -> Any:
        calls.append(x)
        return None if x == 1 else False

    assert [f(1), f(1), f(2), f(2)] == [None, None, False, False]
    assert calls == [1, 2]


def test_errors_are_not_kept(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize
    def f() -> int:
        calls.append(1)
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            f()
    assert len(calls) == 2


# -- templates


def test_templates_make_keys_and_tags(cache: Cache) -> None:
    f = counting(cache, key="user:{x}", tags=["users", "user:{x}", "{y!r}"], ttl=60)
    assert (f(7), f(7, "other")) == (1, 1)
    assert cache.keys() == ["user:7"]
    assert cache.tags("user:7") == ["users", "user:7", "2"]
    assert 59 < cache.ttl("user:7") <= 60
    cache.invalidate("user:7")
    assert f(7) == 2


def test_a_template_may_look_into_an_argument(cache: Cache) -> None:
    class User:
        def __init__(self, number: int) -> None:
            self.id = number

    f = counting(cache, key="u:{x.id}:{y[0]:>3}")
    user = User(1)
    assert f(user, "ab") == f(User(1), "ac") == 1
    user.id = 2
    assert f(user, "ab") == 2
    assert sorted(cache.keys()) == ["u:1:  a", "u:2:  a"]
    f.cache_clear()
    assert cache.keys() == []


def test_a_key_may_be_a_function(cache: Cache) -> None:
    f = counting(cache, key=lambda x, y=2: f"k{x % 2}")
    assert [f(1), f(3), f(2)] == [1, 1, 2]
    assert f.key(5) == "k1"


def test_tags_may_be_found_in_the_result(cache: Cache) -> None:
    f = counting(cache, key="k{x}", tags=lambda result: [f"r{result}"])
    f(1)
    assert cache.tags("k1") == ["r1"]


@pytest.mark.parametrize(
    "options",
    [
        {"key": "u:{nope}"},
        {"key": "{}"},
        {"key": "{0}"},
        {"key": "{x:{nope}}"},
        {"key": "{x"},
        {"tags": ["t", "{nope.id}"]},
        {"ignore": ["nope"]},
    ],
)
def test_a_template_that_names_no_parameter_is_refused_at_decoration(
    cache: Cache, options: dict[str, Any]
) -> None:
    with pytest.raises(TemplateError):
        cache.memoize(**options)(lambda x, y: x)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tags": "users"}, TypeError),
        ({"key": 5}, TypeError),
        ({"early": -1}, ArgumentError),
        ({"ignore": "y"}, TypeError),
    ],
)
def test_what_is_wrong_is_refused_at_decoration(
    cache: Cache, options: dict[str, Any], error: type
) -> None:
    with pytest.raises(error):
        cache.memoize(**options)(lambda x: x)


def test_an_unknown_option_is_named(cache: Cache) -> None:
    with pytest.raises(TypeError, match=r"^no such option: colour, tag$"):
        cache.memoize(tag=["users"], colour="red")(lambda x: x)


def test_a_generator_is_refused(cache: Cache) -> None:
    async def later() -> Any:
        yield 1

    def now() -> Any:
        yield 1

    for function in (later, now, 5, int):
        with pytest.raises(TypeError):
            cache.memoize(function)  # type: ignore[call-overload]


def test_what_is_ignored_makes_no_key(cache: Cache) -> None:
    f = counting(cache, ignore=["y"])
    assert [f(1, []), f(1, {}), f(2, [])] == [1, 1, 2]


def test_an_argument_without_a_hash_is_named(cache: Cache) -> None:
    f = counting(cache)
    for call in (f, f.key, f.peek, f.invalidate):
        with pytest.raises(TypeError, match="argument 'y' is unhashable: list"):
            call(1, [])


def test_an_error_of_an_argument_itself_is_not_hidden(cache: Cache) -> None:
    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise TypeError("no comparing")

    f = counting(cache)
    f(Odd())
    with pytest.raises(TypeError, match="no comparing"):
        f(Odd())


def test_a_type_error_of_what_makes_the_key_is_not_hidden(cache: Cache) -> None:
    f = counting(cache, key=lambda x, y=2: "user:" + x["id"])
    assert f({"id": "7"}) == 1
    for call in (f, f.key, f.peek):
        with pytest.raises(TypeError, match="concatenate"):
            call({"id": 7})


def test_equality_and_hashes_of_arguments_may_use_the_cache(cache: Cache) -> None:
    class Nosy:
        def __hash__(self) -> int:
            return cache.incr("hashed") * 0

        def __eq__(self, other: object) -> bool:
            return cache.incr("compared") > 0 and isinstance(other, Nosy)

    f = counting(cache)
    assert f(Nosy()) == f(Nosy()) == 1


def test_objects_of_other_types_are_told_by_equality(cache: Cache) -> None:
    f = counting(cache)
    assert [f(frozenset("ab")), f(frozenset("ba")), f(1 + 2j), f(1 + 2j)] == [1, 1, 2, 2]
    first = object()
    assert [f(first), f(object()), f(first)] == [3, 4, 3]


def test_a_key_beyond_a_kilobyte_is_hashed(cache: Cache) -> None:
    f = counting(cache)
    assert [f("x" * 5000), f("x" * 5000), f("x" * 5001)] == [1, 1, 2]
    assert all(len(key) < 200 for key in cache)


def test_closures_of_one_function_share_no_results(cache: Cache) -> None:
    def make(number: int) -> Callable[[], int]:
        @cache.memoize
        def inner() -> int:
            return number

        return inner

    assert [make(1)(), make(2)()] == [1, 2]


# -- controls


def test_the_controls_of_a_memoized_function(cache: Cache) -> None:
    f = counting(cache, tags=["t{x}"], ttl=60)
    assert f.peek(1) is MISSING
    assert (f(1), f.peek(1)) == (1, 1)
    f.put(99, 1)
    assert (f(1), cache.tags(f.key(1)), cache.ttl(f.key(1)) > 59) == (99, ["t1"], True)
    assert (f.refresh(1), f(x=1)) == (2, 2)
    assert (f.invalidate(1), f.invalidate(1), f(1)) == (True, False, 3)
    assert (f.uncached(1), f(1)) == (4, 3)


def test_cache_info_counts_as_lru_cache_does(cache: Cache) -> None:
    f, g = counting(cache), functools.lru_cache(None)(lambda x: x)
    for x in (1, 2, 1, 1, 3):
        f(x)
        g(x)
    assert f.cache_info() == g.cache_info()
    f.cache_clear()
    assert (f.cache_info(), cache.keys()) == ((0, 0, None, 0), [])


def test_cache_clear_ends_loads_that_are_under_way(cache: Cache) -> None:
    began, go = threading.Event(), threading.Event()

    @cache.memoize
    def f(x: int) -> str:
        began.set()
        assert go.wait(60)
        return "old"

    thread = threading.Thread(target=f, args=(1,))
    thread.start()
    assert began.wait(60)
    f.cache_clear()
    go.set()
    thread.join()
    assert f.peek(1) is MISSING


def test_threads_that_miss_together_call_once(cache: Cache) -> None:
    both, calls = threading.Barrier(8), []

    @cache.memoize
    def f(x: int) -> int:
        calls.append(x)
        return x

    def run() -> None:
        both.wait(60)
        f(1)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


def test_tags_of_memoized_calls_reach_the_load_around_them(cache: Cache) -> None:
    @cache.memoize(tags=["part"])
    def part() -> str:
        return "p"

    @cache.memoize(key="page{x}")
    def page(x: int) -> str:
        return part()

    page(1)
    page(2)
    assert (cache.tags("page1"), cache.tags("page2")) == (["part"], ["part"])


def test_stale_results_and_early_refresh_work_for_functions() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    f = counting(cache, ttl=10, stale_if_error=60)
    assert f(1) == 1
    g = counting(cache, ttl=10, eager=0.5)
    assert (g(1), g(1), g.cache_info().hits) == (1, 1, 1)


# -- coroutines


def test_a_memoized_coroutine_function_is_one() -> None:
    cache, calls = Cache(), []

    @cache.memoize(key="k{x}")
    async def f(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return x

    async def main() -> list[Any]:
        together = await asyncio.gather(*(f(1) for _ in range(50)))
        return [set(together), await f(x=1), await f.refresh(1), f.peek(1), f.key(1)]

    assert inspect.iscoroutinefunction(f)
    assert asyncio.run(main()) == [{1}, 1, 1, 1, "k1"]
    assert calls == [1, 1]


def test_cache_clear_removes_the_result_of_a_load_that_outlasts_many_calls(
    cache: Cache,
) -> None:
    began, go = threading.Event(), threading.Event()

    @cache.memoize(cache_if=bool)
    def f(x: int) -> int:
        if x == 1:
            began.set()
            assert go.wait(60)
        return x == 1

    thread = threading.Thread(target=f, args=(1,))
    thread.start()
    assert began.wait(60)
    for x in range(2, 2000):
        f(x)
    go.set()
    thread.join()
    f.cache_clear()
    assert f.peek(1) is MISSING


# -- no leaks


def test_places_of_keys_that_are_gone_are_forgotten() -> None:
    cache = Cache(max_entries=100)

    @cache.memoize
    def f(x: int) -> int:
        return x

    for x in range(3000):
        f(x)
    index = f.key.__self__._index
    assert len(index.places.keys) <= 1024
    assert f.cache_info().currsize == 100


def test_arguments_are_let_go_with_their_results() -> None:
    cache = Cache()

    class Argument:
        pass

    @cache.memoize
    def f(x: object) -> int:
        return 1

    argument = Argument()
    f(argument)
    reference = weakref.ref(argument)
    f.cache_clear()
    del argument
    assert reference() is None
