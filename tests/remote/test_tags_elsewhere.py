"""Tags on Redis and Valkey, which have none: exact for all who connect."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from caches import cache_at
from real_servers import HOST, redis_binary, running

from cachestorm import Cache, connect
from cachestorm.errors import InvalidKeyError, NotAnIntegerError, WrongTypeError
from cachestorm.remote import tag_script
from cachestorm.remote.refusals import RefusedError

OURS = [b"cachestorm:tags:keys", b"cachestorm:tags:index"]


@pytest.fixture(params=["redis", "valkey"])
def tagged(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty cache on each."""
    with cache_at(request.param, request) as cache:
        yield cache


def foreign(cache: Any) -> Any:
    """A client of somebody else on the same server."""
    return redis.Redis.from_url(cache.address.url)


def check(cache: Any) -> None:
    """Asserts that the hash and the sorted set say the same."""
    client = foreign(cache)
    unpacked = client.register_script("return cmsgpack.unpack(ARGV[1])")
    owners = {key: unpacked(args=[packed]) for key, packed in client.hgetall(OURS[0]).items()}
    expected = {
        len(tag).to_bytes(2, "big") + tag + key for key, tags in owners.items() for tag in tags
    }
    assert set(client.zrange(OURS[1], 0, -1)) == expected


REPLACED: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set("k", 2),
    "set with a time": lambda cache: cache.set("k", 2, 60),
    "set that keeps the time": lambda cache: cache.set("k", 2, keepttl=True),
    "set xx": lambda cache: cache.set("k", 2, xx=True),
    "mset": lambda cache: cache.mset({"k": 2, "other": 3}),
    "getset": lambda cache: cache.getset("k", 2),
    "setex": lambda cache: cache.setex("k", 60, 2),
    "set_many": lambda cache: cache.set_many({"k": 2}),
    "sunionstore": lambda cache: (cache.sadd("s", "a"), cache.sunionstore("k", "s")),
    "an empty sunionstore": lambda cache: cache.sunionstore("k", "none"),
    "rename over it": lambda cache: (cache.set("o", 1), cache.rename("o", "k")),
    "copy over it": lambda cache: (cache.set("o", 1), cache.copy("o", "k", replace=True)),
    "delete and add": lambda cache: (cache.delete("k"), cache.add("k", 2)),
    "foreign delete and incr": lambda cache: (foreign(cache).delete("k"), cache.incr("k")),
    "foreign delete and lpush": lambda cache: (foreign(cache).delete("k"), cache.lpush("k", 1)),
    "foreign delete and setnx": lambda cache: (foreign(cache).delete("k"), cache.setnx("k", 1)),
    "foreign expiry and hset": lambda cache: (
        foreign(cache).pexpireat("k", 1),
        cache.hset("k", "f", 1),
    ),
    "a long mset": lambda cache: cache.mset({"k": 1, **{f"n{n}": n for n in range(3000)}}),
    "flushdb": lambda cache: (cache.flushdb(), cache.set("k", 1)),
    "foreign flushdb": lambda cache: (foreign(cache).flushdb(), cache.set("k", 1)),
}


@pytest.mark.parametrize("write", REPLACED)
def test_what_replaces_a_value_drops_its_tags(tagged: Any, write: str) -> None:
    tagged.set("k", 1, tags=["t", "u"])
    REPLACED[write](tagged)
    assert (tagged.tags("k"), tagged.tagcount("t"), tagged.tagkeys("u")) == ([], 0, [])
    assert tagged.invalidate("t") == 0
    check(tagged)


KEPT: dict[str, Callable[[Any], Any]] = {
    "incr": lambda cache: cache.incr("k"),
    "append": lambda cache: cache.append("k", b"1"),
    "expire": lambda cache: cache.expire("k", 60),
    "getex": lambda cache: cache.getex("k", 60),
    "set nx": lambda cache: cache.set("k", 2, nx=True),
    "set nx with tags": lambda cache: cache.set("k", 2, nx=True, tags=["other"]),
    "msetnx": lambda cache: cache.msetnx({"k": 1, "n": 2}),
    "copy that is refused": lambda cache: (cache.set("o", 1), cache.copy("o", "k")),
    "foreign incr": lambda cache: foreign(cache).incr("k"),
    "foreign persist": lambda cache: foreign(cache).persist("k"),
    "modify": lambda cache: cache.modify("k", lambda value: value + 1),
}


