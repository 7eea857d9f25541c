"""INFO has what monitoring reads: every field of a real Redis, but for a few with a reason."""

from __future__ import annotations

import pytest
import redis
from conversing import session_of
from real_servers import HOST, RealServer

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.settings import Settings

# Of Redis 7.2, and read by exporters.
NEWER = {
    *("pubsub_clients", "watching_clients", "client_query_buffer_limit_disconnections"),
    *("acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key"),
    "acl_access_denied_channel",
}
# Numbers where Redis has none: a build that has no number.
NO_NUMBERS = {"redis_build_id"}


REASONS = ("auth", "cmd", "key", "channel")


@pytest.fixture(scope="module")
def ours() -> dict[str, object]:
    return Cache().redis(decode_responses=True).info("everything")


@pytest.fixture(scope="module")
def theirs(redis_server: RealServer) -> dict[str, object]:
    with redis.Redis(HOST, redis_server.port, decode_responses=True) as client:
        return dict(client.info("everything"))


def test_every_field_of_redis_is_there(
    theirs: dict[str, object], ours: dict[str, object]
) -> None:
    # these come with what was done to the server
    own = ("cmdstat_", "errorstat_", "latency_percentiles_usec_", "db")
    fields = {name for name in theirs if not name.startswith(own)}
    assert fields - set(ours) == set()
    assert NEWER - set(ours) == set()


def test_what_is_a_number_in_redis_is_one_here(
    theirs: dict[str, object], ours: dict[str, object]
) -> None:
    def numbers(info: dict[str, object]) -> set[str]:
        return {name for name, value in info.items() if isinstance(value, (int, float))}

    both = set(theirs) & set(ours)
    assert numbers(theirs) & both == numbers(ours) & both - NO_NUMBERS
    assert NEWER - numbers(ours) == set()


def test_what_was_denied_is_counted_by_reason() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    session, _ = session_of(endpoint)
    session.receive(
        b"ACL SETUSER ann on nopass ~a +@all -debug\r\nAUTH bob x\r\nAUTH ann x\r\n"
    )
    session.receive(b"GET b\r\nGET b\r\nDEBUG HELP\r\nPUBLISH c m\r\nACL LOG RESET\r\n")
    text = session.receive(b"INFO stats\r\n").decode()
    found = [text.partition(f"acl_access_denied_{name}:")[2][:1] for name in REASONS]
    assert found == ["1", "1", "2", "1"]


def test_what_comes_and_goes_is_counted() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    session, _ = session_of(endpoint)
    for part in (b"PING\r\nPING\r\n", b"PI", b"NG\r\n"):
        session.receive(part)
    text = session.receive(b"INFO stats\r\n")
    assert b"\r\ntotal_reads_processed:3\r\ntotal_writes_processed:2\r\n" in text
    session.receive(b"CONFIG RESETSTAT\r\n")
    assert b"\r\ntotal_reads_processed:1\r\n" in session.receive(b"INFO stats\r\n")


def test_memory_stats_has_the_fragmentation_of_info() -> None:
    client = Cache().redis(decode_responses=True)
    client.set("k", "v")
    info, stats = client.info("memory"), client.memory_stats()
    assert stats["startup.allocated"] == info["used_memory_startup"]
    accounted = info["used_memory"] + info["used_memory_startup"]
    # what the process holds changes all the time: each is held against its own bytes
    ratio = 1 + info["mem_fragmentation_bytes"] / accounted
    assert ratio == pytest.approx(info["mem_fragmentation_ratio"], abs=0.006)
    ratio = 1 + stats["fragmentation.bytes"] / accounted
    assert ratio == pytest.approx(float(stats["fragmentation"]))


def test_scripts_and_functions_are_counted() -> None:
    client = Cache().redis(decode_responses=True)
    client.eval("return 1", 0)
    client.script_load("return 2")
    code = "#!lua name=a\nredis.register_function('f', function() end)"
    client.function_load(code)
    info = client.info("memory")
    counted = ("number_of_cached_scripts", "number_of_libraries", "number_of_functions")
    assert [info[name] for name in counted] == [2, 1, 1]
    assert info["used_memory_vm_eval"] > 0
    assert info["used_memory_vm_functions"] > 0
    assert info["used_memory_functions"] == len(code)


def test_the_longest_request_that_waits_is_told() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    waiting, _ = session_of(endpoint)
    asking, _ = session_of(endpoint)
    waiting.receive(b"*2\r\n$3\r\nGET\r\n$100\r\n" + b"k" * 50)
    text = asking.receive(b"INFO clients\r\n").decode()
    line = text.partition("client_recent_max_input_buffer:")[2].partition("\r\n")[0]
    assert int(line) == waiting.reader.pending_bytes >= 50


def test_how_long_it_took_to_free_is_told_and_reset() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    session, _ = session_of(endpoint)
    endpoint.reaped_for_s = 1.5
    field = b"expire_cycle_cpu_milliseconds:"
    assert field + b"1500\r\n" in session.receive(b"INFO stats\r\n")
    session.receive(b"CONFIG RESETSTAT\r\n")
    assert field + b"0\r\n" in session.receive(b"INFO stats\r\n")
