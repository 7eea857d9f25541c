"""What mocks, copies, pickles and weak references make of a cache: see `docs/testing.md`."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from unittest import mock

import pytest

from cachestorm import COMPILED, Cache
from cachestorm.aio import AsyncCache


class Own(Cache):
    """A class of a user's."""


WAYS: list[Callable[[object], object]] = [copy.copy, copy.deepcopy]
WAYS += [lambda what, p=protocol: pickle.dumps(what, p) for protocol in range(6)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "made",
    [Cache, Own, lambda: Cache().namespace("n"), lambda: Cache().aio],
    ids=["cache", "own class", "view", "awaitable"],
)
def test_no_cache_is_copied_or_pickled(
    made: Callable[[], object], way: Callable[[object], object]
) -> None:
    with pytest.raises(TypeError, match="a cache lives in one process"):
        way(made())


@pytest.mark.parametrize("kind", [Cache, Own])
def test_a_method_is_patched_in_the_class_and_put_back(kind: type[Cache]) -> None:
    cache = kind()
    cache.set("k", "stored")
    with mock.patch.object(kind, "get", return_value="patched") as get:
        assert cache.get("k") == "patched"
    get.assert_called_once_with("k")
    assert cache.get("k") == "stored"


def test_a_method_is_patched_in_an_object_of_a_class_of_your_own() -> None:
    cache, other = Own(), Own()
    other.set("k", "stored")
    with mock.patch.object(cache, "get", side_effect=TimeoutError), pytest.raises(TimeoutError):
        cache.get("k")
    assert cache.get("k") is None
    assert other.get("k") == "stored"


def test_a_compiled_cache_takes_no_attributes_and_says_so() -> None:
    cache = Cache()
    if not COMPILED:
        with mock.patch.object(cache, "get", return_value=1):
            assert cache.get("k") == 1
        return
    with pytest.raises(AttributeError, match="read-only"), mock.patch.object(cache, "get"):
        pass
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        cache.colour = "red"


def test_a_mock_knows_the_names_of_a_cache_and_of_the_source_the_signatures() -> None:
    made = mock.create_autospec(Cache, instance=True)
    made.get.return_value = "mocked"
    assert made.get("k") == "mocked"
    with pytest.raises(AttributeError):
        made.fetch("k")
    if COMPILED:
        # unittest.mock looks at the signatures of Python functions only
        assert made.get() == "mocked"
    else:
        with pytest.raises(TypeError):
            made.get()


def test_a_class_of_your_own_can_be_referred_to_weakly() -> None:
    cache = Own()
    assert weakref.ref(cache)() is cache
    if COMPILED:
        with pytest.raises(TypeError, match="cannot create weak reference"):
            weakref.ref(Cache())
    else:
        plain = Cache()
        assert weakref.ref(plain)() is plain


def test_an_awaitable_cache_is_of_a_class_that_can_be_patched() -> None:
    found = Cache().aio
    assert isinstance(found, AsyncCache)
    assert weakref.ref(found)() is found
