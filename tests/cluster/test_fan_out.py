"""Tags over several nodes: whoever is asked, all do it, once, now or when they are back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import bound_commands as bound_commands
from cachestorm_server.cluster import messages, op_log
from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.messages import Address, Member
from cachestorm_server.cluster.node import Node, Outgoing
from cachestorm_server.cluster.node_state import restored
from cachestorm_server.cluster.op_log import KEEP_MS
from cachestorm_server.cluster.redirect import MovedError
from cachestorm_server.cluster.state_file import StateFile
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.json_commands import JsonCommands, Pending
from cachestorm_server.json_transactions import JsonTransactions, read_batch
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

TIMEOUT_MS = 5000
TICK_MS = 1000
PATIENCE_MS = 60_000
# after so long nobody waits for a silent node
GIVEN_UP_MS = 2 * TIMEOUT_MS + TICK_MS
SIZE = 3


class Place:
    """One server of the cluster, with a client."""

    def __init__(self, cluster: Cluster, number: int, cache: Cache | None = None) -> None:
        self.cluster = cluster
        self.cache = cache or Cache()
        self.endpoint = Endpoint(self.cache, REGISTRY, Settings())
        file = StateFile(str(cluster.folder / str(number)))
        me = Member(str(number) * 40, "", "h", 1, number, 0, 0, f"{cluster.lives()}-{number}")
        kept, random = file.load(), Random(number)
        if kept is None:
            node = Node(me, random, TIMEOUT_MS)
        else:
            node = restored(kept, me, random, TIMEOUT_MS, cluster.now_ms)
        self.node = node
        self.membership = Membership(
            self.endpoint, node, file, PATIENCE_MS, lambda: cluster.now_ms
        )
        self.membership.send = cluster.post
        self.session = Session(self.endpoint)
        self.is_up = True

    def ask(self, line: str) -> bytes:
        """The reply to a line, once all that is said about it has been said."""
        reply = self.session.receive(line.encode() + b"\r\n")
        self.cluster.pump()
        return reply + self.session.receive(b"")

    def late(self) -> bytes:
        """The reply that was waited for, when its time is up."""
        command = self.session.long_command
        assert command is not None
        command.unblock()
        return self.session.receive(b"")


class Cluster:
    """Three servers, and what is on its way between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ms = 1_000_000
        self.queue: deque[Outgoing] = deque()
        self._lives = 0
        self.places = {number: Place(self, number) for number in range(1, SIZE + 1)}
        for number, place in self.places.items():
            slots = range((number - 1) * 5462, min(number * 5462, 16384))
            place.node.assign(slots, place.node.me.id)
        for number in range(2, SIZE + 1):
            self.places[number].node.meet(self.address(1), self.now_ms)
        for _ in range(4):
            self.pass_time(1000)
        assert [len(place.node.members) for place in self.places.values()] == [2, 2, 2]

    def lives(self) -> int:
        self._lives += 1
        return self._lives

    def address(self, number: int) -> Address:
        return "h", number

    def post(self, outgoing: Outgoing) -> None:
        self.queue.append(outgoing)

    def hold_back(self, number: int) -> list[Outgoing]:
        """Takes what is on its way to a server out of the queue."""
        held = [each for each in self.queue if each.address == self.address(number)]
        for each in held:
            self.queue.remove(each)
        return held

    def pump(self) -> None:
        while self.queue:
            outgoing = self.queue.popleft()
            place = self.places[outgoing.address[1]]
            if place.is_up:
                answers = place.node.receive(outgoing.message, self.now_ms)
                place.membership.settle(answers)

    def pass_time(self, ms: int) -> None:
        for passed in range(0, ms, TICK_MS):
            self.now_ms += min(TICK_MS, ms - passed)
            self._tick()

    def _tick(self) -> None:
        for place in self.places.values():
            if place.is_up:
                place.membership.settle(place.node.tick(self.now_ms))
        self.pump()

    def restart(self, number: int) -> Place:
        """The server comes back with the keys that it had."""
        self.places[number] = Place(self, number, self.places[number].cache)
        return self.places[number]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    cluster = Cluster(tmp_path)
    for number, place in cluster.places.items():
        place.cache.set(f"k{number}", 1, tags=["t", f"t{number}"])
    return cluster


