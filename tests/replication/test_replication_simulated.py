"""A primary and its replica by a random schedule: cut off anywhere, restarted, short of room.

What a store holds is here the bytes of all changes so far: whoever has applied a stream up to
an offset has those, and nothing else.
"""

from __future__ import annotations

import random

import pytest

from cachestorm_server.replication import link, primary
from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.follower import Deed, Follower, State


class Primary:
    """What a primary does with what `decide` says; changes are bytes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.node = "a" * 40
        self.lives = 0
        self.restart()

    def restart(self) -> None:
        """It has lost all, and begins another history."""
        self.lives += 1
        self.history = f"{self.lives:040d}"
        self.begins_with = self.chance.randbytes(self.chance.randrange(20))
        self.said = b""
        self.backlog = Backlog(self.chance.choice([1, 30, 1000]))
        self.cut()

    def cut(self) -> None:
        """The connection has gone, with what was on its way."""
        self.wire = b""
        self.images: list[bytes] | None = None
        self.is_fed = False

    def change(self) -> None:
        """Something is written."""
        piece = self.chance.randbytes(self.chance.randrange(1, 9))
        self.said += piece
        self.backlog.add(piece)
        if self.is_fed:
            self.wire += link.message(link.FRAMES, piece)

    def accept(self, request: primary.Request) -> bool:
        """A replica asks."""
        standing = primary.Standing(self.node, (), True, self.history, self.backlog)
        answer = primary.decide(request, standing)
        assert answer.refusal == ""
        self.is_fed = True
        if answer.missed is None:
            self.wire += link.message(link.FULL, link.place(self.history, self.backlog.offset))
            held = self.begins_with + self.said
            at = self.chance.randrange(len(held) + 1)
            self.images = [held[:at], held[at:]]
        else:
            self.wire += link.message(link.CONTINUE, link.place(self.history, request.offset))
            self.wire += link.message(link.FRAMES, answer.missed)
        return True

    def copy_on(self) -> None:
        """The next piece of a copy goes."""
        if self.images:
            self.wire += link.message(link.IMAGES, self.images.pop(0))
            if not self.images:
                self.wire += link.message(link.COMPLETE)


class Replica:
    """What a replica does with what `Follower` says."""

    def __init__(self) -> None:
        self.follower = Follower("b" * 40, 0.0, 60.0)
        self.images = self.frames = b""
        self.copies = self.returns = 0

    def request(self) -> primary.Request:
        self.parser = link.Parser()
        follower = self.follower
        follower.connecting()
        follower.connected(0.0)
        return primary.Request(link.VERSION, follower.node, follower.history, follower.offset)

    def take(self, data: bytes) -> None:
        for message in self.parser.feed(data):
            deed = self.follower.hear(message, 0.0)
            if deed is Deed.CLEAR:
                self.images = self.frames = b""
                self.copies += 1
            elif deed is Deed.APPLY:
                if message.kind == link.IMAGES:
                    self.images += message.body
                else:
                    self.frames += message.body
                self.follower.applied(message)
            elif message.kind == link.CONTINUE:
                self.returns += 1

    def lose(self) -> None:
        if self.follower.state is State.SYNC:
            self.images = self.frames = b""
        self.follower.failed("gone", 0.0)


def run(seed: int) -> Replica:
    chance = random.Random(seed)
    leader, replica = Primary(chance), Replica()
    for _ in range(400):
        step = chance.random()
        if step < 0.4:
            leader.change()
        elif step < 0.5 and replica.follower.state is State.CONNECT:
            leader.accept(replica.request())
        elif step < 0.6:
            leader.copy_on()
        elif step < 0.9:
            size = chance.randrange(len(leader.wire) + 1)
            if replica.follower.state is not State.CONNECT:
                replica.take(leader.wire[:size])
                leader.wire = leader.wire[size:]
        elif step < 0.97 and replica.follower.state is not State.CONNECT:
            leader.cut()
            replica.lose()
        elif step > 0.99 and replica.follower.state is State.CONNECT:
            leader.restart()
        check(leader, replica)
    if replica.follower.state is State.CONNECT:
        leader.accept(replica.request())
    while leader.images:
        leader.copy_on()
    replica.take(leader.wire)
    leader.wire = b""
    check(leader, replica)
    assert replica.follower.offset == leader.backlog.offset
    return replica


def check(leader: Primary, replica: Replica) -> None:
    follower = replica.follower
    if follower.is_whole and follower.history == leader.history:
        expected = leader.begins_with + leader.said[: follower.offset]
        assert replica.images + replica.frames == expected


@pytest.mark.parametrize("seed", range(200))
def test_a_replica_has_all_up_to_its_offset_and_nothing_else(seed: int) -> None:
    run(seed)


def test_the_schedules_come_by_copies_and_by_returns() -> None:
    replicas = [run(seed) for seed in range(40)]
    assert sum(each.copies for each in replicas) > 40
    assert sum(each.returns for each in replicas) > 40