@pytest.mark.parametrize("write", KEPT)
def test_what_changes_a_value_keeps_its_tags(tagged: Any, write: str) -> None:
    tagged.set("k", 1, 30, tags=["t", "u"])
    KEPT[write](tagged)
    assert (tagged.tags("k"), tagged.tagkeys("t")) == (["t", "u"], ["k"])
    assert (tagged.invalidate("u"), "k" in tagged) == (1, False)
    check(tagged)


def test_tags_travel_with_a_key(tagged: Any) -> None:
    tagged.set("a", 1, tags=["t"])
    tagged.set("b", 1, tags=["u"])
    tagged.rename("a", "b")
    assert (tagged.tagkeys("t"), tagged.tagcount("u")) == (["b"], 0)
    tagged.copy("b", "c")
    assert tagged.tagkeys("t") == ["b", "c"]
    tagged.rename("b", "b")
    assert tagged.renamenx("b", "c") is False
    assert tagged.tags("b") == ["t"]
    check(tagged)


def test_a_key_does_not_go_where_its_tags_cannot(tagged: Any) -> None:
    tagged.set("k", 1, tags=["t"])
    for run in (lambda: tagged.move("k", 1), lambda: tagged.copy("k", "k", database=1)):
        with pytest.raises(RefusedError, match="cannot take its tags"):
            run()
    assert tagged.tagkeys("t") == ["k"]
    tagged.set("k", 1)
    assert tagged.move("k", 1) is True


def test_all_kinds_of_values_bear_tags(tagged: Any) -> None:
    tagged.rpush("l", 1, 2)
    tagged.hset("h", "f", 1)
    assert [
        tagged.addtag("l", "t", "u"),
        tagged.addtag("h", "t"),
        tagged.addtag("none", "t"),
    ] == [
        2,
        1,
        0,
    ]
    assert (tagged.addtag("l", "t"), tagged.remtag("l", "u", "none")) == (0, 1)
    tagged.lpop("l", 2)
    assert (tagged.tagkeys("t"), tagged.tag_scan(0)) == (["h"], (0, ["t"]))
    tagged.rpush("l", 1)
    assert tagged.tags("l") == []
    check(tagged)


def test_our_own_keys_are_seen_by_nobody_who_connects(tagged: Any) -> None:
    tagged.taglink("t", "u")
    assert (len(tagged), tagged.randomkey(), tagged.keys()) == (0, None, [])
    tagged.set("k", 1, tags=["t"])
    assert foreign(tagged).dbsize() == 4
    assert (len(tagged), tagged.randomkey(), tagged.keys()) == (1, "k", ["k"])
    assert (list(tagged.scan_iter()), list(tagged.items())) == (["k"], [("k", 1)])
    for key in ("cachestorm:tags:keys", "cachestorm:tags:x"):
        for run in (
            lambda key=key: tagged.set(key, 1),
            lambda key=key: tagged.delete(key),
            lambda key=key: tagged.rename("k", key),
        ):
            with pytest.raises(InvalidKeyError, match="hold the tags"):
                run()
    assert tagged.clear() is None
    assert foreign(tagged).dbsize() == 0


def test_a_tag_and_a_key_may_be_any_text(tagged: Any) -> None:
    names = ["", "é", "\udcff\udcff", "a\x00b", "x" * 1000, "tag", "t", "TAGS", "NX"]
    for number, name in enumerate(names):
        tagged.set(name, number, tags=[tag for tag in names if tag])
    assert tagged.tags("é") == names[1:]
    assert tagged.tagkeys("\udcff\udcff") == sorted(
        names, key=lambda n: n.encode("utf-8", "surrogateescape")
    )
    assert tagged.invalidate("TAGS") == len(names)
    check(tagged)


def test_what_others_delete_is_swept_out(tagged: Any) -> None:
    other = foreign(tagged)
    tagged.set_many({f"k{number}": 1 for number in range(100)}, tags=["t"])
    other.delete(*[f"k{number}" for number in range(100)])
    assert (tagged.tagcount("t"), tagged.tagkeys("t"), tagged.tag_scan(0)[1]) == (0, [], [])
    random.seed(5)
    for _ in range(200):
        tagged.set("new", 1, tags=["u"])
    assert other.hlen(OURS[0]) < 20
    check(tagged)


def test_an_error_of_a_command_is_the_same_in_a_script(tagged: Any) -> None:
    tagged.set("k", "text", tags=["t"])
    with pytest.raises(NotAnIntegerError, match=r"integer or out of range$"):
        tagged.incr("k")
    with pytest.raises(WrongTypeError, match=r"wrong kind of value$"):
        tagged.lpush("k", 1)
    assert tagged.tags("k") == ["t"]


