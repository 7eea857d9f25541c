"""A process is killed while values move and files are begun anew: nothing promised is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from broken_stores import flush, tiers_of

from cachestorm import Cache
from cachestorm.keyspace.tiering import TIER_BITS
from cachestorm.tiers.blob_store import ROCKSDB, SQLITE
from cachestorm.tiers.level import Level

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="a journal survives a kill, not of Windows"
)

# forks a writer for each line, as to import all of it takes longer than to be killed
NURSERY = """
import json, os, random, sys
from cachestorm import Cache
settings = json.loads(sys.argv[1])

def say(name, number):
    # in one piece, or not at all
    os.write(1, f"{name} {number}\\n".encode())

def write(seed):
    chance = random.Random(seed)
    cache = Cache(max_memory="64kb", aof_sync="no", **settings)
    step = seed * 1_000_000
    while True:
        step += 1
        key = f"k{chance.randrange(120)}"
        draw = chance.random()
        if draw < 0.5:
            cache.set(key, b"%d:" % step + chance.randbytes(1024))
            say(key, step)
        elif draw < 0.6 and "cold" in settings:
            cache.demote(key, "cold")
        elif draw > 0.99:
            cache.save()
        else:
            cache.get(key)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(int(line))
    say("pid", child)
    os.waitpid(child, 0)
    say("over", child)
"""

KINDS = ("rocksdb", "sqlite", "cold", "both")


def settings_of(kind: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"data_dir": str(folder / "data")}
    engine = SQLITE if kind == "both" else kind
    if kind in (ROCKSDB, SQLITE, "both"):
        pytest.importorskip("rocksdict" if kind == ROCKSDB else "sqlite3")
        found["warm"] = {"path": str(folder / "warm"), "engine": engine}
        if kind == "both":
            # so that it is full now and then
            found["warm"]["max_size"] = "64kb"
    if kind in ("cold", "both"):
        pytest.importorskip("obstore")
        found["cold"] = {"url": f"file://{folder}/cold", "orphans_after": "2s"}
    return found


def kill_and_look(kind: str, kills: int, folder: Path) -> None:
    """Kills a writer some times, and looks at what is there after each of them."""
    settings = settings_of(kind, folder)
    chance = random.Random(5)
    written: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        for seed in range(1, kills + 1):
            nursery.stdin.write(f"{seed}\n")
            lives = 80 + chance.randrange(120)
            child = 0
            for line in nursery.stdout:
                key, number = line.split()
                if key == "pid":
                    child = int(number)
                elif key == "over":
                    break
                else:
                    written[key] = int(number)
                    lives -= 1
                if lives <= 0 and child:
                    os.kill(child, signal.SIGKILL)
                    lives = 1 << 30
            _look(settings, written)
        nursery.stdin.close()
    with Cache(**settings) as cache:
        cache._check()
        for level in tiers_of(cache).levels:
            look_for_orphans(cache, level)
        if "cold" in settings:
            wait_for_runs_that_are_over(folder / "cold")


def look_for_orphans(cache: Cache[Any], level: Level) -> None:
    discarding = tiers_of(cache)._keeping._discarding
    if discarding is not None:
        discarding.join()
    flush(cache)
    named = sorted(int(each.place) >> TIER_BITS for each in level.here())
    assert sum(level.blobs.discard_others(named)) == 0


def wait_for_runs_that_are_over(folder: Path) -> None:
    """Until there is one: what a data directory keeps."""
    deadline = time.monotonic() + 60
    while len([*folder.iterdir()]) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [each.name[:5] for each in folder.iterdir()] == ["kept-"]


def _look(settings: dict[str, Any], written: dict[str, int]) -> None:
    with Cache(max_memory="128kb", **settings) as cache:
        found = {key: cache.get(key) for key in written}
        steps = {key: int(bytes(raw).split(b":")[0]) for key, raw in found.items() if raw}
        # one write may have been in the journal, and not said
        newer = {key for key in steps if steps[key] != written[key]}
        assert len(newer) <= 1 and all(steps[key] > written[key] for key in newer)
        # a small tier evicts what the next one does not take fast enough
        evicted = {key for key in written if key not in steps}
        assert evicted == set() or "max_size" in settings.get("warm", {})
        assert all(told.losses == 0 for told in cache.tier_stats().values())
        assert tiers_of(cache).ahead.fetched == {}
        cache._check()
        written.update({key: steps[key] for key in newer})
        for key in evicted:
            del written[key]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_wrote_is_there_and_nothing_older(
    kind: str, tmp_path: Path
) -> None:
    kill_and_look(kind, 5, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_kills_leave_nothing_older_behind(kind: str, tmp_path: Path) -> None:
    kill_and_look(kind, 100, tmp_path)
