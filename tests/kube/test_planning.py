"""The plans: in tables for what is decided when, in random histories for what never happens."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import simulated_cluster
from simulated_cluster import OWNER, Killed, SimulatedCluster, desired, merged

from cachestorm_server.kube import facts, planning, slots
from cachestorm_server.kube.facts import Node, Observed, Pod, Ref
from cachestorm_server.kube.planning import plan, replicas_now
from cachestorm_server.kube.resource import Cluster, Spec, Storage, WarmTier
from cachestorm_server.kube.slots import SLOTS, Transfer, drained, evened, first_shares, ranges

SPEC = Spec(replicas=3)
WANTED = desired(SPEC)
MOST_ROUNDS = 2000


def settled(spec: Spec, owned: list[range], wanted=None) -> Observed:
    """A cluster that is as it should be, with these slots at its nodes."""
    wanted = wanted or desired(spec)
    world = SimulatedCluster(Random(1), keeps_data=False)
    first = plan(Observed(), replace(wanted, spec=replace(spec, replicas=len(owned))))
    world.do(first)
    world.objects[Ref("apps/v1", "StatefulSet", "demo")]["spec"]["replicas"] = len(owned)
    for _ in range(20):
        world.pass_time()
    for number, given in enumerate(owned):
        node = world.nodes[number]
        node.own = set(given)
        node.known = {other.id for other in world.nodes.values()} - {node.id}
    return world.observed()


def shares(count: int) -> list[range]:
    return list(first_shares([str(number) for number in range(count)]).values())


def test_nothing_there_means_that_every_object_is_made_the_stateful_set_last() -> None:
    made = plan(Observed(), WANTED)
    kinds = [Ref.of(action.manifest).kind for action in made.actions]
    assert kinds == [
        "Secret",
        "ConfigMap",
        "Service",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "StatefulSet",
    ]
    assert (made.phase, made.reason) == ("Creating", "Applying")


def test_what_is_as_it_should_be_is_left_alone() -> None:
    assert plan(settled(SPEC, shares(3)), WANTED) == facts.Plan((), "Running", "Serving")


def test_what_a_user_edits_of_an_object_is_put_back_and_what_they_add_stays() -> None:
    seen = settled(SPEC, shares(3))
    ref = Ref("v1", "Service", "demo")
    live = dict(seen.objects[ref])
    live["spec"] = {**live["spec"], "ports": [], "sessionAffinity": "ClientIP"}
    live["metadata"] = {**live["metadata"], "labels": {"team": "x"}}
    done = plan(replace(seen, objects={**seen.objects, ref: live}), WANTED)
    (action,) = done.actions
    assert action.ref == ref
    assert action.change["spec"] == {"ports": seen.objects[ref]["spec"]["ports"]}
    assert action.change["metadata"]["labels"] == seen.objects[ref]["metadata"]["labels"]


def test_an_object_that_is_not_wanted_any_more_goes() -> None:
    closed = desired(replace(SPEC, network_policy=replace(SPEC.network_policy, enabled=False)))
    assert plan(settled(SPEC, shares(3)), closed).actions == (
        facts.Delete(Ref("networking.k8s.io/v1", "NetworkPolicy", "demo")),
    )


def test_pods_that_are_not_there_are_named() -> None:
    seen = settled(SPEC, shares(3))
    waiting = Pod(
        "demo-2", 2, trouble="ImagePullBackOff no such image", revision=WANTED.revision
    )
    nodes = {name: node for name, node in seen.nodes.items() if name != "demo-2"}
    done = plan(replace(seen, pods=(*seen.pods[:2], waiting), nodes=nodes), WANTED)
    assert done.actions == ()
    assert done.message == "demo-2 does not answer: ImagePullBackOff no such image"


def test_replicas_stay_up_until_the_pods_that_are_to_go_have_no_slots() -> None:
    two = desired(replace(SPEC, replicas=2))
    seen = settled(SPEC, shares(3))
    assert replicas_now(seen, two) == 3
    (move,) = [a for a in plan(seen, two).actions if a.transfer.target == "demo-0"][:1]
    assert move.transfer.source == "demo-2"
    empty = settled(SPEC, [*shares(2), range(0)])
    assert replicas_now(empty, two) == 2
    (action,) = plan(empty, two).actions
    assert action.change["spec"] == {"replicas": 2}


def test_replicas_stay_up_while_whoever_has_slots_may_be_the_one_to_go() -> None:
    two = desired(replace(SPEC, replicas=2))
    seen = settled(SPEC, shares(3))
    silent = {name: node for name, node in seen.nodes.items() if name != "demo-2"}
    assert replicas_now(replace(seen, nodes=silent), two) == 3
    assert replicas_now(replace(seen, nodes={}), two) == 3


def test_one_pod_restarts_at_a_time_and_only_when_it_has_no_slots() -> None:
    newer = desired(replace(SPEC, image="cachestorm:2"))
    seen = settled(SPEC, shares(3))
    objects_done = {**seen.objects, **{Ref.of(o): o for o in seen.objects.values()}}
    patched = plan(replace(seen, objects=objects_done), newer)
    world_objects = dict(seen.objects)
    for action in patched.actions:
        world_objects[action.ref] = merged(world_objects[action.ref], action.change)
    seen = replace(seen, objects=world_objects)
    draining = plan(seen, newer)
    assert {type(action) for action in draining.actions} == {facts.Move}
    assert {action.transfer.source for action in draining.actions} == {"demo-2"}
    assert draining.phase == "Updating"
    drained_ = settled(SPEC, [range(8000), range(8000, SLOTS), range(0)])
    drained_ = replace(drained_, objects=world_objects)
    assert plan(drained_, newer).actions == (facts.RestartPod("demo-2"),)
    unready = replace(drained_.pods[0], is_ready=False)
    waiting = replace(drained_, pods=(unready, *drained_.pods[1:]))
    assert plan(waiting, newer).actions == ()


def test_slots_of_an_upgraded_pod_come_from_the_next_one() -> None:
    newer = desired(replace(SPEC, image="cachestorm:2"))
    seen = settled(SPEC, [range(8000), range(8000, SLOTS), range(0)])
    pods = (*seen.pods[:2], replace(seen.pods[2], revision=newer.revision))
    objects = {**seen.objects, **{Ref.of(o): o for o in newer.objects}}
    objects[Ref.of(newer.stateful_set)] = newer.stateful_set
    marked = plan(replace(seen, pods=pods, objects=objects), newer)
    for action in marked.actions:
        objects[action.ref] = merged(objects[action.ref], action.change)
    done = plan(replace(seen, pods=pods, objects=objects), newer)
    assert {(a.transfer.source, a.transfer.target) for a in done.actions} == {
        ("demo-1", "demo-2")
    }


def test_a_slot_that_was_moving_is_finished_before_anything_else() -> None:
    seen = settled(SPEC, shares(3))
    one, two = seen.nodes["demo-0"], seen.nodes["demo-1"]
    nodes = {
        **seen.nodes,
        "demo-0": replace(one, moving={5: two.id}),
        "demo-1": replace(two, coming={5: one.id}),
    }
    done = plan(replace(seen, nodes=nodes), WANTED)
    assert done.actions == (facts.Move(Transfer((5,), "demo-0", "demo-1")),)
    gone = {**nodes, "demo-0": replace(one, moving={5: "who?"}), "demo-1": two}
    assert plan(replace(seen, nodes=gone), WANTED).actions == (facts.Settle("demo-0", (5,)),)


def test_nodes_that_know_each_other_at_another_address_are_made_to_meet() -> None:
    seen = settled(SPEC, shares(3))
    lost = {**seen.nodes, "demo-2": replace(seen.nodes["demo-2"], reached=frozenset())}
    done = plan(replace(seen, nodes=lost), WANTED)
    assert done.actions == (facts.Meet("demo-0", "demo-2"),)


def test_a_slot_waits_until_the_node_that_it_goes_to_knows_whose_it_is() -> None:
    seen = settled(SPEC, [range(8000), range(8000, SLOTS), range(0)])
    late = seen.nodes["demo-2"]
    stale = {id_: slots for id_, slots in late.shares.items() if id_ != seen.nodes["demo-0"].id}
    nodes = {**seen.nodes, "demo-2": replace(late, shares=stale)}
    done = plan(replace(seen, nodes=nodes), WANTED)
    assert {action.transfer.source for action in done.actions} == {"demo-1"}
    nobody = {**seen.nodes, "demo-2": replace(late, shares={})}
    waiting = plan(replace(seen, nodes=nobody), WANTED)
    assert (waiting.actions, waiting.reason) == ((), "Converging")
    assert "do not agree yet" in waiting.message


def test_a_pod_that_restarts_with_its_slots_is_not_to_wait_until_it_has_none() -> None:
    alone = settled(replace(SPEC, replicas=1), shares(1))
    newer = desired(replace(SPEC, replicas=1, image="cachestorm:2"))
    patched = dict(alone.objects)
    for action in plan(alone, newer).actions:
        patched[action.ref] = merged(patched[action.ref], action.change)
    done = plan(replace(alone, objects=patched), newer)
    assert done.actions == (facts.RestartPod("demo-0", keeps_slots=True),)


BY_LEASES = Spec(replicas=3, cluster=Cluster("kubernetes"))


def test_where_nodes_decide_the_operator_moves_nothing_and_waits_for_them() -> None:
    wanted = desired(BY_LEASES)
    assert plan(settled(BY_LEASES, shares(3)), wanted).message == ""
    uneven = settled(BY_LEASES, [range(8000), range(8000, SLOTS), range(0)])
    waiting = plan(uneven, wanted)
    assert (waiting.actions, waiting.reason) == ((), "Moving")
    none = settled(BY_LEASES, [range(0), range(0), range(0)])
    assert plan(none, wanted).actions == ()
    strangers = {**uneven.nodes, "demo-2": Node("new")}
    assert plan(replace(uneven, nodes=strangers), wanted).actions == ()


def test_where_nodes_decide_pods_go_at_once_as_they_hand_over_themselves() -> None:
    two = desired(replace(BY_LEASES, replicas=2))
    (action,) = plan(settled(BY_LEASES, shares(3)), two).actions
    assert action.change["spec"] == {"replicas": 2}


def test_where_nodes_decide_one_restarts_at_a_time_and_has_time_for_its_slots() -> None:
    newer = desired(replace(BY_LEASES, image="cachestorm:2"))
    seen = settled(BY_LEASES, shares(3))
    patched = dict(seen.objects)
    for action in plan(seen, newer).actions:
        patched[action.ref] = merged(patched[action.ref], action.change)
    seen = replace(seen, objects=patched)
    assert plan(seen, newer).actions == (facts.RestartPod("demo-2"),)
    leaving = replace(seen, pods=(*seen.pods[:2], replace(seen.pods[2], is_leaving=True)))
    assert plan(leaving, newer).actions == ()


def test_a_node_that_is_gone_for_good_loses_its_slots_when_every_pod_answers() -> None:
    seen = settled(SPEC, shares(3))
    former = seen.nodes["demo-2"]
    others = {
        name: replace(node, known=node.known | {"new"}, reached=node.reached | {"new"})
        for name, node in seen.nodes.items()
    }
    everybody = frozenset(node.id for node in seen.nodes.values())
    young = Node("new", {}, everybody, everybody)
    done = plan(replace(seen, nodes={**others, "demo-2": young}), WANTED)
    assert done.actions == (
        facts.Forget(former.id),
        facts.Assign("demo-2", tuple(sorted(former.own))),
    )
    two_answer = {name: others[name] for name in ("demo-0", "demo-1")}
    assert plan(replace(seen, nodes=two_answer), WANTED).actions == ()


def test_a_new_password_is_admitted_everywhere_before_the_old_one_goes() -> None:
    seen = settled(SPEC, shares(3))
    late = replace(seen.nodes["demo-1"], login=facts.PREVIOUS)
    nodes = {**seen.nodes, "demo-1": late}
    retiring = replace(WANTED, retires=True)
    assert plan(replace(seen, nodes=nodes), retiring).actions == (
        facts.AdmitPassword("demo-1"),
    )
    assert set(plan(seen, retiring).actions) == set(
        facts.RetirePassword(f"demo-{number}") for number in range(3)
    )


def test_a_single_server_restarts_without_ado() -> None:
    spec = Spec(mode="standalone", replicas=1)
    seen = settled(spec, [range(0)])
    assert plan(seen, desired(spec)) == facts.Plan((), "Running", "Serving")
    newer = desired(replace(spec, image="cachestorm:2"))
    patched = plan(seen, newer)
    assert [type(action) for action in patched.actions] == [facts.Patch]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_first_shares_are_even_and_whole(count: int) -> None:
    given = first_shares([str(number) for number in range(count)])
    assert sorted(slot for slots in given.values() for slot in slots) == list(range(SLOTS))
    assert max(map(len, given.values())) - min(map(len, given.values())) <= 1


def test_evening_out_moves_no_more_than_it_must() -> None:
    now = {"a": frozenset(range(10)), "b": frozenset(), "c": frozenset(range(10, 13))}
    moves = evened(now)
    assert sum(len(move.slots) for move in moves) == 5
    after = {name: len(slots) for name, slots in now.items()}
    for move in moves:
        after[move.source] -= len(move.slots)
        after[move.target] += len(move.slots)
    assert sorted(after.values()) == [4, 4, 5]
    assert evened({"a": frozenset(range(2)), "b": frozenset([9])}) == []


def test_draining_fills_the_emptiest_first() -> None:
    now = {"a": frozenset(range(4)), "b": frozenset(range(4, 6)), "c": frozenset([7])}
    moves = drained(["a"], now, ["b", "c"])
    assert {move.target: len(move.slots) for move in moves} == {"b": 2, "c": 2} or {
        move.target: len(move.slots) for move in moves
    } == {"c": 3, "b": 1}
    assert drained(["a"], now, []) == []


def test_what_is_drained_stays_side_by_side() -> None:
    shares_now = {"a": frozenset(range(100)), "b": frozenset(), "c": frozenset()}
    moves = drained(["a"], shares_now, ["b", "c"])
    assert [ranges(move.slots) for move in moves] == [[(0, 49)], [(50, 99)]]


def test_ranges_join_what_lies_side_by_side() -> None:
    assert ranges([3, 1, 2, 9, 7, 8, 20]) == [(1, 3), (7, 9), (20, 20)]


@pytest.fixture
def few_slots(monkeypatch: pytest.MonkeyPatch) -> int:
    """What holds of 96 slots in batches of 8, holds of 16384 in batches of 128."""
    for module in (planning, slots, simulated_cluster):
        monkeypatch.setattr(module, "SLOTS", 96)
    monkeypatch.setattr(planning, "BATCH", 8)
    monkeypatch.setattr(planning, "MOST_MOVED", 12)
    return 96


@pytest.mark.parametrize("seed", range(12))
def test_no_history_of_changes_and_kills_loses_a_key(few_slots: int, seed: int) -> None:
    random = Random(seed)
    keeps_data = seed % 3 == 0
    world = SimulatedCluster(random, keeps_data)
    spec = Spec(replicas=random.randint(1, 5), storage=Storage(enabled=keeps_data))
    for version in range(4):
        wanted = desired(spec)
        for _ in range(MOST_ROUNDS):
            world.pass_time()
            todo = plan(world.observed(), wanted)
            if not todo.actions and not todo.message:
                break
            if random.random() < 0.2:
                world.fuse = random.randint(0, 5)
            try:
                world.do(todo)
            except Killed:
                pass
            world.fuse = None
        else:
            raise AssertionError(f"never done: {todo}")
        owners = [node.own for node in world.nodes.values()]
        assert sum(map(len, owners)) == few_slots == len(set().union(*owners))
        assert max(map(len, owners)) - min(map(len, owners)) <= 1
        assert len(world.nodes) == spec.replicas
        # a single node without storage has nobody to give its keys to
        if keeps_data or 1 not in (spec.replicas, len(owners)):
            held = set().union(*(node.keys for node in world.nodes.values()))
            assert len(held) == few_slots
        spec = replace(
            spec,
            replicas=random.randint(2, 6),
            image=f"cachestorm:{random.choice(['1', '2'])}" if version else spec.image,
        )


def test_an_operator_that_is_killed_at_any_step_goes_on_from_there(few_slots: int) -> None:
    # 3 nodes become 2: at each step of it once
    fuse = 0
    is_over = False
    while not is_over:
        world = SimulatedCluster(Random(fuse), keeps_data=False)
        bring(world, desired(SPEC))
        wanted = desired(replace(SPEC, replicas=2))
        world.fuse = fuse
        bring(world, wanted)
        held = set().union(*(node.keys for node in world.nodes.values()))
        assert held == set(range(few_slots))
        assert world.restarts == []
        is_over = world.fuse is not None
        fuse += 1
    assert fuse > 15


def bring(world: SimulatedCluster, wanted: facts.Desired) -> None:
    for _ in range(MOST_ROUNDS):
        world.pass_time()
        todo = plan(world.observed(), wanted)
        if not todo.actions and not todo.message:
            return
        try:
            world.do(todo)
        except Killed:
            pass
    raise AssertionError(todo)


def test_the_warm_tier_and_storage_are_volumes_of_each_pod() -> None:
    spec = Spec(
        storage=Storage(enabled=True, size="1Gi"),
        tiered_storage=replace(Spec().tiered_storage, enabled=True, warm_tier=WarmTier("2Gi")),
    )
    claims = desired(spec).stateful_set["spec"]["volumeClaimTemplates"]
    sizes = {
        claim["metadata"]["name"]: claim["spec"]["resources"]["requests"]["storage"]
        for claim in claims
    }
    assert sizes == {"data": "1Gi", "warm": "2Gi"}
    assert OWNER.selector == "app.kubernetes.io/instance=demo,app.kubernetes.io/name=cachestorm"
