"""Clusters that are cut, crash and lose messages, and agree again when that is over."""

from __future__ import annotations

import pytest
from simulation import FEW_SLOTS, TICK_MS, TIMEOUT_MS, Simulation, joined, play

from cachestorm import COMPILED
from cachestorm_server.cluster import roles
from cachestorm_server.cluster.node_state import persisted

# nothing of what is played is compiled: once is enough
SEEDS = 20 if COMPILED else 200
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_nodes_agree_after_whatever_went_wrong(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        play(seed, 3 + seed % 3, 12)


def test_two_simulations_of_a_seed_are_the_same() -> None:
    one, other = play(1, 3, 10), play(1, 3, 10)
    assert one.sent == other.sent
    assert one.decided.runs() == other.decided.runs()


def test_a_message_of_another_cluster_changes_nothing() -> None:
    one, other = joined(3, 3), joined(4, 3)
    node, stranger = one.nodes()[0], other.nodes()[0]
    before = persisted(node)
    for outgoing in stranger.tick(other.now_ms):
        assert node.receive(outgoing.message, one.now_ms) == []
    assert persisted(node) == before
    assert node.refused == {stranger.clusters[0]}


def test_two_clusters_that_gave_the_same_slots_away_cannot_meet() -> None:
    one, other = joined(3, 3), joined(4, 3)
    for host in other.hosts:
        host.host = host.host.replace("10.0", "10.2")
    node, stranger = one.nodes()[0], other.nodes()[0]
    clusters, theirs = list(node.clusters), list(stranger.clusters)
    node.meet(stranger.me.address, one.now_ms)
    (question,) = node.take_outbox()
    (answer,) = stranger.receive(question.message, other.now_ms)
    assert node.receive(answer.message, one.now_ms) == []
    assert (node.clusters, stranger.clusters) == (clusters, theirs)
    assert stranger.me.id not in node.members


def test_two_clusters_of_different_slots_become_one_if_an_operator_says_so() -> None:
    simulation = Simulation(5, 4)
    first, second, third, fourth = simulation.hosts
    for host in simulation.hosts:
        assert host.node is not None
        host.node.assign([host.number], host.id)
        simulation.settle(host, host.node.take_outbox())
    for host, other in ((first, second), (third, fourth)):
        assert host.node is not None
        host.node.meet((other.host, 7946), simulation.time_of(host))
    simulation.run(6 * TICK_MS)
    assert [len(node.members) for node in simulation.nodes()] == [1, 1, 1, 1]
    assert first.node is not None
    first.node.meet((fourth.host, 7946), simulation.time_of(first))
    simulation.run(10 * TICK_MS)
    simulation.check_agreement()


def test_a_node_that_is_alone_joins_and_no_other_cluster_changes_its_name() -> None:
    simulation = joined(6, 3)
    clusters = simulation.nodes()[0].clusters
    late = type(simulation.hosts[0])(9, simulation.random)
    simulation.hosts.append(late)
    simulation.start(late)
    assert late.node is not None
    late.node.meet((simulation.hosts[1].host, 7946), simulation.time_of(late))
    simulation.run(10 * TICK_MS)
    simulation.check_agreement()
    assert late.node.clusters == clusters


def test_a_node_that_was_forgotten_by_all_does_not_come_back_by_gossip() -> None:
    simulation = joined(7, 4)
    gone = simulation.hosts.pop()
    for host in simulation.hosts:
        assert host.node is not None
        host.node.forget(gone.id, simulation.time_of(host))
    simulation.hosts.append(gone)
    simulation.run(5 * TIMEOUT_MS)
    assert [len(node.members) for node in simulation.nodes()][:3] == [2, 2, 2]


def test_a_node_is_failed_once_a_majority_of_owners_misses_it() -> None:
    simulation = joined(8, 3)
    gone, *others = simulation.hosts
    simulation.crash(gone)
    simulation.run(TIMEOUT_MS // 2)
    now = [simulation.time_of(host) for host in others]
    assert [node.is_suspected(gone.id, at) for node, at in zip(simulation.nodes(), now)] == [
        False,
        False,
    ]
    simulation.run(4 * TIMEOUT_MS)
    for host in others:
        assert host.node is not None
        assert host.node.has_failed(gone.id, simulation.time_of(host))
    simulation.start(gone)
    simulation.run(2 * TIMEOUT_MS)
    simulation.check_agreement()


def test_a_node_that_is_cut_off_fails_nobody() -> None:
    simulation = joined(9, 3)
    alone = simulation.hosts[0]
    simulation.islands[alone.number] = 1
    simulation.run(5 * TIMEOUT_MS)
    assert alone.node is not None
    now = simulation.time_of(alone)
    assert [alone.node.is_suspected(other, now) for other in alone.node.members] == [True, True]
    assert [alone.node.has_failed(other, now) for other in alone.node.members] == [False, False]


def test_of_two_processes_with_one_id_the_younger_finds_out() -> None:
    simulation = joined(10, 3)
    original = simulation.hosts[0]
    copy = type(original)(9, simulation.random)
    copy.id, copy.disk, copy.lives = original.id, original.disk, 40
    simulation.hosts.append(copy)
    simulation.start(copy)
    simulation.run(8 * TIMEOUT_MS)
    assert copy.node is not None
    assert original.node is not None
    assert (copy.node.is_double, original.node.is_double) == (True, False)


def test_slots_that_another_node_was_given_are_lost() -> None:
    simulation = joined(11, 3)
    first, second, _ = simulation.hosts
    assert first.node is not None
    assert second.node is not None
    second.node.assign([0, 1], second.id)
    simulation.settle(second, second.node.take_outbox())
    simulation.run(TICK_MS)
    assert first.node.lost == {0, 1}
    assert first.node.slots.slots_of(first.id) == list(range(2, FEW_SLOTS // 3))


@pytest.mark.parametrize("seed", range(30))
def test_whoever_has_followed_a_dead_primary_follows_the_replica_that_takes_over(
    seed: int,
) -> None:
    simulation = joined(seed, 4)
    primary, _, heir, second = simulation.hosts
    for host in (heir, second):
        assert host.node is not None
        host.node.assign(host.node.slots.slots_of(host.id), primary.id)
        roles.become(host.node, primary.id)
        simulation.settle(host, host.node.take_outbox())
        simulation.run(4 * TICK_MS)
    simulation.crash(primary)
    assert heir.node is not None
    roles.take_over(heir.node)
    simulation.settle(heir, heir.node.take_outbox())
    simulation.run(4 * TICK_MS)
    simulation.start(primary)
    simulation.run(4 * TICK_MS)
    followed = {host.id: host.node.me.primary for host in simulation.hosts if host.node}
    assert [followed[each.id] for each in (heir, second, primary)] == ["", heir.id, heir.id]
