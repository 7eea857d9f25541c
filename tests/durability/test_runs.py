"""Runs: plain values that were put one after the other, written as one frame."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from contents import contents

from cachestorm import Cache, ManualClock
from cachestorm.durability.journal import Journal
from cachestorm.durability.recording import RUN_BYTES, SHORT_BYTES

NOW_MS = 1_700_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def journal_of(cache: Cache) -> Journal:
    journal = cache._store.recorder
    assert isinstance(journal, Journal)
    return journal


def read_again(cache: Cache, folder: Path) -> Cache:
    cache.close()
    return Cache(data_dir=folder, clock=ManualClock(NOW_MS))


def test_what_is_put_in_one_turn_is_one_frame(folder: Path) -> None:
    cache = Cache(data_dir=folder, clock=ManualClock(NOW_MS))
    journal = journal_of(cache)
    before = journal.number
    journal.hold()
    for number in range(20):
        value = b"%d" % number if number % 2 else number
        cache.set(f"key:{number % 7}", value, ttl=60 if number % 3 == 0 else None)
    assert journal.number == before
    journal.flush()
    assert journal.number == before + 1
    expected = contents(cache)
    assert contents(read_again(cache, folder)) == expected


def test_what_comes_between_two_plain_values_stays_between_them(folder: Path) -> None:
    cache = Cache(data_dir=folder, clock=ManualClock(NOW_MS))
    other = cache.namespace("other")
    journal = journal_of(cache)
    journal.hold()
    cache.set("a", b"1")
    cache.set("n", b"5")
    cache.incr("n")
    cache.set("n", b"7", ttl=60)
    cache.append("a", b"2")
    cache.delete("n")
    cache.set("n", b"8")
    other.set("n", b"9")
    cache.set("a", b"3", tags=["t"])
    cache.set("b", "x" * SHORT_BYTES)
    cache.set("c", "x" * (SHORT_BYTES + 1))
    cache.set("b", 2.5)
    with cache.transaction():
        cache.set("d", b"1")
        cache.set("e", b"1")
        cache.set("d", b"2")
    cache.set("\N{SNOWMAN}", "\ud800")
    cache.set("a", b"3")
    cache.set("\N{SNOWMAN}", b"1")
    cache.set("a", "\N{SNOWMAN}\ud800")
    cache.set("b", 1 << 70)
    cache.set("b", b"3")
    cache.invalidate("t")
    cache.set("a", b"4")
    journal.flush()
    expected = contents(cache)
    assert contents(read_again(cache, folder)) == expected


def test_a_run_is_no_longer_than_it_may_be(folder: Path) -> None:
    cache = Cache(data_dir=folder, clock=ManualClock(NOW_MS))
    journal = journal_of(cache)
    cache.set("key", b"")
    before = journal.number
    journal.hold()
    for _ in range(32):
        cache.set("key", bytes(SHORT_BYTES // 2))
    journal.flush()
    assert journal.number - before == 32 * SHORT_BYTES // 2 // RUN_BYTES
    expected = contents(cache)
    assert contents(read_again(cache, folder)) == expected


def test_who_is_told_of_writes_is_told_of_those_that_would_join_a_run(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    journal = journal_of(cache)
    told: list[str] = []
    journal.hold()
    cache.set("a", b"1")
    cache.on("set", lambda key, _: told.append(key))
    cache.set("b", b"1")
    journal.flush()
    assert told == ["b"]


def test_what_several_threads_put_meanwhile_is_there_again(folder: Path) -> None:
    cache = Cache(data_dir=folder, aof_sync="no")
    journal = journal_of(cache)

    def work(name: str) -> None:
        for number in range(400):
            cache.set(f"{name}:{number % 20}", b"%d" % number)

    threads = [threading.Thread(target=work, args=(f"thread {each}",)) for each in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(100):
        journal.hold()
        for number in range(8):
            cache.set(f"turn:{number}", b"%d" % turn)
        journal.flush()
    for thread in threads:
        thread.join()
    expected = contents(cache)
    assert contents(read_again(cache, folder)) == expected


def test_what_a_thread_puts_is_written_at_once_while_another_one_holds(folder: Path) -> None:
    cache = Cache(data_dir=folder, clock=ManualClock(NOW_MS))
    journal = journal_of(cache)
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        journal.hold()
        cache.set("theirs", b"1")
        is_held.set()
        is_over.wait()
        journal.flush()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    assert journal.number == 0
    journal.hold()
    cache.set("ours", b"1")
    # and with it what came before
    assert journal.number == 1
    assert len(journal.visits) == 0
    journal.let_go()
    is_over.set()
    thread.join()
    expected = contents(cache)
    assert contents(read_again(cache, folder)) == expected
