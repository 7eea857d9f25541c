"""The wide dict: a dict by names that grows in small steps, however large it becomes.

Used by containers for what is large, and by what combines them. A `dict` that doubles does so
in one step, and touches as much memory that is new: some ten to a hundred milliseconds at a
million names, in which the interpreter runs nobody else. Here the names lie in many dicts, and
as their number grows these are dealt out to more, one at a time.

1. A name lies in the part that its hash says, and `_part` finds it.
2. In a round every part is dealt out to `FAN` parts, in turn. One is for every `MEAN` names
   that come: so none has more than about twice as many, and most names are dealt out once.
3. With fewer names it does not go back.

Source: Witold Litwin, "Linear Hashing: A New Tool for File and Table Addressing", 1980.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from mypy_extensions import i64

# Twice as many, and what chance adds, fit into a table of 16,384 slots: a third of it is free.
MEAN: Final = 5_000
# A power of two.
FAN: Final = 16
# A dict finds its slots by the lowest bits of a hash.
_SHIFT: Final = 24

Value = TypeVar("Value")


class WideDict(Generic[Value]):
    """A map from `str`.

    Args:
        names: what is in it; the dict is taken.
    """

    def __init__(self, names: dict[str, Value]) -> None:
        self._parts: list[dict[str, Value]] = [names]
        self._count: i64 = len(names)
        # how many parts there were as the round began, and how many of them were dealt out
        self._round: i64 = 1
        self._dealt: i64 = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, str)
        return name in self._part(name)

    def get(self, name: str, default: Value) -> Value:
        """The value of a name. O(1)."""
        return self._part(name).get(name, default)

    def put(self, name: str, value: Value) -> None:
        """Sets the value of a name. O(1), and some `2 * MEAN` at worst."""
        part = self._part(name)
        before: i64 = len(part)
        part[name] = value
        if len(part) != before:
            self._count += 1
            if self._count > (self._round + self._dealt) * MEAN:
                self._deal()

    def pop(self, name: str, default: Value) -> Value:
        """Takes a name out. O(1)."""
        part = self._part(name)
        before: i64 = len(part)
        value = part.pop(name, default)
        if len(part) != before:
            self._count -= 1
        return value

    def parts(self) -> list[dict[str, Value]]:
        """All dicts that it is made of, for taking it apart."""
        return self._parts

    def copy(self) -> WideDict[Value]:
        """An independent one of the same content. O(n)."""
        twin: WideDict[Value] = WideDict({})
        twin._parts = [part.copy() for part in self._parts]
        twin._count = self._count
        twin._round = self._round
        twin._dealt = self._dealt
        return twin

    def _part(self, name: str) -> dict[str, Value]:
        spread: i64 = hash(name)
        spread >>= _SHIFT
        at = spread & (self._round - 1)
        if at < self._dealt:
            at = spread & (self._round * FAN - 1)
        return self._parts[at]

    def _deal(self) -> None:
        """Deals the next part out."""
        parts = self._parts
        if self._dealt == 0:
            parts.extend([{} for _ in range(self._round * (FAN - 1))])
        names = parts[self._dealt]
        parts[self._dealt] = {}
        self._dealt += 1
        for name, value in names.items():
            self._part(name)[name] = value
        if self._dealt == self._round:
            self._round *= FAN
            self._dealt = 0

    def _check(self) -> None:
        assert self._count == sum(len(part) for part in self._parts)
        assert len(self._parts) == (self._round * FAN if self._dealt else self._round)
        for part in self._parts:
            assert all(self._part(name) is part for name in part)
