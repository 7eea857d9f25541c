"""What a primary and a replica decide, as functions of what was said and when."""

from __future__ import annotations

import random

import pytest

from cachestorm.errors import PayloadError
from cachestorm_server.replication import link, primary
from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.follower import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    Deed,
    Follower,
    LinkError,
    State,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40


def kept(*pieces: bytes, size: int = 100) -> Backlog:
    backlog = Backlog(size)
    for piece in pieces:
        backlog.add(piece)
    return backlog


def answer(
    node: str = B,
    version: int = 1,
    history: str = "",
    offset: int = 0,
    followed: tuple[str, ...] = (),
    is_whole: bool = True,
    backlog: Backlog | None = None,
    speaks: int = 1,
) -> primary.Answer:
    request = primary.Request(version, node, history, offset)
    standing = primary.Standing(A, followed, is_whole, C, backlog, speaks)
    return primary.decide(request, standing)


def test_a_backlog_gives_what_came_since_or_nothing() -> None:
    backlog = kept(b"abc", b"de", b"f")
    assert [backlog.since(at) for at in (0, 3, 5, 6)] == [b"abcdef", b"def", b"f", b""]
    # from the future, from before it, and from within a piece
    assert [backlog.since(at) for at in (7, -1, 1, 4)] == [None] * 4


def test_a_backlog_keeps_whole_pieces_up_to_its_size_and_the_last_in_any_case() -> None:
    backlog = kept(b"abc", b"de", b"f", size=3)
    assert (backlog.first, backlog.offset, backlog.since(3)) == (3, 6, b"def")
    backlog.add(b"0123456789")
    assert (backlog.first, backlog.since(6), len(backlog)) == (6, b"0123456789", 10)
    backlog.resize(1)
    assert backlog.since(6) == b"0123456789"


def test_who_asks_for_what_is_kept_goes_on_from_there() -> None:
    backlog = kept(b"abc", b"de", size=3)
    assert answer(history=C, offset=3, backlog=backlog).missed == b"de"
    assert answer(history=C, offset=5, backlog=backlog).missed == b""


@pytest.mark.parametrize(("history", "offset"), [("", 0), (B, 3), (C, 0), (C, 4), (C, 6)])
def test_anybody_else_gets_all_of_it(history: str, offset: int) -> None:
    backlog = kept(b"abc", b"de", size=3)
    assert answer(history=history, offset=offset, backlog=backlog) == primary.Answer("", None)


def test_a_circle_is_refused_at_any_distance() -> None:
    assert "replica of itself" in answer(node=A).refusal
    assert "in a circle" in answer(node=B, followed=(C, B)).refusal
    assert answer(node=B, followed=(C,)).refusal == ""


def test_an_older_replica_is_refused_with_what_to_do_and_a_newer_one_is_not() -> None:
    assert answer(version=1, speaks=2).refusal == (
        "ERR this replica speaks version 1 of replication, and this primary version 2: run the "
        "newer CacheStorm on the replica first"
    )
    assert answer(version=3, speaks=2).refusal == ""


def test_who_has_a_part_only_takes_no_replicas() -> None:
    assert answer(is_whole=False).refusal.startswith("NOMASTERLINK ")


def test_a_replica_counts_where_it_has_said_that_it_has_all() -> None:
    followers = primary.Followers()
    for number in range(3):
        followers.by_id[number] = primary.Follower("host", 1, B, 0.0)
        followers.by_id[number].state = primary.State.ONLINE
    followers.acknowledge(0, 10, 0, 1.0)
    followers.acknowledge(1, 20, 10, 2.0)
    # what is said late takes nothing back
    followers.acknowledge(1, 5, 0, 3.0)
    followers.acknowledge(7, 30, 30, 3.0)
    assert [followers.count_at(offset) for offset in (0, 10, 11, 20, 21)] == [3, 2, 1, 1, 0]
    assert [followers.count_durable_at(offset) for offset in (0, 10, 11)] == [3, 1, 0]
    followers.by_id[1].state = primary.State.SYNCING
    assert followers.count_at(10) == 1
    assert followers.silent(60.5, 60.0) == [2]


def test_messages_come_out_as_they_went_in_however_they_are_cut() -> None:
    chance = random.Random(23)
    sent = [
        (chance.randrange(1, 8), chance.randbytes(chance.randrange(40))) for _ in range(200)
    ]
    data = b"".join(link.message(*each) for each in sent)
    parser, got, at = link.Parser(), [], 0
    while at < len(data):
        size = chance.randrange(1, 90)
        got += parser.feed(data[at : at + size])
        at += size
    assert got == sent


def test_bodies_of_messages_are_read_as_they_were_written() -> None:
    assert link.read_place(link.place(A, 1 << 40)) == (A, 1 << 40)
    assert link.read_beat(link.beat(7, (A, B))) == (7, (A, B))
    assert link.read_beat(link.beat(0, ())) == (0, ())
    for wrong in (b"", b"x" * 47, b"x" * 49, b"\n" * 48):
        with pytest.raises(PayloadError):
            link.read_place(wrong)
    for wrong in (b"", b"x" * 7, b"x" * 47):
        with pytest.raises(PayloadError):
            link.read_beat(wrong)


