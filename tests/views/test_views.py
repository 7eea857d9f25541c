"""Typed views: what goes in, what comes out, and what the wire sees of it."""

from __future__ import annotations

import asyncio
import enum
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from cachestorm import Cache, ManualClock
from cachestorm.views import ValidationError, View


class Rank(enum.Enum):
    CAPTAIN = "captain"
    SAILOR = "sailor"


@dataclass
class Address:
    city: str


@dataclass
class User:
    name: str
    age: int = 0
    rank: Rank = Rank.SAILOR
    address: Address | None = None
    friends: list[User] = field(default_factory=list)
    born: date | None = None


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Order(pydantic.BaseModel):
    number: int
    placed: datetime | None = None


class Pair(NamedTuple):
    left: int
    right: int


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


@pytest.fixture
def users(cache: Cache) -> View[User]:
    return cache.view(User, prefix="user:")


def by_wire(cache: Cache, key: str, raw: bytes) -> None:
    assert cache.execute("SET", key, raw) is True


def on_wire(cache: Cache, key: str) -> bytes:
    from cachestorm.codec import to_wire

    return to_wire(cache.get(key))


def test_values_of_the_type_are_given_as_they_are(cache: Cache, users: View[User]) -> None:
    ada = User("Ada")
    users.set("1", ada, ttl=60, tags=["people"])
    assert users.get("1") is ada
    assert cache.get("user:1") is ada
    assert (users.ttl("1"), cache.tags("user:1")) == (60, ["people"])


def test_a_missing_key_gives_the_default(users: View[User]) -> None:
    other = User("Grace")
    assert (users.get("1"), users.get("1", other)) == (None, other)
    with pytest.raises(KeyError):
        users["1"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (User, User("Ada"), {"name": "Ada"}),
        (Movie, {"title": "Alien"}, {"title": 5}),
        (Movie, {"title": "Alien", "year": 1979}, {"title": "Alien", "stars": 5}),
        (Movie, {"title": "Alien"}, {}),
        (Point, Point(1), {"x": 1}),
        (Order, Order(number=1), {"number": 1}),
        (list[int], [1, 2], [1, "2"]),
        (dict[str, float], {"a": 1.5}, {1: 1.5}),
        (int, 5, True),
        (int | None, None, "5"),
        (Literal["on", "off"], "on", "up"),
        (tuple[int, str], (1, "a"), (1, 2)),
    ],
)
def test_what_is_not_of_the_type_is_refused_and_changes_nothing(
    cache: Cache, kind: Any, good: Any, bad: Any
) -> None:
    view = cache.view(kind, prefix="v:")
    view["k"] = good
    assert view["k"] == good
    with pytest.raises(TypeError, match="this view holds values of"):
        view["k"] = bad
    with pytest.raises(TypeError, match="this view holds values of"):
        view.set_many({"other": good, "k": bad})
    assert (view["k"], list(view)) == (good, ["k"])
    cache._check()


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (User, b'{"name":"Ada","age":36}', User("Ada", 36)),
        (User, b'{"name":"A","rank":"captain"}', User("A", rank=Rank.CAPTAIN)),
        (User, b'{"name":"A","born":"1815-12-10"}', User("A", born=date(1815, 12, 10))),
        (
            User,
            b'{"name":"A","address":{"city":"London"},"friends":[{"name":"B"}]}',
            User("A", address=Address("London"), friends=[User("B")]),
        ),
        (Movie, b'{"title":"Alien","year":1979}', {"title": "Alien", "year": 1979}),
        (Point, b'{"x":1,"y":2}', Point(1, 2)),
        (Order, b'{"number":1,"placed":"2026-01-02T03:04:05"}',
         Order(number=1, placed=datetime(2026, 1, 2, 3, 4, 5))),
        (list[Point], b'[{"x":1}]', None),
        (str, b"plain text", "plain text"),
        (bytes, b"\xff\x00", b"\xff\x00"),
        (int, b"5", 5),
        (float, b"5", 5.0),
        (bool, b"true", True),
        (dict[str, list[int]], b'{"a":[1]}', {"a": [1]}),
        (set[str], b'["a","a"]', {"a"}),
        (tuple[int, ...], b"[1,2]", (1, 2)),
        (uuid.UUID, b'"12345678123456781234567812345678"', uuid.UUID("12345678" * 4)),
        (Decimal, b'"1.10"', Decimal("1.10")),
    ],
)  # fmt: skip
def test_json_that_the_wire_wrote_comes_out_as_the_type(
    cache: Cache, kind: Any, raw: bytes, expected: Any
) -> None:
    view = cache.view(kind)
    by_wire(cache, "k", raw)
    if expected is None:
        assert view["k"] == [Point(1)]
    else:
        assert view["k"] == expected
        assert type(view["k"]) is type(expected)


