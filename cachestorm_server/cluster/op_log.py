"""The log of operations: what all nodes of a cluster are to do, each once. Pure.

Part of a node's state. An invalidation and a link between tags concern keys on every node: the
one that is asked appends an operation, all others hear of it, now or when they are back.

1. Each life of a node numbers its operations from 1, under a name of its own: so a number is
   never used twice, whatever was not saved in time.
2. A node does the operations of one origin in their order, without a gap, and each once. Those
   of two origins have no order: an invalidation that is late takes more away, never less.
3. An operation is kept until every member has said that it has done it, and for `KEEP_MS`
   beyond: who comes back with what its disk had a moment ago does the latest ones again.
4. An origin has ended when that life is over and nothing of it is kept. It is forgotten once
   all members have said so: what they said is on their disks, so that nobody can come back with
   an operation of it. So what is known does not grow with each life of a node.
5. Of an origin `MOST_KEPT` operations are kept. A node that has not done one which was let go
   takes away whatever has a tag instead: `forget_all` stands for all that it does not know.
6. `pending` are those that some member has not done: they are on disk before a client is told
   that they will be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

# how long an operation is kept that all have done: longer than a key can be on its way
KEEP_MS: Final = 180_000
# of one origin
MOST_KEPT: Final = 10_000
# in one message
MOST_SHARED_BYTES: Final = 1024 * 1024
# the words of an operation that takes away all that has tags
FORGET_ALL: Final = "FORGETALL"


class Operation(NamedTuple):
    """Something that every node is to do.

    Attributes:
        origin: the life of the node that was asked.
        number: in that life, from 1.
        namespace: where.
        words: a command with its arguments.
    """

    origin: str
    number: int
    namespace: str
    words: tuple[str, ...]


class Share(NamedTuple):
    """What one node knows of the operations of an origin.

    Attributes:
        floor: up to which number they are not kept any more.
        lost: up to which number they were let go though somebody had not done them.
        operations: those after it that the receiver has not done, in order.
    """

    origin: str
    floor: int
    lost: int
    operations: tuple[Operation, ...]


class OpLog:
    """What one node knows.

    Attributes:
        changes: counts up whenever more, or less, may be unseen by somebody.
    """

    def __init__(self, origin: str) -> None:
        self.origin: Final = origin
        self.changes = 0
        # by origin: the number of the last one that was done
        self.done: Final[dict[str, int]] = {}
        self._floors: Final[dict[str, int]] = {}
        self._kept: Final[dict[str, deque[Operation]]] = {}
        self._since_ms: Final[dict[tuple[str, int], int]] = {}
        # up to which number they were let go before all had done them, and before their time
        self._lost: Final[dict[str, int]] = {}
        self._hasty: Final[dict[str, int]] = {}
        # what was done in earlier lives
        self._before: Final[dict[str, int]] = {}
        # by member, what it has said that it has done, and which origins have ended for it
        self._done_by: Final[dict[str, dict[str, int]]] = {}
        self._ended_by: Final[dict[str, frozenset[str]]] = {}
        # by origin, since when it has ended here
        self._ended_ms: Final[dict[str, int]] = {}

    def append(self, namespace: str, words: tuple[str, ...], now_ms: int) -> Operation:
        """A new operation, which the caller does at once."""
        number = self.done.get(self.origin, 0) + 1
        operation = Operation(self.origin, number, namespace, words)
        self._keep(operation, now_ms)
        return operation

    def _keep(self, operation: Operation, now_ms: int) -> None:
        self.changes += 1
        self.done[operation.origin] = operation.number
        self._ended_ms.pop(operation.origin, None)
        self._floors.setdefault(operation.origin, operation.number - 1)
        self._kept.setdefault(operation.origin, deque()).append(operation)
        self._since_ms[operation.origin, operation.number] = now_ms

    def _let_go(self, kept: deque[Operation]) -> None:
        """Keeps the oldest of an origin no more."""
        self.changes += 1
        first = kept.popleft()
        self._floors[first.origin] = first.number
        del self._since_ms[first.origin, first.number]

    def restore(
        self, operations: Iterable[Operation], done: dict[str, int], now_ms: int
    ) -> None:
        """Keeps what was pending in an earlier life; it has been done here.

        Args:
            done: by origin, up to which number that life had done them at least.
        """
        self._before.update(done)
        for operation in operations:
            origin, number = operation.origin, operation.number
            last = self.done.get(origin, 0)
            if number > last:
                if last and number != last + 1:
                    # those in between were done by all, and so were those before
                    self._rebase(origin, number - 1)
                self._keep(operation, now_ms)

    def take(self, shares: Iterable[Share], now_ms: int) -> list[Operation]:
        """Takes in what another node knows. Returns what is to be done, in order."""
        due: list[Operation] = []
        for share in shares:
            done = self.done.get(share.origin)
            if max(done or 0, self._before.get(share.origin, 0)) < share.lost:
                due.append(Operation(share.origin, share.floor, "", (FORGET_ALL,)))
            if done is None or done < share.floor:
                # whatever is not kept any more, this life does not need
                done = self.done[share.origin] = share.floor
                self._rebase(share.origin, done)
            if share.lost > self._lost.get(share.origin, 0):
                self._lost[share.origin] = share.lost
            for operation in share.operations:
                if operation.number == done + 1:
                    done = operation.number
                    self._keep(operation, now_ms)
                    due.append(operation)
                elif operation.number > done:
                    break
        return due

    def _rebase(self, origin: str, floor: int) -> None:
        """Keeps nothing of an origin, up to a number."""
        self.changes += 1
        for operation in self._kept.pop(origin, ()):
            del self._since_ms[operation.origin, operation.number]
        self._floors[origin] = floor

    def all_done(self) -> dict[str, int]:
        """By origin, the last one that was done, in earlier lives as well."""
        return {**self._before, **self.done}

    @property
    def ended(self) -> tuple[str, ...]:
        """The origins that have ended here."""
        return tuple(self._ended_ms)

    def hear(self, member: str, done: dict[str, int], ended: Iterable[str] = ()) -> None:
        """What a member says that it has done, and which origins have ended for it."""
        self._done_by[member] = done
        self._ended_by[member] = frozenset(ended)

    def forget(self, member: str) -> None:
        """A member is none any more: nobody waits for it."""
        self._done_by.pop(member, None)
        self._ended_by.pop(member, None)

    def shares_for(self, member: str) -> tuple[tuple[Share, ...], bool]:
        """What a member has not done, as far as is known here, and whether that is only a part.

        It is a part if there is more than a message can carry: the oldest of each origin.
        """
        done = self._done_by.get(member, {})
        shares, left = [], MOST_SHARED_BYTES
        for origin, operations in self._kept.items():
            count = min(operations[-1].number - done.get(origin, 0), len(operations))
            if count <= 0:
                continue
            missing: list[Operation] = []
            for each in list(islice(reversed(operations), count))[::-1]:
                if left < 0:
                    break
                missing.append(each)
                left -= 100 + sum(4 * len(word) for word in each.words)
            floor, lost = self._floors[origin], self._lost.get(origin, 0)
            shares.append(Share(origin, floor, lost, tuple(missing)))
            if left < 0:
                return tuple(shares), True
        return tuple(shares), False

    def has_done(self, member: str, operation: Operation) -> bool:
        """Whether a member has said that it has done an operation."""
        return self._done_by.get(member, {}).get(operation.origin, 0) >= operation.number

    def pending(self, members: Iterable[str]) -> list[Operation]:
        """Those that some of these members have not done, as far as is known here."""
        others = list(members)
        return [
            operation
            for operations in self._kept.values()
            for operation in operations
            if not all(self.has_done(member, operation) for member in others)
        ]

    def unseen_by(self, done: dict[str, int]) -> list[Operation]:
        """Those that were kept here and that somebody who had done these had not."""
        return [
            operation
            for origin, operations in self._kept.items()
            for operation in operations
            if operation.number > done.get(origin, 0)
        ] + [
            Operation(origin, lost, "", (FORGET_ALL,))
            for origin, lost in self._hasty.items()
            if done.get(origin, 0) < lost
        ]

    def prune(self, members: Iterable[str], now_ms: int) -> None:
        """Lets go of what all have done, once that is long ago, and of what is too much."""
        others = list(members)
        for origin, operations in list(self._kept.items()):
            while operations:
                first = operations[0]
                is_young = now_ms - self._since_ms[origin, first.number] < KEEP_MS
                is_lost = not all(self.has_done(member, first) for member in others)
                if (is_young or is_lost) and len(operations) <= MOST_KEPT:
                    break
                self._let_go(operations)
                if is_lost:
                    self._lost[origin] = first.number
                if is_young or is_lost:
                    self._hasty[origin] = first.number
            if not operations:
                # what was done stays known: else a node that keeps it still would send it again
                del self._kept[origin]

    def end(self, members: Iterable[str], lives: Iterable[str], now_ms: int) -> bool:
        """Lets go of origins that have ended.

        Args:
            members: all others.
            lives: those that all nodes lead now.

        Returns:
            Whether one has ended that had not: that is to be on disk before it is said.
        """
        others = list(members)
        going_on = {self.origin, *lives, *self._kept}
        for origin in going_on & self._ended_ms.keys():
            del self._ended_ms[origin]
        ended = self.done.keys() - going_on
        new = ended - self._ended_ms.keys()
        self._ended_ms.update(dict.fromkeys(new, now_ms))
        for origin in ended - new:
            # what was said before it ended has arrived by then, or never will
            if now_ms - self._ended_ms[origin] >= KEEP_MS and all(
                self._has_ended_for(member, origin) for member in others
            ):
                del self._ended_ms[origin], self.done[origin], self._floors[origin]
                self._lost.pop(origin, None)
                self._hasty.pop(origin, None)
        for origin in self._before.keys() - going_on - self.done.keys():
            del self._before[origin]
        return bool(new)

    def _has_ended_for(self, member: str, origin: str) -> bool:
        """Whether a member keeps nothing of an origin, as it said."""
        done = self._done_by.get(member)
        return done is not None and (origin not in done or origin in self._ended_by[member])
