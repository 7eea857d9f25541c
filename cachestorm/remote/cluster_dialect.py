"""The cluster dialect: the commands of a cache for all nodes of a Redis or Valkey Cluster.

Called by the wires of a cluster, which send what it yields.

1. A key's tags are in two keys of its own slot: setting a value with its tags is one step, and
   a slot takes its index along when it moves.
2. What concerns a tag goes to each node once, with the slots that it has; a node tells which of
   them are on their way. These are asked for again, where they are by then, for PATIENCE_S.
3. Several keys are one step if they are in one slot. Reads and writes of many keys are
   otherwise a step a slot; commands that cannot be cut are refused.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.codec import bytes_of
from cachestorm.declare.registry import REGISTRY
from cachestorm.remote.arguments import Words
from cachestorm.remote.dialect import (
    ASKING,
    Dialect,
    Said,
    others,
    script,
    word_bytes,
)
from cachestorm.remote.refusals import BusySlotError, UnsupportedError
from cachestorm.remote.slots import WIDTH, marks, slot_of
from cachestorm.remote.steps import Ask, Step, Watch
from cachestorm.remote.tag_script import FLUSH, RESERVED

PATIENCE_S: Final = 5.0
PAUSE_S: Final = 0.05
# of a cursor: the node
_NODES: Final = 1024


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A command for each primary.

    Attributes:
        words_of: makes it of the marks of the node's slots; None for none.
    """

    words_of: Callable[[list[bytes]], Words | None]