def test_a_server_that_forgot_the_script_is_told_again(tagged: Any) -> None:
    tagged.set("k", 1, tags=["t"])
    foreign(tagged).script_flush()
    assert tagged.set("k", 2, tags=["t"]) is True
    foreign(tagged).script_flush()
    assert tagged.modify("k", lambda value: value + 1) == 3
    foreign(tagged).script_flush()
    assert tagged.set_many({"a": 1, "b": 2}, tags=["t"]) is True
    foreign(tagged).script_flush()
    assert tagged.invalidate("t") == 3


def test_a_change_of_tags_is_noticed_by_who_modifies_the_key(tagged: Any) -> None:
    calls = []

    def grown(value: int) -> int:
        if not calls:
            tagged.addtag("k", "u")
        calls.append(value)
        return value + 1

    tagged.set("k", 1, tags=["t"])
    assert (tagged.modify("k", grown), tagged.tags("k"), len(calls)) == (2, ["t", "u"], 2)


def test_a_user_who_may_not_run_scripts_has_no_tags_and_all_the_rest() -> None:
    with running("redis", redis_binary()) as server:
        client = redis.Redis(port=server.port)
        client.acl_setuser(
            "plain", enabled=True, nopass=True, keys="*", commands=["+@all", "-@scripting"]
        )
        with connect(f"redis://plain:x@{HOST}:{server.port}") as cache:
            assert cache.set("k", 1) is True
            assert (cache.capabilities.tags, cache.keys()) == (False, ["k"])
            assert (
                "NOPERM" in cache.capabilities.no_tags
                or "permission" in cache.capabilities.no_tags
            )


def test_many_keys_leave_with_their_tag(tagged: Any) -> None:
    count = tag_script.UNPACKED + 500
    for start in range(0, count, 500):
        tagged.set_many(
            {f"k{number}": 1 for number in range(start, start + 500)}, tags=["t", "u"]
        )
    assert (tagged.tagcount("t"), len(tagged.tagkeys("u"))) == (count, count)
    assert tagged.invalidate("t", "u", dry_run=True) == count
    assert (tagged.invalidate("t", "u"), len(tagged)) == (count, 0)
    assert foreign(tagged).dbsize() == 0


def test_random_calls_leave_what_they_leave_in_a_process(tagged: Any) -> None:
    here: Cache[Any] = Cache()
    draw = random.Random(19)
    keys, tags = ["a", "b", "c", "d"], ["t", "u", "v"]

    def step() -> Callable[[Any], Any]:
        key, other = draw.choice(keys), draw.choice(keys)
        chosen = draw.sample(tags, draw.randint(0, 2))
        tag = draw.choice(tags)
        cascade = draw.random() < 0.5
        flag = draw.choice(["nx", "xx"])
        return draw.choice(
            [
                lambda cache: cache.set(key, 1, tags=chosen),
                lambda cache: cache.set(key, 1, tags=chosen, **{flag: True}),
                lambda cache: cache.set(key, 1, tags=chosen, get=True, **{flag: True}),
                lambda cache: cache.set_many({key: 1, other: 2}, tags=chosen),
                lambda cache: cache.settag(key, 1, tag),
                lambda cache: cache.addtag(key, *chosen) if chosen else None,
                lambda cache: cache.remtag(key, tag),
                lambda cache: cache.delete(key, other),
                lambda cache: key in cache and cache.rename(key, other),
                lambda cache: key in cache and cache.renamenx(key, other),
                lambda cache: cache.copy(key, other, replace=cascade) if key != other else None,
                lambda cache: cache.type(key) in ("none", "string") and cache.incr(key),
                lambda cache: cache.type(key) in ("none", "list") and cache.lpush(key, 1),
                lambda cache: cache.type(key) == "list" and cache.lpop(key),
                lambda cache: cache.type(key) == "string" and cache.getset(key, 5),
                lambda cache: cache.taglink(tag, "below"),
                lambda cache: cache.taglink("below", "v") if tag != "v" else None,
                lambda cache: cache.tagunlink(tag, "below"),
                lambda cache: cache.invalidate(tag, cascade=cascade),
                lambda cache: cache.invalidate("t", "u", dry_run=True),
                lambda cache: cache.getdel(key) if cache.type(key) == "string" else None,
                lambda cache: cache.taglinks(),
            ]
        )

    def outcome(cache: Any, run: Callable[[Any], Any]) -> Any:
        try:
            return run(cache)
        except ValueError as error:
            return str(error)

    for number in range(400):
        run = step()
        assert outcome(tagged, run) == outcome(here, run), number
        for name in tags:
            assert tagged.tagkeys(name) == here.tagkeys(name), number
        for key in keys:
            assert tagged.tags(key) == here.tags(key), number
    check(tagged)
