"""MEMORY USAGE and SWAPDB through every protocol."""

from __future__ import annotations

from every_protocol import Protocol


def test_memory_usage_counts_bytes(protocol: Protocol) -> None:
    protocol("SET", "k", "v" * 1000)
    usage = protocol("MEMORY", "USAGE", "k")
    assert isinstance(usage, int) and usage > 1000
    assert usage == protocol("MEMORY", "USAGE", "k", "SAMPLES", "0")
    protocol.gives(None, "MEMORY", "USAGE", "none")
    protocol.gives("-ERR syntax error", "MEMORY", "USAGE", "k", "SAMPLES", "-1")


def test_memory_help_lists_what_there_is_to_ask(protocol: Protocol) -> None:
    lines = protocol("MEMORY", "HELP")
    assert isinstance(lines, list)
    assert "USAGE <key> [SAMPLES <count>]" in lines


def test_swapdb_swaps_what_two_namespaces_hold(protocol: Protocol) -> None:
    protocol("SET", "k", "v")
    protocol.gives("OK", "SWAPDB", "0", "1")
    protocol.gives(None, "GET", "k")
    assert protocol.cache.database(1).execute("GETRANGE", "k", 0, -1) == b"v"
    protocol.gives("OK", "SWAPDB", "1", "0")
    protocol.gives("v", "GET", "k")
    protocol.cache._check()


def test_swapdb_refuses_what_is_no_database(protocol: Protocol) -> None:
    protocol.gives("-ERR invalid first DB index", "SWAPDB", "x", "1")
    protocol.gives("-ERR invalid second DB index", "SWAPDB", "1", "x")
    protocol.gives("-ERR DB index is out of range", "SWAPDB", "1", "16")


def test_memory_doctor_is_a_text(protocol: Protocol) -> None:
    told = protocol("MEMORY", "DOCTOR")
    assert isinstance(told, str) and told.startswith("There is nothing in this cache")
    protocol("SET", "k", "v")
    told = protocol("MEMORY", "DOCTOR")
    assert isinstance(told, str) and told.startswith("1 key takes")


def test_memory_stats_are_names_with_numbers(protocol: Protocol) -> None:
    protocol("SET", "k", "v")
    numbers = protocol("MEMORY", "STATS")
    if isinstance(numbers, list):
        numbers = dict(zip(numbers[::2], numbers[1::2], strict=True))
    assert isinstance(numbers, dict)
    assert numbers["keys.count"] == 1
    assert numbers["total.allocated"] == protocol.cache.store_stats().used_memory


def test_memory_purge_and_malloc_stats_answer_as_without_jemalloc(protocol: Protocol) -> None:
    protocol.gives("OK", "MEMORY", "PURGE")
    protocol.gives("Stats not supported for the current allocator", "MEMORY", "MALLOC-STATS")
