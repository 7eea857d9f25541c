"""What type checkers know of a view: read by mypy in `test_view_types.py`, and never run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict, assert_type

from cachestorm import Cache
from cachestorm.stats import Stats, StoreStats
from cachestorm.views import View


@dataclass
class User:
    name: str


class Movie(TypedDict):
    title: str


async def loaded() -> User:
    return User("Ada")


cache = Cache()
users = cache.view(User, prefix="user:")
assert_type(users, View[User])
assert_type(users.get("1"), User | None)
assert_type(users.get("1", 3), User | int)
assert_type(users["1"], User)
assert_type(users.pop("1"), User)
assert_type(users.pop("1", 3), User | int)
assert_type(users.get_or_set("1", lambda: User("Ada")), User)
assert_type(users.get_many(["1"]), dict[str, User])
assert_type(users.items(), Iterator[tuple[str, User]])
assert_type(users.values(), Iterator[User])
assert_type(users.modify("1", lambda user: user or User("Ada")), User)
assert_type(cache.view(Movie), View[Movie])
assert_type(cache.view(list[int])["k"], list[int])
assert_type(cache.stats(), Stats)
assert_type(cache.store_stats(), StoreStats)
assert_type(cache.stats().hit_ratio, float)


async def awaited() -> None:
    assert_type(await users.aget_or_set("1", loaded), User)


users.set("1", "Ada")  # type: ignore[arg-type]
users["1"] = 3  # type: ignore[assignment]
