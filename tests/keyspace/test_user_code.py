"""What a user wrote runs outside of the lock: subclasses of what a cache is given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from cachestorm import Cache

cache = Cache()
inside: list[str] = []


def note(what: str) -> None:
    if cache._store.latch.locked():
        inside.append(what)


class Span(timedelta):
    def total_seconds(self) -> float:
        note("total_seconds")
        return super().total_seconds()


class Name(str):
    def __hash__(self) -> int:
        note("hash")
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        note("eq")
        return super().__eq__(other)

    def __len__(self) -> int:
        note("len")
        return super().__len__()


class Raw(bytes):
    def __hash__(self) -> int:
        note("hash")
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        note("eq")
        return super().__eq__(other)

    def __len__(self) -> int:
        note("len")
        return super().__len__()


class Number(int):
    def __int__(self) -> int:
        note("int")
        return super().__int__()

    def __lt__(self, other: int) -> bool:
        note("lt")
        return super().__lt__(other)

    def __le__(self, other: int) -> bool:
        note("le")
        return super().__le__(other)


CALLS: dict[str, Callable[[], object]] = {
    "set ttl": lambda: cache.set("k", 1, ttl=Span(seconds=5)),
    "set ttl nx": lambda: cache.set("k", 1, ttl=Span(seconds=5), nx=True),
    "set ttl tags": lambda: cache.set("k", 1, ttl=Span(seconds=5), tags=[Name("t")]),
    "set idle": lambda: cache.set("k", 1, idle=Span(seconds=5)),
    "setex": lambda: cache.setex("k", Span(seconds=5), 1),
    "getex": lambda: cache.getex("k", Span(seconds=5)),
    "expire": lambda: cache.expire("k", Span(seconds=5)),
    "hexpire": lambda: cache.hexpire("h", Span(seconds=5), "f"),
    "hsetex": lambda: cache.hsetex("h", "f", 1, ttl=Span(seconds=5)),
    "restore": lambda: cache.restore("r", Span(seconds=5), cache.dump("k"), replace=True),
    "get": lambda: cache.get(Name("k")),
    "set": lambda: cache.set(Name("new"), Name("v")),
    "delete": lambda: cache.delete(Name("new")),
    "sadd": lambda: cache.sadd(Name("s"), Name("m"), Raw(b"n")),
    "zadd": lambda: cache.zadd("z", {Name("m"): 1.0}),
    "hset": lambda: cache.hset("h", Name("f"), Raw(b"v")),
    "hget": lambda: cache.hget("h", Name("f")),
    "invalidate": lambda: cache.invalidate(Name("t")),
    "namespace": lambda: cache.namespace(Name("n")).set("k", 1),
    "namespace_stats": lambda: cache.namespace_stats(Name("n")),
    "namespacedel": lambda: cache.namespacedel(Name("n")),
    "append": lambda: cache.append("text", Raw(b"v")),
    "setrange": lambda: cache.setrange("text", 1, Raw(b"v")),
    "rpush": lambda: cache.rpush("list", Raw(b"v"), Name("w")),
    "lpos": lambda: cache.lpos("list", Raw(b"v")),
    "linsert": lambda: cache.linsert("list", "BEFORE", Raw(b"v"), Raw(b"u")),
    "lset": lambda: cache.lset("list", 0, Raw(b"v")),
    "lrem": lambda: cache.lrem("list", 0, Raw(b"v")),
    "move": lambda: cache.move("list", Number(3)),
    "copy": lambda: cache.copy("k", "copied", Number(3)),
    "swapdb": lambda: cache.swapdb(Number(4), Number(5)),
    "database": lambda: cache.database(Number(4)),
    "pfadd": lambda: cache.pfadd("sketch", Raw(b"v")),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_method_of_a_subclass_runs_under_the_lock(name: str) -> None:
    cache.flushall()
    cache.namespace("n").set("k", 1)
    cache.set("k", 1)
    cache.hset("h", "f", 1)
    cache.rpush("list", "v", "w")
    inside.clear()
    CALLS[name]()
    assert inside == []
