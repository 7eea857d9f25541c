"""SORT: the elements of a list, set or sorted set in the order of numbers or of bytes.

They may be ordered by what other keys hold (BY) and replaced by what other keys hold
(GET). A pattern names such a key: its first `*` stands for the element, and `->field`
after it for a field of the hash at that key; `#` is the element itself.

1. Everything is worked out on wire bytes, and elements of the same rank are in the order
   of their bytes, so that the order never depends on where the elements lay.
2. A missing key, field or value of another kind orders as 0, or before everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import bytes_of, parse_float, text_of, to_wire
from cachestorm.commands.containers import replace
from cachestorm.commands.edge import Edge, exact_key, scalar
from cachestorm.commands.field_deadlines import find_hash, hash_at
from cachestorm.declare.declaration import command
from cachestorm.entry import BUFFER, HASH, LIST, OBJECT, SET, STRING, ZSET, Entry
from cachestorm.errors import CommandSyntaxError, NotAFloatError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.markers import MISSING
from cachestorm.values.list import ListValue
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, member_of
from cachestorm.values.weights import is_scalar, unbox

_MISSING: Final = MISSING
_NO_NUMBER: Final = "One or more scores can't be converted into double"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Sorting(Edge):
    """SORT and SORT_RO."""

    @command(
        "SORT key [BY by:pattern] [LIMIT offset count] [GET get:pattern [GET pattern ...]] "
        "[order:<ASC | DESC>] [ALPHA] [STORE destination]",
        group="generic",
        since="0.1",
        complexity="O(N + M*log M) for N elements and M returned ones",
        writes=True,
        grows=True,
        reply="sort",
        flags="@set @sortedset @list @dangerous",
        summary="Sort the elements of a list, set or sorted set; store the result if wanted.",
    )
    def sort(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = -1,
        get: Iterable[str] = (),
        order: str = "ASC",
        *,
        alpha: bool = False,
        destination: str | None = None,
    ) -> list[object] | int:
        """The elements in order, or how many were stored.

        Args:
            by: the pattern of the keys to order by; one without a star keeps the order
                that the elements have.
            offset, count: leave out so many, return at most so many (negative: all).
            get: patterns of what to return in place of each element.
            order: "ASC" or "DESC".
            alpha: in the order of bytes, not of numbers.
            destination: store the result there as a list instead.

        Raises:
            WrongTypeError: for a key that holds none of the three.
            NotAFloatError: for something that is no number, without `alpha`.
        """
        patterns = [bytes_of(pattern) for pattern in get]
        wanted = _Order(by, order, alpha, destination is not None)
        key = exact_key(key)
        target = None if destination is None else exact_key(destination)
        space = self._enter()
        try:
            found = _cut(_ordered(space, key, wanted), offset, count)
            if patterns:
                found = _replaced(space, found, patterns)
            if target is None:
                return found
            made = ListValue()
            for element in found:
                made.push(_lasting(element), False)
            replace(space, target, made, LIST)
            return len(made)
        finally:
            self._leave()

    @command(
        "SORT_RO key [BY by:pattern] [LIMIT offset count] [GET get:pattern [GET pattern ...]] "
        "[order:<ASC | DESC>] [ALPHA]",
        group="generic",
        since="0.1",
        complexity="O(N + M*log M) for N elements and M returned ones",
        reply="bulks",
        flags="@set @sortedset @list @dangerous",
        summary="Sort the elements of a list, set or sorted set.",
    )
    def sort_ro(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = -1,
        get: Iterable[str] = (),
        order: str = "ASC",
        *,
        alpha: bool = False,
    ) -> list[object]:
        """The elements in order; as `sort`."""
        patterns = [bytes_of(pattern) for pattern in get]
        wanted = _Order(by, order, alpha, False)
        key = exact_key(key)
        space = self._enter()
        try:
            found = _cut(_ordered(space, key, wanted), offset, count)
            return _replaced(space, found, patterns) if patterns else found
        finally:
            self._leave()


class _Order:
    """What decides the order.

    Attributes:
        by: the pattern of the keys to order by, None for the elements themselves.
        is_kept: the order that the elements have is left as it is.
    """

    def __init__(self, by: str | None, order: str, alpha: bool, is_stored: bool) -> None:
        if order.upper() not in ("ASC", "DESC"):
            raise CommandSyntaxError()
        self.by = None if by is None else bytes_of(by)
        self.is_descending = order.upper() == "DESC"
        self.is_alpha = alpha
        self.is_stored = is_stored
        self.is_kept = self.by is not None and b"*" not in self.by


def _ordered(space: Keyspace, key: str, wanted: _Order) -> list[object]:
    entry = space.find(key)
    if entry is None:
        return []
    elements = _elements(space, entry)
    by = wanted.by
    alpha = wanted.is_alpha
    if wanted.is_kept:
        if entry.kind != SET or not wanted.is_stored:
            if entry.kind != SET and wanted.is_descending:
                elements.reverse()
            return elements
        # a set has no order of its own, and what is stored should not depend on chance
        by = None
        alpha = True
    if alpha:
        words = _words(space, elements, by, -1 if wanted.is_descending else 1)
        words.sort(reverse=wanted.is_descending)
        return [elements[abs(place)] for _, _, place in words]
    numbers = _numbers(space, elements, by)
    numbers.sort(reverse=wanted.is_descending)
    return [elements[place] for _, _, place in numbers]


def _elements(space: Keyspace, entry: Entry) -> list[object]:
    value = space.values[i64(entry.index)]
    if entry.kind == LIST:
        return cast(ListValue, value).slice(0, len(cast(ListValue, value)))
    if entry.kind == SET:
        return list(cast(SetValue, value).members())
    if entry.kind == ZSET:
        rows = cast(SortedSet, value).slice(0, len(cast(SortedSet, value)))
        return [member_of(row) for row in rows]
    raise WrongTypeError()


def _words(
    space: Keyspace, elements: list[object], by: bytes | None, sign: int
) -> list[tuple[bool, bytes, int]]:
    """What each element is ordered by as bytes, and its place with that sign."""
    words: list[tuple[bool, bytes, int]] = []
    for place, element in enumerate(elements):
        weight = element if by is None else _looked_up(space, by, element)
        is_there = weight is not _MISSING
        words.append((is_there, to_wire(weight) if is_there else b"", sign * place))
    return words


def _numbers(
    space: Keyspace, elements: list[object], by: bytes | None
) -> list[tuple[float, bytes, int]]:
    """What each element is ordered by as a number, its bytes, and its place."""
    numbers: list[tuple[float, bytes, int]] = []
    for place, element in enumerate(elements):
        weight = element if by is None else _looked_up(space, by, element)
        number = 0.0 if weight is _MISSING else _number(to_wire(weight))
        numbers.append((number, to_wire(element), place))
    return numbers


def _number(word: bytes) -> float:
    # as C's strtod: blanks before a number are fine, and nothing at all is 0
    trimmed = word.lstrip(b" \t\n\v\f\r")
    if not trimmed:
        if word:
            raise NotAFloatError(_NO_NUMBER)
        return 0.0
    return parse_float(trimmed, _NO_NUMBER)


def _cut(elements: list[object], offset: int, count: int) -> list[object]:
    start = max(offset, 0)
    if count < 0:
        return elements[start:]
    return elements[start : start + count]


def _replaced(space: Keyspace, elements: list[object], patterns: list[bytes]) -> list[object]:
    found: list[object] = []
    for element in elements:
        for pattern in patterns:
            value = _looked_up(space, pattern, element)
            found.append(None if value is _MISSING else value)
    return found


def _looked_up(space: Keyspace, pattern: bytes, element: object) -> object:
    """What a pattern stands for, or MISSING."""
    if pattern == b"#":
        return element
    star = pattern.find(b"*")
    if star < 0:
        return _MISSING
    head = pattern[:star] + to_wire(element)
    arrow = pattern.find(b"->", star + 1)
    if arrow < 0 or arrow + 2 == len(pattern):
        return _scalar_at(space, text_of(head + pattern[star + 1 :]))
    key = text_of(head + pattern[star + 1 : arrow])
    return _field_at(space, key, text_of(pattern[arrow + 2 :]))


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
    if entry is None or entry.kind != HASH:
        return _MISSING
    entry = find_hash(space, key)
    return _MISSING if entry is None else hash_at(space, entry).get(field, _MISSING)


def _lasting(element: object) -> object:
    """An element as it can be stored: nothing as no bytes, an object as its bytes."""
    if element is None:
        return b""
    return element if is_scalar(element) else to_wire(element)
