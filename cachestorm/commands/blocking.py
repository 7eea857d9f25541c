"""The commands that wait: pops of lists and sorted sets that sleep while there is nothing.

In process they wait in the thread that calls; `cache.aio` has the same, awaited. Whoever began
to wait first is served first, clients of a server and threads and tasks of this process alike,
as soon as what makes an element visible is over: a command, or a transaction as a whole.

A `timeout` is in seconds. None, or 0 as in Redis, waits for ever; a negative one raises
ArgumentError. In a transaction nothing waits. Every method raises WrongTypeError for a key that
holds another kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ArgumentError, CommandSyntaxError
from cachestorm.operations.blocking import (
    MovingElement,
    PoppingElements,
    PoppingRows,
    wake_time,
)
from cachestorm.operations.list_ends import is_left
from cachestorm.operations.names import exact_key, keys_of
from cachestorm.operations.rows import Scored

command: Final = partial(Declaration, group="list", flags="blocking")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Blocking(Edge):
    """Pops that wait."""

    @command(
        "BLPOP key:rw-access-delete [key ...] timeout",
        complexity="O(N) in the given keys",
        reply="popped_element",
        summary="Remove and return the first element of a list; wait if it is empty.",
    )
    def blpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None:
        """Removes an element from the left of the first list that there is.

        Args:
            keys: one or many, in the order in which they are looked at.
            timeout: how many seconds to wait for one; None for ever.

        Returns:
            The key and the element; None if there was none in time.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.rpush("jobs", "one")
            1
            >>> cache.blpop("jobs", timeout=5)
            ('jobs', 'one')
            >>> cache.blpop("jobs", timeout=0.01) is None
            True
        """
        return self._wait_for_element(keys, timeout, True)

    @command(
        "BRPOP key:rw-access-delete [key ...] timeout",
        complexity="O(N) in the given keys",
        reply="popped_element",
        summary="Remove and return the last element of a list; wait if it is empty.",
    )
    def brpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None:
        """Removes an element from the right; else as `blpop`."""
        return self._wait_for_element(keys, timeout, False)

    def _wait_for_element(
        self, keys: str | Iterable[str], timeout: float | None, left: bool
    ) -> tuple[str, Any] | None:
        ends_at = wake_time(timeout)
        names = _names(keys)
        popping = PoppingElements(self._space, names, ends_at, left, 0)
        return cast("tuple[str, Any] | None", self._run_on(names, popping))

    @command(
        "BLMPOP timeout numkeys key:rw-access-delete [key ...] where:<LEFT | RIGHT> [COUNT "
        "count:pop-count]",
        complexity="O(N+M) for N keys and M returned elements",
        reply="keyed",
        once="COUNT",
        summary="Remove and return elements of a list; wait if all lists are empty.",
    )
    def blmpop(
        self,
        keys: str | Iterable[str],
        where: str = "LEFT",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, list[Any]] | None:
        """Removes elements from the first of many lists that there is.

        Args:
            keys: one or many, in the order in which they are looked at.
            where: "LEFT" or "RIGHT", the end to remove from.
            count: at most so many; it does not wait for more than one.
            timeout: how many seconds to wait for one; None for ever.

        Returns:
            The key and the elements; None if there were none in time.
        """
        left = is_left(where)
        ends_at = wake_time(timeout)
        names = _names(keys)
        popping = PoppingElements(self._space, names, ends_at, left, _counted(count))
        return cast("tuple[str, list[Any]] | None", self._run_on(names, popping))

    @command(
        "BLMOVE source:rw-access-delete destination:rw-insert wherefrom:<LEFT | RIGHT> "
        "whereto:<LEFT | RIGHT> timeout",
        complexity="O(1)",
        grows=True,
        reply="moved",
        summary="Move an element to another list and return it; wait if there is none.",
    )
    def blmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        timeout: float | None = None,
        default: object = None,
    ) -> Any:
        """Moves an element from an end of a list to an end of another, or of the same one.

        Args:
            wherefrom, whereto: "LEFT" or "RIGHT".
            timeout: how many seconds to wait for one; None for ever.
            default: what to give if there was none in time.

        Returns:
            The element.
        """
        from_left = is_left(wherefrom)
        return self._wait_to_move(
            source, destination, from_left, is_left(whereto), timeout, default
        )

    @command(
        "BRPOPLPUSH source:rw-access-delete destination:rw-insert timeout",
        complexity="O(1)",
        grows=True,
        reply="moved",
        deprecated="6.2.0",
        instead="`BLMOVE` with the `RIGHT` and `LEFT` arguments",
        summary="Move the last element of a list to the front of another; wait for one.",
    )
    def brpoplpush(
        self,
        source: str,
        destination: str,
        timeout: float | None = None,
        default: object = None,
    ) -> Any:
        """Moves the last element of a list before the first of another; as `blmove`."""
        return self._wait_to_move(source, destination, False, True, timeout, default)

    def _wait_to_move(
        self,
        source: str,
        destination: str,
        from_left: bool,
        to_left: bool,
        timeout: float | None,
        default: object,
    ) -> Any:
        source = exact_key(source)
        destination = exact_key(destination)
        ends_at = wake_time(timeout)
        space = enter_for_all(self, [source, destination])
        try:
            space.make_room_for_growth()
        finally:
            self._leave()
        moving = MovingElement(space, source, destination, from_left, to_left, ends_at, default)
        return self._run(moving)

    @command(
        "BZPOPMIN key:rw-access-delete [key ...] timeout",
        group="sorted-set",
        complexity="O(K + log N) for K keys",
        fast=True,
        reply="popped_member",
        summary="Remove and return the member with the lowest score; wait if there is none.",
    )
    def bzpopmin(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None:
        """Removes the member of the lowest score of the first sorted set that there is.

        Args:
            keys: one or many, in the order in which they are looked at.
            timeout: how many seconds to wait for one; None for ever.

        Returns:
            The key, the member and its score; None if there was none in time.
        """
        return self._wait_for_member(keys, timeout, True)

    @command(
        "BZPOPMAX key:rw-access-delete [key ...] timeout",
        group="sorted-set",
        complexity="O(K + log N) for K keys",
        fast=True,
        reply="popped_member",
        summary="Remove and return the member with the highest score; wait if there is none.",
    )
    def bzpopmax(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None:
        """Removes the member of the highest score; else as `bzpopmin`."""
        return self._wait_for_member(keys, timeout, False)

    def _wait_for_member(
        self, keys: str | Iterable[str], timeout: float | None, lowest: bool
    ) -> tuple[str, str, float] | None:
        ends_at = wake_time(timeout)
        names = _names(keys)
        popping = PoppingRows(self._space, names, ends_at, lowest, 0)
        return cast("tuple[str, str, float] | None", self._run_on(names, popping))

    @command(
        "BZMPOP timeout numkeys key:rw-access-delete [key ...] where:<MIN | MAX> [COUNT "
        "count:pop-count]",
        group="sorted-set",
        complexity="O(K + M*log N) for K keys and M returned members",
        reply="keyed_scores",
        once="COUNT",
        summary="Remove and return members of a sorted set; wait if all are empty.",
    )
    def bzmpop(
        self,
        keys: str | Iterable[str],
        where: str = "MIN",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, Scored] | None:
        """Removes members from the first of many sorted sets that there is.

        Args:
            keys: one or many, in the order in which they are looked at.
            where: "MIN" or "MAX", the scores to begin with.
            count: at most so many; it does not wait for more than one.
            timeout: how many seconds to wait for one; None for ever.

        Returns:
            The key and pairs of member and score; None if there were none in time.
        """
        side = where.upper()
        if side not in ("MIN", "MAX"):
            raise CommandSyntaxError()
        ends_at = wake_time(timeout)
        names = _names(keys)
        popping = PoppingRows(self._space, names, ends_at, side == "MIN", _counted(count))
        return cast("tuple[str, Scored] | None", self._run_on(names, popping))


def _names(keys: str | Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        return [exact_key(keys)]
    names = keys_of(keys)
    if not names:
        raise ArgumentError("numkeys should be greater than 0")
    return names


def _counted(count: int) -> int:
    if count < 1:
        raise ArgumentError("count should be greater than 0")
    return count