def test_frames_that_are_damaged_are_refused() -> None:
    for wrong in (b"\0", b"\x01\0\0\0" + b"x" * 40, b"\xff" * 40, bytes(8)):
        with pytest.raises(PayloadError):
            list(link.bodies(wrong))


def whole(offset: int = 100) -> Follower:
    """A replica that is connected."""
    follower = Follower(B, 0.0, 60.0)
    follower.connecting()
    follower.connected(0.0)
    assert follower.hear(link.Message(link.FULL, link.place(C, offset)), 1.0) is Deed.CLEAR
    assert follower.hear(link.Message(link.COMPLETE, b""), 2.0) is Deed.OPEN
    return follower


def test_a_replica_takes_a_copy_and_goes_on_from_its_offset() -> None:
    follower = Follower(B, 0.0, 60.0)
    assert (follower.state, follower.is_whole) == (State.CONNECT, False)
    follower.connecting()
    follower.connected(0.0)
    follower.hear(link.Message(link.FULL, link.place(C, 100)), 1.0)
    assert (follower.state, follower.is_whole) == (State.SYNC, False)
    for kind in (link.IMAGES, link.FRAMES):
        message = link.Message(kind, b"12345")
        assert follower.hear(message, 1.0) is Deed.APPLY
        follower.applied(message)
    follower.hear(link.Message(link.COMPLETE, b""), 1.0)
    assert (follower.state, follower.offset, follower.is_whole) == (State.CONNECTED, 105, True)


def test_a_connection_that_goes_in_a_copy_leaves_nothing_of_use() -> None:
    follower = Follower(B, 0.0, 60.0)
    follower.connecting()
    follower.connected(0.0)
    follower.hear(link.Message(link.FULL, link.place(C, 100)), 1.0)
    follower.failed("gone", 2.0)
    assert (follower.history, follower.offset, follower.is_whole) == ("", 0, False)


def test_a_connection_that_goes_later_leaves_the_offset() -> None:
    follower = whole()
    follower.failed("gone", 2.0)
    assert (follower.history, follower.offset, follower.is_whole) == (C, 100, True)
    follower.connecting()
    follower.connected(3.0)
    message = link.Message(link.CONTINUE, link.place(C, 100))
    assert follower.hear(message, 3.0) is Deed.OPEN
    assert follower.state is State.CONNECTED


def test_to_go_on_from_another_place_is_refused() -> None:
    for history, offset in ((C, 99), (A, 101)):
        with pytest.raises(LinkError, match="another place"):
            back().hear(link.Message(link.CONTINUE, link.place(history, offset)), 3.0)


def back() -> Follower:
    """A replica that was away, and asks to go on."""
    follower = whole()
    follower.failed("gone", 2.0)
    follower.connecting()
    follower.connected(3.0)
    return follower


def test_a_replica_goes_on_by_the_name_that_the_history_has_at_another_primary() -> None:
    follower = back()
    assert follower.hear(link.Message(link.CONTINUE, link.place(C, 100)), 3.0) is Deed.OPEN
    assert (follower.history, follower.offset) == (C, 100)


def test_who_has_more_of_the_former_history_than_the_new_primary_gets_all_keys() -> None:
    backlog = Backlog(1000, 50)
    backlog.add(b"x" * 10)
    standing = primary.Standing(A, (), True, C, backlog, former=(B, 60))
    for history, offset, missed in ((B, 60, b""), (B, 50, b"x" * 10), (B, 61, None)):
        request = primary.Request(link.VERSION, "d" * 40, history, offset)
        assert primary.decide(request, standing) == primary.Answer(missed=missed)


def test_failures_in_a_row_are_waited_for_longer_and_a_success_ends_that() -> None:
    follower = Follower(B, 0.0, 60.0)
    pauses = []
    for _ in range(9):
        follower.failed("refused", 10.0)
        pauses.append(follower.next_s - 10.0)
    assert pauses == pytest.approx(
        [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(9)]
    )
    follower.connecting()
    follower.connected(11.0)
    follower.hear(link.Message(link.FULL, link.place(C, 1)), 11.0)
    follower.hear(link.Message(link.COMPLETE, b""), 11.0)
    assert (follower.failures, follower.why) == (0, "")


def test_a_replica_that_hears_of_itself_in_the_line_gives_up() -> None:
    follower = whole()
    assert follower.hear(link.Message(link.BEAT, link.beat(120, (A, C))), 3.0) is Deed.NOTHING
    assert (follower.primary_offset, follower.followed) == (120, (A, C))
    with pytest.raises(LinkError, match="circle"):
        follower.hear(link.Message(link.BEAT, link.beat(120, (A, B))), 3.0)


def test_silence_is_noticed_and_a_word_ends_it() -> None:
    follower = whole()
    assert [follower.is_late(now) for now in (61.0, 62.5)] == [False, True]
    follower.hear(link.Message(link.ASK, b""), 62.0)
    assert not follower.is_late(100.0)


@pytest.mark.parametrize("kind", [link.IMAGES, link.COMPLETE, link.FULL, link.CONTINUE, 0, 99])
def test_what_cannot_come_now_is_refused(kind: int) -> None:
    with pytest.raises(LinkError, match="in state connected"):
        whole().hear(link.Message(kind, link.place(C, 100)), 3.0)
