"""The fan-out: commands on tags, which concern keys of every node and are asked of any.

Made by the membership, run by the session that asked. What comes back from other nodes, the
membership hands in.

1. An operation is done here first and sent to all others, each of which does it once; a query
   is answered by each of its own keys. Of a long one the first slice comes first, with which
   all keys are dead; the others hear of it then, and the rest of the slices follow.
2. The reply is the sum, or the union. If a node has not answered in time it is PARTIAL, and an
   operation is on disk by then: it will be done when the node is back.
3. A walk goes from node to node (`listing.py`): a page is one node's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachestorm.codec import sort_by_bytes, text_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.cluster.listing import follow

# what changes something on every node
OPERATIONS: Final = frozenset({"INVALIDATE", "TAGLINK", "TAGUNLINK"})
# what every node is asked of its own keys; links are on all of them
QUERIES: Final = frozenset({"TAGCOUNT", "TAGKEYS"})
# what is walked from node to node; SCAN only over HTTP, as Redis walks one node
WALKS: Final = frozenset({"TAGSCAN", "SCAN"})
# what nodes ask each other beside commands: the counts of several tags, and of all keys
TAG_COUNTS: Final = "TAGCOUNTS"
KEY_COUNT: Final = "DBSIZE"
# of an operation: what follows are tags that are invalidated with the one that was named
ALSO: Final = "ALSO"
# an INVALIDATE with CASCADE names so many of them at most
MOST_NAMED: Final = 10_000
MOST_NAMED_LETTERS: Final = 250_000


class PartialError(CacheStormError):
    """Not every node has answered."""

    code = "PARTIAL"
    http_status = 504


def is_query(plan: Plan, words: tuple[str, ...]) -> bool:
    """Whether a command only reads: INVALIDATE with DRYRUN does."""
    if plan.name in QUERIES:
        return True
    return plan.name == "INVALIDATE" and "DRYRUN" in named_by(words)[1]


def with_descent(words: tuple[str, ...], descent: Iterable[str]) -> tuple[str, ...]:
    """An INVALIDATE with CASCADE that names what it reaches, for nodes that lack a link."""
    also = [name for name in descent if name != words[1]]
    if not also or len(also) > MOST_NAMED or sum(map(len, also)) > MOST_NAMED_LETTERS:
        return words
    return (*words, ALSO, *also)


def named_by(words: tuple[str, ...]) -> tuple[list[str], frozenset[str]]:
    """The tags and the options of an INVALIDATE."""
    options = words[2:]
    also: tuple[str, ...] = ()
    if ALSO in options:
        at = options.index(ALSO)
        options, also = options[:at], options[at + 1 :]
    return [words[1], *also], frozenset(option.upper() for option in options)


def words_of(args: list[object]) -> tuple[str, ...]:
    """The words of a request as text, from which they come back as they were."""
    return tuple(text_of(arg) if isinstance(arg, bytes) else str(arg) for arg in args)


class Gathering(LongCommand):
    """A command that other nodes answer as well.

    Args:
        parts: what it has come to already, by the id of the node.
        others: the nodes that are asked.
        given_up: those of them that are not waited for.
        ends_at: until when they are waited for, as `time.monotonic` counts.
        end: forgets that results are waited for.
    """

    def __init__(
        self,
        space: Keyspace,
        parts: dict[str, object],
        others: Iterable[str],
        given_up: Iterable[str],
        ends_at: float,
        end: Callable[[], object],
    ) -> None:
        super().__init__(space)
        self._parts: Final = parts
        self._others: Final = set(others)
        self._missing: Final = self._others - set(given_up)
        self._begun: Final[dict[str, list[str]]] = {}
        self._ends_at: Final = ends_at
        self._end: Final = end

    def hear(self, member: str, value: int | tuple[str, ...], left: int) -> None:
        """What the command has come to on another node.

        Args:
            left: how many parts of it are still to come.
        """
        if member not in self._missing:
            return
        part: object = value
        if isinstance(value, tuple) and (left or member in self._begun):
            words = self._begun.setdefault(member, [])
            words.extend(value)
            part = tuple(words)
        if left:
            return
        self._missing.discard(member)
        self._parts[member] = part
        if not self._missing:
            self.wake()

    def _work(self) -> Iterator[None]:
        while self._missing and not self.is_unblocked:
            self._sleep(self._ends_at)
            yield
        self._end()
        self._value = self._made()

    def _made(self) -> object:
        """What the parts come to, by node.

        Raises:
            PartialError: if one is missing.
        """
        answered, asked = len(self._parts), len(self._others) + 1
        if answered < asked:
            raise PartialError(f"{answered} of {asked} nodes answered")
        return self._parts

    def _drop(self) -> None:
        self._end()
        super()._drop()


class FanOut(Gathering):
    """A command whose value is the sum, or the union, of what all nodes say.

    Args:
        parts: what it has come to on this node, which `own` replaces.
        own: the rest of it here, if it was not done in one slice; abandoned with this command.
        counted: how many keys its result counts for.
        keep: of an operation: has it kept on disk; called if it was not done everywhere.
    """

    def __init__(
        self,
        space: Keyspace,
        parts: dict[str, object],
        others: Iterable[str],
        given_up: Iterable[str],
        ends_at: float,
        end: Callable[[], object],
        own: LongCommand | None,
        counted: Callable[[object], int],
        keep: Callable[[], object] | None,
    ) -> None:
        super().__init__(space, parts, others, given_up, ends_at, end)
        self._own = own
        self._counted: Final = counted
        self._me: Final = next(iter(parts))
        self._keep: Final = keep

    def step(self) -> bool:
        own = self._own
        if own is not None:
            if not own.step():
                return False
            self._own = None
            self._parts[self._me] = self._counted(own.result())
        return super().step()

    def abandon(self) -> None:
        super().abandon()
        if self._own is not None:
            self._own.abandon()

    def _made(self) -> object:
        value = self._sum()
        try:
            super()._made()
        except PartialError as error:
            if self._keep is None:
                raise
            self._keep()
            if not isinstance(value, int) or isinstance(value, bool):
                raise PartialError(f"{error}; the rest is kept and applied on rejoin") from None
            raise PartialError(
                f"{error}, {value} keys deleted; the rest is kept and applied on rejoin"
            ) from None
        return value

    def _sum(self) -> object:
        first, *others = self._parts.values()
        if isinstance(first, int) and not isinstance(first, bool):
            return first + sum(part for part in others if isinstance(part, int))
        if isinstance(first, list):
            found = {str(key) for key in first}
            found.update(key for part in others if isinstance(part, tuple) for key in part)
            keys = list(found)
            sort_by_bytes(keys)
            return keys
        return first


class PageFrom(Gathering):
    """A page of a walk over all nodes: that of one of them, and the cursor of the next one.

    Args:
        node_id: whose page it is.
        node_ids: of all nodes.
        name: how that node is called for people.
    """

    def __init__(
        self,
        space: Keyspace,
        parts: dict[str, object],
        given_up: Iterable[str],
        ends_at: float,
        end: Callable[[], object],
        node_id: str,
        node_ids: list[str],
        name: str,
    ) -> None:
        others = () if node_id in parts else (node_id,)
        super().__init__(space, parts, others, given_up, ends_at, end)
        self._node_id: Final = node_id
        self._node_ids: Final = node_ids
        self._name: Final = name

    def _made(self) -> object:
        page = self._parts.get(self._node_id)
        if not isinstance(page, tuple) or not page or not str(page[0]).isdecimal():
            after = follow(self._node_id, 0, self._node_ids)
            raise PartialError(
                f"{self._name} does not answer; what it has is left out from cursor {after} on"
            )
        return follow(self._node_id, int(page[0]), self._node_ids), list(page[1:])
