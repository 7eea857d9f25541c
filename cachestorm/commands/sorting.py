"""SORT: the elements of a list, set or sorted set in the order of numbers or of bytes.

They may be ordered by what other keys hold (BY) and replaced by what other keys hold
(GET). A pattern names such a key: its first `*` stands for the element, and `->field`
after it for a field of the hash at that key; `#` is the element itself.

The ordering itself is in `ordering`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, cast, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import bytes_of, checked_text
from cachestorm.commands.edge import Edge
from cachestorm.declare.declaration import Declaration
from cachestorm.operations.names import exact_int, exact_key, many
from cachestorm.operations.ordering import Order, Ordering
from cachestorm.values.forms import opened

command: Final = partial(Declaration, group="generic")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Sorting(Edge):
    """SORT and SORT_RO."""

    @overload
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
        destination: None = None,
    ) -> list[Any]: ...
    @overload
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
        destination: str,
    ) -> int: ...
    @command(
        "SORT key [BY by:by-pattern] [LIMIT offset count] "
        "[GET get:get-pattern [GET get ...]] "
        "[order:<ASC | DESC>] [ALPHA] [STORE destination:ow-update]",
        complexity="O(N + M*log M) for N elements and M returned ones",
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
    ) -> list[Any] | int:
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
            NotAFloatError: for something that is not a number, without `alpha`.
        """
        offset = exact_int(offset)
        count = exact_int(count)
        patterns = _patterns(get)
        wanted = Order(by, order, alpha, destination is not None)
        key = exact_key(key)
        target = None if destination is None else exact_key(destination)
        ordering = Ordering(self._space, key, wanted, patterns, offset, count, target)
        found = cast("list[Any] | int", self._run_on([key], ordering))
        return found if self._forms is None else cast("list[Any] | int", opened(found))


@command(
    "SORT_RO key [BY by:by-pattern] [LIMIT offset count] [GET get:get-pattern [GET get ...]] "
    "[order:<ASC | DESC>] [ALPHA]",
    complexity="O(N + M*log M) for N elements and M returned ones",
    reply="sort",
    flags="@set @sortedset @list @dangerous",
    summary="Sort the elements of a list, set or sorted set.",
)
def sort_ro(
    cache: Sorting,
    key: str,
    by: str | None = None,
    offset: int = 0,
    count: int = -1,
    get: Iterable[str] = (),
    order: str = "ASC",
    *,
    alpha: bool = False,
) -> list[object]:
    """The elements in order."""
    return cast("list[object]", cache.sort(key, by, offset, count, get, order, alpha=alpha))


def _patterns(get: Iterable[object]) -> list[bytes]:
    found: list[bytes] = []
    for pattern in many(get, "get"):
        found.append(bytes_of(checked_text(pattern)))
    return found
