"""The list family: elements in order at one key, pushed and popped at either end.

An element is any object and is kept as given; where commands compare (LREM, LPOS,
LINSERT), they compare wire bytes, so that 1, "1" and b"1" are the same. Indices count from
0 at the left, negative ones from -1 at the right. Every method raises WrongTypeError for a
key that holds another kind.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, cast, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, to_wire
from cachestorm.commands.edge import Edge, enter_for, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import UNEVEN, ZERO_RANK
from cachestorm.entry import LIST
from cachestorm.errors import ArgumentError, NoSuchKeyError
from cachestorm.operations.containers import entry_of, folded, list_at, settle, span
from cachestorm.operations.list_ends import is_left, move_held, pop_held, pop_one, push_held
from cachestorm.operations.long_lists import LONG_LIST, Finding, Inserting, Sifting, Trimming
from cachestorm.operations.names import exact_count, exact_int, exact_key, keys_of, word_of
from cachestorm.typevars import D
from cachestorm.values.weights import box, unbox

command: Final = partial(Declaration, group="list")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Lists(Edge):
    """Elements in order."""

    @command(
        "LPUSH key:rw-insert element [element ...]",
        complexity="O(N) in the given elements",
        grows=True,
        fast=True,
        summary="Put elements before the first of a list.",
    )
    def lpush(self, key: str, *elements: object) -> int:
        """Puts elements before the first, one after the other. Returns the new length."""
        return _push_elements(self, key, elements, True, True)

    @command(
        "RPUSH key:rw-insert element [element ...]",
        complexity="O(N) in the given elements",
        grows=True,
        fast=True,
        summary="Put elements after the last of a list.",
    )
    def rpush(self, key: str, *elements: object) -> int:
        """Puts elements after the last. Returns the new length."""
        return _push_elements(self, key, elements, False, True)

    @command(
        "LPUSHX key:rw-insert element [element ...]",
        complexity="O(N) in the given elements",
        grows=True,
        fast=True,
        summary="Put elements before the first of a list only when the list exists.",
    )
    def lpushx(self, key: str, *elements: object) -> int:
        """As `lpush`, but does nothing for a missing key and returns 0."""
        return _push_elements(self, key, elements, True, False)

    @command(
        "RPUSHX key:rw-insert element [element ...]",
        complexity="O(N) in the given elements",
        grows=True,
        fast=True,
        summary="Put elements after the last of a list only when the list exists.",
    )
    def rpushx(self, key: str, *elements: object) -> int:
        """As `rpush`, but does nothing for a missing key and returns 0."""
        return _push_elements(self, key, elements, False, False)

    @overload
    def lpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    def lpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    def lpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    @command(
        "LPOP key:rw-access-delete [count:positive]",
        complexity="O(N) in the returned elements",
        fast=True,
        reply="taken",
        stray="arity",
        summary="Return the first elements of a list after removing them.",
    )
    def lpop(self, key: str, count: int | None = None, default: object = None) -> object:
        """Removes elements from the left.

        Args:
            count: at most so many.
            default: what to give for a missing key.

        Returns:
            Without a count the element, with one a list.
        """
        count = exact_count(count)
        return _pop_elements(self, key, count, True, default)

    @overload
    def rpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    def rpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    def rpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    @command(
        "RPOP key:rw-access-delete [count:positive]",
        complexity="O(N) in the returned elements",
        fast=True,
        reply="taken",
        stray="arity",
        summary="Return the last elements of a list after removing them.",
    )
    def rpop(self, key: str, count: int | None = None, default: object = None) -> object:
        """Removes elements from the right; else as `lpop`."""
        count = exact_count(count)
        return _pop_elements(self, key, count, False, default)

    @command(
        "LMPOP numkeys key:rw-access-delete [key ...] where:<LEFT | RIGHT> [COUNT "
        "count:pop-count]",
        complexity="O(N+M) for N keys and M returned elements",
        reply="keyed",
        once="COUNT",
        summary="Return elements of the first list that is not empty after removing them.",
    )
    def lmpop(
        self, keys: list[str], where: str = "LEFT", count: int = 1
    ) -> tuple[str, list[Any]] | None:
        """Removes elements from the first of many lists that there is.

        Args:
            keys: in the order in which they are looked at.
            where: "LEFT" or "RIGHT", the end to remove from.
            count: at most so many.

        Returns:
            The key and the elements; None if there is no list.
        """
        count = exact_int(count)
        names = keys_of(keys)
        left = is_left(where)
        if not names:
            raise ArgumentError("numkeys should be greater than 0")
        if count < 1:
            raise ArgumentError("count should be greater than 0")
        space = enter_for_all(self, names)
        try:
            for name in names:
                entry = entry_of(space, name, LIST)
                if entry is not None:
                    return name, [unbox(held) for held in pop_held(space, entry, count, left)]
            return None
        finally:
            space.leave()

    @command(
        "LLEN key:ro",
        complexity="O(1)",
        fast=True,
        summary="Return the length of a list.",
    )
    def llen(self, key: str) -> int:
        """How many elements there are."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, LIST)
            return 0 if entry is None else len(list_at(space, entry))
        finally:
            space.leave()

    @command(
        "LRANGE key start stop",
        complexity="O(N) in the returned elements",
        reply="stored_all",
        summary="Return the elements of a list from one index to another.",
    )
    def lrange(self, key: str, start: int = 0, stop: int = -1) -> list[Any]:
        """The elements from `start` to `stop`, both included; empty for a missing key."""
        start = exact_int(start)
        stop = exact_int(stop)
        if type(key) is not str:
            key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, LIST)
            if entry is None:
                return []
            found = list_at(space, entry)
            first, last = span(start, stop, i64(len(found)))
            return found.slice(first, last)
        finally:
            space.leave()

    @command(
        "LINDEX key index",
        complexity="O(1)",
        reply="stored",
        summary="Return the element of a list at an index.",
    )
    def lindex(self, key: str, index: int, default: object = None) -> Any:
        """The element at an index.

        Args:
            default: what to give where there is none.
        """
        index = exact_int(index)
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, LIST)
            if entry is None:
                return default
            found = list_at(space, entry)
            length = i64(len(found))
            place = folded(index, length)
            return found.at(place) if 0 <= place < length else default
        finally:
            space.leave()

    @command(
        "LSET key:rw-update index element",
        complexity="O(1)",
        grows=True,
        reply="ok",
        summary="Set the element of a list at an index.",
    )
    def lset(self, key: str, index: int, element: object) -> bool:
        """Puts another element at an index. Returns True.

        Raises:
            NoSuchKeyError: for a missing key.
            ArgumentError: where there is no element.
        """
        index = exact_int(index)
        key = exact_key(key)
        held = box(element)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, LIST)
            if entry is None:
                raise NoSuchKeyError()
            found = list_at(space, entry)
            length = i64(len(found))
            place = folded(index, length)
            if not 0 <= place < length:
                raise ArgumentError("index out of range")
            before = found.size_bytes
            found.replace(place, held)
            settle(space, entry, found, before, "lset")
            return True
        finally:
            space.leave()

    @command(
        "LINSERT key:rw-insert where:<BEFORE | AFTER> pivot element",
        complexity="O(N) in the length of the list",
        grows=True,
        summary="Put an element before or after another one of a list.",
    )
    def linsert(self, key: str, where: str, pivot: object, element: object) -> int:
        """Puts an element beside the first one that equals `pivot`.

        Args:
            where: "BEFORE" or "AFTER".

        Returns:
            The new length; 0 for a missing key, -1 where there is no such pivot.
        """
        key = exact_key(key)
        side = word_of(where, ("BEFORE", "AFTER"), "where")
        wire = to_wire(pivot)
        held = box(element)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
        finally:
            space.leave()
        return cast(int, self._run(Inserting(space, key, wire, held, side == "AFTER")))

    @command(
        "LREM key:rw-delete count element",
        complexity="O(N) in the length of the list",
        summary="Remove elements that equal a given one from a list.",
    )
    def lrem(self, key: str, count: int, element: object) -> int:
        """Removes elements that equal `element`.

        Args:
            count: at most so many from the left, if negative from the right; 0 for all.

        Returns:
            How many were removed.
        """
        count = exact_int(count)
        key = exact_key(key)
        wire = to_wire(element)
        if not -INT64_MAX <= count <= INT64_MAX:
            raise ArgumentError(UNEVEN)
        return cast(int, self._run_on([key], Sifting(self._space, key, wire, count)))

    @command(
        "LTRIM key:rw-delete start stop",
        complexity="O(N) in the length of the list",
        reply="ok",
        summary="Remove all elements of a list but those from one index to another.",
    )
    def ltrim(self, key: str, start: int, stop: int) -> bool:
        """Keeps the elements from `start` to `stop`, both included. Returns True."""
        start = exact_int(start)
        stop = exact_int(stop)
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, LIST)
            if entry is None:
                return True
            found = list_at(space, entry)
            length = i64(len(found))
            first, last = span(start, stop, length)
            kept = last - first
            if kept == length:
                space.changed(entry, 0, "ltrim")
                return True
            if length - kept <= LONG_LIST:
                before = found.size_bytes
                found.keep(first, last)
                settle(space, entry, found, before, "ltrim")
                return True
        finally:
            space.leave()
        return cast(bool, self._run(Trimming(space, key, start, stop)))

    @overload
    def lpos(
        self, key: str, element: object, rank: int = 1, count: None = None, maxlen: int = 0
    ) -> int | None: ...
    @overload
    def lpos(
        self, key: str, element: object, rank: int = 1, *, count: int, maxlen: int = 0
    ) -> list[int]: ...
    @overload
    def lpos(
        self, key: str, element: object, rank: int, count: int, maxlen: int = 0
    ) -> list[int]: ...
    @command(
        "LPOS key element [RANK rank] [COUNT count:num-matches] [MAXLEN maxlen:len]",
        complexity="O(N) in the length of the list",
        summary="Return the indices of elements that equal a given one.",
    )
    def lpos(
        self,
        key: str,
        element: object,
        rank: int = 1,
        count: int | None = None,
        maxlen: int = 0,
    ) -> int | list[int] | None:
        """Where elements are that equal `element`.

        Args:
            rank: 1 to start from the first match, 2 from the second; if negative, from
                the right.
            count: at most so many, 0 for all.
            maxlen: compare at most so many elements, 0 for all.

        Returns:
            Without a count an index or None; with it a list of indices.
        """
        rank = exact_int(rank)
        count = exact_count(count)
        maxlen = exact_int(maxlen)
        key = exact_key(key)
        wire = to_wire(element)
        if rank == 0:
            raise ArgumentError(ZERO_RANK)
        if not -INT64_MAX <= rank <= INT64_MAX:
            raise ArgumentError(UNEVEN)
        if count is not None and count < 0:
            raise ArgumentError("COUNT can't be negative")
        if maxlen < 0:
            raise ArgumentError("MAXLEN can't be negative")
        looks = min(maxlen, INT64_MAX)
        wanted: int = INT64_MAX
        if count is None:
            wanted = 1
        elif count != 0:
            wanted = min(count, INT64_MAX)
        sign = -1 if rank < 0 else 1
        finding = Finding(
            self._space, key, wire, wanted * sign, looks, rank * sign, count is None
        )
        return cast("int | list[int] | None", self._run_on([key], finding))

    @command(
        "LMOVE source:rw-access-delete destination:rw-insert wherefrom:<LEFT | RIGHT> "
        "whereto:<LEFT | RIGHT>",
        complexity="O(1)",
        grows=True,
        reply="stored",
        summary="Return an element after moving it from one list to another.",
    )
    def lmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        default: object = None,
    ) -> Any:
        """Moves an element from an end of a list to an end of another, or of the same one.

        Args:
            wherefrom, whereto: "LEFT" or "RIGHT".
            default: what to give for a missing source.

        Returns:
            The element.
        """
        from_left = is_left(wherefrom)
        return self._move_element(source, destination, from_left, is_left(whereto), default)

    @command(
        "RPOPLPUSH source:rw-access-delete destination:rw-insert",
        complexity="O(1)",
        grows=True,
        reply="stored",
        deprecated="6.2.0",
        instead="`LMOVE` with the `RIGHT` and `LEFT` arguments",
        summary="Return the last element of a list after moving it to the front of another.",
    )
    def rpoplpush(self, source: str, destination: str, default: object = None) -> Any:
        """Moves the last element of a list before the first of another; as `lmove`."""
        return self._move_element(source, destination, False, True, default)

    def _move_element(
        self, source: str, destination: str, from_left: bool, to_left: bool, default: object
    ) -> object:
        source = exact_key(source)
        destination = exact_key(destination)
        space = enter_for_all(self, [source, destination])
        try:
            space.make_room_for_growth()
            entry = entry_of(space, source, LIST)
            if entry is None:
                return default
            return unbox(move_held(space, entry, destination, from_left, to_left))
        finally:
            space.leave()


def _push_elements(
    cache: Lists, key: str, elements: tuple[object, ...], left: bool, create: bool
) -> int:
    if type(key) is not str:
        key = exact_key(key)
    held = [box(element) for element in elements]
    space = enter_for(cache, key)
    try:
        space.make_room_for_growth()
        return push_held(space, key, held, left, create)
    finally:
        space.leave()


def _pop_elements(
    cache: Lists, key: str, count: int | None, left: bool, default: object
) -> object:
    if type(key) is not str:
        key = exact_key(key)
    if count is not None and count < 0:
        raise ArgumentError("value is out of range, must be positive")
    space = enter_for(cache, key)
    try:
        entry = entry_of(space, key, LIST)
        if entry is None:
            return default
        if count is None:
            return unbox(pop_one(space, entry, left))
        return [unbox(held) for held in pop_held(space, entry, count, left)]
    finally:
        space.leave()