@pytest.mark.parametrize(
    ("kind", "raw", "why"),
    [
        (User, b"{", "'k' holds no User: no JSON"),
        (User, b"{}", "'k' holds no User: lacks name"),
        (User, b'{"name":1}', r"'k' holds no User at \.name: expected str, not 1"),
        (User, b'{"name":"A","nick":"B"}', "'k' holds no User: has no field nick"),
        (User, b'{"name":"A","rank":"x"}', r"at \.rank: expected Rank, not 'x'"),
        (User, b'{"name":"A","friends":[{"name":"B"},{}]}', r"at \.friends\[1\]: lacks name"),
        (Movie, b'{"title":"A","year":"x"}', r"at \.year: expected int, not 'x'"),
        (Point, b'{"x":"1"}', "'k' holds no Point: "),
        (Order, b'{"number":"x"}', "'k' holds no Order: "),
        (int, b"five", "'k' holds no int: no JSON"),
        (str, b"\xff", "'k' holds no str: "),
        (dict[str, int], b'{"a":"b"}', r"at \['a'\]: expected int"),
        (int | str, b"[]", r"expected int, not \[\]; expected str, not \[\]"),
        (Decimal, b'"x"', "expected Decimal, not 'x'"),
    ],
)
def test_what_does_not_fit_says_where_and_stays(
    cache: Cache, kind: Any, raw: bytes, why: str
) -> None:
    view = cache.view(kind)
    by_wire(cache, "k", raw)
    with pytest.raises(ValidationError, match=why):
        view["k"]
    assert cache["k"] == raw


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        (User, User("Ada", born=date(1815, 12, 10)),
         b'{"name":"Ada","age":0,"rank":"sailor","address":null,"friends":[],"born":"1815-12-10"}'),
        (Point, Point(1, 2), b'{"x":1,"y":2}'),
        (Order, Order(number=1), b'{"number":1,"placed":null}'),
        (Movie, {"title": "Alien"}, b'{"title":"Alien"}'),
        (Decimal, Decimal("1.10"), b'"1.10"'),
    ],
)  # fmt: skip
def test_the_wire_sees_json_which_reads_back(
    cache: Cache, kind: Any, value: Any, raw: bytes
) -> None:
    view = cache.view(kind)
    view["k"] = value
    assert on_wire(cache, "k") == raw
    by_wire(cache, "copy", raw)
    assert view["copy"] == value


def test_a_named_tuple_is_given_as_it_was_put(cache: Cache) -> None:
    view = cache.view(Pair)
    view["k"] = Pair(1, 2)
    assert view["k"] == Pair(1, 2)
    assert type(view["k"]) is Pair


def test_a_plain_dict_from_a_flat_write_is_converted(cache: Cache, users: View[User]) -> None:
    cache["user:1"] = {"name": "Ada"}
    assert users["1"] == User("Ada")
    assert cache["user:1"] == {"name": "Ada"}


def test_a_view_shows_the_keys_of_its_prefix_without_it(cache: Cache) -> None:
    odd = cache.view(int, prefix="[a*]?:")
    odd.set_many({"x": 1, "y": 2})
    cache["a:z"] = 3
    assert (sorted(odd), len(odd), "x" in odd, "z" in odd) == (["x", "y"], 2, True, False)
    assert (sorted(odd.items()), sorted(odd.values())) == ([("x", 1), ("y", 2)], [1, 2])
    odd.clear()
    assert (list(odd), list(cache)) == ([], ["a:z"])


