"""One contract for what keeps the records of a cluster, and for what decides about slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from etcd_processes import ETCD, MISSING, Etcd
from fake_api_server import FakeApiServer
from lease_hosts import MemoryStore

from cachestorm_server.cluster.assignment import Assignment, Registered
from cachestorm_server.cluster.authority import Authority, Static
from cachestorm_server.cluster.leases import Leases, Timing
from cachestorm_server.cluster.messages import Member, MessageError
from cachestorm_server.cluster.node import Node, new_id
from cachestorm_server.cluster.records import ABSENT, RecordStore, StoreError, do

TIMING = Timing(ttl_ms=1000, margin_ms=100, look_ms=200, most_moves=60)
SIZE = 60
AUTHORITIES = ("static", "etcd", "kubernetes")
MakeStore = Callable[[], RecordStore]


@pytest.fixture(scope="module")
def etcd() -> Iterator[Etcd]:
    if ETCD is None:
        pytest.skip(MISSING)
    etcd = Etcd(1)
    try:
        etcd.start()
        yield etcd
    finally:
        etcd.stop()


def stores_of(name: str, request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Connections to one store that is empty, as many as are wanted."""
    opened: list[RecordStore] = []

    def opening(make: MakeStore) -> MakeStore:
        def open_one() -> RecordStore:
            opened.append(make())
            return opened[-1]

        return open_one

    if name == "memory":
        store = MemoryStore()
        yield lambda: store
    elif name == "etcd":
        from cachestorm_server.cluster.etcd_store import EtcdStore

        etcd: Etcd = request.getfixturevalue("etcd")
        prefix = new_id(Random(request.node.name))
        yield opening(lambda: EtcdStore(etcd.endpoints, prefix, 2))
    else:
        from cachestorm_server.cluster.kubernetes_store import KubernetesStore

        with FakeApiServer() as server, pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", server.kubeconfig(request.getfixturevalue("tmp_path")))
            yield opening(lambda: KubernetesStore("c", "default", 2))
    for each in opened:
        each.close()


