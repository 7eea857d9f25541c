"""Typed values: a server that keeps what a connected cache has sent as what it is."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from caches import address
from real_servers import HOST
from servers import our_server

from cachestorm import Cache, CacheStormError, connect
from cachestorm.declare import typed
from cachestorm.errors import ConfigError
from cachestorm.remote.refusals import UnsupportedError

OBJECT = {"name": "Ada", "tags": ["x", None, 1.5]}


class Scene:
    """A served cache, a typed client of it, one that is not, and a plain one."""

    def __init__(self, own: Cache[Any], port: int) -> None:
        self.own = own
        self.far: Any = connect(f"redis://{HOST}:{port}?typed=true")
        self.untyped: Any = connect(f"redis://{HOST}:{port}")
        self.plain: Any = redis.Redis(port=port)


@pytest.fixture(params=[None, "json", "pickle"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    own: Cache[Any] = Cache(codec=request.param)
    with our_server(cache=own) as server:
        scene = Scene(own, server.port)
        yield scene
        scene.far.close()
        scene.untyped.close()
        scene.plain.close()


@pytest.mark.parametrize("value", ["é", b"b", 5, -(2**80), 1.5, True, None, OBJECT, [1]])
def test_a_process_and_its_clients_see_the_same_values(scene: Scene, value: Any) -> None:
    scene.far.set("far", value)
    scene.own.set("own", value)
    found = [scene.own.get("far"), scene.far.get("own"), scene.far.get("far")]
    assert [(type(each), each) for each in found] == [(type(value), value)] * 3


def test_a_plain_client_reads_text_digits_and_json(scene: Scene) -> None:
    scene.far.set_many({"text": "é", "number": 5, "object": {"a": [1]}})
    found = scene.plain.mget("text", "number", "object")
    assert found == ["é".encode(), b"5", b'{"a":[1]}']


def test_values_of_all_types_are_typed(scene: Scene) -> None:
    scene.far.hset("h", mapping={"f": OBJECT})
    scene.far.rpush("l", "text", OBJECT)
    assert scene.own.hgetall("h") == {"f": OBJECT}
    assert scene.own.lrange("l", 0, -1) == ["text", OBJECT]
    assert scene.far.hscan("h") == (0, {"f": OBJECT})
    assert scene.far.hrandfield("h", 1, withvalues=True) == [("f", OBJECT)]
    assert scene.far.lmpop(["l"], where="LEFT", count=2) == ("l", ["text", OBJECT])


def test_what_is_appended_to_text_is_text(scene: Scene) -> None:
    scene.far.set("k", "a")
    assert scene.far.append("k", "b") == 2
    assert scene.plain.get("k") == b"ab"


def test_what_an_untyped_client_has_stored_comes_back_as_what_it_was(scene: Scene) -> None:
    values = {"text": "a", "object": OBJECT, "bytes": b"5"}
    scene.untyped.set_many(values)
    assert scene.far.get_many(values) == values


def test_digits_of_another_client_are_bytes_as_in_the_process(scene: Scene) -> None:
    scene.untyped.set("n", 5)
    assert [scene.far.get("n"), scene.own.get("n")] == [b"5", b"5"]
    scene.untyped.incr("n")
    assert [scene.far.get("n"), scene.own.get("n")] == [6, 6]


def test_bytes_that_look_like_an_envelope_come_back(scene: Scene) -> None:
    for value in (b"\xc5\x01sfake", b"\xc5\x01", b"\xc5\x01o{", b"5", b"-1.5"):
        scene.far.set("k", value)
        assert scene.far.get("k") == value


def test_a_damaged_envelope_is_refused(scene: Scene) -> None:
    scene.plain.execute_command("SET", "k", "before")
    with scene.plain.client() as one:
        one.execute_command("CLIENT", "TYPED", "ON")
        with pytest.raises(redis.ResponseError):
            one.execute_command("SET", "k", b"\xc5\x01o{")
    assert scene.plain.get("k") == b"before"


def test_a_transaction_is_typed_and_a_script_is_not(scene: Scene) -> None:
    with scene.plain.client() as one:
        one.execute_command("CLIENT", "TYPED", "ON")
        one.execute_command("MULTI")
        one.execute_command("SET", "k", b"\xc5\x01stext")
        one.execute_command("GET", "k")
        assert one.execute_command("EXEC") == [b"OK", b"\xc5\x01stext"]
        assert one.eval("return redis.call('GET', KEYS[1])", 1, "k") == b"text"
        assert one.get("k") == b"\xc5\x01stext"
    assert scene.own.get("k") == "text"


def test_a_connection_can_take_it_back(scene: Scene) -> None:
    scene.own.set("k", "text")
    with scene.plain.client() as one:
        one.execute_command("CLIENT", "TYPED", "ON")
        assert one.get("k") == b"\xc5\x01stext"
        one.execute_command("CLIENT", "TYPED", "OFF")
        assert one.get("k") == b"text"
        one.execute_command("CLIENT", "TYPED", "ON")
        one.execute_command("RESET")
        assert one.get("k") == b"text"


def test_a_long_reply_is_typed(scene: Scene) -> None:
    count = 200_000
    scene.own.rpush("l", *["text"] * count)
    assert scene.far.lrange("l", 0, -1) == ["text"] * count
    assert len(scene.far.sort("l", alpha=True)) == count


def test_a_namespace_is_typed_too(scene: Scene) -> None:
    with scene.far.namespace("blog") as blog:
        blog.set("k", OBJECT)
    assert scene.own.namespace("blog").get("k") == OBJECT


def test_tasks_say_it_too(scene: Scene) -> None:
    async def stored() -> None:
        async with scene.far.aio as tasks, tasks.namespace("blog") as blog:
            await tasks.set("k", OBJECT)
            await blog.set("k", [OBJECT])
            assert await tasks.get("k") == OBJECT

    asyncio.run(stored())
    assert scene.own.get("k") == OBJECT
    assert scene.own.namespace("blog").get("k") == [OBJECT]


def test_an_object_of_the_process_that_json_cannot_say_is_refused() -> None:
    own: Cache[Any] = Cache()
    own.set("k", object())
    with (
        our_server(cache=own) as server,
        connect(f"redis://{HOST}:{server.port}", typed=True) as far,
        pytest.raises(CacheStormError, match="object"),
    ):
        far.get("k")


@pytest.mark.parametrize("place", ["redis", "valkey"])
def test_another_server_refuses_it(place: str, request: pytest.FixtureRequest) -> None:
    with connect(address(place, request), typed=True) as far:
        with pytest.raises(UnsupportedError, match="needs a CacheStorm server"):
            far.get("k")
        with pytest.raises(UnsupportedError, match="needs a CacheStorm server"):
            asyncio.run(far.aio.set("k", 1))


def test_what_a_user_has_each_connection_do_is_done_before(scene: Scene) -> None:
    seen = []

    def begin(connection: Any) -> None:
        connection.on_connect()
        seen.append(connection)

    port = scene.plain.connection_pool.connection_kwargs["port"]
    url = f"redis://{HOST}:{port}"
    with connect(url, typed=True, redis_connect_func=begin) as far:
        far.set("k", OBJECT)
    assert seen
    assert scene.own.get("k") == OBJECT


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://host", {"typed": 1}),
        ("redis://host?typed=yes", {}),
        ("redis://host", {"typed": True, "codec": "pickle"}),
        ("cluster://host:6379", {"typed": True}),
        ("memory://", {"typed": "no"}),
    ],
)
def test_what_cannot_be_typed_is_refused_at_once(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="typed"):
        connect(url, **options)


def test_every_reply_with_stored_values_encloses_them() -> None:
    source = (Path(__file__).parents[2] / "cachestorm/declare/replies.py").read_text()
    names = {
        each.name.rstrip("_")
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef) and each.decorator_list and _stores(each)
    }
    assert names == set(typed._ENCLOSING)


def _stores(function: ast.FunctionDef) -> bool:
    called = {each.id for each in ast.walk(function) if isinstance(each, ast.Name)}
    return bool(called & {"_stored", "_all_stored"})