def test_an_invalidation_reaches_all_nodes_and_says_how_many_keys_it_took(
    cluster: Cluster,
) -> None:
    assert cluster.places[2].ask("INVALIDATE t") == b":3\r\n"
    assert [len(place.cache) for place in cluster.places.values()] == [0, 0, 0]
    assert cluster.places[1].ask("INVALIDATE t") == b":0\r\n"


def test_counts_and_keys_of_a_tag_are_those_of_all_nodes(cluster: Cluster) -> None:
    assert cluster.places[1].ask("TAGCOUNT t") == b":3\r\n"
    keys = b"*3\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\nk3\r\n"
    assert cluster.places[3].ask("TAGKEYS t") == keys
    assert cluster.places[3].ask("INVALIDATE t DRYRUN") == b":3\r\n"
    assert [len(place.cache) for place in cluster.places.values()] == [1, 1, 1]


def walked(ask: Callable[[str], bytes], options: str = "") -> list[list[bytes]]:
    """The pages of a walk."""
    pages, cursor = [], b"0"
    while not pages or cursor != b"0":
        reply = ask(f"TAGSCAN {cursor.decode()}{options}")
        words = reply.split(b"\r\n")
        cursor = words[2]
        pages.append(words[5::2])
    return pages


def test_the_tags_of_all_nodes_are_walked_whichever_is_asked(cluster: Cluster) -> None:
    _, two, three = cluster.places.values()
    expected = [b"t", b"t", b"t", b"t1", b"t2", b"t3"]
    assert sorted(tag for page in walked(two.ask) for tag in page) == expected
    pages = walked(two.ask, " COUNT 1")
    assert sorted(tag for page in pages for tag in page) == expected
    assert [len(page) for page in pages] == 6 * [1]
    assert walked(three.ask, " MATCH t2") == [[], [b"t2"], []]
    asked = [place.ask for place in cluster.places.values()]
    # another node for each page
    pages = walked(lambda line: asked[(len(line) + int(line.split()[1])) % 3](line))
    assert sorted(tag for page in pages for tag in page) == expected


def test_a_walk_is_refused_as_on_one_node(cluster: Cluster) -> None:
    one = cluster.places[1]
    assert one.ask("TAGSCAN x") == b"-ERR invalid cursor\r\n"
    assert one.ask("TAGSCAN 0 COUNT 0") == b"-ERR syntax error\r\n"
    assert b"wrong number of arguments" in one.ask("TAGSCAN")


