"""What a cache with a data directory has after a restart: exactly what it had before."""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contents import contents
from vocabulary import random_command

from cachestorm import Cache, ManualClock
from cachestorm.durability.directory import DataDirectory
from cachestorm.errors import CacheStormError, DurabilityError

Chance = random.Random


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def reopened(cache: Cache[Any], folder: Path, **settings: Any) -> Cache[Any]:
    cache.close()
    return Cache(data_dir=folder, **settings)


def random_step(cache: Cache[Any], clock: ManualClock, chance: Chance) -> None:
    """One command, in whatever namespace; or time goes by, or all is flushed or exchanged."""
    draw = chance.random()
    space = cache if draw < 0.7 else cache.namespace(chance.choice(["other", "db1"]))
    key, tag = chance.choice("abcd"), chance.choice("tuvw")
    if draw < 0.03:
        clock.advance(chance.choice([0.01, 1, 4000]))
    elif draw < 0.035:
        cache.flushall()
    elif draw < 0.04:
        cache.execute("SWAPDB", 0, 1)
    elif draw < 0.06:
        space.set(key, {"an": ["object", chance.randrange(9)]}, tags=[tag])
    elif draw < 0.08:
        space.set(key, chance.choice([None, True, 1.5, "text", 2**70]), ttl=500)
    elif draw < 0.1:
        space.set(key, "idle", idle=chance.choice([5000, 5]))
    elif draw < 0.14:
        space.addtag(key, tag, chance.choice("tuvw"))
    elif draw < 0.15:
        space.remtag(key, tag)
    elif draw < 0.17:
        space.invalidate(tag, cascade=chance.random() < 0.5, soft=chance.random() < 0.5)
    elif draw < 0.19:
        space.execute("TAGLINK", tag, chance.choice("tuvw"))
    elif draw < 0.2:
        cache.namespace("other", default_ttl=chance.choice([0, 9000]))
    elif draw < 0.22:
        space.hset(key, mapping={str(chance.randrange(9)): chance.randrange(9)})
        space.hpexpire(key, chance.choice([10, 100_000]), "1", "2", "3")
    elif draw < 0.24:
        with cache.transaction():
            for _ in range(chance.randrange(2, 6)):
                try:
                    random_step(cache, clock, chance)
                except (CacheStormError, TypeError, ValueError, OverflowError):
                    pass
    else:
        space.execute(*random_command(chance))


def step(cache: Cache[Any], clock: ManualClock, chance: Chance) -> None:
    try:
        random_step(cache, clock, chance)
    except (CacheStormError, TypeError, ValueError, OverflowError):
        pass


def live_through(seed: int, rounds: int, folder: Path, clock: ManualClock) -> None:
    """Random commands, now and then a snapshot; at the end of each round a restart."""
    chance = Chance(seed)
    cache = Cache(data_dir=folder, aof_sync="no", clock=clock)
    for _ in range(rounds):
        for _ in range(200):
            step(cache, clock, chance)
            if chance.random() < 0.004:
                cache.save()
        before = contents(cache)
        cache = reopened(cache, folder, aof_sync="no", clock=clock)
        assert contents(cache) == before
        cache._check()
    cache.close()


@pytest.mark.parametrize("seed", range(6))
def test_random_commands_survive_a_restart(seed: int, folder: Path, clock: ManualClock) -> None:
    live_through(seed, 2, folder, clock)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_more_random_commands_survive_a_restart(
    seed: int, folder: Path, clock: ManualClock
) -> None:
    live_through(seed, 4, folder, clock)


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_that_others_write_into_is_the_state_at_its_end(
    seed: int, folder: Path, clock: ManualClock
) -> None:
    chance = Chance(seed)
    cache = Cache(data_dir=folder, aof_sync="no", clock=clock)
    for number in range(2000):
        cache.set(f"k{number}", number, tags=[f"t{number % 7}"])
    saver = threading.Thread(target=cache.save)
    saver.start()
    steps = 0
    while saver.is_alive() or steps < 200:
        step(cache, clock, chance)
        cache.rename(f"k{steps}", f"r{steps}") if cache.exists(f"k{steps}") else None
        steps += 1
    saver.join()
    assert [each.suffix for each in sorted(folder.iterdir())] == [".base", ""]
    before = contents(cache)
    cache = reopened(cache, folder, clock=clock)
    assert contents(cache) == before
    cache._check()
    cache.close()


