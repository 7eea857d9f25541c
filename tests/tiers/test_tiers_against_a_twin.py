"""Nobody sees where a value is: a cache whose values come and go, and one that has no tier.

Both are given the same random commands of all families. In one of them any value may be on the
disk before any command. Replies and refusals are the same, and so is what they hold at the end.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from vocabulary import KEYS, SKETCHES, random_command

from cachestorm import Cache, ManualClock
from cachestorm.entry import KIND_MASK
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.payload.entry_snapshot import snapshot_of

# how a value is kept, and what that costs, may differ; so may what is drawn at random
OTHERWISE = {"OBJECT", "MEMORY", "MEMINFO", "DEBUG", "STATS", "NAMESPACEINFO", "INFO", "TIME"}
OTHERWISE |= {"RANDOMKEY", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "SPOP", "HOTKEYS"}
OTHERWISE |= {"LASTSAVE"}

NAMES = [
    name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    for name in {*KEYS, *SKETCHES}
]


def with_tier(folder: Path, kinds: Sequence[str], **settings: Any) -> Cache[Any]:
    """A cache that finds every value worth its while."""
    if "warm" in kinds:
        settings["warm"] = {"path": folder / "warm", "engine": "sqlite"}
    if "cold" in kinds:
        settings["cold"] = f"file://{folder}/cold"
    cache: Cache[Any] = Cache(**settings)
    tiering = cache._store.tiering
    assert tiering is not None
    tiering.least_bytes = 0
    return cache


def answered(cache: Cache[Any], argv: list[bytes]) -> object:
    try:
        return cache.execute(*argv)
    except (CacheStormError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__, str(error)


def contents(cache: Cache[Any]) -> dict[str, object]:
    """By namespace and key, all that a client could ask for."""
    found: dict[str, object] = {}
    for space in cache._store.spaces():
        for entry in [*space.dense]:
            if space.peek(entry.key) is not entry:
                continue
            held = space.look(entry)
            assert held is not None
            value = snapshot_of(held.kind & KIND_MASK, held.value, 0, [])
            found[f"{space.name}:{entry.key}"] = (
                value.kind,
                value.names,
                [(type(each).__name__, each) for each in value.values],
                value.rows,
                value.deadlines,
                entry.expires_at_ms,
                tag_names_of(entry),
            )
    return found


def demoted_count(cache: Cache[Any]) -> int:
    return sum(space.demoted_count for space in cache._store.spaces())


@pytest.mark.parametrize(
    ("seed", "kinds"), [(0, ("warm",)), (1, ("cold",)), (2, ("warm", "cold"))]
)
def test_nobody_sees_where_a_value_is(
    seed: int, kinds: tuple[str, ...], tmp_path: Path
) -> None:
    if "cold" in kinds:
        pytest.importorskip("obstore")
    chance = random.Random(seed)
    plain: Cache[Any] = Cache(clock=ManualClock())
    tiered = with_tier(tmp_path, kinds, clock=ManualClock())
    were_demoted = 0
    for _ in range(1000):
        argv = random_command(chance)
        # what stands for a value is as if it were there
        for name in NAMES:
            if chance.random() < 0.7:
                tiered.demote(name, chance.choice(kinds))
        if chance.random() < 0.05:
            tiered._store.tiering.flush()  # type: ignore[union-attr]
        were_demoted = max(were_demoted, demoted_count(tiered))
        if argv and argv[0].upper().decode("latin-1") in OTHERWISE:
            continue
        assert answered(tiered, argv) == answered(plain, argv), argv
        if chance.random() < 0.02:
            tiered._check()
            assert contents(tiered) == contents(plain)
    assert contents(tiered) == contents(plain)
    tiered._check()
    assert were_demoted >= 3
    assert [told.losses for told in tiered.tier_stats().values()] == [0] * len(kinds)
    tiered.close()
    tiered._check()