def test_a_walk_leaves_out_a_node_that_is_away_if_it_is_told_to(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    two.is_up = False
    cluster.pass_time(GIVEN_UP_MS)
    cursor = one.ask("TAGSCAN 0").split(b"\r\n")[2].decode()
    refused = one.ask(f"TAGSCAN {cursor}")
    assert refused.startswith(b"-PARTIAL h:1 does not answer; what it has is left out from ")
    after = refused.split()[-2].decode()
    assert one.ask(f"TAGSCAN {after}").split(b"\r\n")[2] == b"0"


def test_a_count_that_lacks_a_node_says_nothing_of_deleted_keys(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    two.is_up = False
    cluster.pass_time(GIVEN_UP_MS)
    assert one.ask("TAGCOUNT t") == b"-PARTIAL 2 of 3 nodes answered\r\n"
    assert one.ask("INVALIDATE t DRYRUN") == b"-PARTIAL 2 of 3 nodes answered\r\n"


def test_a_long_list_of_keys_comes_in_several_messages(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_MEMBERS", 100)
    one, two, _ = cluster.places.values()
    names = [f"key:{number:04}" for number in range(1050)]
    for name in names:
        two.cache.set(name, 1, tags=["many"])
    words = one.ask("TAGKEYS many").split(b"\r\n")
    assert words[2::2] == [name.encode() for name in names]


def test_links_are_on_every_node(cluster: Cluster) -> None:
    assert cluster.places[1].ask("TAGLINK all t") == b"+OK\r\n"
    assert cluster.places[3].ask("TAGCHILDREN all") == b"*1\r\n$1\r\nt\r\n"
    assert cluster.places[2].ask("INVALIDATE all CASCADE") == b":3\r\n"
    assert cluster.places[3].ask("TAGUNLINK all t") == b"+OK\r\n"
    assert cluster.places[1].ask("TAGCHILDREN all") == b"*0\r\n"


def test_what_is_refused_here_is_told_to_nobody(cluster: Cluster) -> None:
    cluster.places[1].ask("TAGLINK a b")
    assert cluster.places[1].ask("TAGLINK b a").startswith(b"-ERR")
    assert cluster.places[2].ask("TAGCHILDREN b") == b"*0\r\n"


def test_an_invalidation_is_of_one_namespace(cluster: Cluster) -> None:
    for place in cluster.places.values():
        place.cache.namespace("n").set("k", 1, tags=["t"])
    cluster.places[1].ask("NAMESPACE n")
    assert cluster.places[1].ask("INVALIDATE t") == b":3\r\n"
    assert cluster.places[2].ask("TAGCOUNT t") == b":3\r\n"


def test_a_transaction_tells_the_other_nodes_and_waits_for_nobody(cluster: Cluster) -> None:
    one = cluster.places[1]
    one.ask("MULTI")
    one.ask("INVALIDATE t")
    assert one.ask("EXEC") == b"*1\r\n:1\r\n"
    assert [len(place.cache) for place in cluster.places.values()] == [0, 0, 0]


def test_a_script_tells_the_other_nodes(cluster: Cluster) -> None:
    pytest.importorskip("lupa")
    assert cluster.places[1].ask("EVAL \"return redis.call('INVALIDATE', 't')\" 0") == b":1\r\n"
    assert [len(place.cache) for place in cluster.places.values()] == [0, 0, 0]


def test_a_node_that_does_not_answer_makes_the_reply_partial_and_does_it_later(
    cluster: Cluster,
) -> None:
    one, three = cluster.places[1], cluster.places[3]
    three.is_up = False
    assert one.ask("INVALIDATE t") == b""
    assert one.late() == (
        b"-PARTIAL 2 of 3 nodes answered, 2 keys deleted; the rest is kept and applied on "
        b"rejoin\r\n"
    )
    assert b"cluster_pending_operations:1" in one.ask("CLUSTER INFO")
    three.is_up = True
    cluster.pass_time(1000)
    assert len(three.cache) == 0
    assert b"cluster_pending_operations:0" in one.ask("CLUSTER INFO")


def test_a_node_that_is_known_to_be_away_is_not_waited_for(cluster: Cluster) -> None:
    cluster.places[3].is_up = False
    cluster.pass_time(GIVEN_UP_MS)
    assert cluster.places[1].ask("INVALIDATE t").startswith(b"-PARTIAL 2 of 3")


def test_a_node_that_is_merely_slow_is_waited_for(cluster: Cluster) -> None:
    one, three = cluster.places[1], cluster.places[3]
    three.is_up = False
    cluster.pass_time(TIMEOUT_MS + 1)
    assert one.node.is_suspected(three.node.me.id, cluster.now_ms)
    assert one.ask("INVALIDATE t") == b""
    three.is_up = True
    cluster.pass_time(1)
    assert one.session.receive(b"") == b":3\r\n"


def test_a_node_that_hears_of_it_from_a_third_one_first_is_counted_as_well(
    cluster: Cluster,
) -> None:
    one, two = cluster.places[1], cluster.places[2]
    one.session.receive(b"INVALIDATE t\r\n")
    late = cluster.hold_back(3)
    cluster.pump()
    two.membership.settle(two.node.tick(cluster.now_ms))
    cluster.pump()
    assert len(cluster.places[3].cache) == 0
    cluster.queue.extend(late)
    cluster.pump()
    assert one.session.receive(b"") == b":3\r\n"


def test_a_node_that_was_stopped_suspects_nobody_for_it(cluster: Cluster) -> None:
    one = cluster.places[1]
    cluster.now_ms += 10 * TIMEOUT_MS
    one.membership.settle(one.node.tick(cluster.now_ms))
    assert not any(one.node.is_suspected(each, cluster.now_ms) for each in one.node.members)
    assert one.ask("INVALIDATE t") == b":3\r\n"


def test_what_is_kept_survives_the_node_that_was_asked(cluster: Cluster) -> None:
    cluster.places[2].is_up = cluster.places[3].is_up = False
    cluster.places[1].ask("INVALIDATE t")
    assert cluster.places[1].late().startswith(b"-PARTIAL 1 of 3 nodes answered, 1 keys")
    kept = StateFile(str(cluster.folder / "1")).load()
    assert kept is not None
    assert [words for *_, words in kept["pending"]] == [["INVALIDATE", "t"]]
    cluster.restart(1)
    cluster.places[2].is_up = cluster.places[3].is_up = True
    cluster.pass_time(1000)
    assert [len(place.cache) for place in cluster.places.values()] == [0, 0, 0]


def test_a_node_that_comes_back_serves_nothing_before_it_has_caught_up(
    cluster: Cluster,
) -> None:
    cluster.places[3].is_up = False
    cluster.pass_time(TIMEOUT_MS + 1)
    cluster.places[1].ask("INVALIDATE t")
    back = cluster.restart(3)
    assert back.ask("GET foo") == b"-CLUSTERDOWN The cluster is down\r\n"
    assert len(back.cache) == 1
    cluster.pass_time(1000)
    assert back.ask("GET foo") == b"$-1\r\n"
    assert len(back.cache) == 0


def test_a_node_that_nobody_answers_serves_after_a_while(cluster: Cluster) -> None:
    for place in cluster.places.values():
        place.is_up = False
    back = cluster.restart(3)
    assert back.ask("GET foo").startswith(b"-CLUSTERDOWN")
    cluster.pass_time(GIVEN_UP_MS)
    assert back.ask("GET foo") == b"$-1\r\n"


def test_a_node_that_is_stopped_as_it_comes_back_serves_nothing_before_it_has_caught_up(
    cluster: Cluster,
) -> None:
    cluster.places[1].is_up = cluster.places[2].is_up = False
    back = cluster.restart(3)
    cluster.pass_time(TICK_MS)
    cluster.now_ms += 10 * TIMEOUT_MS
    cluster.pass_time(TICK_MS)
    assert back.ask("GET foo").startswith(b"-CLUSTERDOWN")
    cluster.pass_time(GIVEN_UP_MS)
    assert back.ask("GET foo") == b"$-1\r\n"


def test_an_operation_is_let_go_once_all_have_done_it_long_ago(cluster: Cluster) -> None:
    one = cluster.places[1]
    one.ask("INVALIDATE t")
    cluster.pass_time(1000)
    assert one.node.log.shares_for("x" * 40)[0] != ()
    for _ in range(KEEP_MS // 1000 + 1):
        cluster.pass_time(1000)
    assert one.node.log.shares_for("x" * 40) == ((), False)
    assert one.ask("INVALIDATE t") == b":0\r\n"
    assert one.node.log.done[one.node.me.instance] == 2


def test_what_a_life_has_told_is_forgotten_once_it_is_over_for_all(cluster: Cluster) -> None:
    cluster.places[1].ask("INVALIDATE t1")
    former = cluster.places[1].node.me.instance
    back = cluster.restart(1)
    back.ask("INVALIDATE t2")
    for _ in range(2 * KEEP_MS // 1000 + 5):
        cluster.pass_time(1000)
    back.ask("INVALIDATE t3")
    cluster.pass_time(1000)
    origins = [set(place.node.log.done) for place in cluster.places.values()]
    assert former != back.node.me.instance
    assert origins == 3 * [{back.node.me.instance}]
    assert back.node.log.done == {back.node.me.instance: 2}


def test_a_node_that_was_away_for_too_long_has_no_key_with_a_tag(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op_log, "MOST_KEPT", 3)
    one, two, _ = cluster.places.values()
    two.cache.set("plain", 1)
    two.is_up = False
    cluster.pass_time(GIVEN_UP_MS)
    for n in range(6):
        assert one.ask(f"INVALIDATE other{n}").startswith(b"-PARTIAL")
    cluster.pass_time(1000)
    two.is_up = True
    cluster.pass_time(1000)
    cluster.pass_time(1000)
    assert two.cache.keys() == ["plain"]
    assert [place.node.log.pending(place.node.members) for place in (one, two)] == [[], []]


def test_of_keys_with_the_same_news_those_are_caught_that_come_after_an_invalidation(
    cluster: Cluster,
) -> None:
    one, two, _ = cluster.places.values()
    payload, seen = one.cache.dump("k1"), one.membership.seen()
    assert payload is not None
    two.node.import_from(12706, one.node.me.id)
    two.membership.settle([])
    for name in (b"{k1}a", b"{k1}b"):
        assert restored_at(two, name, payload, seen) == b"+OK\r\n"
        assert (name.decode() in two.cache) == (name == b"{k1}a")
        two.ask("INVALIDATE t")


@pytest.mark.parametrize(("tag", "options"), [("t", ""), ("all", " CASCADE")])
def test_a_key_on_its_way_cannot_escape_an_invalidation(
    cluster: Cluster, tag: str, options: str
) -> None:
    one, two = cluster.places[1], cluster.places[2]
    one.ask("TAGLINK all t")
    # the key is copied before the source hears of the invalidation, and arrives after it
    payload, seen = one.cache.dump("k1"), one.membership.seen()
    assert payload is not None
    one.is_up = False
    two.ask(f"INVALIDATE {tag}{options}")
    two.late()
    two.node.import_from(12706, one.node.me.id)

    assert restored_at(two, b"{k1}old", payload, seen) == b"+OK\r\n"
    assert "{k1}old" not in two.cache
    assert restored_at(two, b"{k1}new", payload, two.membership.seen()) == b"+OK\r\n"
    assert "{k1}new" in two.cache


def restored_at(place: Place, name: bytes, payload: bytes, seen: str) -> bytes:
    """The reply to a key that comes from another node."""
    words = [b"RESTORE-ASKING", name, b"0", payload, b"SEEN", seen.encode()]
    wire = b"*%d\r\n" % len(words)
    return place.session.receive(
        wire + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    )


def test_who_is_given_a_slot_with_its_keys_is_not_outdone_by_what_was_decided_before(
    cluster: Cluster,
) -> None:
    one, two = cluster.places[1], cluster.places[2]
    # the slot has just come to the first node, and the second one has not heard of that
    one.node.hear_epoch(50)
    one.node.assign([12706], one.node.me.id)
    payload = one.cache.dump("k1")
    assert payload is not None
    two.node.import_from(12706, one.node.me.id)
    assert restored_at(two, b"k1", payload, one.membership.seen()) == b"+OK\r\n"
    two.node.assign([12706], two.node.me.id)
    two.node.merge(one.node.slots.runs_of([12706]))
    assert two.node.slots.owners[12706] == two.node.me.id


def links_of(place: Place) -> list[list[str]]:
    return place.cache.taglinks()


def test_links_are_on_every_node_also_on_one_that_was_away(cluster: Cluster) -> None:
    one, two, three = cluster.places.values()
    three.is_up = False
    assert one.ask("TAGLINK above t") == b"+OK\r\n" or one.late().startswith(b"-PARTIAL")
    assert two.ask("TAGLINK top above") == b"+OK\r\n" or two.late().startswith(b"-PARTIAL")
    # whoever is back long after that has them too
    cluster.pass_time(2 * KEEP_MS)
    three = cluster.restart(3)
    for _ in range(3):
        cluster.pass_time(1000)
    assert [links_of(place) for place in (one, two, three)] == 3 * [
        [["above", "t"], ["top", "above"]]
    ]
    assert three.ask("TAGUNLINK top above") == b"+OK\r\n"
    assert [links_of(place) for place in (one, two, three)] == 3 * [[["above", "t"]]]


def test_links_that_would_close_a_cycle_together_are_left_out_alike(cluster: Cluster) -> None:
    one, two, three = cluster.places.values()
    for place, line in ((one, "TAGLINK a b"), (two, "TAGLINK b c"), (three, "TAGLINK c a")):
        # nobody has heard of the others yet
        place.session.receive(line.encode() + b"\r\n")
    cluster.pump()
    for _ in range(3):
        cluster.pass_time(1000)
    found = [links_of(place) for place in (one, two, three)]
    assert (len(found[0]), found[1:]) == (2, [found[0], found[0]])
    gone = found[0][0]
    one.ask("")
    assert one.ask(f"TAGUNLINK {gone[0]} {gone[1]}") == b"+OK\r\n"
    assert [len(links_of(place)) for place in (one, two, three)] == [2, 2, 2]


def test_a_link_is_on_disk_before_others_hear_of_it(cluster: Cluster) -> None:
    one = cluster.places[1]
    one.session.receive(b"TAGLINK above t\r\n")
    kept = StateFile(str(cluster.folder / "1")).load()
    assert kept is not None
    assert [link[1:3] for link in kept["links"]] == [["above", "t"]]
    cluster.pump()
    kept = StateFile(str(cluster.folder / "2")).load()
    assert kept is not None
    assert [link[1:3] for link in kept["links"]] == [["above", "t"]]


def test_a_flush_of_one_node_takes_no_link_from_the_cluster(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    assert one.ask("TAGLINK above t") == b"+OK\r\n"
    assert two.ask("FLUSHALL") == b"+OK\r\n"
    two.cache.set("k", 1, tags=["t"])
    assert two.ask("INVALIDATE above CASCADE") == b":3\r\n"
    assert len(two.cache) == 0


def test_links_of_before_there_was_a_cluster_are_links_of_all(cluster: Cluster) -> None:
    one, two, three = cluster.places.values()
    one.cache.taglink("above", "t")
    assert one.ask("INVALIDATE above CASCADE") == b":3\r\n"
    cluster.pass_time(1000)
    assert [links_of(place) for place in (two, three)] == 2 * [[["above", "t"]]]


def test_a_tag_is_of_any_bytes(cluster: Cluster) -> None:
    one, two, _ = cluster.places.values()
    two.cache.set("k", 1, tags=["\udcff"])
    one.session.receive(b"*2\r\n$10\r\nINVALIDATE\r\n$1\r\n\xff\r\n")
    cluster.pump()
    assert one.session.receive(b"") == b":1\r\n"


def test_over_http_all_nodes_are_asked_and_a_key_of_another_is_refused(
    cluster: Cluster,
) -> None:
    one, two, three = cluster.places.values()
    commands = JsonCommands(one.cache, REGISTRY)
    commands.router = one.membership
    with pytest.raises(Pending) as pending:
        commands.answer({"command": ["INVALIDATE", "t"]})
    cluster.pump()
    assert commands.go_on(pending.value) == (200, {"result": 3})
    # the slot of k1 is 12706, which the third has
    status, refused = commands.answer({"command": ["GET", "k1"]})
    assert (status, refused["error"]["code"]) == (421, "MOVED")
    batch = read_batch({"commands": [{"command": ["SET", "k1", 1]}], "atomic": True}, None)
    with pytest.raises(MovedError):
        JsonTransactions(one.cache, commands).run(batch)
    assert len(one.cache) == 0
    commands.router = three.membership
    commands = JsonCommands(three.cache, REGISTRY)
    commands.router = three.membership
    body = [{"command": ["SETTAG", "k1", 1, "t"]}, {"command": ["INVALIDATE", "t1"]}]
    batch = read_batch({"commands": body, "atomic": True}, None)
    two.cache.set("x", 1, tags=["t1"])
    answers = JsonTransactions(three.cache, commands).run(batch)
    cluster.pump()
    assert answers == [{"result": "OK"}, {"result": 0}]
    assert "x" not in two.cache
