"""Invalidations of more keys than one slice removes: only who has asked waits for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from test_fan_out import Cluster, Place

from cachestorm.keyspace.shared_state import LOOK
from cachestorm.operations.long_command import PIECES

# the first slice is bounded by this, whatever time it takes
MANY = 2 * PIECES * LOOK


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def fill(place: Place) -> None:
    place.cache.set_many({f"k{number}": number for number in range(MANY)}, tags=["t"])


def left(place: Place) -> int:
    """Keys that are dead, or alive, and not reaped."""
    return len(place.cache._space.entries)


def rest(cluster: Cluster, place: Place) -> bytes:
    """The reply to what has been asked, once all is done that it takes."""
    reply = b""
    while place.session.backlog or not reply:
        reply += place.session.receive(b"")
        cluster.pump()
    return reply


def test_others_hear_of_an_invalidation_before_its_keys_are_reaped(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    fill(one)
    two.cache.set("other", 1, tags=["t"])
    assert one.session.receive(b"INVALIDATE t\r\n") == b""
    assert one.cache.get("k1") is None
    assert left(one) > 0
    cluster.pump()
    assert left(one) > 0
    assert left(two) == 0
    assert rest(cluster, one) == b":%d\r\n" % (MANY + 1)
    assert left(one) == 0


def test_a_node_that_is_told_of_many_keys_serves_others_meanwhile(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    fill(two)
    soon: deque[Callable[[], object]] = deque()
    two.membership.do_soon(soon.append)
    assert one.ask("INVALIDATE t") == b""
    assert two.cache.get("k1") is None
    assert left(two) > 0
    while soon:
        soon.popleft()()
    assert left(two) == 0
    cluster.pump()
    assert rest(cluster, one) == b":%d\r\n" % MANY


def test_keys_that_a_replica_removes_are_those_of_its_primary(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    one.node.assign(range(5462, 10_924), one.node.me.id)
    cluster.pass_time(1000)
    two.node.change_me(primary=one.node.me.id)
    fill(one)
    fill(two)
    assert two.session.receive(b"INVALIDATE t\r\n") == b""
    cluster.pump()
    assert rest(cluster, two) == b":%d\r\n" % MANY
    assert left(one) == left(two) == 0


def test_who_leaves_while_keys_are_reaped_leaves_none_that_can_be_read(
    cluster: Cluster,
) -> None:
    one, two, _ = cluster.places.values()
    fill(one)
    two.cache.set("other", 1, tags=["t"])
    one.session.receive(b"INVALIDATE t\r\n")
    one.session.close()
    cluster.pump()
    assert one.cache.get("k1") is None
    assert two.cache.get("other") is None
    assert one.cache.tagcount("t") == 0
