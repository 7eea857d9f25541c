"""Wrong calls are refused by one class and one text, compiled or not, and change nothing."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from decimal import Decimal

import pytest
from wrong_calls import WRITTEN, WRONG_CALLS

import cachestorm
import cachestorm_cli
import cachestorm_server
from cachestorm import MISSING, Cache, CacheStormError, Cause

NAMES = {"Cache": Cache, "Cause": Cause, "Decimal": Decimal, "MISSING": MISSING}


@pytest.fixture(scope="module")
def cache() -> Cache:
    cache = Cache()
    cache["string"] = "x"
    cache.rpush("list", "a")
    cache.sadd("set", "a")
    cache.hset("hash", "f", "v")
    cache.zadd("zset", {"a": 1})
    return cache


@pytest.mark.parametrize(("call", "kind", "text"), WRONG_CALLS)
def test_a_wrong_call_is_refused(cache: Cache, call: str, kind: str, text: str) -> None:
    with pytest.raises(Exception) as caught:
        eval(call, NAMES | {"c": cache})
    assert sorted(cache.keys()) == ["hash", "list", "set", "string", "zset"]
    said = str(caught.value)
    assert (type(caught.value).__name__, text in said) == (kind, True)


def test_what_is_true_or_false_is_taken_where_a_bool_belongs() -> None:
    cache = Cache(hot_keys=[])  # type: ignore[arg-type]
    cache.taglink("parent", "child")
    cache.set("k", "v", nx=1, tags=["child"])  # type: ignore[call-overload]
    assert cache.invalidate("parent", cascade=1, soft=0, dry_run="x") == 1  # type: ignore[arg-type]
    assert cache.invalidate("parent", cascade=1, soft=1) == 1  # type: ignore[arg-type]
    assert cache.get("k") is None


def test_there_are_many_wrong_calls() -> None:
    assert len(WRONG_CALLS) > 300
    assert len({call for call, _, _ in WRITTEN}) == len(WRITTEN)


def error_classes() -> list[type[CacheStormError]]:
    for package in (cachestorm, cachestorm_server, cachestorm_cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # what is for a framework is imported by it alone
            if (
                not module.name.endswith(("__main__", "plugin"))
                and "contrib" not in module.name
            ):
                importlib.import_module(module.name)
    found: list[type[CacheStormError]] = []
    waiting = [CacheStormError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


def made(kind: type[CacheStormError]) -> CacheStormError:
    """An error with as few arguments as it takes. A compiled `__init__` does not say which."""
    for count in range(4):
        try:
            return kind(*["text"] * count)
        except TypeError:
            continue
    raise AssertionError(f"{kind} cannot be made")


@pytest.mark.parametrize("kind", error_classes())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling_and_copying(
    kind: type[CacheStormError], protocol: int
) -> None:
    error = made(kind)
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is kind
        assert (str(again), again.args, again.resp) == (str(error), error.args, error.resp)
