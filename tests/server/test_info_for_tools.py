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

# What Redis 7.0 has, and ours has not, by why.
ABSENT = {
    "would cost each read and write": {"total_reads_processed", "total_writes_processed"},
}
# Of Redis 7.2, and read by exporters.
NEWER = {"pubsub_clients", "watching_clients"}
# Fields that monitoring turns into numbers.
NUMBERS = {
    *("uptime_in_seconds", "connected_clients", "blocked_clients", "used_memory"),
    *("used_memory_rss", "used_memory_peak", "used_memory_lua", "used_memory_overhead"),
    *("used_memory_startup", "mem_fragmentation_ratio", "total_system_memory", "maxmemory"),
    *("rdb_changes_since_last_save", "rdb_bgsave_in_progress", "rdb_last_save_time"),
    *("total_connections_received", "total_commands_processed", "instantaneous_ops_per_sec"),
    *("instantaneous_input_kbps", "instantaneous_output_kbps", "rejected_connections"),
    *("expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses", "pubsub_channels"),
    *("pubsub_patterns", "latest_fork_usec", "connected_slaves", "master_repl_offset"),
    *("repl_backlog_active", "repl_backlog_size", "used_cpu_sys", "used_cpu_user"),
    *("used_cpu_sys_children", "used_cpu_user_children", "lazyfree_pending_objects"),
    *("number_of_cached_scripts", "number_of_functions", "used_memory_vm_total"),
    *("slave_expires_tracked_keys", "active_defrag_hits", "total_error_replies"),
}


@pytest.fixture(scope="module")
def ours() -> dict[str, object]:
    return Cache().redis(decode_responses=True).info("everything")


def test_every_field_of_redis_is_there(
    redis_server: RealServer, ours: dict[str, object]
) -> None:
    with redis.Redis(HOST, redis_server.port, decode_responses=True) as client:
        theirs = client.info("everything")
    # these come with what was done to the server
    own = ("cmdstat_", "errorstat_", "latency_percentiles_usec_", "db")
    fields = {name for name in theirs if not name.startswith(own)}
    assert fields - set(ours) == set().union(*ABSENT.values()) & fields
    assert NEWER - set(ours) == set()


def test_what_is_counted_is_a_number(ours: dict[str, object]) -> None:
    assert {name for name in NUMBERS if not isinstance(ours[name], (int, float))} == set()


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
