"""`Cache(codec=, copy=, decode=, weigher=, detect_mutation=)`: values as they come and go."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from cachestorm import MISSING, Cache, CacheStormError, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import CodecError, ConfigError, MutatedValueError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import JsonCommands
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


@dataclass
class User:
    name: str


class Reversed:
    """A codec of a user's own."""

    def encode(self, value: object) -> bytes:
        return json.dumps(value).encode()[::-1]

    def decode(self, raw: bytes) -> object:
        return json.loads(raw[::-1])


def on_wire(cache: Cache, *argv: bytes) -> bytes:
    session = Session(Endpoint(cache, REGISTRY, Settings()))
    request = b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv)
    return bytes(session.receive(b"*%d\r\n%s" % (len(argv), request)))


def bulk(raw: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


# every way by which a whole value is read in process
READS: dict[str, Callable[[Cache], Any]] = {
    "get": lambda cache: cache.get("k"),
    "[]": lambda cache: cache["k"],
    "getex": lambda cache: cache.getex("k", 60),
    "getset": lambda cache: cache.getset("k", 1),
    "set(get=True)": lambda cache: cache.set("k", 1, get=True),
    "getdel": lambda cache: cache.getdel("k"),
    "pop": lambda cache: cache.pop("k"),
    "popitem": lambda cache: cache.popitem()[1],
    "mget": lambda cache: cache.mget("k", "none")[0],
    "get_many": lambda cache: cache.get_many(["k", "none"])["k"],
    "items": lambda cache: dict(cache.items())["k"],
    "values": lambda cache: next(iter(cache.values())),
    "setdefault": lambda cache: cache.setdefault("k", 1),
    "entry": lambda cache: cache.entry("k").value,  # type: ignore[union-attr]
    "get_or_set": lambda cache: cache.get_or_set("k", lambda: 1),
    "get_or_set_many": lambda cache: cache.get_or_set_many(["k"], lambda keys: {})["k"],
    "execute": lambda cache: cache.execute("GET", "k"),
    "execute mget": lambda cache: cache.execute("MGET", "k")[0],  # type: ignore[index]
    "aio": lambda cache: asyncio.run(_awaited(cache)),
    "view": lambda cache: cache.view(list, prefix="")["k"],
    "namespace": lambda cache: cache.namespace("default")["k"],
    "transaction": lambda cache: _in_transaction(cache),
    "modify": lambda cache: _modified(cache),
    "pipeline": lambda cache: _piped(cache),
    "sort": lambda cache: (cache.rpush("l", "k"), cache.sort("l", alpha=True, get=["*"]))[1][0],  # type: ignore[index]
}


async def _awaited(cache: Cache) -> object:
    return await cache.aio.get("k")


def _in_transaction(cache: Cache) -> object:
    with cache.transaction():
        return cache.get("k")


def _piped(cache: Cache) -> object:
    with cache.pipeline() as pipeline:
        pipeline.get("k")
        return pipeline.execute()[0]


def _modified(cache: Cache) -> object:
    seen: list[object] = []
    cache.modify("k", lambda value: seen.append(value) or 1)  # type: ignore[func-returns-value]
    return seen[0]


# every way by which one is written
WRITES: dict[str, Callable[[Cache, Any], Any]] = {
    "set": lambda cache, value: cache.set("k", value),
    "[]": lambda cache, value: cache.__setitem__("k", value),
    "set(ttl)": lambda cache, value: cache.set("k", value, 60, tags=["t"]),
    "set(idle)": lambda cache, value: cache.set("k", value, idle=60),
    "setnx": lambda cache, value: cache.setnx("k", value),
    "setex": lambda cache, value: cache.setex("k", 60, value),
    "getset": lambda cache, value: cache.getset("k", value),
    "mset": lambda cache, value: cache.mset({"k": value}),
    "msetnx": lambda cache, value: cache.msetnx({"k": value}),
    "msetex": lambda cache, value: cache.msetex({"k": value}, 60),
    "set_many": lambda cache, value: cache.set_many({"k": value}),
    "update": lambda cache, value: cache.update(k=value),
    "settag": lambda cache, value: cache.settag("k", value, "t"),
    "add": lambda cache, value: cache.add("k", value),
    "setdefault": lambda cache, value: cache.setdefault("k", value),
    "compare_and_set": lambda cache, value: cache.compare_and_set("k", MISSING, value),
    "modify": lambda cache, value: cache.modify("k", lambda _: value),
    "get_or_set": lambda cache, value: cache.get_or_set("k", lambda: value),
    "view": lambda cache, value: cache.view(list).set("k", value),
}

FORMS: dict[str, dict[str, Any]] = {
    "json": {"codec": "json"},
    "msgpack": {"codec": "msgpack"},
    "pickle": {"codec": "pickle"},
    "own": {"codec": Reversed()},
    "copy": {"copy": True},
    "copy by": {"copy": list},
}
EVERY_FORM = pytest.mark.parametrize("form", FORMS)


@EVERY_FORM
@pytest.mark.parametrize("read", READS)
def test_no_reader_shares_an_object_with_the_cache(form: str, read: str) -> None:
    cache = Cache(**FORMS[form])
    given = [1, 2]
    cache.set("k", given)
    first = cache.get("k")
    got = READS[read](cache)
    assert (got, type(got)) == ([1, 2], list)
    got.append(3)
    assert given == first == [1, 2]
    if cache.get("k") != 1:
        assert cache.get("k", [1, 2]) == [1, 2]
    cache._check()


@EVERY_FORM
@pytest.mark.parametrize("write", WRITES)
def test_no_writer_shares_an_object_with_the_cache(form: str, write: str) -> None:
    cache = Cache(clock=ManualClock(), **FORMS[form])
    given = [1, 2]
    WRITES[write](cache, given)
    given.append(3)
    assert cache.get("k") == [1, 2]
    cache._check()


@EVERY_FORM
def test_what_cannot_be_changed_is_stored_as_it_is(form: str) -> None:
    cache = Cache(**FORMS[form])
    for value in (b"x", "x", 7, 1.5, True, None):
        cache.set("k", value)
        assert (cache.get("k", MISSING), type(cache["k"])) == (value, type(value))
    cache.set("n", 1)
    assert cache.incr("n") == 2


@pytest.mark.parametrize(
    ("codec", "raw"),
    [
        ("json", b'{"a":[1]}'),
        ("msgpack", msgpack.packb({"a": [1]})),
        ("pickle", pickle.dumps({"a": [1]}, protocol=pickle.HIGHEST_PROTOCOL)),
        (Reversed(), b'}]1[ :"a"{'),
        (None, b'{"a":[1]}'),
    ],
)
def test_the_wire_sees_what_the_codec_wrote(codec: Any, raw: bytes) -> None:
    cache = Cache(codec=codec)
    cache.set("k", {"a": [1]})
    assert on_wire(cache, b"GET", b"k") == bulk(raw)
    assert on_wire(cache, b"MGET", b"k") == b"*1\r\n" + bulk(raw)
    assert on_wire(cache, b"TYPE", b"k") == b"+object\r\n"
    assert on_wire(cache, b"GETDEL", b"k") == bulk(raw)


@pytest.mark.parametrize("form", ["copy", "watch"])
def test_without_a_codec_the_wire_sees_json(form: str) -> None:
    settings = {"copy": True} if form == "copy" else {"detect_mutation": True}
    cache = Cache(**settings)
    cache.set("k", {"a": [1]})
    assert on_wire(cache, b"GET", b"k") == bulk(b'{"a":[1]}')
    http = JsonCommands(Endpoint(cache, REGISTRY, Settings()).cache, REGISTRY)
    assert http.answer({"command": ["GET", "k"]}) == (200, {"result": '{"a":[1]}'})


def test_what_the_wire_writes_is_never_decoded() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    cache = Cache(codec="pickle")
    raw = pickle.dumps(Trap())
    on_wire(cache, b"SET", b"k", raw)
    on_wire(cache, b"HSET", b"h", b"f", raw)
    on_wire(cache, b"RPUSH", b"l", raw)
    assert (cache["k"], cache.hget("h", "f"), cache.lindex("l", 0)) == (raw, raw, raw)
    assert list(cache.values()) == [raw]


def test_a_dump_of_an_encoded_object_is_restored_as_the_object() -> None:
    for codec in ("json", "msgpack", "pickle", Reversed()):
        cache = Cache(codec=codec)
        cache.set("k", {"a": [1]})
        raw = cache.dump("k")
        assert raw is not None
        cache.restore("copy", 0, raw)
        assert cache["copy"] == {"a": [1]}
        cache.copy("k", "other")
        cache.rename("other", "renamed")
        assert cache["renamed"] == {"a": [1]}
        cache._check()


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_what_the_codec_cannot_encode_is_refused_and_changes_nothing(codec: str) -> None:
    cache = Cache(codec=codec)
    cache.set("k", [1], tags=["t"])
    before = cache.entry("k")
    for write in (
        lambda: cache.set("k", object()),
        lambda: cache.mset({"other": 1, "k": object()}),
        lambda: cache.getset("k", object()),
    ):
        with pytest.raises(CodecError):
            write()
    assert (cache.entry("k"), list(cache)) == (before, ["k"])


def test_a_codec_that_breaks_says_so() -> None:
    class Broken:
        def encode(self, value: Any) -> Any:
            return value["raw"]

        def decode(self, raw: bytes) -> Any:
            raise ValueError("broken")

    cache = Cache(codec=Broken())
    with pytest.raises(CodecError, match="cannot encode a value of type list"):
        cache.set("k", [])
    with pytest.raises(CodecError, match="encodes into bytes, not str"):
        cache.set("k", {"raw": "text"})
    cache.set("k", {"raw": b"x"})
    with pytest.raises(CodecError, match="cannot decode what it has encoded: broken"):
        cache.get("k")


def test_with_a_codec_the_charge_is_that_of_its_bytes() -> None:
    cache = Cache(codec="pickle")
    cache.set("k", list(range(10_000)))
    small, large = cache.memory_usage("k"), len(pickle.dumps(list(range(10_000))))
    assert small is not None and large < small < large + 400


def test_loads_give_each_caller_an_object_of_his_own() -> None:
    cache = Cache(copy=True)
    source = [1]
    first = cache.get_or_set("k", lambda: source)
    second = cache.get_or_set("k", list)
    assert first == second == [1]
    assert len({id(source), id(first), id(second)}) == 3

    @cache.memoize
    def numbers(x: int) -> list[int]:
        return [x]

    numbers(1).append(2)
    assert numbers(1) == [1]


def test_listeners_are_told_of_objects() -> None:
    for settings in FORMS.values():
        cache = Cache(**settings)
        told: list[Any] = []
        cache.on("removed", lambda key, value, cause, told=told: told.append(value))
        cache.listen(lambda effect, told=told: told.append(effect.value))
        cache.set("k", [1])
        cache.delete("k")
        assert told == [[1], [1], [1]]


def test_bytes_are_given_as_text_by_decode() -> None:
    cache = Cache(decode="utf-8")
    on_wire(cache, b"SET", b"k", "é".encode())
    on_wire(cache, b"SET", b"odd", b"\xff")
    assert (cache["k"], cache.get("none", b"x")) == ("é", b"x")
    assert cache.mget("k", "none", default=b"x") == ["é", b"x"]
    cache.set("copy", cache["odd"])
    assert on_wire(cache, b"GET", b"copy") == bulk(b"\xff")
    cache.set("n", 5)
    assert cache["n"] == 5
    assert on_wire(cache, b"GET", b"k") == bulk("é".encode())


def test_a_weigher_says_what_an_object_is_charged_at() -> None:
    cache = Cache(weigher=lambda value: len(value) * 1000)
    cache.set("k", [1, 2])
    used = cache.memory_usage("k")
    cache.set("k", [1, 2, 3])
    assert cache.memory_usage("k") == used + 1000  # type: ignore[operator]
    cache.set("k", "text")
    assert cache.memory_usage("k") < 1000  # type: ignore[operator]
    cache.delete("k")
    assert cache.stats().used_memory == 0
    cache._check()


@pytest.mark.parametrize("size", [-1, 1.5, None, "1", True, 1 << 63])
def test_a_weigher_that_gives_no_size_refuses_the_write(size: Any) -> None:
    cache = Cache(weigher=lambda value: size)
    with pytest.raises(CacheStormError, match="a weigher gives a size in bytes"):
        cache.set("k", [])
    assert len(cache) == 0


def test_a_weigher_runs_without_the_lock() -> None:
    cache = Cache(weigher=lambda value: int(cache.dbsize()) + 1)
    cache.set("k", [1])
    assert cache["k"] == [1]


def test_a_changed_object_is_found_when_it_is_read() -> None:
    cache = Cache(detect_mutation=True)
    given = User("Ada")
    cache.set("k", given)
    assert cache["k"] is given
    cache["k"].name = "Grace"
    for read in (lambda: cache.get("k"), lambda: cache.mget("k"), lambda: dict(cache.items())):
        with pytest.raises(MutatedValueError, match=r"a stored User was changed .*'Grace'"):
            read()
    cache.set("k", given)
    assert cache["k"] is given
    cache.set("unpicklable", [lambda: 1])
    assert len(cache["unpicklable"]) == 1


def test_a_changed_object_can_be_logged_instead(caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(detect_mutation="log")
    cache.set("k", [1])
    with caplog.at_level(logging.WARNING, "cachestorm"):
        cache["k"].append(2)
        assert (cache["k"], cache["k"]) == ([1, 2], [1, 2])
    assert [record.message for record in caplog.records] == [
        "a stored list was changed outside of the cache: [1, 2]"
    ]


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"codec": "yaml"}, ConfigError, "codec is one of json, msgpack, pickle, or an object"),
        ({"codec": 3}, ConfigError, "not 3"),
        ({"copy": 1}, TypeError, "copy is True, False, or a function that copies, not 1"),
        ({"copy": True, "codec": "json"}, ConfigError, "exclude each other"),
        ({"decode": "utf-9"}, ConfigError, "not 'utf-9'"),
        ({"weigher": 3}, TypeError, "a weigher is called, which 3 cannot be"),
        ({"detect_mutation": "raise"}, ConfigError, "True, False or 'log', not 'raise'"),
        ({"detect_mutation": True, "copy": True}, ConfigError, "nothing to detect"),
    ],
)
def test_wrong_settings_are_refused(
    settings: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        Cache(**settings)
    assert text in str(caught.value)


@EVERY_FORM
@pytest.mark.parametrize("marker", [MISSING])
def test_markers_are_no_values(form: str, marker: Any) -> None:
    with pytest.raises(CacheStormError, match="stands for no value"):
        Cache(**FORMS[form]).set("k", marker)


def test_a_cache_without_forms_reads_without_the_lock() -> None:
    plain = Cache()._store.guarded
    assert Cache(weigher=len)._store.guarded == plain
    cache = Cache(copy=True)
    with cache.transaction():
        pass
    assert cache._store.guarded is True
