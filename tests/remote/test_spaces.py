"""Namespaces by name where the server has none: apart from all else, for all who connect."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from caches import NAMESPACES, address, cache_at
from partitions import LOST, OPEN, partition
from real_servers import HOST, free_port, redis_binary, running
from workers import until

from cachestorm import Cache, connect
from cachestorm.errors import InvalidKeyError, NamespaceError
from cachestorm.remote.dialect import word_bytes
from cachestorm.remote.refusals import UnreachableError, UnsupportedError
from cachestorm.remote.spaces import Space

PREFIX = b"cachestorm:in:blog:"
PATIENCE_S = 60.0


@pytest.fixture(params=["redis", "cluster"])
def far(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty cache without a name on each."""
    with cache_at(request.param, request) as cache:
        yield cache


@pytest.fixture(params=NAMESPACES)
def space(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty namespace on each."""
    with cache_at(request.param, request) as cache:
        yield cache


SORTED: dict[str, tuple[list[Any], list[bytes]]] = {
    "alone": (["SORT", "l"], [b"SORT", PREFIX + b"l"]),
    "by nothing": (["SORT", "l", "BY", "no"], [b"SORT", PREFIX + b"l", b"BY", b"no"]),
    "by keys, to a key that is called get": (
        ["SORT", "l", "by", "w_*", "LIMIT", 0, 1, "GET", "#", "GET", "o_*->f", "STORE", "get"],
        [
            *(b"SORT", PREFIX + b"l", b"by", PREFIX + b"w_*", b"LIMIT", b"0", b"1"),
            *(b"GET", b"#", b"GET", PREFIX + b"o_*->f", b"STORE", PREFIX + b"get"),
        ],
    ),
}


@pytest.mark.parametrize("words", SORTED)
def test_the_keys_of_a_pattern_of_sort_are_those_of_the_namespace(words: str) -> None:
    given, expected = SORTED[words]
    assert [word_bytes(word) for word in Space("blog").words(given)] == expected


def test_a_value_that_is_the_same_bytes_as_a_key_stays_what_it_is() -> None:
    found = Space("blog").words(["MSET", b"k", b"k", b"o", b"k"])
    assert found == ["MSET", PREFIX + b"k", b"k", PREFIX + b"o", b"k"]


def test_no_name_is_the_beginning_of_another() -> None:
    names = ["a", "a:b", "a%3Ab", "a*", "A", "é", "{a}", "keys", "a:"]
    prefixes = [Space(name).prefix for name in names]
    assert [
        (one, other)
        for one in prefixes
        for other in prefixes
        if one is not other and one.startswith(other)
    ] == []
    assert not any(set(prefix) & set(b"{}*?[]\\") for prefix in prefixes)


def test_they_are_apart(far: Any) -> None:
    blog, shop = far.namespace("blog"), far.namespace("shop")
    for number, cache in enumerate((far, blog, shop)):
        cache.set("k", number, tags=["t"])
        cache.rpush("l", number)
    blog.taglink("all", "t")
    assert [cache.get("k") for cache in (far, blog, shop)] == [0, 1, 2]
    assert blog.invalidate("all", cascade=True) == 1
    assert [cache.exists("k") for cache in (far, blog, shop)] == [1, 0, 1]
    assert [sorted(cache.keys()) for cache in (far, blog, shop)] == [
        ["k", "l"],
        ["l"],
        ["k", "l"],
    ]
    assert shop.clear() is None
    assert [sorted(cache) for cache in (far, blog, shop)] == [["k", "l"], ["l"], []]
    assert (len(blog), len(shop), blog.name) == (1, 0, "blog")
    assert [cache.randomkey() for cache in (blog, shop)] == ["l", None]


def test_nothing_of_one_that_was_cleared_is_left(space: Any) -> None:
    space.set_many({f"k{number}": number for number in range(50)}, tags=["t"])
    space.taglink("all", "t")
    space.clear()
    assert (len(space), space.tagcount("t"), space.taglinks()) == (0, 0, [])
    space.set("k1", 1)
    assert (space.tags("k1"), space.invalidate("t")) == ([], 0)


def test_what_each_capability_says_of_them(far: Any) -> None:
    known = far.capabilities
    assert (known.namespaces, known.namespaces_apart) == (True, False)
    for name in ("default", "db1", "db15"):
        with pytest.raises(UnsupportedError, match="by its number in the address"):
            far.namespace(name)
    with pytest.raises(NamespaceError, match="printable characters"):
        far.namespace("two words")
    with pytest.raises(InvalidKeyError, match="those of namespaces"):
        far.set("cachestorm:in:blog:k", 1)


def test_tasks_see_the_same(space: Any) -> None:
    async def course() -> list[Any]:
        async with space.aio as cache:
            await cache.set("k", {"a": 1}, 60, tags=["t"])
            return [
                await cache.get("k"),
                await cache.get_many(["k", "none"]),
                await cache.tagkeys("t"),
                [key async for key in cache.scan_iter()],
                await cache.get_or_set("new", lambda: 1),
                await cache.invalidate("t"),
                await cache.keys(),
            ]

    assert asyncio.run(course()) == [{"a": 1}, {"k": {"a": 1}}, ["k"], ["k"], 1, 1, ["new"]]
    assert space.get("new") == 1


def test_loads_and_locks_are_those_of_the_namespace(far: Any) -> None:
    blog = far.namespace("blog")
    assert far.lock("l").acquire(timeout=0) is True
    assert blog.lock("l").acquire(timeout=0) is True
    assert blog.lock("l").acquire(timeout=0) is False
    calls: list[str] = []

    @blog.memoize(ttl=60, tags=["posts"], stale="1m")
    def post(number: int) -> int:
        calls.append("post")
        return number

    assert [post(1), post(1), calls] == [1, 1, ["post"]]
    assert far.invalidate("posts") == 0
    assert blog.invalidate("posts") > 0
    assert [post(1), calls] == [1, ["post"] * 2]
    blog.delete_many(blog.keys())
    assert [post(1), calls] == [1, ["post"] * 3]


@pytest.mark.parametrize("place", NAMESPACES)
def test_a_near_cache_hears_of_its_namespace_alone(
    place: str, request: pytest.FixtureRequest
) -> None:
    server = address(place.partition(" ")[0], request)
    with connect(server) as other, connect(server, near=True) as whole:
        other.flushall()
        # before anybody listens: a write of its own is told, too, whenever that comes
        other.namespace("blog").set("k", 1)
        mine = whole.namespace("blog")
        assert mine.get("k") == 1
        assert mine.near.wait_until_live(PATIENCE_S)
        until(lambda: mine.get("k") == mine.near.values.get("k") == 1)
        other.set("k", 2)
        assert (mine.near.values.get("k"), mine.get("k")) == (1, 1)
        other.namespace("blog").set("k", 3)
        until(lambda: mine.near.values.get("k") is None)
        assert mine.get("k") == 3
        other.flushall()
        until(lambda: mine.near.values.get("k") is None)
        mine.close()


def test_what_a_namespace_has_missed_is_told_of_it_alone(far: Any) -> None:
    blog = far.namespace("blog")
    for cache in (far, blog):
        cache.set("k", 1, tags=["t"])
        cache.set("other", 1, tags=["u"])
    blog._wire.recovery.keep([["DEL", "k"], ["INVALIDATE", "u"]])
    blog._wire.recovery.apply()
    assert (sorted(far), sorted(blog), blog.stats().recovered) == (["k", "other"], [], 2)


def test_one_of_a_server_that_is_away_is_found_out_about_when_it_is_back() -> None:
    with (
        running("redis", redis_binary()) as server,
        partition(server.port) as proxy,
        connect(f"redis://{HOST}:{proxy.port}", on_error="miss") as cache,
    ):
        proxy.cut(LOST)
        with cache.namespace("blog") as blog:
            assert (blog.get("k", "none"), blog.set("k", 1)) == ("none", False)
            proxy.cut(OPEN)
            assert (blog.set("k", 1), blog.get("k"), blog.keys()) == (True, 1, ["k"])
            client = redis.Redis(port=server.port)
            assert client.keys("cachestorm:in:*") == [PREFIX + b"k"]


def test_where_there_are_no_tags_there_are_namespaces() -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with (
        running("redis", redis_binary(), *options) as server,
        connect(f"redis://{HOST}:{server.port}") as cache,
        cache.namespace("blog") as blog,
    ):
        cache.set("k", 0)
        blog.set("k", 1, 60)
        blog.set_many({"a": 1, "b": 2})
        assert (blog.get("k"), blog.incr("a"), len(blog), cache.keys()) == (1, 2, 3, ["k"])
        blog.clear()
        assert (blog.keys(), cache.get("k")) == ([], 0)


@pytest.mark.parametrize("method", ["blpop", "lmpop", "zmpop", "bzpopmin"])
def test_what_names_its_key_names_it_as_the_caller_does(space: Any, method: str) -> None:
    here: Cache[Any] = Cache()
    calls: dict[str, Callable[[Any], Any]] = {
        "blpop": lambda cache: (cache.rpush("k", b"v"), cache.blpop(["k", "o"], 1))[1],
        "lmpop": lambda cache: (cache.rpush("k", b"v"), cache.lmpop(["k", "o"]))[1],
        "zmpop": lambda cache: (cache.zadd("k", {"m": 1}), cache.zmpop(["k", "o"]))[1],
        "bzpopmin": lambda cache: (cache.zadd("k", {"m": 1}), cache.bzpopmin(["k", "o"], 1))[1],
    }
    if space.capabilities.cluster:
        pytest.skip("two keys in two slots")
    assert calls[method](space) == calls[method](here)


def test_a_server_that_is_away_is_an_error() -> None:
    with connect(f"redis://{HOST}:{free_port()}") as cache, pytest.raises(UnreachableError):
        cache.namespace("blog")


ALONE = """
import sys
class Refused:
    def find_spec(self, name, *args):
        if name.partition(".")[0] in ("cachestorm_server", "cachestorm_cli"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refused())
from cachestorm import connect
with connect(sys.argv[1]) as cache, cache.namespace("blog") as blog:
    blog.set("k", 1, tags=["t"])
    blog.clear()
    print(len(blog), blog.tagkeys("t"), blog.set("k", 1), blog.flushdb(), blog.get("k"))
"""


def test_a_program_without_the_server_empties_a_namespace(far: Any) -> None:
    argv = [sys.executable, "-c", ALONE, far.address.url]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0 [] True True None\n", "")


def test_tasks_ask_for_a_namespace_without_waiting(far: Any) -> None:
    async def course() -> list[Any]:
        fresh: Any = connect(far.address.url)
        async with fresh.aio as tasks, tasks.namespace("blog") as blog:
            await blog.set("k", 1)
            found = [blog.name, await blog.get("k"), await tasks.get("k")]
            with pytest.raises(UnsupportedError, match="by its number in the address"):
                await tasks.namespace("db3").get("k")
        return found

    assert asyncio.run(course()) == ["blog", 1, None]
    assert far.namespace("blog").get("k") == 1


def test_tasks_of_another_kind_of_loop_are_told_what_is_needed() -> None:
    trio = pytest.importorskip("trio")

    async def course() -> None:
        with pytest.raises(UnsupportedError, match="event loop of asyncio"):
            await connect(f"redis://{HOST}:{free_port()}").aio.get("k")

    trio.run(course)
