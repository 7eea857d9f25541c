"""Two namespaces that are swapped: what goes along, what stays, and who sees it."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ArgumentError, OutOfMemoryError
from cachestorm.events import Effect
from cachestorm.keyspace.holdings import Holdings
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tag_nodes import Invalidation
from cachestorm.keyspace.telling import Telling

# What belongs to the name of a namespace, and so stays where it is.
OF_THE_NAME = {
    *{"shared", "name", "listed", "watches", "waiting", "max_bytes", "default_ttl_ms"},
    *{"interest", "_heard", "_valued"},
    # a write that is under way, and what is already let go
    "_has_room",
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def source_of(each: type) -> ast.ClassDef:
    """The class statement of a compiled or pure class."""
    stem = Path(str(sys.modules[each.__module__].__file__))
    tree = ast.parse((stem.parent / f"{stem.name.partition('.')[0]}.py").read_text())
    (found,) = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == each.__name__
    ]
    return found


def methods_of(each: type) -> dict[str, ast.FunctionDef]:
    return {
        node.name: node for node in source_of(each).body if isinstance(node, ast.FunctionDef)
    }


def written_in(method: ast.FunctionDef) -> set[str]:
    """The attributes that a method gives its `self`."""
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


# the classes of which a keyspace is the last; pure Python and compiled code have the same
CHAIN = [each for each in Keyspace.__mro__ if each.__module__.startswith("cachestorm.")]


def made_at_first() -> set[str]:
    """The attributes that a keyspace has from the beginning."""
    return {
        name
        for each in (Telling, Holdings)
        for name in written_in(methods_of(each)["__init__"])
    }


def test_every_attribute_of_a_keyspace_is_swapped_or_belongs_to_its_name() -> None:
    made, swapped = made_at_first(), written_in(methods_of(Holdings)["swap"])
    assert made == swapped - {"listed"} | OF_THE_NAME
    assert not (swapped - {"listed"}) & OF_THE_NAME


def test_a_swap_gives_each_of_the_two_what_the_other_one_had() -> None:
    for statement in ast.walk(methods_of(Holdings)["swap"]):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple):
            mine, others = (ast.unparse(name) for name in statement.targets[0].elts)
            assert ast.unparse(statement.value).strip("()") == f"{others}, {mine}"
            assert mine.replace("self.", "other.", 1) == others


def test_only_the_first_classes_of_a_keyspace_make_attributes() -> None:
    made = made_at_first()
    assert {Keyspace, Holdings, Telling} < set(CHAIN)
    for each in CHAIN:
        body = source_of(each).body
        assert [node for node in body if isinstance(node, ast.Assign | ast.AnnAssign)] == []
        for name, method in methods_of(each).items():
            assert name != "__init__" or each in (Holdings, Telling)
            assert name != "swap" or each is Holdings
            assert written_in(method) <= made


def test_whoever_is_in_a_namespace_sees_the_keys_of_the_other(cache: Cache) -> None:
    other = cache.database(1)
    cache.set("a", 1, tags=["t"])
    cache.taglink("t", "child")
    cache.expire("a", 60)
    other.rpush("list", "x")
    assert cache.swapdb(0, 1)
    assert cache.keys() == ["list"]
    assert cache.lrange("list", 0, -1) == ["x"]
    assert cache.tagchildren("t") == []
    assert (other.get("a"), other.tags("a"), other.ttl("a")) == (1, ["t"], 60)
    assert other.tagchildren("t") == ["child"]
    assert cache.database(1).keys() == ["a"]
    assert (cache.name, other.name) == ("default", "db1")
    assert cache.namespaces() == ["db1", "default"]
    cache._check()


def test_both_go_on_as_they_were(cache: Cache, clock: ManualClock) -> None:
    other = cache.namespace("db3")
    for number in range(100):
        cache.set(f"k{number}", number, ttl=number + 1, tags=[f"t{number % 3}"])
        other.hset(f"h{number}", "f", number)
    cache.swapdb(3, 0)
    clock.advance(50)
    while cache.reap():
        pass
    cache._check()
    assert 51 >= other.dbsize() >= 49
    expected = len(other.tagkeys("t0"))
    assert other.invalidate("t0") == expected
    other.set("new", 1)
    cache.delete("h5")
    cache._check()
    assert cache.why("h5")["cause"].value == "deleted"
    assert other.why("k99")["cause"].value == "invalidated"


def test_the_accounts_and_statistics_go_along(cache: Cache) -> None:
    other = cache.database(1)
    cache.set("a", "x" * 1000)
    cache.get("a")
    cache.get("nope")
    before = str(cache.execute("NAMESPACEINFO")).splitlines()[2:]
    empty = str(other.execute("NAMESPACEINFO")).splitlines()[2:]
    used = cache.store_stats().used_memory
    cache.swapdb(0, 1)
    assert before == str(other.execute("NAMESPACEINFO")).splitlines()[2:]
    assert empty == str(cache.execute("NAMESPACEINFO")).splitlines()[2:]
    assert used == cache.store_stats().used_memory
    cache._check()


def test_a_quota_and_a_default_time_to_live_stay_with_the_name() -> None:
    cache = Cache(policy="allkeys-lru")
    small = cache.namespace("db1", default_ttl=60, max_memory=10_000)
    for number in range(100):
        cache.set(f"k{number}", b"x" * 400)
    cache.swapdb(0, 1)
    assert small.dbsize() == 100
    small.set("new", 1)
    assert pytest.approx(small.ttl("new"), abs=1) == 60
    assert small.dbsize() < 30
    cache.set("forever", 1)
    assert cache.ttl("forever") is None
    cache._check()


def test_a_passed_quota_without_a_victim_refuses_what_is_written() -> None:
    cache = Cache(policy="noeviction")
    small = cache.namespace("db1", max_memory=1000)
    cache.set("a", b"x" * 2000)
    cache.swapdb(0, 1)
    with pytest.raises(OutOfMemoryError):
        small.set("b", 1)
    assert small.get("a") == b"x" * 2000
    cache._check()


def test_an_invalidation_that_is_not_reaped_yet_is_finished_first(cache: Cache) -> None:
    for number in range(50):
        cache.set(f"k{number}", number, tags=["t"])
    space = cache._space
    job = Invalidation(space.shared.sequence, space.shared.now_ms())
    space.charge(-space.tags.detach(["t"], job))
    cache.swapdb(0, 2)
    assert job.removed == 50
    assert (cache.dbsize(), cache.database(2).dbsize()) == (0, 0)
    cache._check()


def test_a_flush_that_is_not_cleared_yet_stays_where_it_was(cache: Cache) -> None:
    for number in range(5000):
        cache.set(f"k{number}", number)
    cache.flushdb()
    cache.set("a", 1)
    cache.swapdb(0, 1)
    cache._check()
    while cache.reap():
        pass
    assert cache.database(1).keys() == ["a"]
    cache._check()


def test_a_swap_with_itself_changes_nothing(cache: Cache) -> None:
    cache.set("a", 1)
    assert cache.swapdb(0, 0)
    assert cache.get("a") == 1


def test_a_number_that_is_no_database_is_refused(cache: Cache) -> None:
    for numbers in ((0, 16), (-1, 0)):
        with pytest.raises(ArgumentError, match="DB index is out of range"):
            cache.swapdb(*numbers)


def test_listeners_are_told(cache: Cache) -> None:
    heard: list[Effect] = []
    cache.listen(heard.append)
    cache.swapdb(0, 1)
    assert [(e.event, e.namespace, e.key) for e in heard] == [("swapped", "default", "db1")]


def test_random_swaps_among_random_writes_keep_every_invariant(
    cache: Cache, clock: ManualClock
) -> None:
    chance = random.Random(3)
    views = [cache.database(number) for number in range(3)]
    model: list[dict[str, object]] = [{}, {}, {}]
    for step in range(2000):
        at = chance.randrange(3)
        key = f"k{chance.randrange(20)}"
        match chance.randrange(5):
            case 0:
                other = chance.randrange(3)
                cache.swapdb(at, other)
                model[at], model[other] = model[other], model[at]
            case 1:
                assert (key in model[at]) == bool(views[at].delete(key))
                model[at].pop(key, None)
            case _:
                views[at].set(key, step, tags=[f"t{step % 4}"], ttl=chance.choice([None, 9e9]))
                model[at][key] = step
        if step % 100 == 0:
            cache._check()
    for view, expected in zip(views, model, strict=True):
        assert {key: view.get(key) for key in view} == expected