@pytest.fixture(params=["memory", "etcd", "kubernetes"])
def stores(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    yield from stores_of(request.param, request)


# -- what keeps records


def test_a_record_is_there_for_all_until_it_is_removed(stores: MakeStore) -> None:
    one, other = stores(), stores()
    assert one.look() == {}
    version = one.put("node-a", b"\x00value", ABSENT)
    assert version != ABSENT
    assert other.look() == {"node-a": (version, b"\x00value")}
    assert other.remove("node-a", version) is True
    assert one.look() == {}


def test_a_record_is_replaced_only_in_the_version_that_is_named(stores: MakeStore) -> None:
    one, other = stores(), stores()
    first = one.put("slots", b"1", ABSENT)
    second = other.put("slots", b"2", first)
    assert second not in (ABSENT, first)
    assert one.put("slots", b"3", first) == ABSENT
    assert one.put("slots", b"3", ABSENT) == ABSENT
    assert one.remove("slots", first) is False
    assert one.look() == {"slots": (second, b"2")}


def test_a_record_can_be_made_again_and_its_former_versions_stay_wrong(
    stores: MakeStore,
) -> None:
    store = stores()
    first = store.put("node-a", b"1", ABSENT)
    assert store.remove("node-a", first)
    assert store.put("node-a", b"2", first) == ABSENT
    again = store.put("node-a", b"2", ABSENT)
    assert again not in (ABSENT, first)
    assert store.remove("node-a", first) is False
    assert store.look() == {"node-a": (again, b"2")}


def test_an_assignment_of_all_slots_to_ten_nodes_fits_however_it_is_cut(
    stores: MakeStore,
) -> None:
    assignment = Assignment(1 << 40)
    ids = [new_id(Random(number)) for number in range(10)]
    for node_id in ids:
        assignment.nodes[node_id] = Registered("0" * 16, "10.0.0.1", 7946)
    random = Random(1)
    for slot in range(16384):
        assignment.owners[slot] = random.choice(ids)
        assignment.epochs[slot] = (1 << 40) + random.randrange(2000)
    store = stores()
    store.put("slots", assignment.to_bytes(), ABSENT)
    assert Assignment.from_bytes(store.look()["slots"].value) == assignment


# -- what decides


class Cluster:
    """Nodes in one thread, on a clock that a test moves."""

    def __init__(self, name: str, stores: MakeStore, size: int) -> None:
        self.now_ms = 10_000
        self.random = Random(7)
        self.nodes: list[Node] = []
        self.stores: dict[str, RecordStore] = {}
        self.out: set[str] = set()
        for number in range(size):
            authority: Authority
            if name == "static":
                authority = Static()
            else:
                authority = Leases(name, TIMING, self.random, SIZE)
            me = Member(new_id(self.random), "", f"h{number}", 1, 2, 0, 0, f"i{number}")
            node = Node(me, self.random, 5000, (), authority)
            if isinstance(authority, Leases):
                authority.bind(node)
                self.stores[me.id] = stores()
            self.nodes.append(node)
        if name == "static":
            for number, node in enumerate(self.nodes):
                share = SIZE // size
                node.assign(range(number * share, (number + 1) * share), node.me.id)
            for node in self.nodes[1:]:
                node.meet(self.nodes[0].me.address, self.now_ms)
        self.run(3000)

    def run(self, ms: int) -> None:
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.now_ms += 50
            for node in self.nodes:
                if node.me.id not in self.out:
                    self._step(node)

    def _step(self, node: Node) -> None:
        leases = node.authority
        if isinstance(leases, Leases):
            # none of them has any keys
            leases.moved.update(node.migrating)
            while (request := leases.next(self.now_ms)) is not None:
                try:
                    answer = do(self.stores[node.me.id], request)
                except StoreError:
                    answer = None
                leases.hear(request, answer, self.now_ms, self.now_ms)
        outgoing = node.take_outbox()
        if self.now_ms % 500 == 0:
            outgoing += node.tick(self.now_ms)
        while outgoing:
            each = outgoing.pop(0)
            for other in self.nodes:
                if other.me.address == each.address and other.me.id not in self.out:
                    outgoing += other.receive(each.message, self.now_ms)

    def serving(self, slot: int) -> list[Node]:
        return [
            node
            for node in self.nodes
            if node.slots.owners[slot] == node.me.id and node.may_serve(self.now_ms)
        ]


@pytest.fixture(params=AUTHORITIES)
def authority(request: pytest.FixtureRequest) -> Iterator[tuple[str, MakeStore]]:
    if request.param == "static":
        yield "static", MemoryStore
    else:
        for stores in stores_of(request.param, request):
            yield request.param, stores


def test_every_slot_is_served_by_one_node_and_all_agree(
    authority: tuple[str, MakeStore],
) -> None:
    cluster = Cluster(*authority, size=3)
    assert [len(cluster.serving(slot)) for slot in range(SIZE)] == [1] * SIZE
    one, *others = cluster.nodes
    assert [node.slots.owners for node in others] == [one.slots.owners] * 2
    assert [len(node.members) for node in cluster.nodes] == [2, 2, 2]


def test_slots_are_shared_evenly(authority: tuple[str, MakeStore]) -> None:
    cluster = Cluster(*authority, size=3)
    counts = cluster.nodes[0].slots.counts.values()
    assert max(counts) - min(counts) <= 1


def test_an_operator_is_told_who_decides(authority: tuple[str, MakeStore]) -> None:
    name, stores = authority
    cluster = Cluster(name, stores, size=1)
    reason = cluster.nodes[0].authority.refusal(1, cluster.nodes[0].me.id)
    assert (reason == "") == (name == "static")
    assert name == "static" or name in reason


def test_the_slots_of_a_node_that_is_gone_stay_its_own_or_go_to_the_others(
    authority: tuple[str, MakeStore],
) -> None:
    name, stores = authority
    cluster = Cluster(name, stores, size=3)
    gone = cluster.nodes[0]
    before = gone.slots.slots_of(gone.me.id)
    cluster.out.add(gone.me.id)
    cluster.run(2 * TIMING.ttl_ms)
    now = {cluster.nodes[1].slots.owners[slot] for slot in before}
    if name == "static":
        assert now == {gone.me.id}
        assert gone.may_serve(cluster.now_ms)
    else:
        assert gone.me.id not in now
        assert not gone.may_serve(cluster.now_ms)
        assert [len(cluster.serving(slot)) for slot in before] == [1] * len(before)


def test_a_node_that_comes_back_has_slots_again(authority: tuple[str, MakeStore]) -> None:
    name, stores = authority
    cluster = Cluster(name, stores, size=3)
    gone = cluster.nodes[0]
    cluster.out.add(gone.me.id)
    cluster.run(2 * TIMING.ttl_ms)
    cluster.out.clear()
    cluster.run(3000)
    assert gone.slots.counts[gone.me.id] >= SIZE // 3
    assert [len(cluster.serving(slot)) for slot in range(SIZE)] == [1] * SIZE


# -- what cannot be read


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"x\x9c", Assignment(1).to_bytes()[:-3], b"x\x9c\xabV\x00"]
)
def test_what_is_no_assignment_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        Assignment.from_bytes(value)


def test_where_nobody_listens_it_is_said_who_was_asked() -> None:
    pytest.importorskip("etcd3gw")
    from cachestorm_server.cluster.etcd_store import EtcdStore

    store = EtcdStore(("http://127.0.0.1:1", "http://127.0.0.1:2"), "p", 1)
    with pytest.raises(StoreError, match=r"no answer of http://127\.0\.0\.1:2: "):
        store.look()


def test_a_node_goes_on_with_another_member_of_etcd() -> None:
    if ETCD is None:
        pytest.skip(MISSING)
    from cachestorm_server.cluster.etcd_store import EtcdStore

    etcd = Etcd(3)
    try:
        etcd.start()
        store = EtcdStore(etcd.endpoints, "p", 2)
        version = store.put("slots", b"1", ABSENT)
        etcd.members[0].kill()
        for member in etcd.members[1:]:
            member.wait()
        assert store.look() == {"slots": (version, b"1")}
        etcd.members[1].kill()
        with pytest.raises(StoreError):
            # one of three decides nothing
            for _ in range(3):
                store.put("slots", b"2", version)
        etcd.members[1].restart()
        etcd.members[2].wait()
        for _ in range(3):
            try:
                found = store.look()
                break
            except StoreError:
                continue
        assert found["slots"].value in (b"1", b"2")
    finally:
        etcd.stop()
