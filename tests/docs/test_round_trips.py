"""Replies read back into what the methods return: every example, through RESP and JSON."""

from __future__ import annotations

import io
import json
import random

import command_pages  # noqa: F401  finds the tests of commands
import pytest
from command_examples import examples
from librt.strings import BytesWriter
from vocabulary import random_command

from cachestorm import MISSING, Cache, CacheStormError, ManualClock
from cachestorm.codec import to_wire
from cachestorm.declare.bound import Bound
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.returns import Returns
from cachestorm.declare.wire_values import to_json
from cachestorm_cli.client import read_reply
from cachestorm_server.replies import write_reply

LOCAL = {"EXPIRETIME", "GEODIST", "GEOSEARCH", "LCS", "TTL", "WHY"}
# what they give is left to chance
DRAWN = {"HRANDFIELD", "RANDOMKEY", "SPOP", "SRANDMEMBER", "ZRANDMEMBER"}


def wires(reply: object) -> list[object]:
    """What clients of RESP2, RESP3 and HTTP have of a wire value."""
    found = []
    for resp3 in (False, True):
        out = BytesWriter()
        write_reply(out, reply, resp3)
        found.append(read_reply(io.BytesIO(out.getvalue())))
    return [*found, json.loads(json.dumps(to_json(reply)))]


def same(value: object, read: object) -> bool:
    """Whether a value was read back: a stored one as its bytes, all else as it was."""
    if type(value) is not type(read):
        return isinstance(read, bytes) and to_wire(value) == read
    if isinstance(value, (list, tuple)):
        assert isinstance(read, (list, tuple))
        return len(value) == len(read) and all(map(same, value, read))
    if isinstance(value, dict):
        assert isinstance(read, dict)
        return value.keys() == read.keys() and all(same(value[k], read[k]) for k in value)
    return value == read


def has_odd_name(wire: object) -> bool:
    """Whether it is an object of JSON with a name that was not UTF-8."""
    return isinstance(wire, dict) and any("\\x" in str(name) for name in wire)


def check(plan: Plan, value: object, reply: object, bound: Bound) -> None:
    for wire in wires(reply):
        if has_odd_name(wire):
            continue
        read = Returns(plan.declaration).read(wire, bound)
        assert same(value, read), (plan.name, value, wire, read)


def compare(one: Cache, other: Cache, argv: list[object]) -> bool:
    """Runs a command on two equal caches, and reads the reply of one as what the other gave."""
    plan = REGISTRY.resolve(argv)
    if plan.declaration.connection:
        return False
    try:
        value = plan.call(one, argv)
    except CacheStormError as error:
        with pytest.raises(type(error)):
            plan.answer(other, argv)
        return False
    reply = plan.answer(other, argv)
    if plan.declaration.local or not plan.declaration.method or plan.name in DRAWN:
        return False
    check(plan, value, reply, plan.bind(argv))
    return True


def test_the_replies_of_all_examples_are_read_back() -> None:
    read = set()
    for example in examples().values():
        one, other = Cache(clock=ManualClock()), Cache(clock=ManualClock())
        for line in example.client:
            argv: list[object] = list(line.argv)
            if not line.mark and compare(one, other, argv):
                read.add(REGISTRY.resolve(argv).name)
    # an estimate, figures of this process, and an example that needs a connection
    others = {"HOTKEYS", "MEMORY DOCTOR", "NAMESPACEDEL"}
    methods = {each.name for each in REGISTRY if each.method and each.name in examples()}
    assert sorted(methods - read - LOCAL - DRAWN - others) == []


def test_the_replies_of_random_commands_are_read_back() -> None:
    chance = random.Random(7)
    one, other = Cache(clock=ManualClock()), Cache(clock=ManualClock())
    count = 0
    for _ in range(20_000):
        argv: list[object] = list(random_command(chance))
        try:
            plan = REGISTRY.resolve(argv)
        except CacheStormError:
            continue
        if plan.name not in DRAWN:
            count += compare(one, other, argv)
    assert count > 5_000


@pytest.mark.parametrize("name", sorted(DRAWN))
@pytest.mark.parametrize("options", [[], ["2"], ["2", "WITH"]], ids=len)
def test_what_is_drawn_at_random_is_read_back(name: str, options: list[str]) -> None:
    cache = Cache()
    cache.hset("h", mapping={"a": b"1", "b": b"2"})
    cache.sadd("s", "a", "b")
    cache.zadd("z", {"a": 1.5, "b": 2})
    key = {"RANDOMKEY": [], "HRANDFIELD": ["h"], "ZRANDMEMBER": ["z"]}.get(name, ["s"])
    extra = {"HRANDFIELD": "WITHVALUES", "ZRANDMEMBER": "WITHSCORES"}.get(name)
    argv: list[object] = [name, *key, *([] if not key else options)]
    if "WITH" in argv:
        if extra is None:
            return
        argv[-1] = extra
    plan = REGISTRY.resolve(argv)
    bound = plan.bind(argv)
    value = plan.call(cache, argv)
    reply = plan.declaration.reply
    from cachestorm.declare.replies import converter_named

    converter = converter_named(reply)
    assert converter is not None
    check(plan, value, converter(value, bound), bound)


def test_these_replies_are_not_read_back() -> None:
    assert {each.name for each in REGISTRY if each.local} == LOCAL
    for name in LOCAL:
        declaration = REGISTRY.get(name)
        assert declaration is not None
        with pytest.raises(CacheStormError):
            Returns(declaration)


def test_a_missing_value_is_read_back_as_the_default() -> None:
    cache = Cache()
    cache.set("none", None)
    for line in ("GET nokey", "GETDEL nokey", "HGET nokey f", "LPOP nokey", "PTTL nokey"):
        argv: list[object] = list(line.split())
        plan = REGISTRY.resolve(argv)
        for wire in wires(plan.answer(cache, argv)):
            read = Returns(plan.declaration).read(wire, plan.bind(argv), MISSING)
            assert read is MISSING
    plan = REGISTRY.resolve(["MGET"])
    argv = ["MGET", "none", "nokey"]
    for wire in wires(plan.answer(cache, argv)):
        read = Returns(plan.declaration).read(wire, plan.bind(argv), MISSING)
        assert read == [b"null", MISSING]