def test_a_view_is_a_mutable_mapping(users: View[User]) -> None:
    ada, grace = User("Ada"), User("Grace")
    users.update({"1": ada}, b=grace)
    assert users.get_many(["1", "2"]) == {"1": ada}
    assert users.setdefault("1", grace) is ada
    assert users.pop("1") is ada
    assert users.pop("1", None) is None
    assert (users.delete("b", "c"), users.delete()) == (1, 0)
    assert (users.add("d", ada), users.add("d", grace)) == (True, False)
    assert users.popitem() == ("d", ada)
    assert (dict(users), bool(users)) == ({}, True)
    with pytest.raises(KeyError):
        del users["d"]


def test_get_or_set_loads_once_and_keeps_only_what_fits(
    cache: Cache, users: View[User]
) -> None:
    ada = User("Ada")
    assert users.get_or_set("1", lambda: ada, ttl=60) is ada
    assert users.get_or_set("1", lambda: User("other")) is ada
    with pytest.raises(ValidationError, match="'user:2' holds no User"):
        users.get_or_set("2", lambda: "Ada")  # type: ignore[arg-type,return-value]
    assert "2" not in users
    assert users.get_or_set("3", lambda: ada, cache_if=lambda user: user.age > 3) is ada
    assert "3" not in users


def test_aget_or_set_awaits_the_loader(users: View[User]) -> None:
    async def load() -> User:
        return User("Ada")

    assert asyncio.run(users.aget_or_set("1", load)) == User("Ada")
    assert users["1"] == User("Ada")


def test_modify_gives_the_function_a_value_of_the_type(cache: Cache, users: View[User]) -> None:
    by_wire(cache, "user:1", b'{"name":"Ada","age":1}')
    assert users.modify("1", lambda user: User("Ada", user.age + 1 if user else 0)).age == 2
    with pytest.raises(TypeError):
        users.modify("1", lambda user: "Ada")  # type: ignore[arg-type,return-value]
    assert users["1"] == User("Ada", 2)


def test_subclasses_of_a_class_fit(cache: Cache) -> None:
    @dataclass
    class Admin(User):
        pass

    view = cache.view(User)
    admin = Admin("Ada")
    view["k"] = admin
    assert view["k"] is admin


@pytest.mark.parametrize("kind", [1, "User", list["Nobody"]])  # type: ignore[name-defined]  # noqa: F821
def test_what_is_no_type_is_refused(cache: Cache, kind: Any) -> None:
    with pytest.raises(TypeError):
        cache.view(kind)


@pytest.mark.parametrize("key", [1, None, b"k"])
def test_what_is_no_key_is_refused_as_by_the_cache(users: View[User], key: Any) -> None:
    with pytest.raises(TypeError, match="a key is a str"):
        users.get(key)
    assert key not in users


def test_a_container_is_a_wrong_type(cache: Cache, users: View[User]) -> None:
    cache.rpush("user:1", "a")
    with pytest.raises(TypeError, match="wrong kind"):
        users.get("1")


def test_views_of_the_same_are_equal_and_say_what_they_are(
    cache: Cache, users: View[User]
) -> None:
    assert users == cache.view(User, prefix="user:")
    assert users != cache.view(User)
    assert users != Cache().view(User, prefix="user:")
    users["<b>"] = User("Ada")
    assert repr(users) == "<View of User at 'user:*' in 'default': 1 keys>"
    assert "<td>&lt;b&gt;</td>" in users._repr_html_()
    with pytest.raises(TypeError):
        users.__reduce__()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Literal["on", "off"], "on"),
        (Literal["1", 2], "1"),
        (str | None, "Ada"),
        (date | str, "2026-01-01"),
        (int | str, "4 pm"),
    ],
)
def test_a_text_of_a_literal_or_a_union_reads_back_from_the_wire(kind: Any, value: str) -> None:
    cache = Cache()
    view = cache.view(kind)
    view["k"] = value
    cache.execute("SET", "k", value.encode())
    assert view["k"] == value


def test_a_text_without_quotes_is_no_date() -> None:
    cache = Cache()
    cache.execute("SET", "k", b"2026-01-01")
    with pytest.raises(ValidationError, match="no JSON"):
        cache.view(date)["k"]
