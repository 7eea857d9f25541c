"""Live handles behave like Python's containers, and keep what a key has beside its value."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from collections.abc import (
    Callable,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Set,
)
from typing import Any

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import InvalidTtlError, NotAnIntegerError, WrongTypeError
from cachestorm.handles import Handle

FIELDS = [*"abcdefgh"]


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


def outcome(act: Callable[[], Any]) -> Any:
    """What an action gives, or the class of the error it raises."""
    try:
        return act()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        for kind in (KeyError, IndexError, ValueError, TypeError):
            if isinstance(error, kind):
                return kind
        raise


MAPPING_ACTIONS: list[Callable[[Any, str, int], Any]] = [
    lambda m, f, v: m.__setitem__(f, v),
    lambda m, f, v: m.__delitem__(f),
    lambda m, f, v: m[f],
    lambda m, f, v: m.get(f, v),
    lambda m, f, v: m.pop(f, v),
    lambda m, f, v: m.pop(f),
    lambda m, f, v: m.setdefault(f, v),
    lambda m, f, v: m.update({f: v, "z": v}),
    lambda m, f, v: m.update([(f, v)], y=v),
    lambda m, f, v: f in m,
    lambda m, f, v: len(m),
    lambda m, f, v: set(m),
    lambda m, f, v: sorted(m.keys()),
    lambda m, f, v: sorted(m.items()),
    lambda m, f, v: sorted(m.values()),
    lambda m, f, v: m | {f: v},
    lambda m, f, v: {f: v} | m,
    lambda m, f, v: m == {f: v},
    lambda m, f, v: bool(m),
    lambda m, f, v: m.copy() == dict(m.items()),
    lambda m, f, v: m.clear() if v == 7 else None,
]


@pytest.mark.parametrize("kind", ["hash", "sorted_set"])
@pytest.mark.parametrize("seed", range(4))
def test_a_mapping_does_what_a_dict_does(cache: Cache, kind: str, seed: int) -> None:
    handle: Any = cache.as_hash("k") if kind == "hash" else cache.as_sorted_set("k")
    model: dict[str, int] = {}
    draw = random.Random(seed)
    for _ in range(1500):
        act, field, value = draw.choice(MAPPING_ACTIONS), draw.choice(FIELDS), draw.randrange(9)
        got = outcome(lambda: act(handle, field, value))  # noqa: B023
        assert got == outcome(lambda: act(model, field, value))  # noqa: B023
        assert dict(handle) == model
        assert cache.exists("k") == (1 if model else 0)
    cache._check()


SEQUENCE_ACTIONS: list[Callable[[Any, int, int], Any]] = [
    lambda s, i, v: s.append(v),
    lambda s, i, v: s.extend([v, i]),
    lambda s, i, v: s.insert(i, v),
    lambda s, i, v: s[i],
    lambda s, i, v: s[i : i + v],
    lambda s, i, v: s[::-1],
    lambda s, i, v: s.__setitem__(i, v),
    lambda s, i, v: s.__setitem__(slice(i, i + 2), [v, v, v]),
    lambda s, i, v: s.__setitem__(slice(None, None, 2), [v]),
    lambda s, i, v: s.__delitem__(i),
    lambda s, i, v: s.__delitem__(slice(i, i + v)),
    lambda s, i, v: s.pop(),
    lambda s, i, v: s.pop(0),
    lambda s, i, v: s.pop(i),
    lambda s, i, v: s.remove(v),
    lambda s, i, v: s.index(v),
    lambda s, i, v: s.index(v, i),
    lambda s, i, v: s.count(v),
    lambda s, i, v: v in s,
    lambda s, i, v: list(reversed(s)),
    lambda s, i, v: s.reverse(),
    lambda s, i, v: s + [v],  # noqa: RUF005
    lambda s, i, v: s == [v],
    lambda s, i, v: len(s),
    lambda s, i, v: bool(s),
    lambda s, i, v: s.__iadd__([v]) == 0,
    lambda s, i, v: s.clear() if v == 8 else None,
]


@pytest.mark.parametrize("seed", range(4))
def test_a_sequence_does_what_a_list_does(cache: Cache, seed: int) -> None:
    handle = cache.as_list("k")
    model: list[int] = []
    draw = random.Random(seed)
    for _ in range(1500):
        act, index, value = (
            draw.choice(SEQUENCE_ACTIONS),
            draw.randrange(-5, 9),
            draw.randrange(9),
        )
        got = outcome(lambda: act(handle, index, value))  # noqa: B023
        assert got == outcome(lambda: act(model, index, value))  # noqa: B023
        assert list(handle) == model
        assert cache.exists("k") == (1 if model else 0)
    cache._check()


SET_ACTIONS: list[Callable[[Any, str, set[str]], Any]] = [
    lambda s, m, o: s.add(m),
    lambda s, m, o: s.discard(m),
    lambda s, m, o: s.remove(m),
    lambda s, m, o: m in s,
    lambda s, m, o: s | o,
    lambda s, m, o: s & o,
    lambda s, m, o: s - o,
    lambda s, m, o: s ^ o,
    lambda s, m, o: o | set(s),
    lambda s, m, o: s.union(o, [m]),
    lambda s, m, o: s.intersection(o),
    lambda s, m, o: s.difference([m]),
    lambda s, m, o: s.update(o),
    lambda s, m, o: s.difference_update(o),
    lambda s, m, o: s.intersection_update(o | {m}),
    lambda s, m, o: s.__ior__(o) == 0,
    lambda s, m, o: s.__iand__(o | set("ab")) == 0,
    lambda s, m, o: s.__isub__(o) == 0,
    lambda s, m, o: s.__ixor__(o) == 0,
    lambda s, m, o: s <= o,
    lambda s, m, o: s < o,
    lambda s, m, o: s >= o,
    lambda s, m, o: s.isdisjoint(o),
    lambda s, m, o: s == o,
    lambda s, m, o: len(s),
    lambda s, m, o: bool(s),
]


@pytest.mark.parametrize("seed", range(4))
def test_a_set_does_what_a_set_does(cache: Cache, seed: int) -> None:
    handle = cache.as_set("k")
    model: set[str] = set()
    draw = random.Random(seed)
    for _ in range(1500):
        act, member = draw.choice(SET_ACTIONS), draw.choice(FIELDS)
        other = set(draw.sample(FIELDS, draw.randrange(4)))
        got = outcome(lambda: act(handle, member, other))  # noqa: B023
        assert got == outcome(lambda: act(model, member, other))  # noqa: B023
        assert set(handle) == model
        assert cache.exists("k") == (1 if model else 0)
    cache._check()


def test_handles_are_the_containers_that_they_behave_like(cache: Cache) -> None:
    assert isinstance(cache.as_hash("h"), MutableMapping)
    assert isinstance(cache.as_sorted_set("z"), MutableMapping)
    assert isinstance(cache.as_list("l"), MutableSequence)
    assert isinstance(cache.as_set("s"), MutableSet)
    assert isinstance(cache.tag("t"), Set)


def all_handles(cache: Cache, **options: Any) -> list[Any]:
    return [
        cache.as_hash("h", **options),
        cache.as_list("l", **options),
        cache.as_set("s", **options),
        cache.as_sorted_set("z", **options),
        cache.counter("c", **options),
    ]


def fill(handle: Any) -> None:
    """A write that creates the key, or adds to it."""
    {
        "h": lambda: handle.__setitem__("a", 1),
        "l": lambda: handle.append(1),
        "s": lambda: handle.add("a"),
        "z": lambda: handle.__setitem__("a", 1),
        "c": lambda: handle.incr(),
    }[handle.key]()


@pytest.mark.parametrize("place", range(5))
def test_a_write_that_creates_the_key_gives_it_deadline_and_tags(
    cache: Cache, place: int
) -> None:
    handle = all_handles(cache, ttl=60, tags=["x", "y"])[place]
    assert handle.ttl is MISSING
    fill(handle)
    assert (handle.ttl, handle.tags) == (60.0, ("x", "y"))


@pytest.mark.parametrize("place", range(5))
def test_later_writes_keep_deadline_and_tags(cache: Cache, place: int) -> None:
    handle = all_handles(cache, ttl=60, tags=["x"])[place]
    fill(handle)
    handle.expire(10)
    handle.add_tags("z")
    handle.remove_tags("x")
    fill(handle)
    assert (handle.ttl, handle.tags) == (10.0, ("z",))


@pytest.mark.parametrize("place", range(5))
def test_a_refused_time_to_live_creates_nothing_that_lives_for_ever(
    cache: Cache, place: int
) -> None:
    with pytest.raises(InvalidTtlError):
        fill(all_handles(cache, ttl=-1)[place])
    assert cache.keys() == []


def test_no_end_beats_the_default_of_the_namespace(cache: Cache) -> None:
    space = cache.namespace("n", default_ttl=5)
    never, default = space.as_set("never", ttl=None), space.as_set("default")
    never.add("a")
    default.add("a")
    assert (never.ttl, default.ttl) == (None, 5.0)
    assert default.expire(None) is True
    assert default.ttl is None


def test_slices_and_middles_keep_deadline_and_tags(cache: Cache) -> None:
    elements = cache.as_list("l", ttl=60, tags=["x"])
    elements.extend([1, 2, 3])
    elements[1:2] = [7, 8]
    elements.insert(2, 9)
    del elements[0]
    elements.reverse()
    assert elements == [3, 8, 9, 7]
    assert (elements.ttl, elements.tags) == (60.0, ("x",))


def test_handles_and_flat_methods_see_each_other(cache: Cache) -> None:
    user = cache.as_hash("u")
    cache.hset("u", "a", 1)
    assert user["a"] == 1
    user["b"] = 2
    assert cache.hgetall("u") == {"a": 1, "b": 2}
    cache.delete("u")
    assert dict(user) == {}


@pytest.mark.parametrize("place", range(5))
def test_a_key_of_another_type_is_refused(cache: Cache, place: int) -> None:
    handle = all_handles(cache)[place]
    if handle.key == "c":
        cache.rpush("c", 1)
    else:
        cache.set(handle.key, "text")
    with pytest.raises(WrongTypeError):
        fill(handle)
    with pytest.raises(WrongTypeError):
        handle.value if handle.key == "c" else len(handle)


@pytest.mark.parametrize("odd", [None, (), object(), "\ud800", 1.5, ["a"]])
def test_what_can_be_no_field_is_not_contained(cache: Cache, odd: object) -> None:
    for handle in all_handles(cache)[:4]:
        fill(handle)
        assert (odd in handle) is False


def test_repr_shows_where_and_what(cache: Cache) -> None:
    for handle in all_handles(cache):
        fill(handle)
    assert [repr(handle) for handle in all_handles(cache)] == [
        "<HashHandle 'h' in 'default': {'a': 1}>",
        "<ListHandle 'l' in 'default': [1]>",
        "<SetHandle 's' in 'default': ['a']>",
        "<SortedSetHandle 'z' in 'default': {'a': 1.0}>",
        "<Counter 'c' in 'default': 1>",
    ]


def test_handles_are_not_pickled_and_copies_are_the_same_view(cache: Cache) -> None:
    for handle in all_handles(cache):
        with pytest.raises(TypeError):
            pickle.dumps(handle)
        with pytest.raises(TypeError):
            copy.deepcopy(handle)
        assert copy.copy(handle) is handle
        assert isinstance(handle, Handle)


def test_a_list_removes_by_python_equality_outside_of_the_lock(cache: Cache) -> None:
    class Nosy:
        def __eq__(self, other: object) -> bool:
            return bool(cache.exists("l")) and isinstance(other, Nosy)

        __hash__ = None  # type: ignore[assignment]

    elements = cache.as_list("l")
    elements.extend([1, Nosy(), 2])
    elements.remove(Nosy())
    assert elements == [1, 2]


def test_removing_is_tried_again_when_the_list_changes_meanwhile(cache: Cache) -> None:
    elements = cache.as_list("l")
    changes = [lambda: elements.appendleft(0)]

    class Meddler:
        def __eq__(self, other: object) -> bool:
            if changes:
                changes.pop()()
            return other == 2

        __hash__ = None  # type: ignore[assignment]

    elements.extend([1, 2, 3])
    elements.remove(Meddler())
    assert elements == [0, 1, 3]


def test_a_sorted_set_is_in_the_order_of_its_scores(cache: Cache) -> None:
    top = cache.as_sorted_set("z")
    top.update(a=3, b=1, c=2)
    assert list(top) == ["b", "c", "a"]
    assert list(reversed(top)) == ["a", "c", "b"]
    assert top.range(1, desc=True) == ["c", "b"]
    assert top.by_score(1, "(3") == [("b", 1.0), ("c", 2.0)]
    assert top.by_score(2, 3, desc=True) == [("a", 3.0), ("c", 2.0)]
    assert (top.rank("a"), top.rank("a", desc=True), top.rank("x")) == (2, 0, None)
    assert top.incr("b", 9) == 10.0
    assert (top.pop_max(), top.pop_min()) == (("b", 10.0), ("c", 2.0))


def test_a_counter_counts_and_keeps_its_window(cache: Cache) -> None:
    visits = cache.counter("c", ttl=60)
    assert (int(visits), bool(visits), visits.exists()) == (0, False, False)
    visits += 5
    visits -= 1
    assert [10, 20, 30, 40, 50][visits] == 50
    visits.set(7)
    assert (visits.value, visits.ttl) == (7, 60.0)
    assert (visits.reset(), visits.value) == (7, 0)


def test_a_counter_reads_what_the_wire_wrote_and_refuses_what_is_no_number(
    cache: Cache,
) -> None:
    cache.set("c", b"12")
    assert cache.counter("c").value == 12
    for text in (b"twelve", "", [1]):
        cache.set("c", text)
        with pytest.raises((NotAnIntegerError, WrongTypeError)):
            _ = cache.counter("c").value


def test_a_tag_is_the_set_of_its_keys(cache: Cache) -> None:
    cache.set("a", 1, tags=["t"])
    cache.set("b", 2)
    tag = cache.tag("t")
    assert tag == {"a"}
    assert tag.add("b", "missing") == 1
    assert (sorted(tag), len(tag), "b" in tag, "c" in tag) == (["a", "b"], 2, True, False)
    assert tag | {"c"} == {"a", "b", "c"}
    assert tag.discard("a") == 1
    assert repr(tag) == "<Tag 't' in 'default': 1 keys>"
    assert tag.invalidate() == 1
    assert cache.keys() == ["a"]


def test_a_tag_has_children(cache: Cache) -> None:
    parent = cache.tag("parent")
    parent.link("child")
    parent.link(cache.tag("other"))
    cache.set("a", 1, tags=["child"])
    assert [child.name for child in parent.children] == ["child", "other"]
    parent.unlink("other")
    assert parent.invalidate(cascade=True) == 1


def test_a_lone_text_is_no_list_of_tags(cache: Cache) -> None:
    with pytest.raises(TypeError):
        cache.as_hash("h", tags="users")


def test_pop_and_setdefault_are_one_step_for_other_threads() -> None:
    cache = Cache()
    taken: list[str] = []
    fields = cache.as_hash("h")
    fields.update({str(number): number for number in range(300)})

    def take() -> None:
        while True:
            try:
                taken.append(fields.popitem()[0])
            except KeyError:
                return

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, taken)) == list(range(300))


def test_a_write_whose_tags_find_no_room_makes_no_key() -> None:
    tags = [f"{number}" * 100 for number in range(3)]
    refused = 0
    for limit in range(300, 4000, 100):
        cache = Cache(max_memory=limit, policy="noeviction")
        user = cache.as_hash("user", ttl=60, tags=tags)
        try:
            user["name"] = "Ada"
        except MemoryError:
            refused += 1
            assert (cache.keys(), cache.stats().used_memory) == ([], 0)
        else:
            assert (user.tags, user.ttl is not None) == (tuple(tags), True)
    assert 0 < refused < 37


def test_a_time_to_live_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidTtlError, match="ttl is a positive time, or None, not 0"):
        Cache().as_list("k", ttl=0)
