"""A process is killed while its values move: a restart finds what the journal promised."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from cachestorm import Cache
from cachestorm.tiers.blob_store import ENGINES, ROCKSDB

WRITER = """
import random, sys
from cachestorm import Cache
folder, engine, seed = sys.argv[1:]
chance = random.Random(int(seed))
cache = Cache(max_memory="64kb", data_dir=folder + "/data", aof_sync="no",
              warm={"path": folder + "/warm", "engine": engine})
step = 0
while True:
    step += 1
    key = f"k{chance.randrange(120)}"
    if chance.random() < 0.5:
        cache.set(key, b"%d:" % step + b"0123456789abcdef" * 64)
        print(key, step, flush=True)
    else:
        cache.get(key)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a journal survives a kill, not of Windows")
@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_killed_process_wrote_is_there_and_nothing_older(
    engine: str, tmp_path: Path
) -> None:
    if engine == ROCKSDB:
        pytest.importorskip("rocksdict")
    chance = random.Random(5)
    written: dict[str, int] = {}
    for seed in range(2):
        argv = [sys.executable, "-c", WRITER, str(tmp_path), engine, str(seed)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(150 + chance.randrange(150)):
                key, step = writer.stdout.readline().split()
                written[key] = int(step)
            writer.kill()
            # what it has said since
            for line in writer.stdout:
                if line.endswith("\n"):
                    key, step = line.split()
                    written[key] = int(step)
        with Cache(
            max_memory="128kb",
            data_dir=tmp_path / "data",
            warm={"path": tmp_path / "warm", "engine": engine},
        ) as cache:
            found = {key: cache.get(key) for key in written}
            steps = {key: int(bytes(raw).split(b":")[0]) for key, raw in found.items() if raw}
            # one write may have been in the journal, and not said
            newer = {key for key in written if steps.get(key, -1) != written[key]}
            assert len(newer) <= 1 and all(steps[key] > written[key] for key in newer)
            assert cache.tier_stats()["warm"].losses == 0
            assert len([*(tmp_path / "warm").glob("values-*")]) == 1
            cache._check()
            written.update(steps)
