"""The fan-out: commands on tags, which concern keys of every node and are asked of any.

Made by the membership, run by the session that asked. What comes back from other nodes, the
membership hands in.

1. An operation is done here first and sent to all others, each of which does it once; a query
   is answered by each of its own keys.
2. The reply is the sum, or the union. If a node has not answered in time it is PARTIAL, and an
   operation is on disk by then: it will be done when the node is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachestorm.codec import sort_by_bytes, text_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.long_command import LongCommand

# what changes something on every node
OPERATIONS: Final = frozenset({"INVALIDATE", "TAGLINK", "TAGUNLINK"})
# what every node is asked of its own keys; links are on all of them
QUERIES: Final = frozenset({"TAGCOUNT", "TAGKEYS"})
# of an operation: what follows are tags that are invalidated with the one that was named
ALSO: Final = "ALSO"
# an INVALIDATE with CASCADE names so many of them at most
MOST_NAMED: Final = 10_000
# how long an answer is waited for
PATIENCE_MS: Final = 2000


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
    if not also or len(also) > MOST_NAMED:
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


class FanOut(LongCommand):
    """A command that others are about as well.

    Args:
        value: what it has come to here.
        others: the nodes that are asked; those that are silent for long are not waited for.
        silent: those.
        ends_at: until when they are waited for, as `time.monotonic` counts.
        keep: has the operation kept on disk; called if it was not done everywhere.
        end: forgets that results are waited for.
    """

    def __init__(
        self,
        space: Keyspace,
        value: object,
        others: Iterable[str],
        silent: Iterable[str],
        ends_at: float,
        keep: Callable[[], object],
        end: Callable[[], object],
    ) -> None:
        super().__init__(space)
        self._parts: Final[list[object]] = [value]
        self._others: Final = set(others)
        self._missing: Final = self._others - set(silent)
        self._ends_at: Final = ends_at
        self._keep: Final = keep
        self._end: Final = end

    def hear(self, member: str, value: object) -> None:
        """What the command has come to on another node."""
        if member in self._missing:
            self._missing.discard(member)
            self._parts.append(value)
            if not self._missing:
                self.wake()

    def _work(self) -> Iterator[None]:
        while self._missing and not self.is_unblocked:
            self._sleep(self._ends_at)
            yield
        self._end()
        self._value = self._sum()
        answered, asked = len(self._parts), len(self._others) + 1
        if answered < asked:
            self._keep()
            raise PartialError(self._told(answered, asked))

    def _sum(self) -> object:
        first = self._parts[0]
        if isinstance(first, int) and not isinstance(first, bool):
            return sum(part for part in self._parts if isinstance(part, int))
        if isinstance(first, list):
            found = {
                str(key)
                for part in self._parts
                if isinstance(part, list | tuple)
                for key in part
            }
            keys = list(found)
            sort_by_bytes(keys)
            return keys
        return first

    def _told(self, answered: int, asked: int) -> str:
        text = f"{answered} of {asked} nodes answered"
        if isinstance(self._value, int) and not isinstance(self._value, bool):
            return f"{text}, {self._value} keys deleted; the rest is kept and applied on rejoin"
        return text

    def _drop(self) -> None:
        self._end()
        super()._drop()
