"""redis-py: scripts, functions and the client-side cache, as its documentation shows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError, ResponseError
from redis_clients import Clients

MULTIPLY = """
    local value = tonumber(redis.call('GET', KEYS[1]))
    return value * tonumber(ARGV[1])
"""
LIBRARY = """#!lua name=mylib
    redis.register_function('put', function(keys, args)
        return redis.call('SET', keys[1], args[1])
    end)
    redis.register_function{
        function_name='look', flags={'no-writes'},
        callback=function(keys) return redis.call('GET', keys[1]) end,
    }
"""


@pytest.fixture
def client(clients: Clients) -> Any:
    with clients() as one:
        one.flushall()
        one.script_flush()
        one.function_flush()
        yield one


def test_a_script_is_registered_and_sent_once(client: redis.Redis) -> None:
    client.set("foo", 2)
    multiply = client.register_script(MULTIPLY)
    assert multiply(keys=["foo"], args=[5]) == 10
    assert client.script_exists(multiply.sha) == [True]
    client.script_flush()
    with pytest.raises(NoScriptError):
        client.evalsha(multiply.sha, 1, "foo", 5)
    assert multiply(keys=["foo"], args=[6]) == 12


def test_a_script_in_a_pipeline_is_loaded_before_it(client: redis.Redis) -> None:
    multiply = client.register_script(MULTIPLY)
    pipe = client.pipeline()
    pipe.set("foo", 5)
    multiply(keys=["foo"], args=[5], client=pipe)
    assert pipe.execute() == [True, 25]


def test_functions_are_loaded_called_and_listed(client: redis.Redis) -> None:
    name = client.function_load(LIBRARY)
    assert name in ("mylib", b"mylib")
    assert client.fcall("put", 1, "k", "v") in ("OK", b"OK")
    assert client.fcall_ro("look", 1, "k") == b"v"
    with pytest.raises(ResponseError, match="Can not execute a script with write flag"):
        client.fcall_ro("put", 1, "k", "v")
    assert len(client.function_list()) == 1
    assert len(client.function_list(library="my*", withcode=True)) == 1
    dump = client.function_dump()
    assert client.function_delete("mylib")
    assert client.function_restore(dump)
    assert client.function_load(LIBRARY, replace=True) == name
    assert client.function_flush()
    assert client.function_list() == []


def test_what_is_not_running_is_not_killed(client: redis.Redis) -> None:
    for kill in (client.script_kill, client.function_kill):
        with pytest.raises(redis.ResponseError, match="No scripts in execution right now"):
            kill()


def test_tasks_run_scripts_functions_and_hold_locks(clients: Clients) -> None:
    async def main() -> None:
        async with clients.awaitable() as client:
            await client.flushall()
            await client.function_flush()
            await client.set("foo", 2)
            multiply = client.register_script(MULTIPLY)
            assert await multiply(keys=["foo"], args=[5]) == 10
            async with client.pipeline() as pipe:
                pipe.set("foo", 5)
                await multiply(keys=["foo"], args=[5], client=pipe)
                assert await pipe.execute() == [True, 25]
            await client.function_load(LIBRARY)
            assert await client.fcall("put", 1, "k", "v") in ("OK", b"OK")
            assert await client.fcall_ro("look", 1, "k") == b"v"
            async with client.lock("job", timeout=10) as lock:
                assert await lock.owned()
                await lock.extend(5)
            assert await client.exists("job") == 0

    asyncio.run(main())


def test_what_a_client_keeps_is_never_stale(clients: Clients) -> None:
    if clients.protocol != 3 or redis.__version__ < "6":
        pytest.skip("client-side caching is of RESP3, and of redis-py 6 and later here")
    from redis.cache import CacheConfig

    with clients(cache_config=CacheConfig()) as near, clients() as other:
        other.flushall()
        cache = near.get_cache()
        for change in (
            lambda: other.set("k", "new"),
            lambda: other.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "k", "new"),
            lambda: other.execute_command("INVALIDATE", "t"),
            lambda: other.execute_command("INVALIDATE", "t", "SOFT"),
            lambda: other.pexpire("k", 1),
            lambda: other.flushall(),
        ):
            other.execute_command("SETTAG", "k", "old", "t")
            while near.get("k") != b"old":
                # that it has changed is on its way
                pass
            assert near.get("k") == b"old"
            assert cache.size == 1
            change()
            expected = other.get("k")
            while expected == b"old":
                expected = other.get("k")
            while (seen := near.get("k")) == b"old":
                # as above
                pass
            assert seen == expected
