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
    assert b"v" == door.cache.database(1).execute("GETRANGE", "k", 0, -1)
    door.gives("OK", "SWAPDB", "1", "0")
    door.gives("v", "GET", "k")
    door.cache._check()


def test_swapdb_refuses_what_is_no_database(door: Door) -> None:
    door.gives("-ERR invalid first DB index", "SWAPDB", "x", "1")
    door.gives("-ERR invalid second DB index", "SWAPDB", "1", "x")
    door.gives("-ERR DB index is out of range", "SWAPDB", "1", "16")
