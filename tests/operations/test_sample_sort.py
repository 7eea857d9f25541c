"""The sample sort: whatever comes in, it comes out in order, in short pieces."""

from __future__ import annotations

import random

import pytest

from cachestorm.operations.sample_sort import SHORT, SampleSort


@pytest.mark.parametrize("count", [0, 1, SHORT, SHORT + 1, 20_000, 150_000])
@pytest.mark.parametrize("kinds", [1, 3, 10**9])
def test_all_items_come_out_in_order(count: int, kinds: int) -> None:
    chance = random.Random(count)
    items = [(float(chance.randrange(kinds)), b"%d" % number) for number in range(count)]
    expected = sorted(items)
    sort = SampleSort(items)
    for _ in sort.run():
        pass
    assert not items or count <= SHORT
    assert not sort.waiting
    assert all(0 < len(part) <= SHORT for part in sort.parts)
    assert [item for part in sort.parts for item in part] == expected
