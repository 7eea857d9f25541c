"""The power goes, or the disk fails, at any moment: what was promised is there.

Random commands on a simulated disk. After each power cut the cache is loaded from what the disk
has kept, which must be the state after one of the commands: under `always` after the last one
that returned, or later; under `everysec` no earlier than when the thread of every second was
last there; under `no`, no earlier than the last start or snapshot.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from contents import contents
from simulated_disk import PowerCut, SimulatedDisk
from vocabulary import random_command

from cachestorm import Cache, ManualClock
from cachestorm.durability import directory as directory_module
from cachestorm.durability.directory import DataDirectory
from cachestorm.errors import CacheStormError, DurabilityError

ALWAYS, EVERYSEC, NO = "always", "everysec", "no"


class Life:
    """One data directory, from one power cut to the next.

    Attributes:
        states: what the cache held after each command since the start.
        promised: from which of these on one must be found again.
    """

    def __init__(self, folder: Path, sync: str, chance: Random, disk: SimulatedDisk) -> None:
        self.chance = chance
        self.disk = disk
        self.sync = sync
        self.cache: Cache[Any] = Cache(clock=ManualClock())
        store = self.cache._store
        self.directory = DataDirectory(store, None, str(folder), sync, disk=disk)
        try:
            self.directory.load()
        except BaseException:
            self.directory.folder.give_back()
            raise
        store.directory = self.directory
        self.cache._check()
        self.states = [contents(self.cache)]
        self.promised = 0

    def run(self, steps: int) -> None:
        """Some commands. Ends early with a PowerCut."""
        for _ in range(steps):
            is_written = True
            try:
                self._step()
            except DurabilityError:
                is_written = False
            except (CacheStormError, TypeError, ValueError, OverflowError):
                pass
            finally:
                self.states.append(contents(self.cache))
            if is_written and self.sync == ALWAYS and not self._journal().failure:
                self.promised = len(self.states) - 1
            if self.chance.random() < 0.05:
                self._look()

    def _step(self) -> None:
        chance, cache = self.chance, self.cache
        draw = chance.random()
        key, tag = chance.choice("abcd"), chance.choice("tuvw")
        if draw < 0.2:
            cache.set(key, chance.choice([b"x" * 300, "text", 7, 1.5]), tags=[tag])
        elif draw < 0.25:
            cache.addtag(key, tag, chance.choice("tuvw"))
        elif draw < 0.3:
            cache.invalidate(tag)
        elif draw < 0.33:
            cache.execute("TAGLINK", tag, chance.choice("tuvw"))
        elif draw < 0.36:
            with cache.transaction():
                cache.set("a", chance.randrange(99))
                cache.rpush("l", chance.randrange(99))
        elif draw < 0.38:
            self._save()
        else:
            cache.execute(*random_command(chance))

    def _save(self) -> None:
        before = len(self.states) - 1
        self.cache.save()
        self.promised = max(self.promised, before)

    def _look(self) -> None:
        """What the thread does once a second."""
        before = len(self.states) - 1
        self.directory.look()
        self.directory.wait()
        if self.sync == EVERYSEC and not self._journal().failure:
            self.promised = max(self.promised, before)

    def _journal(self) -> Any:
        return self.directory.journal

    def stop(self) -> None:
        """As a machine stops: nothing more is written."""
        self.cache._store.recorder = None
        self._journal().let_go()
        self.directory._bell.put(True)
        self.directory.folder.give_back()

    def last_change(self) -> int:
        """After which command the state was first what it was at the end."""
        place = len(self.states) - 1
        while place > 0 and self.states[place - 1] == self.states[place]:
            place -= 1
        return place

    def check(self, found: dict[str, object], least: int) -> None:
        """What was found is a state there was, and none before the least."""
        places = [place for place, state in enumerate(self.states) if state == found]
        assert places != [], "there was no such state"
        assert max(places) >= least, (places, least, len(self.states))


@pytest.fixture(autouse=True)
def _nobody_looks_by_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "LOOK_S", 1e9)


def live_through(folder: Path, sync: str, seed: int, faults: float, rounds: int) -> None:
    """Power cut after power cut, each at a random call of the disk."""
    chance = Random(seed)
    life = Life(folder, sync, chance, SimulatedDisk(chance, faults, {}))
    for _ in range(rounds):
        life.disk.is_failing = faults > 0
        life.disk.left = chance.randrange(5, 300)
        try:
            life.run(chance.randrange(20, 120))
        except PowerCut:
            pass
        life.stop()
        disk = life.disk.after_power_cut(faults)
        former, life = life, Life(folder, sync, chance, disk)
        former.check(life.states[0], former.promised)
    life.stop()


@pytest.mark.parametrize("faults", [0.0, 0.03])
@pytest.mark.parametrize("sync", [ALWAYS, EVERYSEC, NO])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_promised_survives_power_cuts(
    tmp_path: Path, sync: str, seed: int, faults: float
) -> None:
    live_through(tmp_path, sync, seed, faults, 5)


@pytest.mark.slow
@pytest.mark.parametrize("faults", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("sync", [ALWAYS, EVERYSEC, NO])
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_what_was_promised_survives_very_many_power_cuts(
    tmp_path: Path, sync: str, seed: int, faults: float
) -> None:
    live_through(tmp_path, sync, seed, faults, 8)


def flip_bits(folder: Path, sync: str, seed: int) -> tuple[int, int]:
    """A power cut, then one bit flips, many times. Returns how often that was refused, and not.

    What is loaded nevertheless is a state there was; under `always` all but the last change
    are vouched for by the next one.
    """
    chance = Random(seed)
    life = Life(folder, sync, chance, SimulatedDisk(chance, 0.0, {}))
    life.run(60)
    life.stop()
    cut = life.disk.after_power_cut(0.0)
    refused = loaded = 0
    for _ in range(40):
        disk = cut.copied()
        disk.flip()
        try:
            found = Life(folder, sync, chance, disk)
        except DurabilityError:
            refused += 1
            continue
        loaded += 1
        found.stop()
        least = life.last_change() - 1 if sync == ALWAYS else 0
        life.check(found.states[0], least)
    return refused, loaded


@pytest.mark.parametrize("sync", [ALWAYS, EVERYSEC])
@pytest.mark.parametrize("seed", range(3))
def test_a_bit_that_flips_is_refused_or_costs_what_nobody_has_vouched_for(
    tmp_path: Path, sync: str, seed: int
) -> None:
    refused, loaded = flip_bits(tmp_path, sync, seed)
    assert refused > 0
    assert refused + loaded == 40


@pytest.mark.slow
@pytest.mark.parametrize("sync", [ALWAYS, EVERYSEC])
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_more_bits_that_flip_never_make_another_state(
    tmp_path: Path, sync: str, seed: int
) -> None:
    flip_bits(tmp_path, sync, seed)
