"""The statistics of a cache as an object."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from cachestorm import Cache


def test_the_hit_ratio_of_an_unused_cache_is_zero() -> None:
    cache = Cache()
    assert (cache.stats().hit_ratio, cache.store_stats().hit_ratio) == (0.0, 0.0)


def test_the_hit_ratio_is_the_share_of_reads_that_found_their_key() -> None:
    cache = Cache()
    cache.set("k", 1)
    for key in ("k", "k", "k", "none"):
        cache.get(key)
    assert cache.stats().hit_ratio == 0.75


def test_looking_at_the_statistics_does_not_count() -> None:
    cache = Cache()
    cache.set("k", 1)
    cache.get("k")
    assert [cache.stats().hits, cache.stats().hits] == [1, 1]


def test_statistics_of_a_namespace_are_its_own_and_those_of_the_store_of_all() -> None:
    cache = Cache()
    blog = cache.namespace("blog")
    blog.set("k", 1)
    blog.get("k")
    cache.get("k")
    assert (blog.stats().hits, blog.stats().misses) == (1, 0)
    assert (cache.stats().hits, cache.stats().misses) == (0, 1)
    assert (cache.store_stats().hits, cache.store_stats().misses) == (1, 1)
    assert cache.store_stats().namespaces == 2


def test_statistics_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Cache().stats().hits = 1  # type: ignore[misc]


def test_statistics_go_into_json() -> None:
    told = json.loads(json.dumps(Cache().store_stats().as_dict()))
    assert (told["keys"], told["peak_memory"]) == (0, 0)


def test_the_repr_says_all_of_it() -> None:
    cache = Cache()
    cache.set("k", 1)
    cache.get("k")
    cache.get("none")
    shown = repr(cache.stats())
    assert shown.startswith("Stats(keys=1, expires=0, tags=0, hits=1, misses=1, ")
    assert shown.endswith("hit_ratio=0.5)")
    assert "<td>hit_ratio</td><td>0.5</td>" in cache.stats()._repr_html_()
