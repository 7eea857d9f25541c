"""Libraries that expect a client of Redis run on a cache in the process, without a socket."""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from typing import Any

import pytest
from processes import make_importable

from cachestorm import Cache


@pytest.fixture
def cache() -> Cache[Any]:
    return Cache()


def test_locks_of_redis_py_are_taken_and_given_back(cache: Cache[Any]) -> None:
    client = cache.redis()
    with client.lock("l", timeout=5) as lock:
        assert client.lock("l", blocking=False).acquire() is False
        lock.extend(5)
        lock.reacquire()
        assert cache.lock("l").acquire(timeout=0) is False
    assert cache.lock("l").acquire(timeout=0) is True


def test_locks_of_tasks_are_too(cache: Cache[Any]) -> None:
    async def course() -> tuple[bool, bool]:
        async with cache.aio.redis() as client:
            async with client.lock("l", timeout=5):
                taken = await client.lock("l", blocking=False).acquire()
            return taken, await client.lock("l", blocking=False).acquire()

    assert asyncio.run(course()) == (False, True)


def test_walrus(cache: Cache[Any]) -> None:
    walrus = pytest.importorskip("walrus")
    database = walrus.Database(connection_pool=cache.redis().connection_pool)
    database.Hash("h").update(a=1, b=2)
    database.List("l").extend(["x", "y"])
    database.ZSet("z").add({"a": 1, "b": 2})
    assert dict(database.Hash("h")) == {b"a": b"1", b"b": b"2"}
    assert list(database.List("l")) == [b"x", b"y"]
    assert list(database.ZSet("z")) == [(b"a", 1.0), (b"b", 2.0)]
    calls = []

    @database.cache().cached(timeout=60)
    def double(number: int) -> int:
        calls.append(number)
        return number * 2

    assert [double(2), double(2), calls] == [4, 4, [2]]
    with database.lock("lock", ttl=1000):
        pass
    limit = database.rate_limit("limit", limit=3, per=60)
    assert [limit.limit("u") for _ in range(4)] == [False, False, False, True]

    class User(walrus.Model):  # type: ignore[misc,name-defined]
        __database__ = database
        name = walrus.TextField(primary_key=True)
        age = walrus.IntegerField(index=True)

    User.create(name="ann", age=3)
    User.create(name="bob", age=5)
    assert [user.name for user in User.query(User.age > 4)] == ["bob"]


def test_rq(cache: Cache[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    make_importable("rq", monkeypatch)
    rq = importlib.import_module("rq")
    client = cache.redis()
    queue = rq.Queue(connection=client)
    done, failed = queue.enqueue(len, [1, 2, 3]), queue.enqueue(len, 5)
    rq.SimpleWorker([queue], connection=client).work(burst=True)
    assert (done.result, done.get_status(), failed.get_status()) == (3, "finished", "failed")


def test_django_redis(cache: Cache[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    make_importable("django-redis", monkeypatch)
    pool = importlib.import_module("django_redis.pool")
    client = cache.redis()

    class Factory(pool.ConnectionFactory):  # type: ignore[misc,name-defined]
        def connect(self, url: str) -> Any:
            return client

        def disconnect(self, connection: Any) -> None:
            pass

    module = types.ModuleType("embedded_factory")
    module.Factory = Factory  # type: ignore[attr-defined]
    sys.modules["embedded_factory"] = module
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    from django.test import override_settings
    from django_redis.cache import RedisCache

    with override_settings(DJANGO_REDIS_CONNECTION_FACTORY="embedded_factory.Factory"):
        backend = RedisCache("redis://nowhere", {})
        backend.set("k", {"a": 1}, 60)
        backend.set_many({"x": 1, "y": 2})
        with backend.lock("lock", timeout=5):
            assert backend.get("k") == {"a": 1}
        assert (backend.get_many(["x", "y"]), backend.incr("x")) == ({"x": 1, "y": 2}, 2)
        assert 50 < backend.ttl("k") <= 60
        assert backend.delete_pattern("*") == 3


def test_cashews(cache: Cache[Any]) -> None:
    pytest.importorskip("cashews")
    from cashews.backends.redis import Redis

    class Pool:
        @classmethod
        def from_url(cls, url: str, **options: Any) -> Any:
            return cache.aio.redis().connection_pool

    async def course() -> list[Any]:
        backend = Redis("redis://nowhere", connection_pool_class=Pool)
        await backend.init()
        found = [
            await backend.set("k", {"a": 1}, expire=60),
            await backend.get("k"),
            await backend.incr("n"),
            await backend.incr("n", expire=60),
            await backend.set_lock("l", "me", expire=5),
            await backend.set_lock("l", "you", expire=5),
            await backend.unlock("l", "me"),
            await backend.get_expire("k") in (59, 60),
            sorted([key async for key in backend.scan("*")]),
            await backend.delete("k"),
        ]
        await backend.close()
        return found

    assert asyncio.run(course()) == [
        *(True, {"a": 1}, 1, 2, True, False, True, True, ["k", "n"], True)
    ]
