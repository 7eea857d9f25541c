"""One contract for a cache, wherever it is: what a server answers is what a process answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from caches import NAMESPACES, NEAR, PLACES, SERVERS, TYPED, cache_at
from real_servers import HOST, RealServer, free_port, redis_binary, running
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import our_server

from cachestorm import MISSING, Cache, CacheStormError, connect
from cachestorm.contrib.places import open_store
from cachestorm.errors import CodecError, WrongTypeError
from cachestorm.remote.commands import LOCAL
from cachestorm.remote.refusals import (
    DeniedError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
)
from cachestorm.remote.remote_cache import RemoteCache
from cachestorm_server.hosting import serve

VALUES = [
    "text",
    "",
    "é\udc80",
    b"bytes",
    b"",
    b"5",
    b"-1.5",
    b"\xc5\x01sfake",
    0,
    -7,
    2**63,
    -(2**80),
    1.5,
    3.0,
    -0.0,
    1e300,
    float("inf"),
    True,
    None,
    {"a": [1, None, "x"]},
    ["list"],
]


def call(method: str, *args: Any, **options: Any) -> Callable[[Any], Any]:
    """A call of a method on whatever cache."""

    def run(cache: Any) -> Any:
        return getattr(cache, method)(*args, **options)

    run.__doc__ = f"{method}{args}{options or ''}"
    return run


# each script on an empty cache; of every call the value or the class of the error is compared
SCRIPTS: dict[str, list[Callable[[Any], Any]]] = {
    "strings": [
        call("get", "k"),
        call("get", "k", 1),
        call("set", "k", "v", 60),
        call("set", "k", "w", nx=True),
        call("set", "k", "w", xx=True, get=True),
        call("set", "none", "w", xx=True),
        call("set", "k", 1, nx=True, xx=True),
        call("set", "k", 1, -1),
        call("set", "k", 1, "soon"),
        call("get", "k"),
        call("getdel", "k", MISSING),
        call("getdel", "k", MISSING),
        call("setnx", "k", None),
        call("getset", "k", {"a": 1}),
        call("get", "k"),
        call("setex", "k", 5, "v"),
        call("setex", "k", timedelta(milliseconds=5500), "v"),
        call("getex", "k", None),
        call("ttl", "k"),
        call("mset", {"a": 1, "b": "two"}),
        call("mget", "a", "b", "none"),
        call("mget", "a", "none", default=MISSING),
        call("msetnx", {"a": 1, "c": 3}),
        call("incr", "a"),
        call("incr", "a", 10),
        call("decr", "a", 2),
        call("incr", "b"),
        call("incrbyfloat", "f", 1.25),
        call("get", "f"),
        call("get", "a"),
    ],
    "parts of values": [
        call("set", "s", "héllo"),
        call("strlen", "s"),
        call("getrange", "s", 1, 2),
        call("getbit", "s", 1),
        call("bitcount", "s"),
        call("bitcount", "s", 0, 1),
        call("bitpos", "s", 1, 1),
        call("strlen", "none"),
        call("append", "b", b"ab"),
        call("append", "b", "c"),
        call("get", "b"),
        call("setrange", "b", 1, "x"),
        call("get", "b"),
        call("setbit", "bits", 7, 1),
        call("get", "bits"),
        call("bitfield", "bits", ("SET", "u8", 0, 255), ("INCRBY", "u8", "#0", 10)),
        call("set", "o", {"a": 1}),
        call("append", "o", "x"),
        call("hset", "h", "f", "héllo"),
        call("hstrlen", "h", "f"),
        call("hstrlen", "h", "none"),
    ],
    "keys": [
        call("update", {"a": 1, "b": 2}),
        call("exists", "a", "b", "none"),
        call("exists", ["a", "none"]),
        call("type", "a"),
        call("rename", "a", "c"),
        call("rename", "none", "c"),
        call("renamenx", "b", "c"),
        call("copy", "b", "d"),
        call("copy", "b", "d", replace=True),
        lambda cache: sorted(cache.keys()),
        lambda cache: sorted(cache.keys("[cd]")),
        lambda cache: sorted(cache.scan_iter()),
        lambda cache: sorted(cache.items()),
        call("dbsize"),
        call("touch", "b", "none"),
        call("delete", "b", "none"),
        call("delete", ["c", "d"]),
        call("delete"),
        call("expire", "none", 5),
        call("expire", "none", 0),
    ],
    "hashes": [
        call("hset", "h", mapping={"a": 1, "b": None}),
        call("hset", "h", "c", "text"),
        call("hset", "h"),
        call("hget", "h", "a"),
        call("hget", "h", "none", MISSING),
        call("hmget", "h", "a", "none"),
        call("hgetall", "h"),
        call("hincrby", "h", "a", 2),
        call("hincrby", "h", "c"),
        call("hincrbyfloat", "h", "a", 0.5),
        call("hdel", "h", "a", "none"),
        call("hdel", "h", ("b",)),
        call("hlen", "h"),
        call("hexists", "h", "c"),
        call("hkeys", "h"),
        call("hvals", "h"),
        call("hscan", "h"),
        call("lpush", "h", 1),
    ],
    "lists": [
        call("rpush", "l", "a", 1, b"b", None),
        call("lpush", "l", {"o": 1}),
        call("lrange", "l"),
        call("lindex", "l", 0),
        call("lindex", "l", 99, MISSING),
        call("lset", "l", 1, "z"),
        call("lset", "l", 99, "z"),
        call("lpos", "l", "z"),
        call("linsert", "l", "before", "z", "y"),
        call("linsert", "l", "beside", "z", "y"),
        call("lrem", "l", 0, 1),
        call("lpop", "l"),
        call("lpop", "l", 2),
        call("lpop", "none", 2),
        call("rpop", "l"),
        call("llen", "l"),
        call("lmove", "l", "m"),
        call("lmpop", ["none", "m"]),
        call("blpop", "m", 0.01),
        call("rpush", "none"),
        call("ltrim", "l", 0, 0),
    ],
    "sets": [
        call("sadd", "s", "a", "b", 1),
        call("sadd", "t", "b", "c"),
        call("smembers", "s"),
        call("sunion", "s", "t"),
        call("sinter", "s", "t"),
        call("sdiff", "s", "t"),
        call("sinterstore", "d", "s", "t"),
        call("sintercard", ["s", "t"]),
        call("sismember", "s", "a"),
        call("smismember", "s", "a", "none"),
        call("smove", "s", "t", "a"),
        call("srem", "s", "1", "none"),
        call("spop", "d"),
        call("spop", "d"),
        call("scard", "s"),
        call("sscan", "s"),
        call("get", "s"),
    ],
    "sorted sets": [
        call("zadd", "z", {"a": 1, "b": 2.5, "c": 3}),
        call("zadd", "z", {"a": 2}, incr=True),
        call("zadd", "z", {"a": 9}, nx=True),
        call("zadd", "z", {}, nx=True),
        call("zrange", "z"),
        call("zrange", "z", 0, 1, withscores=True),
        call("zrange", "z", "-inf", "+inf", byscore=True, offset=1, count=1),
        call("zrangebyscore", "z", 2, 3, withscores=True),
        call("zscore", "z", "b"),
        call("zmscore", "z", "b", "none"),
        call("zrank", "z", "c"),
        call("zrank", "z", "none"),
        call("zincrby", "z", 1.5, "b"),
        call("zcount", "z", 0, 3),
        call("zunion", ["z", "none"], withscores=True),
        call("zunion", {"z": 2}, withscores=True),
        call("zpopmin", "z"),
        call("zpopmax", "z", 2),
        call("bzpopmin", "z", 0.01),
        call("zcard", "z"),
        call("geoadd", "g", {"Palermo": (13.361389, 38.115556)}),
        call("geohash", "g", "Palermo", "none"),
        call("geopos", "g", "none"),
        call("geosearchstore", "near", "g", member="Palermo", radius=1, unit="km"),
    ],
    "as a mapping": [
        call("add", "k", 1),
        call("add", "k", 2),
        call("setdefault", "k", 3),
        call("setdefault", "d", 3, 60),
        call("get_many", ["k", "d", "none"]),
        call("set_many", {"x": 1, "y": 2}, 60),
        call("delete_many", ["x", "none"]),
        call("pop", "y"),
        call("pop", "y"),
        call("pop", "y", 0),
        call("compare_and_set", "k", 2, 3),
        call("compare_and_set", "k", 1, 3),
        call("compare_and_set", "new", MISSING, 3),
        call("modify", "k", lambda value: value + 1),
        call("modify", "made", lambda value: value or "made"),
        lambda cache: cache["k"],
        lambda cache: cache["none"],
        lambda cache: ("k" in cache, "none" in cache, 1 in cache, len(cache), bool(cache)),
        lambda cache: cache.__delitem__("none"),
        lambda cache: sorted(cache),
        lambda cache: cache.popitem()[0] in ("d", "k", "made", "new"),
        call("clear"),
        call("popitem"),
    ],
    "wrong calls": [
        call("get"),
        call("get", 1),
        call("get", b"k"),
        call("set", "k"),
        call("set", "k", 1, colour="red"),
        call("set", "k", 1, 2, 3),
        call("sadd", "s", object()),
        call("expire", "k", object()),
        call("lpush", "l"),
        call("lpop", "l", -1),
        call("set", "k", 1, tags="t"),
    ],
    "tags": [
        call("set", "a", 1, tags=["t", "u"]),
        call("set_many", {"b": 1, "c": 2}, tags=["t"]),
        call("settag", "d", "v", "u"),
        call("tags", "a"),
        call("tagkeys", "t"),
        call("tagcount", "t"),
        call("addtag", "a", "x"),
        call("remtag", "a", "x"),
        call("compare_and_set", "a", 1, 2),
        call("modify", "a", lambda value: value + 1),
        call("tags", "a"),
        call("invalidate", "t", "u", dry_run=True),
        call("taglink", "t", "child"),
        call("taglink", "child", "t"),
        call("tagchildren", "t"),
        call("set", "e", 1, tags=["child"]),
        call("invalidate", "t", cascade=True),
        call("invalidate", ["t", "u"]),
        call("invalidate", "t", soft=True),
        call("set", "k", 1, tags=[""]),
        lambda cache: sorted(cache.keys()),
    ],
}


# what a cluster refuses of each script, whose keys are in several slots
OF_ONE_SLOT = {
    "strings": ["msetnx"],
    "keys": ["rename", "rename", "renamenx", "copy", "copy"],
    "lists": ["lmove", "lmpop"],
    "sets": ["sunion", "sinter", "sdiff", "sinterstore", "sintercard", "smove"],
    "sorted sets": ["zunion", "geosearchstore"],
}


def outcome(cache: Any, run: Callable[[Any], Any]) -> Any:
    """What a call gives, or the class of the error that it raises."""
    try:
        found = run(cache)
    except (CacheStormError, KeyError, TypeError, ValueError) as error:
        return type(error)
    # -0.0 and 0.0, 1 and True are not the same value
    return repr(found) if not isinstance(found, (set, dict)) else found


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("place", [*SERVERS, *TYPED, *NAMESPACES, *NEAR])
def test_a_server_answers_as_a_process_does(
    place: str, script: str, request: pytest.FixtureRequest
) -> None:
    here: Cache[Any] = Cache()
    refused = []
    with cache_at(place, request) as there:
        for run in SCRIPTS[script]:
            far = outcome(there, run)
            if far is UnsupportedError:
                refused.append(str(run.__doc__).partition("(")[0])
                continue
            near = outcome(here, run)
            if isinstance(near, type) and isinstance(far, type):
                # a refusal that came by wire says less than one that was raised here
                assert issubclass(far, near) or far in near.__mro__[1:2], run.__doc__
            else:
                assert (run.__doc__, far) == (run.__doc__, near)
    assert refused == (OF_ONE_SLOT.get(script, []) if "cluster" in place else [])


@pytest.mark.parametrize("place", [*PLACES, *NEAR])
def test_a_value_comes_back_as_it_was(place: str, request: pytest.FixtureRequest) -> None:
    with cache_at(place, request) as cache:
        for value in VALUES:
            cache.set("k", value)
            cache.rpush("l", value)
            cache.hset("h", "f", value)
            found = [cache.get("k"), cache["k"], *cache.get_many(["k"]).values()]
            found += [cache.lpop("l"), cache.hget("h", "f"), *cache.mget("k")]
            told = [(repr(each), type(each)) for each in found]
            assert told == [(repr(value), type(value))] * 6


def test_a_refusal_names_the_call_and_the_reason() -> None:
    with (
        connect("redis://127.0.0.1:1") as cache,
        pytest.raises(UnsupportedError) as caught,
    ):
        cache.set("k", 1, idle=5)
    assert str(caught.value) == (
        "set(idle=...) cannot be answered by redis://127.0.0.1:1: "
        "it belongs to a cache in this process"
    )


def test_an_object_without_a_form_is_refused_before_anything_is_sent() -> None:
    cache = connect(f"redis://{HOST}:{free_port()}")
    with pytest.raises(CodecError, match="object has no form in JSON"):
        cache.set("k", object())


def test_a_codec_of_the_user_makes_the_bytes_of_objects(redis_server: RealServer) -> None:
    url = f"redis://{HOST}:{redis_server.port}"
    with connect(url, codec="pickle") as cache, connect(url) as other:
        cache.set("k", (1, {2}))
        assert cache.get("k") == (1, {2})
        with pytest.raises(CodecError, match="no JSON"):
            other.get("k")


def test_text_and_numbers_of_other_clients_are_read(redis_server: RealServer) -> None:
    client = redis.Redis(port=redis_server.port)
    client.mset({"text": "hello", "number": 5})
    with connect(f"redis://{HOST}:{redis_server.port}") as cache:
        assert [cache.get("text"), cache.get("number")] == [b"hello", 5]
        cache.set("n", 7)
        assert client.incr("n") == 8


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    cache = connect(f"redis://:secret@{HOST}:{free_port()}", retry=Retry(NoBackoff(), 0))
    with pytest.raises(UnreachableError) as caught:
        cache.get("k")
    assert HOST in str(caught.value) and "secret" not in str(caught.value)
    assert "secret" not in repr(cache)


def test_what_a_server_without_tags_cannot_do_is_an_error_and_a_capability() -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with (
        running("redis", redis_binary(), *options) as server,
        connect(f"redis://{HOST}:{server.port}") as cache,
    ):
        known = cache.capabilities
        assert (known.server, known.tags) == ("redis", False)
        for run in (
            call("set", "k", 1, tags=["t"]),
            call("set_many", {"k": 1}, tags=["t"]),
            call("setdefault", "k", 1, tags=["t"]),
            call("compare_and_set", "k", MISSING, 1, tags=["t"]),
            call("invalidate", "t"),
        ):
            with pytest.raises(UnsupportedError, match=r"allkeys-lru may evict the index"):
                run(cache)
        with pytest.raises(UnsupportedError, match=r"redis|process"):
            cache.tagkeys("t")
        assert len(cache) == 0
        assert (cache.set("k", 1), cache.get("k"), cache.keys()) == (True, 1, ["k"])


@pytest.mark.parametrize("name", ["transaction", "listen", "version", *sorted(LOCAL)])
def test_what_belongs_to_a_process_says_so(name: str, redis_server: RealServer) -> None:
    if name in ("ttl", "expiretime"):
        pytest.skip("these are worked out of milliseconds")
    refused = pytest.raises(UnsupportedError, match=rf"{name}\(\) cannot be answered")
    with connect(f"redis://{HOST}:{redis_server.port}") as cache, refused:
        getattr(cache, name)("k")


def test_effects_are_refused_to_tasks_as_listeners_are() -> None:
    with connect("redis://127.0.0.1:1") as cache:
        refused = pytest.raises(UnsupportedError, match=r"effects\(\) cannot be answered")
        with refused:
            cache.aio.effects()


@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_a_server_that_asks_for_a_password_is_not_said_to_be_away(on_error: Any) -> None:
    with serve(Cache(), port=0, password="secret") as protocols:
        address = f"{HOST}:{protocols.resp.port}"
        for url in (f"redis://{address}", f"redis://:guess@{address}"):
            with connect(url, on_error=on_error) as cache:
                with pytest.raises(DeniedError) as caught:
                    cache.get("k")
                with pytest.raises(DeniedError):
                    asyncio.run(cache.aio.get("k"))
                with pytest.raises(DeniedError):
                    cache.get_or_set("k", lambda: 1)
                with pytest.raises(DeniedError):
                    cache.set("k", 1)
                assert cache.stats().ignored_errors == 0
            assert "does not let us in" in str(caught.value)
            assert "cannot be reached" not in str(caught.value)
            assert "guess" not in str(caught.value)


def test_what_a_user_may_not_do_is_no_miss() -> None:
    with serve(Cache(), port=0) as protocols:
        address = f"{HOST}:{protocols.resp.port}"
        with redis.Redis(HOST, protocols.resp.port) as client:
            client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~mine:*", "+@all")
        with connect(f"redis://ann:pw@{address}", on_error="miss") as cache:
            assert cache.get("mine:1") is None
            with pytest.raises(RefusedError, match="NOPERM"):
                cache.get("k")
            with pytest.raises(RefusedError, match="NOPERM"):
                cache.set("k", 1)


@pytest.mark.parametrize("url", ["redis://{}", "redis://:guess@{}", "redis://ann:pw@{}"])
def test_a_backend_that_ignores_errors_does_not_ignore_a_wrong_password(url: str) -> None:
    with serve(Cache(), port=0, password="secret") as protocols:
        address = f"{HOST}:{protocols.resp.port}"
        with redis.Redis(HOST, protocols.resp.port, password="secret") as client:
            client.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "~mine:*", "+@all")
        cache = open_store(
            url.format(address), {}, serializer="json", secrets=["s"], ignore_errors=True
        )
        assert isinstance(cache, RemoteCache)
        with pytest.raises((redis.AuthenticationError, redis.exceptions.NoPermissionError)):
            cache.get("k")
        assert cache.failures.ignored == 0


def test_a_value_in_an_envelope_is_never_changed_in_part(cache: Any) -> None:
    cache.set("k", {"a": 1})
    for run in (
        call("append", "k", "x"),
        call("setbit", "k", 0, 1),
        call("setrange", "k", 0, "x"),
    ):
        with pytest.raises(WrongTypeError):
            run(cache)
    assert cache.get("k") == {"a": 1}


def test_namespaces_of_a_server_are_apart() -> None:
    with (
        our_server() as server,
        connect(f"redis://{HOST}:{server.port}") as cache,
        cache.namespace("sessions") as sessions,
    ):
        sessions.set("k", 1)
        assert (sessions.name, sessions.get("k"), cache.get("k")) == ("sessions", 1, None)
        assert asyncio.run(sessions.aio.get("k")) == 1


def test_a_time_to_live_of_none_is_for_ever_also_where_there_is_a_default() -> None:
    with (
        our_server(cache=Cache(default_ttl=60)) as server,
        connect(f"redis://{HOST}:{server.port}") as cache,
    ):
        cache.set("default", 1)
        cache.set("set", 1, None)
        cache.add("added", 1, None)
        cache.set_many({"many": 1}, None)
        cache.setdefault("defaulted", 1, None)
        assert cache.ttl("default") > 50
        assert [cache.ttl(key, 0) for key in ("set", "added", "many", "defaulted")] == [
            None
        ] * 4


@pytest.mark.parametrize("place", [*SERVERS, *TYPED, *NAMESPACES, *NEAR])
def test_what_is_awaited_is_the_same(place: str, request: pytest.FixtureRequest) -> None:
    async def course(cache: Any) -> list[Any]:
        async with cache:
            found = [
                await cache.set("k", "v", 60),
                await cache.get("k"),
                await cache.strlen("k"),
                await cache.compare_and_set("k", "v", 1),
                await cache.incr("k"),
                await cache.get_many(["k", "none"]),
                await cache.blpop("none", 0.01),
                [key async for key in cache.scan_iter()],
            ]
            with pytest.raises(WrongTypeError):
                await cache.lpush("k", 1)
            return found

    with cache_at(place, request) as cache:
        found = asyncio.run(course(cache.aio))
    assert found == [True, "v", 1, True, 2, {"k": 2}, None, ["k"]]


def test_two_who_modify_a_key_lose_nothing(cache: Any) -> None:
    def many() -> None:
        for _ in range(20):
            cache.modify("n", lambda number: (number or 0) + 1)

    threads = [threading.Thread(target=many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 60
