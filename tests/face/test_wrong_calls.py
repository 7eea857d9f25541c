"""Wrong calls are refused by one class and one text, compiled or not, and change nothing."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest
from wrong_calls import NATIVE, WRITTEN, WRONG_CALLS

import cachestorm
from cachestorm import COMPILED, MISSING, Cache, CacheStormError


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
        eval(call, {"c": cache, "Cache": Cache, "MISSING": MISSING})
    assert type(caught.value).__name__ == kind
    said = str(caught.value)
    assert text in said or (COMPILED and NATIVE.match(said))
    assert sorted(cache.keys()) == ["hash", "list", "set", "string", "zset"]


def test_there_are_many_wrong_calls() -> None:
    assert len(WRONG_CALLS) > 300
    assert len({call for call, _, _ in WRITTEN}) == len(WRITTEN)


def error_classes() -> list[type[CacheStormError]]:
    for module in pkgutil.walk_packages(cachestorm.__path__, "cachestorm."):
        if not module.name.endswith(("__main__", "plugin")):
            importlib.import_module(module.name)
    found: list[type[CacheStormError]] = []
    waiting = [CacheStormError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", error_classes())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling_and_copying(
    kind: type[CacheStormError], protocol: int
) -> None:
    needed = [
        each
        for each in [*inspect.signature(kind.__init__).parameters.values()][1:]
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    error = kind(*["words"] * len(needed))
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is kind
        assert (str(again), again.args, again.resp) == (str(error), error.args, error.resp)
