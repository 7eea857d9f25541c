"""The wide dict against a dict, and the containers that have become wide."""

from __future__ import annotations

import random

import pytest

from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.placed import NEAR
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet
from cachestorm.values.wide_dict import FAN, MEAN, WideDict

# more than two rounds
COUNT = 2 * FAN * MEAN + MEAN
NAMES = [f"name:{number}" for number in range(COUNT)]


def filled() -> WideDict[int]:
    wide: WideDict[int] = WideDict({})
    for number, name in enumerate(NAMES):
        wide.put(name, number)
    return wide


def test_it_holds_what_a_dict_holds() -> None:
    chance = random.Random(7)
    wide: WideDict[int] = WideDict({})
    model: dict[str, int] = {}
    for number in range(2 * COUNT):
        name = chance.choice(NAMES)
        if chance.random() < 0.2:
            assert model.pop(name, -1) == wide.pop(name, -1)
        else:
            model[name] = number
            wide.put(name, number)
        if number % (3 * MEAN) == 0:
            wide._check()
    assert len(model) == len(wide)
    wide._check()
    for name in NAMES:
        assert (name in model) == (name in wide)
        assert model.get(name, -1) == wide.get(name, -1)
    assert sorted(model.items()) == sorted(
        item for part in wide.parts() for item in part.items()
    )


def test_no_part_grows_beyond_a_table_of_16384_slots() -> None:
    wide: WideDict[int] = WideDict({})
    most = 0
    for number, name in enumerate(NAMES):
        wide.put(name, number)
        if number % 100 == 0:
            most = max(most, *[len(part) for part in wide.parts()], 0)
    assert MEAN < most <= 16384 * 2 // 3


def test_one_name_more_deals_out_one_part_at_most() -> None:
    wide: WideDict[int] = WideDict({})
    full = 0
    for number, name in enumerate(NAMES):
        before = full
        wide.put(name, number)
        full = sum(1 for part in wide.parts() if part)
        assert full <= before + FAN
    assert full == FAN * FAN


def test_a_copy_is_independent() -> None:
    wide = filled()
    twin = wide.copy()
    for name in NAMES[:MEAN]:
        wide.pop(name, -1)
    wide.put("another", 1)
    twin._check()
    assert len(twin) == COUNT
    assert "another" not in twin
    assert twin.get(NAMES[7], -1) == 7


def add(container: Container, name: str) -> None:
    if isinstance(container, SetValue):
        container.add(name)
    elif isinstance(container, Hash):
        container.put(name, b"value")
    elif isinstance(container, SortedSet):
        container.put(name, float(len(name)))


@pytest.mark.parametrize("kind", [SetValue, Hash, SortedSet])
def test_a_container_is_sound_as_it_becomes_wide_and_small_again(
    kind: type[SetValue] | type[Hash] | type[SortedSet],
) -> None:
    container = kind()
    for name in NAMES[: NEAR + 10]:
        add(container, name)
        if len(container) in (NEAR, NEAR + 1):
            container._check()
    for name in NAMES[NEAR:]:
        add(container, name)
    container._check()
    twin = container.copy()
    for name in NAMES[10:]:
        assert name in container
        assert container.remove(name)
        assert not container.remove(name)
    assert len(container) == 10
    container._check()
    twin._check()
    assert len(twin) == COUNT
    container.take_apart()
    container._check()
    assert len(container) == 0 and NAMES[0] not in container
