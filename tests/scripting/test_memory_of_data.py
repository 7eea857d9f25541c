"""Scripts and `maxmemory`: they are refused where they begin, and never in the middle."""

from __future__ import annotations

import pytest
from lines import Ours, Theirs
from real_servers import RealServer

from cachestorm.cache import Cache

LIMIT = "20mb"
FILL = (
    "for i = 1, 30 do redis.call('SET', 'k' .. i, ('x'):rep(1e6)) end "
    "return redis.call('DBSIZE')"
)
# each is said while there is more than there may be
WHEN_FULL = (
    "redis.call('DEL', 'k1') redis.call('SET', 'a', 'b') return redis.call('DBSIZE')",
    "return redis.call('SET', 'a', 'b')",
    "return {redis.pcall('SET', 'a', 1), redis.call('DEL', 'k2'), redis.pcall('SET', 'a', 2)}",
    "return redis.call('GET', 'a')",
    "#!lua\nreturn redis.call('GET', 'a')",
    "#!lua flags=no-writes\nreturn redis.call('GET', 'a')",
    "#!lua flags=allow-oom\nreturn redis.call('SET', 'a', 'c')",
    "#!lua flags=allow-oom,no-writes\nreturn redis.call('GET', 'a')",
)
LIBRARY = """#!lua name=memory
redis.register_function('plain', function() return redis.call('GET', 'a') end)
redis.register_function{
    function_name = 'allowed', flags = {'allow-oom'},
    callback = function() return redis.call('SET', 'a', 'd') end,
}
"""


def test_a_script_is_refused_for_memory_as_in_redis(redis_server: RealServer) -> None:
    ours, theirs = Ours(), Theirs(redis_server.port)
    replies: list[list[bytes]] = []
    try:
        for side in (ours, theirs):
            side.ask(b"FLUSHALL")
            side.ask(b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.encode())
            side.ask(b"CONFIG", b"SET", b"maxmemory-policy", b"noeviction")
            side.ask(b"CONFIG", b"SET", b"maxmemory", LIMIT.encode())
            said = [side.ask(b"EVAL", FILL.encode(), b"0"), side.ask(b"SET", b"x", b"y")]
            said += [side.ask(b"EVAL", script.encode(), b"0") for script in WHEN_FULL]
            said += [side.ask(b"FCALL", name, b"0") for name in (b"plain", b"allowed")]
            replies.append(said)
        assert replies[0] == replies[1]
    finally:
        theirs.ask(b"CONFIG", b"SET", b"maxmemory", b"0")
        theirs.ask(b"FUNCTION", b"FLUSH")
        theirs.ask(b"FLUSHALL")
        theirs.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "adaptive", "volatile-ttl"])
def test_what_a_script_has_written_is_evicted_when_it_ends(policy: str) -> None:
    cache = Cache(max_memory="1mb", policy=policy)
    cache.set("before", b"x", ttl=100)
    write = "for i = 1, 1000 do redis.call('SET', 'k' .. i, ('x'):rep(5000), 'EX', 100) end "
    assert Ours(cache).eval(write + "return redis.call('DBSIZE')") == b":1001\r\n"
    assert 0 < cache.dbsize() < 300
    assert cache.store_stats().used_memory <= 1024 * 1024
    cache._check()


def test_places_are_no_limit_within_a_script() -> None:
    cache = Cache(max_entries=10)
    write = "for i = 1, 100 do redis.call('SET', 'k' .. i, i) end return redis.call('DBSIZE')"
    assert Ours(cache).eval(write) == b":100\r\n"
    assert cache.dbsize() == 10
    cache._check()


def test_a_script_that_fails_leaves_the_limits_behind_as_they_were() -> None:
    cache = Cache(max_memory="100kb", policy="noeviction")
    ours = Ours(cache)
    assert ours.eval("redis.call('SET', 'k', ('x'):rep(90000)) error('enough')")[:4] == b"-ERR"
    refusal = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    assert ours.ask(b"SET", b"l", b"x" * 90000) == refusal
