"""The queues: three clocks and three rules, which together are the engine of `adaptive`.

The same engine runs over the entries of a keyspace and, without values, over a sample
of its keys; the two subclasses say where a node's hits and hash are kept.

1. A node is in exactly one of three FIFO queues: the window W, where newcomers enter, and the
   main queues P (on probation) and T (proven). A hit moves nothing: the hand at a queue's tail
   finds it later.
2. An arm is a rule and its constants. S3: what leaves the window unused is evicted, and
   one that comes back soon enters at T. TINY: what leaves the window contests the place
   of the main queues' victim, and the one seen more often stays. STACK: one that comes back
   enters at T only if T's coldest node was not used since it had left; so of a loop that
   is larger than the cache a part stays that is as large as the cache.
3. `choose` is bounded: after `MOST_STEPS` nodes the hand takes the next one.
4. Changing the arm or the capacity moves nothing: the queues drain by themselves.

A node is one 64-bit word: its neighbours and its queue. The queues are rings, closed by three
words in front, one each for W, P and T. A second array records when a node came or was last
found used, as the ghost counts time; STACK reads it, and all rules write it.

Sources: Yang et al.: FIFO queues are all you need for cache eviction (2023), S3-FIFO;
Einziger, Friedman, Manes: TinyLFU (2017), and its window; Corbató: A paging experiment
with the Multics system (1968), CLOCK; Jiang, Zhang: LIRS (2002), and Jiang, Chen, Zhang:
CLOCK-Pro (2005), STACK, here with a ghost that knows when instead of a stack.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i32, i64

from cachestorm.eviction.ghost import EPOCHS, NEVER, Ghost
from cachestorm.eviction.sketch import Sketch

WINDOW: Final = 0
PROBATION: Final = 1
PROVEN: Final = 2
OUTSIDE: Final = 3
# The number of the first node: before it stand the ends of the queues.
FIRST: Final = 3
NEXT_MASK: Final = 0x3FFFFFFF
PREVIOUS_SHIFT: Final = 32
LOW_32: Final = 0xFFFFFFFF
# All of a word but the number of the next node. Numbers stay below 1 << 30, so that a word
# is never negative and pure Python computes the same; and this is below 1 << 62, as compiled
# code keeps a larger constant in an object.
BUT_NEXT: Final = 0x3FFFFFFF00000003

TINY: Final = 0
S3: Final = 1
STACK: Final = 2

# What counts as hits of an entry.
MOST_HITS: Final = 15
# Under S3 a proven node is spared so often for all its hits. With three lives, as in the paper,
# what was popular once stays too long.
MOST_LIVES: Final = 1
MOST_STEPS: Final = 64
MOST_TRIMMED: Final = 8
# Who comes back is let in among the proven if one of so many is colder.
MOST_LOOKED: Final = 32
# A newcomer seen as often as this is let in by chance, whatever the contest said: else
# keys that collide in the sketch could be held out, or in, for ever.
LUCKY: Final = 6
LUCK_MASK: Final = 127


class Arm:
    """A rule and its constants.

    Attributes:
        rule: TINY, S3 or STACK.
        window_percent: size of the window.
        least: under TINY, how often a newcomer must have been seen to win a place.
        fading: after how many additions an entry the sketch is halved.
    """

    def __init__(
        self, name: str, rule: i64, window_percent: i64, least: i64, fading: i64
    ) -> None:
        self.name: Final = name
        self.rule: Final[i64] = rule
        self.window_percent: Final = window_percent
        self.least: Final = least
        self.fading: Final = fading


class Queues:
    """The engine over numbered nodes.

    Args:
        capacity: how many nodes fill it.
        entries: how many it will meet before it is told of more.
    """

    def __init__(self, arm: Arm, capacity: i64, entries: i64) -> None:
        self.sketch: Final = Sketch(entries)
        self.ghost: Final = Ghost(entries)
        self._nodes: vec[i64] = vec[i64]()
        # the ghost's epoch in which a node came, or was last found used
        self._used: vec[i32] = vec[i32]()
        self.window: i64 = 0
        self.probation: i64 = 0
        self.proven: i64 = 0
        self.arm: Arm = arm
        self.capacity: i64 = capacity
        self._most_window: i64 = 0
        # the window's share while newcomers weigh what all the others do
        self._window_share: i64 = 0
        self._most_proven: i64 = 0
        self._luck: i64 = 1
        self.clear()
        self.set_arm(arm)

    # -- what a subclass keeps of a node

    def hits(self, node: i64) -> i64:
        """Hits since the hand last met the node, 0 to 15."""
        raise NotImplementedError

    def set_hits(self, node: i64, hits: i64) -> None:
        """Keeps another number of hits."""
        raise NotImplementedError

    def hashed(self, node: i64) -> i64:
        """The hash of the node's key; not negative."""
        raise NotImplementedError

    def outweighs(self, node: i64, other: i64) -> i64:
        """How many times the other's weight the node has, at least 1."""
        return 1

    # -- what stands where

    def clear(self) -> None:
        """Takes all nodes out; what the sketch and the ghost know stays."""
        self._nodes = vec[i64]([0, 0, 0])
        for end in range(FIRST):
            self._nodes[end] = end << PREVIOUS_SHIFT | end << 2 | end
        self.window = 0
        self.probation = 0
        self.proven = 0

    def set_arm(self, arm: Arm) -> None:
        """Goes on by another rule."""
        self.arm = arm
        self.set_capacity(self.capacity)

    def set_capacity(self, capacity: i64) -> None:
        """Goes on with another capacity."""
        self.capacity = capacity
        arm = self.arm
        self._most_window = max(1, capacity * arm.window_percent // 100)
        self._window_share = self._most_window
        if arm.rule == TINY:
            self._most_proven = (capacity - self._most_window) * 4 // 5
        else:
            self._most_proven = capacity
        self.ghost.kept = capacity
        self.expect(1)

    def expect(self, entries: i64) -> None:
        """Makes room to remember so many, up to the capacity.

        A capacity may be far beyond what will ever be there.
        """
        if entries > self.capacity:
            entries = self.capacity
        while self.sketch.size() < entries:
            self.sketch.grow()
            self.ghost.grow()
        self.sketch.period = min(self.sketch.size(), self.capacity) * self.arm.fading

    def count(self) -> i64:
        """How many nodes there are."""
        return self.window + self.probation + self.proven

    def is_in(self, node: i64) -> bool:
        """Whether a node is in a queue."""
        return node < len(self._nodes) and self._nodes[node] & 3 != OUTSIDE

    def admit(self, node: i64, hashed: i64) -> None:
        """Lets a newcomer in. There is room for it."""
        if len(self._nodes) <= node:
            self._nodes = extended(self._nodes, node, OUTSIDE)
            while len(self._used) <= node:
                self._used = append(self._used, 0)
        self.sketch.add(hashed, 1)
        queue: i64 = WINDOW
        rule = self.arm.rule
        if rule != TINY:
            age = self.ghost.take(hashed)
            if age != NEVER and (age < EPOCHS if rule == S3 else self._has_colder(age)):
                queue = PROVEN
        self._used[node] = int(self.ghost.epoch)
        self._link(node, queue)

    def drop(self, node: i64, hashed: i64, hits: i64, evicted: bool) -> None:
        """Takes a node out; only one that is evicted from the window leaves a ghost."""
        queue = self._unlink(node)
        self._nodes[node] = OUTSIDE
        if hits != 0:
            self.sketch.add(hashed, hits)
        if evicted and queue == WINDOW:
            self.ghost.add(hashed)

    def renumber(self, node: i64, number: i64) -> None:
        """Gives a node the number of one that has left."""
        nodes = self._nodes
        word = nodes[node]
        former = word >> PREVIOUS_SHIFT
        following = (word >> 2) & NEXT_MASK
        nodes[number] = word
        nodes[node] = OUTSIDE
        self._used[number] = self._used[node]
        nodes[former] = (nodes[former] & BUT_NEXT) | number << 2
        nodes[following] = (nodes[following] & LOW_32) | number << PREVIOUS_SHIFT

    # -- whom to evict

    def choose(self) -> i64:
        """The node to evict; it stays where it is. There is one."""
        steps: i64 = 0
        while True:
            steps += 1
            main = self.probation + self.proven
            if self.window == 0 or (main != 0 and self.window < self._most_window):
                return self._victim()
            candidate = self._tail(WINDOW)
            if steps > MOST_STEPS:
                return candidate
            rule = self.arm.rule
            if rule == S3:
                hits = self.hits(candidate)
                if hits == 0:
                    return candidate
                self._settle(candidate, hits, PROVEN)
                if (
                    main + 1 > self.capacity - self._most_window
                    or self.window < self._most_window
                ):
                    return self._victim()
                continue
            if main < self.capacity - self._most_window:
                self._unlink(candidate)
                self._link(candidate, PROBATION if rule == TINY else PROVEN)
                continue
            if rule == TINY:
                return self._contest(candidate)
            hits = self.hits(candidate)
            if hits == 0:
                return candidate
            if self._has_colder(0):
                self._settle(candidate, hits, PROVEN)
                return self._victim()
            self._settle(candidate, hits, WINDOW)
            # looking took steps as well
            steps += MOST_LOOKED // 2

    def _has_colder(self, age: i64) -> bool:
        """Whether T's coldest node was last used longer ago than so many epochs."""
        for _step in range(MOST_LOOKED):
            if self.proven == 0:
                return True
            node = self._tail(PROVEN)
            hits = self.hits(node)
            if hits == 0:
                used: i64 = int(self._used[node])
                return self.ghost.epoch - used > age
            self._settle(node, hits, PROVEN)
        return False

    def _contest(self, candidate: i64) -> i64:
        victim = self._victim()
        if victim == candidate:
            return candidate
        hits = self.hits(candidate)
        seen = hits + self.sketch.estimate(self.hashed(candidate))
        if seen >= self.arm.least:
            rival = self.sketch.estimate(self.hashed(victim))
            if seen > rival:
                times = self.outweighs(candidate, victim)
                # it takes the places of so many, half of them a little better
                wins = times == 1 or seen * 2 > (rival * 2 + 1) * times
            else:
                wins = self._is_lucky(seen)
            if wins:
                self._settle(candidate, hits, PROBATION)
                return victim
        return candidate

    def _is_lucky(self, seen: i64) -> bool:
        if seen < LUCKY:
            return False
        self._luck = (self._luck * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._luck >> 16) & LUCK_MASK == 0

    def _victim(self) -> i64:
        """The next of the main queues; or the window's, where those are empty."""
        steps: i64 = 0
        while True:
            steps += 1
            if self.probation != 0:
                node = self._tail(PROBATION)
                hits = self.hits(node)
                if steps > MOST_STEPS or hits == 0:
                    return node
                self._settle(node, hits, PROVEN)
                self._trim()
                continue
            if self.proven == 0:
                return self._tail(WINDOW)
            node = self._tail(PROVEN)
            hits = self.hits(node)
            if steps > MOST_STEPS or hits == 0:
                return node
            if self.arm.rule == S3:
                self.set_hits(node, min(hits, MOST_LIVES) - 1)
                self.sketch.add(self.hashed(node), 1)
                self._used[node] = int(self.ghost.epoch)
                self._unlink(node)
                self._link(node, PROVEN)
            else:
                self._settle(node, hits, PROVEN)

    def keep(self, node: i64) -> None:
        """Moves a node to where it is farthest from leaving."""
        self._settle(node, self.hits(node), PROVEN)

    def _settle(self, node: i64, hits: i64, queue: i64) -> None:
        """Moves a node to the head of a queue; the sketch is told of its hits."""
        if hits != 0:
            self.sketch.add(self.hashed(node), hits)
            self.set_hits(node, 0)
        self._used[node] = int(self.ghost.epoch)
        self._unlink(node)
        self._link(node, queue)

    def _trim(self) -> None:
        for _ in range(MOST_TRIMMED):
            if self.proven <= self._most_proven:
                return
            node = self._tail(PROVEN)
            hits = self.hits(node)
            if hits != 0:
                self._settle(node, hits, PROVEN)
            else:
                self._unlink(node)
                self._link(node, PROBATION)

    # -- the rings

    def _tail(self, queue: i64) -> i64:
        return self._nodes[queue] >> PREVIOUS_SHIFT

    def _link(self, node: i64, queue: i64) -> None:
        nodes = self._nodes
        end = nodes[queue]
        head = (end >> 2) & NEXT_MASK
        nodes[queue] = (end & BUT_NEXT) | node << 2
        # where the queue is empty this is its end once more, which was just written
        nodes[head] = (nodes[head] & LOW_32) | node << PREVIOUS_SHIFT
        nodes[node] = queue << PREVIOUS_SHIFT | head << 2 | queue
        if queue == WINDOW:
            self.window += 1
        elif queue == PROBATION:
            self.probation += 1
        else:
            self.proven += 1

    def _unlink(self, node: i64) -> i64:
        nodes = self._nodes
        word = nodes[node]
        former = word >> PREVIOUS_SHIFT
        following = (word >> 2) & NEXT_MASK
        nodes[former] = (nodes[former] & BUT_NEXT) | following << 2
        nodes[following] = (nodes[following] & LOW_32) | former << PREVIOUS_SHIFT
        queue = word & 3
        if queue == WINDOW:
            self.window -= 1
        elif queue == PROBATION:
            self.probation -= 1
        else:
            self.proven -= 1
        return queue

    def _check(self) -> None:
        counts = [self.window, self.probation, self.proven]
        for queue in range(FIRST):
            met: i64 = 0
            node: i64 = queue
            while True:
                following = (self._nodes[node] >> 2) & NEXT_MASK
                assert self._nodes[following] >> PREVIOUS_SHIFT == node
                assert self._nodes[following] & 3 == queue
                if following < FIRST:
                    assert following == queue
                    break
                assert 0 <= self.hits(following) <= MOST_HITS
                node = following
                met += 1
            assert met == counts[queue]


def extended(words: vec[i64], last: i64, filler: i64) -> vec[i64]:
    """The same words and more of them, so that there is a place `last`."""
    while len(words) <= last:
        words = append(words, filler)
    return words
