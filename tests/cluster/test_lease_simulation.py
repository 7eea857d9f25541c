"""Clusters under an authority: whatever goes wrong, no two nodes answer for a key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lease_hosts import DRIFT, SIZE, TIMING, Host, Key
from lease_simulation import Simulation, play

from cachestorm_server.cluster.assignment import Assignment
from cachestorm_server.cluster.lease import lease_name
from cachestorm_server.cluster.leases import SLOTS_RECORD
from cachestorm_server.cluster.records import ABSENT, Remove, do
from cachestorm_server.cluster.succession import has_unproven_heir

SEEDS = 24


@pytest.mark.parametrize("part", range(2))
def test_no_two_nodes_answer_for_a_key_and_all_agree_once_it_is_over(part: int) -> None:
    for seed in range(part, SEEDS, 2):
        play(seed, 2 + seed % 3, 12)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_they_do_not_for_any_of_five_hundred_seeds(part: int) -> None:
    for seed in range(1000 + part, 1500, 10):
        play(seed, 2 + seed % 3, 12)


def cut_off(rate: float, other_rate: float) -> Simulation:
    """Two nodes whose clocks go at these rates, after the store was out of reach for one."""
    simulation = Simulation(1, 2, drift=0)
    for host, each in zip(simulation.hosts, (rate, other_rate)):
        host.offset += simulation.now * (host.rate - each)
        host.rate = each
    simulation.run(4 * TIMING.ttl_ms)
    assert len(simulation.serving()) == 2
    simulation.cut.add(0)
    for _ in range(40):
        simulation.run(TIMING.ttl_ms / 20)
        simulation.check()
    return simulation


def test_a_node_that_is_cut_off_stops_before_another_has_its_slots() -> None:
    simulation = cut_off(1 - DRIFT, 1 + DRIFT)
    assert [host.number for host in simulation.serving()] == [1]


def test_clocks_that_differ_by_far_more_than_the_margin_are_found_out() -> None:
    with pytest.raises(AssertionError, match="0 serves after its lease"):
        cut_off(0.5, 1.5)


def test_the_slots_of_a_dead_node_are_served_within_twice_the_lease() -> None:
    simulation = Simulation(1, 3)
    simulation.run(4 * TIMING.ttl_ms)
    simulation.check_agreement()
    gone = simulation.hosts[0]
    simulation.crash(gone)
    simulation.run(2 * TIMING.ttl_ms)
    owned = [host.node.slots.counts.get(host.id, 0) for host in simulation.serving()]
    assert owned == [4, 4]


def test_without_the_store_nodes_serve_until_their_leases_end_and_go_on_after() -> None:
    simulation = Simulation(2, 3)
    simulation.run(4 * TIMING.ttl_ms)
    before = [host.node.slots.owners[:8] for host in simulation.hosts if host.node]
    simulation.is_gone = True
    simulation.run(TIMING.ttl_ms // 4)
    assert len(simulation.serving()) == 3
    simulation.run(TIMING.ttl_ms)
    assert simulation.serving() == []
    simulation.is_gone = False
    simulation.run(3 * TIMING.ttl_ms)
    assert len(simulation.serving()) == 3
    assert [host.node.slots.owners[:8] for host in simulation.hosts if host.node] == before


def test_a_node_that_leaves_gives_its_slots_to_the_others_with_their_keys() -> None:
    simulation = Simulation(3, 3)
    simulation.run(5 * TIMING.ttl_ms)
    leaving = simulation.hosts[1]
    before = dict(simulation.written)
    assert leaving.leases is not None
    leaving.leases.leaves = True
    simulation.run(2 * TIMING.ttl_ms)
    assert leaving.node is not None
    assert leaving.node.slots.counts.get(leaving.id, 0) == 0
    kept = {key for host in simulation.hosts for key in host.keys}
    assert kept >= before.keys()


def test_two_simulations_of_a_seed_under_an_authority_are_the_same() -> None:
    one, other = play(4, 3, 6), play(4, 3, 6)
    assert (one.accepted, one.refused, one.written) == (
        other.accepted,
        other.refused,
        other.written,
    )


@pytest.mark.parametrize("part", range(2))
def test_a_replica_that_takes_over_has_all_that_wait_has_promised(part: int) -> None:
    warm = sum(
        play(seed, 2 + seed % 4, 12, replicas=1 + seed % 2).warm
        for seed in range(part, SEEDS // 3, 2)
    )
    assert warm > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_it_has_for_any_of_five_hundred_seeds(part: int) -> None:
    for seed in range(2000 + part, 2500, 10):
        play(seed, 2 + seed % 4, 12, replicas=1 + seed % 2)


def with_replica() -> tuple[Simulation, Host, Host]:
    """Two nodes, of which one is the primary of the other."""
    simulation = Simulation(5, 2, replicas=1)
    simulation.run(5 * TIMING.ttl_ms)
    simulation.check_agreement()
    replica = next(host for host in simulation.hosts if host.is_following)
    primary = next(host for host in simulation.hosts if host is not replica)
    return simulation, primary, replica


def test_a_primary_that_is_started_anew_lets_its_replica_take_over() -> None:
    simulation, primary, replica = with_replica()
    before = dict(replica.keys)
    assert before
    simulation.crash(primary)
    primary.keys.clear()
    simulation.start(primary)
    simulation.run(3 * TIMING.ttl_ms)
    assert [simulation.warm > 0, primary.is_following, replica.is_following] == [
        True,
        True,
        False,
    ]
    assert replica.keys.keys() >= before.keys()


def test_a_primary_and_its_replica_that_are_both_started_anew_keep_their_parts() -> None:
    simulation, primary, replica = with_replica()
    for host in (primary, replica):
        simulation.crash(host)
    for host in (primary, replica):
        simulation.start(host)
    simulation.run(4 * TIMING.ttl_ms)
    assert simulation.warm == 0
    assert replica.is_following


def test_slots_of_a_dead_node_are_its_replicas_within_twice_the_lease() -> None:
    simulation, primary, replica = with_replica()
    simulation.crash(primary)
    simulation.run(2 * TIMING.ttl_ms)
    assert simulation.serving() == [replica]
    assert simulation.warm > 0


def test_a_replica_takes_over_from_a_primary_that_hands_its_slots_over() -> None:
    simulation, primary, replica = with_replica()
    simulation.has_clients = False
    simulation.run(TIMING.ttl_ms)
    before = dict(primary.keys)
    assert primary.leases is not None
    primary.leases.hand_over(replica.id, simulation.time_of(primary))
    assert primary not in simulation.serving()
    simulation.run(TIMING.ttl_ms)
    assert (primary.is_following, replica.keys) == (True, before)
    assert replica.node is not None
    assert replica.node.slots.counts == {replica.id: SIZE}


def asks_to_take_over() -> tuple[Simulation, Host, Host, dict[Key, int]]:
    """A replica that has all that its primary has, and is to be given its slots; and that."""
    simulation, primary, replica = with_replica()
    simulation.has_clients = False
    simulation.run(TIMING.ttl_ms)
    assert primary.leases is not None
    primary.leases.hand_over(replica.id, simulation.time_of(primary))
    return simulation, primary, replica, dict(primary.keys)


def start_without_keys(simulation: Simulation, host: Host) -> None:
    """Ends a process, and starts another one in its place."""
    simulation.crash(host)
    host.keys.clear()
    simulation.start(host)


def test_slots_are_not_given_to_a_replica_that_has_died_while_the_store_was_gone() -> None:
    simulation, primary, replica, before = asks_to_take_over()
    simulation.is_gone = True
    start_without_keys(simulation, replica)
    simulation.run(3 * TIMING.ttl_ms)
    simulation.is_gone = False
    simulation.run(4 * TIMING.ttl_ms)
    simulation.check_agreement()
    assert (simulation.warm, primary.is_following, primary.keys) == (0, False, before)


def test_the_seed_that_gave_slots_to_a_replica_that_had_died() -> None:
    play(44951, 5, 12, replicas=1)


def test_a_primary_serves_on_once_what_it_has_asked_for_cannot_happen_any_more() -> None:
    simulation, primary, replica, before = asks_to_take_over()
    store, delayed = simulation.store, []
    put = store.put

    def delay(name: str, value: bytes, version: str) -> str:
        if name == SLOTS_RECORD and not delayed:
            delayed.append((name, value, version))
            simulation.cut.add(primary.number)
            return ABSENT
        return put(name, value, version)

    store.put = delay  # type: ignore[method-assign]
    while not delayed:
        simulation.run(1)
    simulation.crash(replica)
    store.records.pop(lease_name(replica.id))
    simulation.cut.clear()
    while primary not in simulation.serving():
        simulation.run(1)
    assert put(*delayed[0]) == ABSENT
    simulation.run(TIMING.ttl_ms)
    assert (simulation.serving(), primary.keys) == ([primary], before)


def test_an_heir_that_has_just_died_gives_the_slots_back_with_all_keys() -> None:
    simulation, primary, replica, before = asks_to_take_over()
    simulation.crash(replica)
    simulation.run(TIMING.ttl_ms / 4)
    assert primary.node is not None
    assert primary.node.me.primary == replica.id
    simulation.run(2 * TIMING.ttl_ms)
    assert (simulation.serving(), primary.keys) == ([primary], before)


def test_a_node_that_leaves_has_its_slots_back_with_all_keys_from_an_heir_that_has_died() -> (
    None
):
    simulation, primary, replica, before = asks_to_take_over()
    assert primary.leases is not None
    primary.leases.leaves = True
    simulation.crash(replica)
    simulation.run(3 * TIMING.ttl_ms)
    assert (simulation.serving(), primary.keys) == ([primary], before)


def test_a_node_that_leaves_is_needed_until_its_heir_has_a_history_of_its_own() -> None:
    simulation, primary, replica, _ = asks_to_take_over()
    leases, node, history = primary.leases, primary.node, primary.history
    assert leases is not None and node is not None
    leases.leaves = True
    while node.slots.counts.get(primary.id):
        simulation.run(1)
    assert has_unproven_heir(leases.assignment, primary.id, history)
    while has_unproven_heir(leases.assignment, primary.id, history):
        simulation.run(1)
    request = leases.end()
    assert isinstance(request, Remove)
    assert do(simulation.store, request)
    simulation.crash(primary)
    simulation.run(2 * TIMING.ttl_ms)
    kept = Assignment.from_bytes(simulation.store.records[SLOTS_RECORD].value)
    assert kept.nodes.keys() == {replica.id}


def test_an_heir_that_has_just_been_started_anew_gives_the_slots_back_with_all_keys() -> None:
    simulation, primary, replica, before = asks_to_take_over()
    start_without_keys(simulation, replica)
    simulation.run(4 * TIMING.ttl_ms)
    simulation.check_agreement()
    assert (replica.is_following, primary.keys) == (True, before)


def test_an_heir_that_has_a_lease_and_no_keys_gives_the_slots_back() -> None:
    simulation, primary, replica = with_replica()
    simulation.has_clients = False
    simulation.run(TIMING.ttl_ms)
    before = dict(primary.keys)
    lease, store = lease_name(replica.id), simulation.store
    store.records.pop(lease)
    start_without_keys(simulation, replica)
    while lease not in store.records:
        simulation.run(1)
    # as the primary has asked for it before
    record = store.records[SLOTS_RECORD]
    assignment = Assignment.from_bytes(record.value)
    assignment.succeed(primary.id, replica.id)
    given = replace(assignment.nodes[primary.id], primary=replica.id)
    assignment.nodes[primary.id] = given
    store.put(SLOTS_RECORD, assignment.to_bytes(), record.version)
    simulation.run(4 * TIMING.ttl_ms)
    simulation.check_agreement()
    assert (replica.is_following, primary.keys) == (True, before)
