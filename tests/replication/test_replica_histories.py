"""Replicas that go on where they were: with another primary, or after a stop of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from contents import contents
from nodes import caught_up, change, fill, node, of, on_a_loop, until

from cachestorm_server.app import Application
from cachestorm_server.replication.follower import State


def copies(served: Application) -> list[int]:
    """Counts, from now on, how often a replica has dropped all that it had for a copy."""
    following, counted = of(served).following, [0]
    assert following is not None
    clear = following._clear

    def count() -> None:
        counted[0] += 1
        clear()

    following._clear = count
    return counted


def test_a_replica_goes_on_with_another_one_that_has_become_the_primary() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as heir, node(primary) as other:
            fill(primary)
            await caught_up(primary, heir)
            await caught_up(primary, other)
            await away(other)
            primary.cache.set("late", 1)
            await caught_up(primary, heir)
            assert of(heir).promote()
            change(heir)
            of(other).follow("127.0.0.1", heir.resp.port)
            counted = copies(other)
            await caught_up(heir, other)
            assert counted == [0]
            assert contents(other.cache) == contents(heir.cache)
            assert other.cache.get("late") == 1
            former, until_offset = of(heir).stream.former
            assert (former, until_offset > 0) == (of(primary).stream.history, True)

    on_a_loop(scene)


def test_a_primary_goes_on_with_its_replica_that_has_taken_over_all_it_had() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as heir:
            fill(primary)
            await caught_up(primary, heir)
            assert of(heir).promote()
            of(primary).follow("127.0.0.1", heir.resp.port)
            counted = copies(primary)
            change(heir)
            await caught_up(heir, primary)
            assert counted == [0]
            assert contents(primary.cache) == contents(heir.cache)

    on_a_loop(scene)


def test_a_primary_that_has_more_than_its_replica_took_over_gets_a_copy() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as heir:
            fill(primary)
            await caught_up(primary, heir)
            assert of(heir).promote()
            primary.cache.set("lost", 1)
            of(primary).follow("127.0.0.1", heir.resp.port)
            counted = copies(primary)
            await caught_up(heir, primary)
            assert counted == [1]
            assert contents(primary.cache) == contents(heir.cache)

    on_a_loop(scene)


async def away(served: Application) -> None:
    """Has a replica lose its connection, and not come back for a while."""
    following = of(served).following
    assert following is not None
    following.follower.failures = 16
    assert following._writer is not None
    following._writer.transport.abort()
    await until(lambda: following.follower.state is State.CONNECT)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_replica_that_is_started_again_gets_what_it_has_missed(
    tmp_path: Path, is_killed: bool
) -> None:
    kept = {"persistence.enabled": True, "persistence.data_dir": str(tmp_path)}

    async def scene() -> None:
        async with node() as primary:
            fill(primary)
            async with node(primary, **kept) as replica:
                await caught_up(primary, replica)
            assert (tmp_path / "replica.json").exists()
            change(primary)
            if is_killed:
                (tmp_path / "replica.json").unlink()
            replica = node(primary, **kept)
            try:
                await replica.start()
                assert not (tmp_path / "replica.json").exists()
                counted = copies(replica)
                await caught_up(primary, replica)
                assert counted == [int(is_killed)]
                assert contents(replica.cache) == contents(primary.cache)
            finally:
                await replica.stop()

    on_a_loop(scene)