def test_one_field_of_a_large_hash_is_written_in_a_few_bytes(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    cache.hset("h", mapping={f"field{number}": number for number in range(10_000)})
    cache.sync()
    (journal,) = folder.glob("*.journal")
    before = journal.stat().st_size
    cache.hset("h", "field7", b"changed")
    assert journal.stat().st_size - before < 100
    cache.rename("h", "other")
    assert journal.stat().st_size - before < 200
    cache = reopened(cache, folder)
    assert cache.hget("other", "field7") == b"changed"
    assert cache.hlen("other") == 10_000
    before = journal.stat().st_size
    cache.hset("other", "field7", b"again")
    assert journal.stat().st_size - before < 100
    cache.close()


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_restart_evicts_nothing_for_a_quota(folder: Path, first: str) -> None:
    cache = Cache(data_dir=folder)
    space = cache.namespace("small")
    space.mset({"a": b"x" * 200, "b": b"x" * 200, "c": b"x", first: b""})
    cache.namespace("small", max_memory=cache._store.space("small").used_bytes)
    second = "b" if first == "a" else "a"
    # both at once need no room, the first of them alone does
    space.mset({first: b"x" * 200, second: b""})
    before = contents(cache)
    assert sorted(space) == ["a", "b", "c"]
    cache = reopened(cache, folder)
    assert contents(cache) == before
    cache._check()
    cache.close()


@pytest.mark.parametrize("leaving", ["evicted", "kept for long", "renamed over"])
def test_a_stale_entry_that_has_left_does_not_come_back(
    folder: Path, clock: ManualClock, leaving: str
) -> None:
    cache = Cache(data_dir=folder, clock=clock, max_entries=3)
    cache.set("stale", "old", tags=["t"])
    cache.mset({"a": 1, "b": 2})
    cache.invalidate("t", soft=True)
    if leaving == "evicted":
        cache.set("c", 3)
    elif leaving == "kept for long":
        clock.advance(4000)
        cache._store.reap()
        cache.set("c", 3)
    else:
        cache.rename("a", "stale")
        cache.delete("stale")
        cache.mset({"a": 1, "c": 3})
    before = contents(cache)
    assert sorted(cache) == ["a", "b", "c"]
    # with a limit it would take the place of one that lives
    cache = reopened(cache, folder, clock=clock)
    assert contents(cache) == before
    assert cache._store.entry_count == 3
    cache._check()
    cache.close()


def test_a_directory_that_is_open_is_refused_and_said(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    with pytest.raises(DurabilityError, match="is open in another cache"):
        Cache(data_dir=folder)
    cache.close()
    Cache(data_dir=folder).close()


def test_what_nothing_can_spell_is_not_kept(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache(data_dir=folder)
    cache.set("a", 1)
    cache.set("a", object())
    cache.set("b", 2)
    assert "'a' is not kept on disk" in caplog.text
    cache = reopened(cache, folder)
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.close()


@pytest.mark.parametrize("codec", ["json", "pickle"])
def test_objects_come_back_through_the_codec(folder: Path, codec: str) -> None:
    cache = Cache(data_dir=folder, codec=codec)
    cache.set("a", {"b": [1]})
    cache.hset("h", "f", {"c": 1})
    cache.rpush("l", {"d": 1})
    cache = reopened(cache, folder, codec=codec)
    assert cache.get("a") == {"b": [1]}
    assert cache.hget("h", "f") == {"c": 1}
    assert cache.lindex("l", 0) == {"d": 1}
    cache._check()
    cache.close()
    with pytest.raises(DurabilityError, match="same codec="):
        Cache(data_dir=folder)


def test_a_transaction_is_kept_whole_or_not_at_all(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    with cache.transaction():
        cache.set("a", 1)
        cache.set("b", 1)
    (journal,) = folder.glob("*.journal")
    cache.close()
    whole = journal.read_bytes()
    seen = set()
    for size in range(len(whole) + 1):
        journal.write_bytes(whole[:size])
        cache = Cache(data_dir=folder)
        seen.add((cache.get("a"), cache.get("b")))
        cache.close()
    assert seen == {(None, None), (1, 1)}


def test_what_a_transaction_does_to_a_key_that_it_has_put_is_kept(
    folder: Path, clock: ManualClock
) -> None:
    cache = Cache(data_dir=folder, clock=clock)
    with cache.transaction():
        for key, tags in (("a", []), ("b", ["t"])):
            cache.set(key, "text", tags=tags)
            cache.expire(key, 100)
        cache.rpush("l", 1)
        cache.expire("l", 100)
        cache.set("idle", "text", ttl=50)
        cache.set("idle", "text", ttl=50, idle=20)
        cache.set("for ever", "text", ttl=50)
        cache.persist("for ever")
        cache.rename("a", "moved")
        cache.expire("moved", 70)
    before = contents(cache)
    assert [cache.ttl(key) for key in ("moved", "b", "l")] == [70, 100, 100]
    cache = reopened(cache, folder, clock=clock)
    assert contents(cache) == before
    cache.close()


def test_limits_evict_when_all_is_there(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    for number in range(1000):
        cache.set(f"k{number}", number)
    cache = reopened(cache, folder, max_entries=100)
    assert len(cache) == 100
    cache = reopened(cache, folder)
    assert len(cache) == 100
    cache.close()


def test_the_settings_of_the_program_come_before_what_was_kept(folder: Path) -> None:
    cache = Cache(data_dir=folder, default_ttl=10)
    cache.namespace("other", default_ttl=20)
    cache = reopened(cache, folder)
    cache.set("a", 1)
    cache.namespace("other").set("a", 1)
    assert 9 < cache.ttl("a") <= 10
    assert 19 < cache.namespace("other").ttl("a") <= 20
    cache = reopened(cache, folder, default_ttl=30)
    cache.set("a", 1)
    assert 29 < cache.ttl("a") <= 30
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_reads_on_and_is_told_that_it_must_not_write(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    cache.set("a", 1)
    child = os.fork()
    if child == 0:
        try:
            assert cache.get("a") == 1
            with pytest.raises(DurabilityError, match=re.escape(str(folder))):
                cache.set("a", 2)
            cache.close()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    cache.set("b", 2)
    with pytest.raises(DurabilityError, match="is open in another cache"):
        Cache(data_dir=folder)
    cache = reopened(cache, folder)
    assert (cache.get("a"), cache.get("b")) == (1, 2)
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_that_lives_on_keeps_nobody_from_the_directory(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    cache.set("a", 1)
    until, end = os.pipe()
    forked, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.write(begun, b".")
        os.read(until, 1)
        os._exit(0)
    # it lets go of the directory when it begins
    assert os.read(forked, 1) == b"."
    with pytest.raises(DurabilityError, match="is open in another cache"):
        Cache(data_dir=folder)
    cache = reopened(cache, folder)
    assert cache.get("a") == 1
    os.close(end)
    os.waitpid(child, 0)
    for descriptor in (until, forked, begun):
        os.close(descriptor)
    cache.close()


@pytest.mark.parametrize("aof", [True, False])
def test_what_is_put_in_as_a_directory_is_opened_is_kept_whole_or_not_at_all(
    folder: Path, aof: bool
) -> None:
    def fill(cache: Cache[Any]) -> Iterator[None]:
        cache.hset("h", mapping={f"f{number}": "x" * 100 for number in range(100)})
        yield
        cache.set("a", 1, tags=["t"])

    cache = Cache[Any]()
    directory = DataDirectory(cache._store, None, str(folder), "no", aof)
    loading = directory.loading(partial(fill, cache))
    while cache.hlen("h") == 0:
        next(loading)
    loading.close()
    cache = Cache[Any]()
    directory = DataDirectory(cache._store, None, str(folder), "no", aof)
    for _ in directory.loading(partial(fill, cache)):
        assert len(cache) < 3
    cache._store.directory = directory
    cache.hset("h", "f7", "y")
    cache.sync()
    written = sum(each.stat().st_size for each in folder.iterdir())
    assert written < 12_000 if aof else True
    before = contents(cache)
    cache = reopened(cache, folder, aof=aof)
    assert contents(cache) == before
    assert (len(cache), cache.hget("h", "f7")) == (2, "y")
    cache._check()
    cache.close()


def test_a_clock_that_was_set_back_between_two_runs_loses_nothing(folder: Path) -> None:
    late = ManualClock()
    late.advance(1000)
    cache = Cache(data_dir=folder, clock=late)
    cache.set("a", 1, ttl=10)
    cache.hset("h", mapping={"f": 1, "g": 2})
    cache.hpexpire("h", 10_000, "f")
    early = ManualClock()
    cache = reopened(cache, folder, clock=early)
    assert (cache.ttl("a"), cache.hgetall("h")) == (1010.0, {"f": 1, "g": 2})
    cache.set("b", 1, ttl=10)
    cache.hset("h", "e", 3)
    cache.hpexpire("h", 10_000, "e")
    early.advance(5)
    before = contents(cache)
    cache = reopened(cache, folder, clock=early)
    assert contents(cache) == before
    early.advance(5)
    assert (cache.get("b"), cache.hgetall("h")) == (None, {"f": 1, "g": 2})
    cache._check()
    cache.close()


def test_threads_that_write_at_once_are_all_in_the_journal(folder: Path) -> None:
    cache = Cache(data_dir=folder, aof_sync="always")

    def write(number: int) -> None:
        for each in range(20):
            cache.hset("h", f"{number}:{each}", each)
            cache.rpush("l", number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = contents(cache)
    cache = reopened(cache, folder)
    assert contents(cache) == before
    assert (cache.hlen("h"), cache.llen("l")) == (80, 80)
    cache.close()


def test_the_journal_begins_anew_by_itself_when_it_has_doubled(folder: Path) -> None:
    cache = Cache(data_dir=folder, aof_sync="no")
    directory = cache._directory()
    assert directory is not None
    for number in range(300):
        cache.set("k", number)
    directory.look()
    assert list(folder.glob("*.base")) == []
    directory.rewrite_bytes = 1000
    directory.look()
    directory.wait()
    (base,) = folder.glob("*.base")
    assert base.stat().st_size < 300
    directory.look()
    assert [*folder.glob("*.base")] == [base]
    cache = reopened(cache, folder)
    assert cache.get("k") == 299
    cache.close()
