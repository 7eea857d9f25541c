"""redis-py: what of it is made of scripts, on a server of ours and in process."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio
from real_servers import HOST
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError

from cachestorm.cache import Cache
from cachestorm_server.hosting import serve


def test_a_lock_is_held_extended_and_released() -> None:
    with serve(Cache(), port=0) as server, redis.Redis(HOST, server.resp.port) as client:
        lock = client.lock("job", timeout=10)
        assert lock.acquire(blocking=False)
        assert not client.lock("job", timeout=10).acquire(blocking=False)
        assert lock.owned()
        assert lock.extend(5)
        assert 10_000 < client.pttl("job") <= 15_000
        assert lock.reacquire()
        assert client.pttl("job") <= 10_000
        lock.release()
        assert client.get("job") is None
        with pytest.raises(LockError):
            lock.release()


def test_a_lock_of_somebody_else_is_not_released() -> None:
    client = Cache().redis()
    lock = client.lock("job", timeout=10)
    assert lock.acquire()
    client.set("job", "another")
    with pytest.raises(LockNotOwnedError):
        lock.release()
    assert client.get("job") == b"another"


def test_a_lock_of_asyncio_is_held_and_released() -> None:
    async def hold() -> None:
        async with (
            redis.asyncio.Redis(host=HOST, port=server.resp.port) as client,
            client.lock("job", timeout=10) as lock,
        ):
            assert await lock.owned()
            assert await lock.extend(5)

    cache = Cache()
    with serve(cache, port=0) as server:
        asyncio.run(hold())
    assert cache.get("job") is None


def test_a_registered_script_is_sent_again_after_a_flush() -> None:
    client = Cache().redis()
    add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert add(keys=["n"], args=[2]) == 2
    client.script_flush()
    with pytest.raises(NoScriptError):
        client.evalsha(add.sha, 1, "n", 3)
    assert add(keys=["n"], args=[3]) == 5
    assert client.script_exists(add.sha, "0" * 40) == [True, False]


def test_a_pipeline_loads_its_scripts() -> None:
    client = Cache().redis()
    add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    with client.pipeline() as pipeline:
        pipeline.set("n", 1)
        add(keys=["n"], args=[2], client=pipeline)
        assert pipeline.execute() == [True, 3]


def test_connections_of_one_client_share_their_scripts() -> None:
    client = Cache().redis()
    digest = client.script_load("return 7")
    with client.client() as other:
        assert other.evalsha(digest, 0) == 7
