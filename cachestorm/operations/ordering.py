"""The order of SORT: what elements are compared by, and what is returned in their place.

A long command, made by SORT.

1. Everything is worked out on wire bytes, and elements of the same rank are in the order
   of their bytes, so that the order never depends on where the elements lay.
2. A missing key, field or value of another kind orders as 0, or before everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import bytes_of, parse_float, text_of, to_wire
from cachestorm.entry import BUFFER, HASH, KIND_MASK, LIST, OBJECT, SET, STRING, ZSET, Entry
from cachestorm.errors import NotAFloatError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tiering import Demoted
from cachestorm.markers import MISSING
from cachestorm.operations.containers import entry_of, hash_at, replace
from cachestorm.operations.names import word_of
from cachestorm.operations.optimistic_result import ATTEMPTS, PIECE, OptimisticResult
from cachestorm.operations.reply_size import ReplySize
from cachestorm.operations.sample_sort import SampleSort
from cachestorm.operations.string_values import scalar
from cachestorm.values.container import Container
from cachestorm.values.list import ListValue
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, member_of
from cachestorm.values.weights import is_scalar, unbox, weigh

_MISSING: Final = MISSING
_NO_NUMBER: Final = "One or more scores can't be converted into double"

# What an element is ordered by and where it was: whether there is anything, and its bytes; or
# its number, and its bytes where that is not enough.
_Rank = tuple[object, bytes, int]


class Order:
    """What decides the order.

    Attributes:
        by: the pattern of the keys to order by, None for the elements themselves.
        is_kept: the order that the elements have is left as it is.
        looks_up: it depends on other keys.
    """

    def __init__(self, by: str | None, order: str, alpha: bool, is_stored: bool) -> None:
        direction = word_of(order, ("ASC", "DESC"), "an order")
        if by is not None and not isinstance(by, str):
            raise TypeError(f"a pattern is a str, not {by!r}")
        self.by = None if by is None else bytes_of(by)
        self.is_descending = direction == "DESC"
        self.is_alpha = alpha
        self.is_stored = is_stored
        self.is_kept = self.by is not None and b"*" not in self.by
        self.looks_up = self.by is not None and not self.is_kept


def _is_lent(entry: Entry, wanted: Order) -> bool:
    """Whether elements that keep their order have none, and are given that of their bytes.

    So it is with a set that is stored: what is stored should not depend on chance.
    """
    return entry.kind == SET and wanted.is_stored


def _container(space: Keyspace, entry: Entry) -> Container:
    if entry.kind not in (LIST, SET, ZSET):
        raise WrongTypeError()
    return cast(Container, space.value(entry))


def _some(space: Keyspace, entry: Entry, start: i64, stop: i64) -> list[object]:
    """The elements from one place to another, in the order that they have."""
    value = space.value(entry)
    if isinstance(value, ListValue):
        return value.slice(start, stop)
    if isinstance(value, SetValue):
        return list(value.some(start, stop))
    assert isinstance(value, SortedSet)
    return [member_of(row) for row in value.slice(start, stop)]


def _ranks(space: Keyspace, elements: list[object], wanted: Order, first: int) -> list[_Rank]:
    """What each element is ordered by.

    Args:
        first: the place of the first of them.
    """
    ranks: list[_Rank] = []
    by = wanted.by if wanted.looks_up else None
    is_alpha = wanted.is_alpha or wanted.is_kept
    # what is equal as bytes stays in its order in either direction
    sign = -1 if wanted.is_descending and is_alpha else 1
    for place, element in enumerate(elements, first):
        weight = element if by is None else _looked_up(space, by, element)
        is_there = weight is not _MISSING
        if is_alpha:
            ranks.append((is_there, to_wire(weight) if is_there else b"", sign * place))
        else:
            number = _number(to_wire(weight)) if is_there else 0.0
            ranks.append((number, to_wire(element), place))
    return ranks


def _number(arg: bytes) -> float:
    # as C's strtod: blanks before a number are fine, and nothing at all is 0
    trimmed = arg.lstrip(b" \t\n\v\f\r")
    if not trimmed:
        if arg:
            raise NotAFloatError(_NO_NUMBER)
        return 0.0
    return parse_float(trimmed, _NO_NUMBER)


class Ordering(OptimisticResult):
    """SORT and SORT_RO. Its result: elements, or how many were stored.

    A million keys that are looked up cannot be looked at again before every slice: what depends
    on other keys is one step. Values of theirs in a colder tier are read before it: which these
    are is worked out, the command sleeps, and then looks again.

    Args:
        patterns: what to return in place of each element.
        offset, count: as the command has them.
        target: where to store the result; None to return it.
    """

    def __init__(
        self,
        space: Keyspace,
        key: str,
        wanted: Order,
        patterns: list[bytes],
        offset: int,
        count: int,
        target: str | None,
    ) -> None:
        super().__init__(space, [key])
        self._wanted: Final = wanted
        self._patterns: Final = patterns
        self._offset: Final = offset
        self._count: Final = count
        self._target: Final = target
        self._is_one_step: Final = wanted.looks_up or any([b"*" in each for each in patterns])
        # whether values of other keys may be in a colder tier; and what was read of them
        self._reads: bool = self._is_one_step and space.demoted_count != 0
        self._read: list[list[Demoted]] = []

    def _pauses(self) -> bool:
        return self._reads if self._is_one_step else super()._pauses()

    def _work(self) -> Iterator[None]:
        if self._reads:
            for _time in range(ATTEMPTS):
                away = self._away()
                if not away:
                    break
                self._read_ahead(away)
                yield
            self._reads = False
            # in one step with the last look
            for _ in self._result():
                pass
            return
        for _ in self._result():
            yield

    def _read_ahead(self, away: list[Demoted]) -> None:
        tiering = self._space.shared.tiering
        if tiering is not None:
            self._read.append(away)
            self._sleep()
            tiering.fetch(away, self.wake)

    def _away(self) -> list[Demoted]:
        """What is to be read first of the values of other keys."""
        space = self._space
        wanted = self._wanted
        entry = self._seen[0]
        if entry is None:
            return []
        elements = _some(space, entry, 0, len(_container(space, entry)))
        if wanted.looks_up and wanted.by is not None:
            away = space.wanted_by(_names([wanted.by], elements))
            if away:
                return away
        if not any([b"*" in each for each in self._patterns]):
            return []
        in_order: list[object] = []
        for _ in self._order(entry, elements, in_order):
            pass
        first = max(self._offset, 0)
        last = len(in_order) if self._count < 0 else first + self._count
        return space.wanted_by(_names(self._patterns, in_order[first:last]))

    def _drop(self) -> None:
        super()._drop()
        tiering = self._space.shared.tiering
        for away in self._read:
            if tiering is not None:
                tiering.forget(away)
        self._read = []

    def _result(self) -> Iterator[None]:
        space = self._space
        made = ListValue()
        if self._target is not None:
            self._made = made
        result: list[object] = []
        self._keep_values(result)
        elements: list[object] = []
        self._keep_values(elements)
        entry = self._seen[0]
        length = 0 if entry is None else len(_container(space, entry))
        while entry is not None and len(elements) < length:
            start = len(elements)
            elements.extend(_some(space, entry, start, min(start + PIECE, length)))
            yield
        in_order: list[object] = []
        self._keep_values(in_order)
        if entry is not None:
            for _ in self._order(entry, elements, in_order):
                yield
        first = max(self._offset, 0)
        last = length if self._count < 0 else min(first + self._count, length)
        size = ReplySize(space)
        while first < last:
            some = in_order[first : min(first + PIECE, last)]
            if self._patterns:
                some = _replaced(space, some, self._patterns, size)
            if self._target is None:
                result.extend(some)
            else:
                for element in some:
                    made.push(lasting(element), False)
            first += PIECE
            yield
        if self._target is None:
            self._aside.pop(0)
            self._value = result
            return
        self._value = len(made)
        replace(space, self._target, made, LIST, "sortstore")
        self._give_away()

    def _order(
        self, entry: Entry, elements: list[object], in_order: list[object]
    ) -> Iterator[None]:
        """Puts the elements of an entry into another list, in their order."""
        wanted = self._wanted
        if not wanted.is_kept or _is_lent(entry, wanted):
            for _ in self._sort(elements, in_order):
                yield
            return
        in_order.extend(elements)
        if entry.kind != SET and wanted.is_descending:
            in_order.reverse()

    def _sort(self, elements: list[object], in_order: list[object]) -> Iterator[None]:
        wanted = self._wanted
        ranks: list[_Rank] = []
        sort = SampleSort(ranks)
        self._keep(cast("list[object]", sort.waiting))
        self._keep(cast("list[object]", sort.parts))
        start = 0
        while start < len(elements):
            some = elements[start : start + PIECE]
            ranks.extend(_ranks(self._space, some, wanted, start))
            start += PIECE
            yield
        for _ in sort.run():
            yield
        parts = sort.parts
        if wanted.is_descending:
            parts.reverse()
        for part in parts:
            if wanted.is_descending:
                part.reverse()
            in_order.extend([elements[abs(rank[2])] for rank in part])
            yield


def _replaced(
    space: Keyspace, elements: list[object], patterns: list[bytes], size: ReplySize
) -> list[object]:
    """What patterns stand for, element by element.

    Raises:
        ReplyTooLargeError: if it is more than there is room for.
    """
    found: list[object] = []
    for element in elements:
        for pattern in patterns:
            value = _looked_up(space, pattern, element)
            size.take(weigh(value))
            found.append(None if value is _MISSING else value)
    return found


def _looked_up(space: Keyspace, pattern: bytes, element: object) -> object:
    """What a pattern stands for, or MISSING."""
    if pattern == b"#":
        return element
    if b"*" not in pattern:
        return _MISSING
    key, field = _name(pattern, element)
    return _scalar_at(space, key) if field is None else _field_at(space, key, field)


def _name(pattern: bytes, element: object) -> tuple[str, str | None]:
    """The key that a pattern with a star names for an element, and the field."""
    star = pattern.find(b"*")
    head = pattern[:star] + to_wire(element)
    arrow = pattern.find(b"->", star + 1)
    if arrow < 0 or arrow + 2 == len(pattern):
        return text_of(head + pattern[star + 1 :]), None
    return text_of(head + pattern[star + 1 : arrow]), text_of(pattern[arrow + 2 :])


def _names(patterns: list[bytes], elements: list[object]) -> list[str]:
    """The keys that patterns name for some elements, each once."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if b"*" in pattern:
            for element in elements:
                found[_name(pattern, element)[0]] = None
    return list(found)


def _scalar_at(space: Keyspace, key: str) -> object:
    entry = space.find(key)
    if entry is None:
        return _MISSING
    if entry.kind == OBJECT:
        return unbox(space.value(entry))
    if entry.kind == STRING or entry.kind == BUFFER:
        return scalar(space, entry)
    return _MISSING


def _field_at(space: Keyspace, key: str, field: str) -> object:
    entry = space.peek(key)
    if entry is None or entry.kind & KIND_MASK != HASH:
        return _MISSING
    entry = entry_of(space, key, HASH)
    return _MISSING if entry is None else hash_at(space, entry).get(field, _MISSING)


def lasting(element: object) -> object:
    """An element as it can be stored: nothing as no bytes, an object as its bytes."""
    if element is None:
        return b""
    return element if is_scalar(element) else to_wire(element)
