"""The log of operations: each is done once, in order, and let go when nobody needs it."""

from __future__ import annotations

import pytest

from cachestorm_server.cluster import op_log
from cachestorm_server.cluster.op_log import KEEP_MS, Operation, OpLog

FORGETS = {(op_log.FORGET_ALL,)}


def told(writer: OpLog, reader: OpLog, now_ms: int = 0) -> list[Operation]:
    """What a log has another one do until nothing is left."""
    due: list[Operation] = []
    is_cut = True
    while is_cut:
        writer.hear("r", dict(reader.done))
        shares, is_cut = writer.shares_for("r")
        due += reader.take(shares, now_ms)
    return due


def test_an_origin_is_known_as_long_as_somebody_keeps_an_operation_of_it() -> None:
    ended = OpLog("a life")
    ended.append("default", ("INVALIDATE", "t"), 0)
    (share,), _ = ended.shares_for("x")
    log = OpLog("another")
    log.take([share], 0)
    log.hear("m", {"a life": 1})
    log.prune(["m"], KEEP_MS)
    assert log.end(["m"], [], KEEP_MS) is True
    assert log.ended == ("a life",)
    # the member has not said yet that it keeps nothing
    assert log.end(["m"], [], 3 * KEEP_MS) is False
    assert log.done == {"a life": 1}
    assert log.take([share], 3 * KEEP_MS) == []
    log.hear("m", {"a life": 1}, ["a life"])
    assert log.end(["m"], [], 3 * KEEP_MS) is False
    assert (log.done, log.ended) == ({}, ())


def test_more_operations_than_a_message_can_carry_come_one_part_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(op_log, "MOST_SHARED_BYTES", 1000)
    writer, reader = OpLog("w"), OpLog("r")
    written = [writer.append("default", ("INVALIDATE", str(n)), 0) for n in range(100)]
    shares, is_cut = writer.shares_for("r")
    assert (len(shares[0].operations) < 10, is_cut) == (True, True)
    assert told(writer, reader) == written


def test_who_was_away_for_too_long_takes_away_whatever_has_a_tag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(op_log, "MOST_KEPT", 10)
    writer, reader, third = OpLog("w"), OpLog("r"), OpLog("t")
    for n in range(5):
        writer.append("default", ("INVALIDATE", str(n)), 0)
    told(writer, reader)
    for n in range(5, 30):
        writer.append("default", ("INVALIDATE", str(n)), 0)
    writer.prune(["r"], 0)
    due = told(writer, reader)
    assert due[0] == Operation("w", 20, "", (op_log.FORGET_ALL,))
    assert [each.number for each in due[1:]] == list(range(21, 31))
    assert told(writer, reader) == []
    # whoever hears of it from there knows as well
    shares, _ = reader.shares_for("t")
    assert third.take(shares, 0)[0].words == (op_log.FORGET_ALL,)
    # a key on its way from one that had not done them is taken away
    assert writer.unseen_by({"w": 19})[-1].words == (op_log.FORGET_ALL,)
    assert writer.unseen_by({"w": 30}) == []


def test_what_was_let_go_though_all_had_done_it_makes_nobody_forget_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(op_log, "MOST_KEPT", 10)
    writer, reader = OpLog("w"), OpLog("r")
    for n in range(30):
        writer.append("default", ("INVALIDATE", str(n)), 0)
    told(writer, reader)
    writer.hear("r", dict(reader.done))
    writer.prune(["r"], 0)
    writer.append("default", ("INVALIDATE", "last"), 0)
    newcomer = OpLog("n")
    shares, _ = writer.shares_for("n")
    assert FORGETS.isdisjoint(each.words for each in newcomer.take(shares, 0))
    # but a key that was on its way may have missed one
    assert FORGETS & {each.words for each in writer.unseen_by({"w": 3})} == FORGETS


def test_a_life_goes_on_behind_what_the_one_before_had_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(op_log, "MOST_KEPT", 10)
    writer, former = OpLog("w"), OpLog("f")
    for n in range(30):
        writer.append("default", ("INVALIDATE", str(n)), 0)
    told(writer, former)
    for n in range(3):
        writer.append("default", ("INVALIDATE", str(n)), 0)
    writer.prune(["r", "x"], 0)
    # it is back: what it had done it does again, as its keys may be older
    later = OpLog("l")
    later.restore([Operation("w", 3, "default", ("INVALIDATE", "3"))], former.all_done(), 0)
    writer.forget("r")
    due = told(writer, later)
    assert [each.number for each in due] == list(range(24, 34))
    unknown = OpLog("u")
    assert told(writer, unknown)[0].words == (op_log.FORGET_ALL,)


def test_the_origin_of_a_life_that_goes_on_never_ends() -> None:
    log = OpLog("mine")
    log.append("default", ("INVALIDATE", "t"), 0)
    log.prune([], KEEP_MS)
    assert log.end([], [], KEEP_MS) is False
    assert log.end([], [], 9 * KEEP_MS) is False
    assert log.append("default", ("INVALIDATE", "t"), 9 * KEEP_MS).number == 2


def test_operations_with_a_gap_wait_for_what_is_missing() -> None:
    writer, reader = OpLog("w"), OpLog("r")
    first, second = (writer.append("default", ("INVALIDATE", t), 0) for t in "ab")
    (share,), _ = writer.shares_for("r")
    assert reader.take([share._replace(operations=(second,))], 0) == []
    assert reader.take([share], 0) == [first, second]
    assert reader.take([share], 0) == []
    assert first == Operation("w", 1, "default", ("INVALIDATE", "a"))
