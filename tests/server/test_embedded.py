"""redis-py on a cache of the same process: what a client may do that has a real server."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import threading
from collections.abc import Callable, Iterator

import pytest
import redis
import redis.asyncio

from cachestorm import Cache, ManualClock
from cachestorm.errors import CacheStormError
from cachestorm.providers import provider


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


@pytest.fixture(params=[2, 3])
def client(request: pytest.FixtureRequest, cache: Cache) -> Iterator[redis.Redis]:
    with cache.redis(protocol=request.param, decode_responses=True) as client:
        yield client


def in_a_moment(function: Callable[..., object], *args: object) -> threading.Timer:
    timer = threading.Timer(0.05, function, args)
    timer.start()
    return timer


def test_the_client_and_the_cache_see_the_same_keys(cache: Cache, client: redis.Redis) -> None:
    assert client.set("k", "v", ex=60) is True
    assert (cache.get("k"), cache.ttl("k")) == (b"v", 60)
    cache.hset("h", "f", 1)
    assert client.hgetall("h") == {"f": "1"}
    cache.set("tagged", 1, tags=["t"])
    assert client.execute_command("INVALIDATE", "t") == 1
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.get("h")
    assert client.ping() is True


def test_a_client_begins_in_the_namespace_of_its_cache(cache: Cache) -> None:
    users = cache.namespace("users")
    assert users.redis().set("k", "v") is True
    assert (users.get("k"), cache.get("k")) == (b"v", None)
    assert cache.redis(db=1).set("k", "one") is True
    assert cache.database(1).get("k") == b"one"


def test_a_pipeline_is_answered_in_order(client: redis.Redis) -> None:
    pipeline = client.pipeline()
    for _ in range(1000):
        pipeline.incr("n")
    assert pipeline.execute() == list(range(1, 1001))


def test_a_write_in_process_touches_a_key_that_a_client_watches(
    cache: Cache, client: redis.Redis
) -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("n")
        cache.set("n", 5)
        pipeline.multi()
        pipeline.set("n", 1)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert cache.get("n") == 5


def test_a_thread_that_waits_gets_what_the_process_pushes(
    cache: Cache, client: redis.Redis
) -> None:
    timer = in_a_moment(cache.rpush, "jobs", "one")
    assert tuple(client.blpop("jobs", timeout=60)) == ("jobs", "one")
    timer.join()


def test_a_thread_that_listens_hears_of_a_subscription_that_another_begins(
    client: redis.Redis,
) -> None:
    with client.pubsub() as listening:
        listening.subscribe("first")
        assert listening.get_message(timeout=60)["channel"] == "first"
        timer = in_a_moment(listening.subscribe, "second")
        assert next(listening.listen())["channel"] == "second"
        timer.join()


def test_a_wait_ends_when_its_time_is_up(client: redis.Redis) -> None:
    assert client.blpop("jobs", timeout=0.02) is None
    assert client.ping() is True


def test_a_read_ends_at_the_timeout_of_the_socket(cache: Cache) -> None:
    client = cache.redis(socket_timeout=0.02)
    with pytest.raises(redis.TimeoutError):
        client.blpop("jobs", timeout=60)
    assert cache._space.waiting is None
    assert client.ping() is True


def test_a_subscriber_hears_clients_and_the_process(cache: Cache, client: redis.Redis) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe("news")
        assert listening.get_message(timeout=1) is None
        assert client.publish("news", "of a client") == 1
        assert listening.get_message(timeout=60)["data"] == "of a client"
        timer = in_a_moment(cache.publish, "news", "of the process")
        assert listening.get_message(timeout=60)["data"] == "of the process"
        timer.join()
        assert listening.get_message(timeout=0) is None
        assert listening.get_message(timeout=0.01) is None


def test_nothing_is_left_of_a_client_that_is_closed(cache: Cache) -> None:
    client = cache.redis()
    listening = client.pubsub()
    listening.subscribe("news")
    assert cache.publish("news", "x") == 1
    pipeline = client.pipeline()
    pipeline.watch("k")
    assert cache._space.watches is not None
    listening.close()
    pipeline.reset()
    client.close()
    assert cache.publish("news", "x") == 0
    assert cache._space.watches is None


def test_a_client_that_quits_is_connected_anew(client: redis.Redis) -> None:
    client.execute_command("QUIT")
    assert client.ping() is True


def test_a_transaction_of_a_thread_and_clients_of_others_wait_for_each_other_in_turn(
    cache: Cache,
) -> None:
    client = cache.redis()
    client.set("n", 0)
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(200):
                client.incr("n")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with cache.transaction():
            before = int(client.get("n"))
            client.incr("n")
            assert int(client.get("n")) == before + 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.get("n") == 650


def test_a_long_command_is_done_in_slices(cache: Cache, client: redis.Redis) -> None:
    cache.mset({f"k{number}": 1 for number in range(30_000)})
    assert len(client.keys("k*")) == 30_000
    assert client.dbsize() == 30_000


def test_a_connection_that_is_lost_within_a_command_ends_with_the_next_one(
    cache: Cache,
) -> None:
    client = cache.redis()
    pipeline = client.pipeline()
    pipeline.watch("k")
    assert pipeline.connection is not None
    cache._store.enter()
    try:
        # as a finalizer does it
        pipeline.connection.disconnect()
        assert cache._space.watches is not None
    finally:
        cache._store.leave()
    client.connection_pool.reset()
    assert client.ping() is True
    assert cache._space.watches is None


def test_a_finalizer_may_ask_a_client(cache: Cache) -> None:
    client = cache.redis()
    outcomes: list[object] = []

    class Value:
        def __del__(self) -> None:
            outcomes.append(client.get("k"))

    client.set("k", 1)
    cache.set("object", Value())
    client.delete("object")
    gc.collect()
    assert outcomes == [b"1"]


def test_tasks_are_served_as_threads_are(cache: Cache) -> None:
    async def main() -> None:
        async with cache.aio.redis(decode_responses=True) as client:
            assert await client.set("k", "v") is True
            assert cache.get("k") == b"v"
            waiting = asyncio.create_task(client.blpop("jobs", timeout=60))
            await asyncio.sleep(0.02)
            cache.rpush("jobs", "one")
            assert tuple(await waiting) == ("jobs", "one")
            assert await client.blpop("jobs", timeout=0.02) is None
            async with client.pipeline() as pipeline:
                assert await pipeline.incr("n").incr("n").execute() == [1, 2]
            async with client.pubsub(ignore_subscribe_messages=True) as listening:
                await listening.subscribe("news")
                timer = in_a_moment(cache.publish, "news", "hello")
                while (message := await listening.get_message(timeout=60)) is None:
                    pass
                assert message["data"] == "hello"
                timer.join()
        assert cache.publish("news", "x") == 0

    asyncio.run(main())


def test_other_tasks_go_on_while_a_long_command_is_done(cache: Cache) -> None:
    cache.mset({f"k{number}": 1 for number in range(60_000)})

    async def main() -> int:
        turns = 0
        async with cache.aio.redis() as client:
            keys = asyncio.create_task(client.keys("k*"))
            while not keys.done():
                turns += 1
                await asyncio.sleep(0)
            assert len(await keys) == 60_000
        return turns

    assert asyncio.run(main()) > 5


def test_a_task_that_is_cancelled_while_it_waits_leaves_nobody_waiting(cache: Cache) -> None:
    async def main() -> None:
        async with cache.aio.redis() as client:
            waiting = asyncio.create_task(client.blpop("jobs"))
            async with asyncio.timeout(60):
                while cache._space.waiting is None:
                    await asyncio.sleep(0.001)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert cache._space.waiting is None
            assert await client.ping() is True

    asyncio.run(main())


def test_what_is_asked_for_without_the_server_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    with pytest.raises(ImportError) as refusal:
        provider("nothing", "Cache.nothing()")
    assert str(refusal.value) == (
        "Cache.nothing() needs the server: pip install 'cachestorm[server]'"
    )
    broken = importlib.metadata.EntryPoint(
        "redis", "no_such_module:client", "cachestorm.providers"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **wanted: [broken])
    with pytest.raises(CacheStormError) as missing:
        cache.redis()
    assert str(missing.value) == (
        "Cache.redis() needs the server, because no_such_module is not installed: "
        "pip install 'cachestorm[server]'"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **wanted: [])
    with pytest.raises(CacheStormError, match=r"^cache\.aio\.redis\(\) needs the server: pip"):
        cache.aio.redis()
