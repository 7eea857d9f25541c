"""Makes the files of this version's format that are checked in: in `formats/`, by its number.

Run by hand, once for each version of the format, from the source and not from a compiled build:
`PYTHONPATH=$PWD python tests/durability/make_format_files.py`. It makes what is missing, and
never writes over what is there, for these files are what former versions have written:
`test_formats.py` reads them for ever. Beside each is what a cache must hold that has read it,
as `contents.py` tells it.

    data/              a base, changed meanwhile; a journal with every kind of record and note
                       after it, and a torn end
    cache.snapshot     what `Cache.save` has written
    pickle/            a journal of a cache with `codec="pickle"`
    parts/             a base with large containers, in parts
    tiers/             a data directory, and the tiers that have its values: sqlite and files
    *.contents         what is to be found in them
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from pprint import pformat
from typing import Any, cast

from contents import contents

from cachestorm import Cache, ManualClock
from cachestorm.durability import frames, parts, recording, snapshot
from cachestorm.durability.frames import HEADER, MAGIC
from cachestorm.durability.recording import Record
from cachestorm.entry import BUFFER, HASH, LIST, SET, ZSET
from cachestorm.tiers.tiers import Tiers
from cachestorm.values import diary

FORMATS = Path(__file__).parent / "formats"
TORN_BYTES = 7
RECORDS = {*range(recording.SPACE_IS, recording.PARTS + 1)}
NOTES = {
    *((HASH, name) for name in (diary.PUT, diary.DROP, diary.DUE)),
    *((SET, name) for name in (diary.PUT, diary.DROP)),
    *((ZSET, name) for name in (diary.PUT, diary.DROP, diary.CUT)),
    *((LIST, name) for name in (diary.PUT, diary.KEEP, diary.INSERT, diary.PLUCK)),
    *((BUFFER, name) for name in (diary.LENGTH, diary.WRITE)),
}


def spelled(cache: Cache[Any]) -> str:
    """All that a cache holds, as text that is the same for the same contents."""
    return pformat(contents(cache), width=96) + "\n"


def at_the_time(seconds: float = 0.0) -> ManualClock:
    """The clock that the files were made by, so much later."""
    clock = ManualClock()
    clock.advance(seconds)
    return clock


def fill(cache: Cache[Any]) -> None:
    """A value of each kind, with whatever an entry may have; and more namespaces."""
    cache.set("bytes", b"\x00\xff")
    cache.set("text", "ä", ttl=3600)
    cache.set("surrogate", "ä \ud800")
    cache.set("small", -7)
    cache.set("large", 2**80)
    cache.set("float", 1.5)
    cache.set("none", None)
    cache.set("bools", [True, False])
    cache.set("object", {"a": [1, None, "x"]}, tags=["t1", "t2"])
    cache.set("idle", "v", idle=500)
    cache.set("gone soon", "v", ttl=1)
    cache.set("\udcffname", b"v", tags=["parent"])
    cache.hset("hash", mapping={"a": 1, "b": b"2", "c": "3", "d": 4.5, "e": 5})
    cache.hpexpire("hash", 50_000, "b")
    cache.rpush("list", *range(8))
    cache.sadd("set", "a", "b", "c")
    cache.zadd("zset", {f"m{number}": number * 0.5 for number in range(30)})
    cache.set("long", b"x" * 4200)
    cache.expire("list", 7000)
    cache.execute("TAGLINK", "parent", "t1")
    cache.execute("TAGLINK", "parent", "child")
    other = cache.namespace("other", default_ttl=9000, max_memory="1mb")
    other.set("a", 1)
    other.execute("TAGLINK", "x", "y")
    cache.namespace("db1").sadd("of one", "m")
    cache.namespace("flushed").set("a", 1)


def change(cache: Cache[Any], clock: ManualClock) -> None:
    """Whatever can happen to them."""
    cache.hset("hash", "a", "changed")
    cache.hdel("hash", "c")
    cache.hpexpire("hash", 60_000, "d")
    cache.hpersist("hash", "b")
    cache.sadd("set", "d")
    cache.srem("set", "a")
    cache.zadd("zset", {"m1": 9.5, "new": -1})
    cache.zrem("zset", "m2")
    cache.execute("ZREMRANGEBYRANK", "zset", 0, 17)
    cache.rpush("list", b"right")
    cache.lpush("list", "left")
    cache.lset("list", 2, 2.5)
    cache.linsert("list", "BEFORE", b"right", "inserted")
    cache.lrem("list", 1, 4)
    cache.ltrim("list", 1, 8)
    cache.setrange("long", 4300, b"y")
    cache.setrange("long", 5, b"z")
    cache.setbit("long", 35_000, 0)
    cache.append("text", "!")
    cache.incr("small")
    cache.expire("float", 2000)
    cache.persist("text")
    cache.addtag("bytes", "t3", "t4")
    cache.remtag("object", "t2")
    cache.set("to delete", 1)
    cache.delete("to delete")
    cache.rename("set", "renamed set")
    cache.move("none", 1)
    cache.set("doomed", 1, tags=["doom"])
    cache.set("also doomed", [1], tags=["under doom"])
    cache.execute("TAGLINK", "doom", "under doom")
    cache.invalidate("doom", cascade=True)
    cache.set("stale", 1, tags=["soft"])
    cache.invalidate("soft", soft=True)
    cache.execute("TAGUNLINK", "parent", "child")
    cache.namespace("flushed").flushdb()
    cache.execute("SWAPDB", 1, 2)
    cache.namespace("other", default_ttl=100, max_memory=0)
    with cache.transaction():
        cache.set("first of two", 1)
        cache.namespace("other").set("second of two", b"2", tags=["t"])
    clock.advance(1.5)
    cache.execute("GET", "gone soon")
    cache.set("bools", b"again", ttl=10)


class Seen:
    """Which records and notes were written, told by the functions that write them."""

    def __init__(self) -> None:
        self.records: set[int] = set()
        self.notes: set[tuple[int, str]] = set()
        self._write_record: Callable[..., None] = frames._write_record
        self._write_note: Callable[..., None] = frames._write_note
        frames._write_record = self._record  # type: ignore[assignment]
        frames._write_note = self._note  # type: ignore[assignment]

    def _record(self, out: Any, record: Record) -> None:
        self.records.add(int(record.what))
        if record.space:
            self.records.add(recording.SPACE_IS)
        self._write_record(out, record)

    def _note(self, out: Any, kind: int, note: tuple[object, ...]) -> None:
        self.notes.add((kind, cast(str, note[0])))
        self._write_note(out, kind, note)


def make_data(folder: Path) -> str:
    """The data directory. Returns what is in it."""
    clock = at_the_time()
    cache = Cache(data_dir=folder, clock=clock)
    fill(cache)
    cache.save()
    cache.set("after the images", 1)
    directory = cache._directory()
    assert directory is not None
    assert directory.journal is not None
    directory.journal.switch(str(folder / "00000003.journal"))
    change(cache, clock)
    told = spelled(cache)
    (journal,) = folder.glob("*.journal")
    whole = journal.stat().st_size
    cache.set("torn", "this write is torn")
    torn = journal.read_bytes()[: whole + TORN_BYTES]
    cache.close()
    journal.write_bytes(torn)
    (folder / "lock").unlink()
    return told


def make_snapshot(path: Path) -> str:
    """A snapshot. Returns what is in it."""
    cache = Cache(clock=at_the_time())
    fill(cache)
    cache.save(path)
    return spelled(cache)


def make_pickles(folder: Path) -> str:
    """The data directory of a cache with a codec. Returns what is in it."""
    cache = Cache(data_dir=folder, codec="pickle", clock=at_the_time())
    cache.set("tuple", (1, {2}), tags=["t"])
    cache.set("text", "v")
    cache.hset("hash", "f", [1])
    told = spelled(cache)
    cache.close()
    (folder / "lock").unlink()
    return told


def make_parts(folder: Path) -> str:
    """A base in which no container is small. Returns what is in it."""
    cache = Cache(data_dir=folder, clock=at_the_time())
    fill(cache)
    cache.delete("gone soon")
    bytes_before, part_before = snapshot.SLICE_BYTES, parts.PART
    snapshot.SLICE_BYTES, parts.PART = 100, 3  # type: ignore[misc]
    try:
        cache.save()
    finally:
        snapshot.SLICE_BYTES, parts.PART = bytes_before, part_before  # type: ignore[misc]
    told = spelled(cache)
    cache.close()
    (folder / "lock").unlink()
    return told


def tiered(folder: Path, **settings: Any) -> Cache[Any]:
    """A cache whose data directory and tiers are in a folder."""
    tiers = {
        "warm": {"path": folder / "warm", "engine": "sqlite"},
        "cold": f"file://{folder}/cold",
    }
    return Cache(max_memory="1mb", data_dir=folder / "data", **tiers, **settings)


def make_tiers(folder: Path) -> str:
    """Values of each kind in each tier, named by a base and by a journal."""
    cache = tiered(folder, clock=at_the_time())
    for tier in ("warm", "cold"):
        for chapter in ("base", "journal"):
            start = f"{tier}:{chapter}:"
            cache.set(f"{start}bytes", b"\x00\xff" * 300, ttl=3600, tags=["t1", "t2"])
            cache.set(f"{start}text", "\u00e4" * 300)
            cache.set(f"{start}object", {"a": [1, None, "x" * 300]})
            cache.hset(f"{start}hash", mapping={f"f{number}": number for number in range(90)})
            cache.rpush(f"{start}list", *range(90))
            cache.sadd(f"{start}set", *(f"m{number}" for number in range(90)))
            cache.zadd(f"{start}zset", {f"m{number}": number * 0.5 for number in range(90)})
            cache.namespace("other").set(f"{start}bytes", b"o" * 300)
            if chapter == "base":
                send_all(cache, tier, start)
    cache.save()
    for tier in ("warm", "cold"):
        send_all(cache, tier, f"{tier}:journal:")
    told = spelled(cache)
    cache.close()
    for each in ("data", "warm"):
        (folder / each / "lock").unlink()
    return told


def send_all(cache: Cache[Any], tier: str, start: str) -> None:
    """Has all values whose keys begin so go to a tier, and waits until they are there."""
    for space in (cache, cache.namespace("other")):
        for key in [each for each in space if each.startswith(start)]:
            assert space.demote(key, tier), key
    tiering = cache._store.tiering
    assert isinstance(tiering, Tiers)
    tiering.flush()


def main() -> int:
    """Makes what is missing; 1 if nothing is."""
    if not frames.__file__.endswith(".py"):
        print("only the source can be watched: set PYTHONPATH to it", file=sys.stderr)
        return 1
    folder = FORMATS / str(HEADER[len(MAGIC)])
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        "data": make_data,
        "cache.snapshot": make_snapshot,
        "pickle": make_pickles,
        "parts": make_parts,
        "tiers": make_tiers,
    }
    missing = [name for name in makers if not (folder / f"{name}.contents").exists()]
    if not missing:
        print(f"all of {folder} is there, and stays as it was released", file=sys.stderr)
        return 1
    seen = Seen()
    for name in missing:
        (folder / f"{name}.contents").write_text(makers[name](folder / name), "utf-8")
    if len(missing) == len(makers):
        unseen = [RECORDS - seen.records, NOTES - seen.notes]
        assert unseen == [set(), set()], unseen
    return 0


if __name__ == "__main__":
    sys.exit(main())
