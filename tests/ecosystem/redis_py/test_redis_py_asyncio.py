"""redis-py for asyncio: the same, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from redis_clients import Clients

WAIT_S = 60


@asynccontextmanager
async def emptied(clients: Clients, **options: Any) -> Any:
    """A client, and an empty server."""
    async with clients.awaitable(**options) as client:
        await client.flushall()
        yield client


async def until_blocked(client: redis.asyncio.Redis, count: int = 1) -> None:
    """Waits until so many clients wait for something."""
    while (await client.info("clients"))["blocked_clients"] < count:
        pass


def run(clients: Clients, main: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    """Runs a test's coroutine function with a client."""

    async def wrapped() -> None:
        async with emptied(clients, **options) as client:
            await asyncio.wait_for(main(client), 2 * WAIT_S)

    asyncio.run(wrapped())


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_returns_its_results_in_order(clients: Clients, transaction: bool) -> None:
    async def main(client: Any) -> None:
        async with client.pipeline(transaction=transaction) as pipe:
            pipe.set("a", 1).incr("a").hset("h", "f", "v").hgetall("h").get("none")
            assert await pipe.execute() == [True, 2, 1, {b"f": b"v"}, None]

    run(clients, main)


def test_a_watched_key_that_is_written_fails_the_transaction(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async with client.pipeline() as pipe:
            await pipe.watch("a")
            await client.set("a", 5)
            pipe.multi()
            pipe.set("a", 2)
            with pytest.raises(redis.asyncio.WatchError):
                await pipe.execute()
        assert await client.get("a") == b"5"

    run(clients, main)


def test_hundreds_of_tasks_add_in_transactions_and_nothing_is_lost(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async def add(pipe: Any) -> None:
            value = int(await pipe.get("n") or 0)
            pipe.multi()
            pipe.set("n", value + 1)

        await asyncio.gather(*(client.transaction(add, "n") for _ in range(20)))
        assert await client.get("n") == b"20"

    run(clients, main)


def test_messages_come_to_whoever_iterates_over_them(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe("news")
            await pubsub.psubscribe("n*")
            while await client.publish("news", "warm-up") < 2:
                pass
            for number in range(100):
                await client.publish("news", number)
            heard: list[bytes] = []
            async for message in pubsub.listen():
                if message["type"] == "message" and message["data"] != b"warm-up":
                    heard.append(message["data"])
                    if len(heard) == 100:
                        break
        assert heard == [b"%d" % number for number in range(100)]

    run(clients, main)


def test_a_subscriber_may_ping_and_leave(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            assert (await pubsub.get_message(timeout=WAIT_S))["type"] == "subscribe"
            await pubsub.ping()
            await client.publish("news", "hello")
            told = [await pubsub.get_message(timeout=WAIT_S) for _ in range(2)]
            assert told[1]["data"] == b"hello"
            await pubsub.unsubscribe("news")
            assert (await pubsub.get_message(timeout=WAIT_S))["type"] == "unsubscribe"
        assert await client.publish("news", "nobody") == 0

    run(clients, main)


def test_a_task_that_waits_is_given_what_comes(clients: Clients) -> None:
    async def main(client: Any) -> None:
        waiting = asyncio.ensure_future(client.blpop("l", WAIT_S))
        await until_blocked(client)
        await client.rpush("l", "x")
        assert tuple(await waiting) == (b"l", b"x")

    run(clients, main)


def test_a_task_that_is_cancelled_while_it_waits_loses_nothing(clients: Clients) -> None:
    async def main(client: Any) -> None:
        waiting = asyncio.ensure_future(client.blpop("l", WAIT_S))
        await until_blocked(client)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # the client closes the connection that it can no longer read from
        while (await client.info("clients"))["blocked_clients"]:
            pass
        await client.rpush("l", "x")
        assert await client.lrange("l", 0, -1) == [b"x"]

    run(clients, main)


def test_a_worker_and_a_producer_hand_over_every_job_once(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async def work() -> list[int]:
            done = []
            while (job := await client.blmove("jobs", "running", WAIT_S)) != b"end":
                done.append(int(job))
                await client.lrem("running", 1, job)
            return done

        workers = [asyncio.ensure_future(work()) for _ in range(3)]
        for number in range(60):
            await client.lpush("jobs", number)
        await client.lpush("jobs", "end", "end", "end")
        jobs = [await worker for worker in workers]
        assert sorted(job for done in jobs for job in done) == list(range(60))

    run(clients, main)


def test_a_lock_has_one_owner(clients: Clients) -> None:
    async def main(client: Any) -> None:
        lock = client.lock("job", timeout=10)
        assert await lock.acquire(blocking=False)
        assert not await client.lock("job").acquire(blocking=False)
        assert await lock.owned()

    run(clients, main)


def test_a_lock_is_released(clients: Clients) -> None:
    async def main(client: Any) -> None:
        async with client.lock("job", timeout=10):
            pass
        assert await client.exists("job") == 0

    run(clients, main)
