"""Every change of a value raises the version of its entry: optimistic results rely on it."""

from __future__ import annotations

import random

import pytest
from comparison import Ours
from vocabulary import random_command

from cachestorm.entry import Entry
from cachestorm.payload.entry_snapshot import snapshot_of

COMMANDS = 1500


def pictures(ours: Ours) -> dict[str, tuple[Entry, int, str]]:
    """What every key holds: entry, version, and the value in words."""
    space = ours.cache._space
    found = {}
    for key, entry in space.entries.items():
        snapshot = snapshot_of(entry.kind, space.value(entry), 0, [])
        argv = repr(
            (entry.kind, snapshot.names, snapshot.values, snapshot.rows, snapshot.deadlines)
        )
        found[key] = (entry, int(entry.version), argv)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_what_has_changed_is_another_entry_or_of_another_version(seed: int) -> None:
    chance = random.Random(f"versions {seed}")
    ours = Ours(False)
    before = pictures(ours)
    changed = 0
    for _ in range(COMMANDS):
        argv = random_command(chance)
        ours.run([argv])
        after = pictures(ours)
        for key, (entry, version, value) in after.items():
            former = before.get(key)
            if former is None or former[0] is not entry or former[2] == value:
                continue
            changed += 1
            assert version > former[1], argv
        before = after
    assert changed > COMMANDS // 100
