"""MEMORY USAGE and SWAPDB through every door."""

from __future__ import annotations

from every_door import Door


def test_memory_usage_counts_bytes(door: Door) -> None:
    door("SET", "k", "v" * 1000)
    usage = door("MEMORY", "USAGE", "k")
    assert isinstance(usage, int) and usage > 1000
    assert usage == door("MEMORY", "USAGE", "k", "SAMPLES", "0")
    door.gives(None, "MEMORY", "USAGE", "none")
    door.gives("-ERR syntax error", "MEMORY", "USAGE", "k", "SAMPLES", "-1")


def test_memory_help_lists_what_there_is_to_ask(door: Door) -> None:
    lines = door("MEMORY", "HELP")
    assert isinstance(lines, list)
    assert "USAGE <key> [SAMPLES <count>]" in lines


def test_swapdb_swaps_what_two_namespaces_hold(door: Door) -> None:
    door("SET", "k", "v")
    door.gives("OK", "SWAPDB", "0", "1")
    door.gives(None, "GET", "k")
    assert door.cache.database(1).execute("GETRANGE", "k", 0, -1) == b"v"
    door.gives("OK", "SWAPDB", "1", "0")
    door.gives("v", "GET", "k")
    door.cache._check()


def test_swapdb_refuses_what_is_no_database(door: Door) -> None:
    door.gives("-ERR invalid first DB index", "SWAPDB", "x", "1")
    door.gives("-ERR invalid second DB index", "SWAPDB", "1", "x")
    door.gives("-ERR DB index is out of range", "SWAPDB", "1", "16")


def test_memory_doctor_is_a_text(door: Door) -> None:
    told = door("MEMORY", "DOCTOR")
    assert isinstance(told, str) and told.startswith("There is nothing in this cache")
    door("SET", "k", "v")
    told = door("MEMORY", "DOCTOR")
    assert isinstance(told, str) and told.startswith("1 key takes")


def test_memory_stats_are_names_with_numbers(door: Door) -> None:
    door("SET", "k", "v")
    numbers = door("MEMORY", "STATS")
    if isinstance(numbers, list):
        numbers = dict(zip(numbers[::2], numbers[1::2], strict=True))
    assert isinstance(numbers, dict)
    assert numbers["keys.count"] == 1
    assert numbers["total.allocated"] == door.cache.stats()["used_memory"]


def test_memory_purge_and_malloc_stats_answer_as_without_jemalloc(door: Door) -> None:
    door.gives("OK", "MEMORY", "PURGE")
    door.gives("Stats not supported for the current allocator", "MEMORY", "MALLOC-STATS")