@dataclass(frozen=True, slots=True)
class AtNode:
    """A command for one of the primaries.

    Attributes:
        index: which, in the order of their names.
        words: the command. The reply is it and how many primaries there are.
    """

    index: int
    words: Words


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits, and looks again which node has which slot."""

    seconds: float


Part = Step | Everywhere | AtNode | Pause
Spread = Generator[Part, list[Any], Any]


class ClusterDialect(Dialect):
    """The commands for a cluster.

    Args:
        home: see `Dialect`.

    Attributes:
        has_script: tags are those of the script; else the servers are ours, of which each does
            with all others what concerns a tag.
    """

    def __init__(self, home: bytes = RESERVED) -> None:
        super().__init__(home=home)
        self.has_script = False

    def scripted(self, operation: str, keys: list[bytes], *rest: Any) -> Words:
        """A call of the script for some keys of one slot."""
        home = self._home + b"{" + marks()[slot_of(keys[0])] + b"}:"
        return script(operation, [*keys, home + b"keys", home + b"index"], home, *rest)

    def said(self, words: Words, blocks: bool = False) -> Said:
        """One command whose keys are in one slot."""
        return super().said(words, blocks) if self.has_script else Said([words])

    def spread(self, step: Step) -> Spread:
        """The parts of a step, whose replies are those of its commands.

        Raises:
            InvalidKeyError: for a key that may be ours.
            UnsupportedError: for a command whose keys are in several slots and belong together.
            BusySlotError: if a slot is on its way for too long.
        """
        if isinstance(step, Watch):
            steps, read = self.steps(step)
            return read((yield steps[0]))
        slots = [_slots(words) for words in step.commands]
        is_one = len(set().union(*slots)) == 1 and all(slots)
        if is_one and (step.atomic or (step.removes and self.has_script)):
            steps, read = self.steps(step)
            yield from steps[:-1]
            return read((yield steps[-1]))
        if len(step.commands) > 1 and _are_one_invalidation(step.commands) and self.has_script:
            number = yield from self._invalidate_everywhere(*step.commands)
            return [number] + [0] * (len(step.commands) - 1)
        found: list[Any] = [None] * len(step.commands)
        together: list[tuple[int, Said]] = []
        for place, words in enumerate(step.commands):
            course = self._course(words, slots[place])
            if course is not None:
                found[place] = yield from course
                continue
            said = self._cut(words, slots[place]) or self.said(words, step.blocks)
            if said.first is not None:
                yield Ask([said.first])
            if len(said.commands) > 1 and len(slots[place]) == 1:
                replies = yield Ask(said.commands, True)
                found[place] = replies[0] if said.read is None else said.read(replies)
            else:
                together.append((place, said))
        if together:
            commands = [words for _, said in together for words in said.commands]
            replies = yield Ask(commands, False, step.blocks)
            start = 0
            for place, said in together:
                part = replies[start : start + len(said.commands)]
                start += len(said.commands)
                found[place] = part[0] if said.read is None else said.read(part)
        return found

    # -- what has no key

    def _course(self, words: Words, slots: set[int]) -> Spread | None:
        """What is asked of several nodes; None for what the node of its keys answers."""
        name = words[0]
        if words[:2] == ["EVAL", FLUSH]:
            return self._flush(words)
        everywhere = _EVERYWHERE.get(name)
        if everywhere is not None:
            return everywhere(self, words)
        if self.has_script and name in _OF_TAGS:
            return _OF_TAGS[name](self, words)
        if slots or name == "EVALSHA" or (self.has_script and name in _OF_LINKS):
            return None
        return self._anywhere(words)

    def _anywhere(self, words: Words) -> Spread:
        # not always the same: it may be the one that is down
        reply, _ = yield AtNode(random.randrange(_NODES), words)
        return reply

    def _at_all(self, words: Words) -> Spread:
        return (yield Everywhere(lambda _: words))[0]

    def _flush(self, words: Words) -> Spread:
        return sum((yield Everywhere(lambda _: words)))

    def _all_keys(self, words: Words) -> Spread:
        replies = yield Everywhere(lambda _: words)
        return others(key for reply in replies for key in reply)

    def _scan_all(self, words: Words) -> Spread:
        cursor, index = divmod(int(word_bytes(words[1])), _NODES)
        (after, keys), count = yield AtNode(index, [words[0], cursor, *words[2:]])
        index = index if int(after) else index + 1
        place = int(after) * _NODES + index if index < count else 0
        return [b"%d" % place, others(keys)]

    def _size_of_all(self, words: Words) -> Spread:
        sizes = yield Everywhere(lambda _: words)
        if not self.has_script:
            return sum(sizes)
        ours = yield from self._total("ours")
        (links,) = yield Ask([["EXISTS", self._links]])
        return sum(sizes) - ours - links

    def _any_key(self, words: Words) -> Spread:
        call = script("randomkey", [], RESERVED) if self.has_script else words
        start = random.randrange(_NODES)
        index, count = 0, 1
        while index < count:
            # an index beyond the last begins anew
            key, count = yield AtNode(start + index, call)
            if key is not None:
                return key
            index += 1
        return None

    # -- tags

    def _total(self, operation: str, *rest: Any) -> Spread:
        """What the script finds in all slots: the sum, or all names, sorted."""
        wanted: set[bytes] | None = None
        number, names = 0, set[bytes]()
        waited_s = 0.0
        while True:
            replies = yield Everywhere(self._call_of(operation, wanted, rest))
            moving = b""
            for found, failed in replies:
                moving += failed
                if isinstance(found, int):
                    number += found
                else:
                    names.update(found)
            if not moving:
                return sorted(names) if names or operation in _LISTS else number
            if waited_s >= PATIENCE_S:
                done = f"{number} keys deleted; " if operation == "invalidate" else ""
                raise BusySlotError(
                    f"PARTIAL {done}{len(moving) // WIDTH} slots are on their way to another "
                    "node, and were not looked at: try again when they have arrived"
                )
            wanted = {moving[at : at + WIDTH] for at in range(0, len(moving), WIDTH)}
            yield Pause(PAUSE_S)
            waited_s += PAUSE_S

    def _call_of(
        self, operation: str, wanted: set[bytes] | None, rest: tuple[Any, ...]
    ) -> Callable[[list[bytes]], Words | None]:
        def words_of(here: list[bytes]) -> Words | None:
            chosen = here if wanted is None else [mark for mark in here if mark in wanted]
            return (
                script(operation, [], self._home, b"".join(chosen), *rest) if chosen else None
            )

        return words_of

    def _of_tag_everywhere(self, words: Words) -> Spread:
        return (yield from self._total(words[0].lower(), *words[1:]))

    def _invalidate_everywhere(self, *commands: Words) -> Spread:
        options = {word_bytes(word) for word in commands[0][2:]}
        tags = [words[1] for words in commands]
        if b"CASCADE" in options:
            (tags,) = yield Ask([script("descent", [self._links], self._home, *tags)])
        flags = "d" if b"DRYRUN" in options else ""
        return (yield from self._total("invalidate", flags, *tags))

    def _tagscan_everywhere(self, words: Words) -> Spread:
        said = self._tagscan(words)
        assert said.read is not None
        return said.read([[(yield from self._total("tagscan"))]])

    # -- many keys

    def _cut(self, words: Words, slots: set[int]) -> Said | None:
        """A command for the keys of each slot; None if they are in one.

        Raises:
            UnsupportedError: for one that cannot be cut.
        """
        if len(slots) < 2:
            return None
        name = words[0]
        width = 2 if name == "MSET" else 1
        if name not in _CUT:
            raise UnsupportedError(
                f"the keys of {name} are in several slots of the cluster: put a part that is "
                "the same for them between braces, as in {user:1}:name and {user:1}:cart"
            )
        places: dict[int, list[int]] = {}
        for at in range(1, len(words), width):
            places.setdefault(slot_of(word_bytes(words[at])), []).append(at)
        parts = list(places.values())
        pieces = [
            self.said([name, *[words[at + offset] for at in part for offset in range(width)]])
            for part in parts
        ]

        def read(replies: list[Any]) -> Any:
            values, start = [], 0
            for said in pieces:
                reply = replies[start : start + len(said.commands)]
                start += len(said.commands)
                values.append(reply[0] if said.read is None else said.read(reply))
            if name == "MSET":
                return values[0]
            if name != "MGET":
                return sum(values)
            found: list[Any] = [None] * (len(words) - 1)
            for part, of_part in zip(parts, values):
                for at, value in zip(part, of_part):
                    found[at - 1] = value
            return found

        return Said([words for said in pieces for words in said.commands], read)


_CUT: Final = frozenset({"DEL", "EXISTS", "MGET", "MSET", "TOUCH", "UNLINK"})
_LISTS: Final = frozenset({"tagkeys", "tagscan"})
_OF_LINKS: Final = ("TAGLINK", "TAGUNLINK", "TAGCHILDREN", "TAGLINKS")
_EVERYWHERE: Final[dict[str, Callable[[ClusterDialect, Words], Spread]]] = {
    "DBSIZE": ClusterDialect._size_of_all,
    "FLUSHALL": ClusterDialect._at_all,
    "FLUSHDB": ClusterDialect._at_all,
    "KEYS": ClusterDialect._all_keys,
    "RANDOMKEY": ClusterDialect._any_key,
    "SCAN": ClusterDialect._scan_all,
    "SCRIPT": ClusterDialect._at_all,
}
_OF_TAGS: Final[dict[str, Callable[[ClusterDialect, Words], Spread]]] = {
    "INVALIDATE": ClusterDialect._invalidate_everywhere,
    "TAGCOUNT": ClusterDialect._of_tag_everywhere,
    "TAGKEYS": ClusterDialect._of_tag_everywhere,
    "TAGSCAN": ClusterDialect._tagscan_everywhere,
}


def _are_one_invalidation(commands: list[Words]) -> bool:
    """Whether commands invalidate tags alike, so that the first may answer for all."""
    first = commands[0]
    return all(each[0] == "INVALIDATE" and each[2:] == first[2:] for each in commands)


def _slots(words: Words) -> set[int]:
    """The slots of the keys of a command."""
    name = words[0]
    if name == "SET":
        return {slot_of(word_bytes(words[1]))}
    if name in ASKING:
        return set()
    keys: Iterable[str] = [key for key, _ in REGISTRY.resolve(words).keys(words)]
    return {slot_of(bytes_of(key)) for key in keys}
