"""The placed: containers of names, each at a place of its own in a dense list.

The base of hashes, sets and sorted sets, which keep the dense lists; a list finds nothing by
name. Knows where a name lies, and nothing of what lies there.

1. There is a place for every name of the container, and for no other.
2. Beyond `NEAR` names they are in a `WideDict`, and stay there: with fewer, one dict is
   smaller and faster, and never takes longer than a millisecond to grow.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.values.container import Container
from cachestorm.values.wide_dict import MEAN, WideDict

NEAR: Final = 2 * MEAN


class Placed(Container):
    """A container that finds names."""

    def __init__(self) -> None:
        super().__init__()
        self._near: dict[str, int] = {}
        self._wide: WideDict[int] | None = None

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, str)
        if self._wide is None:
            return name in self._near
        return name in self._wide

    def _place(self, name: str) -> i64:
        """The place of a name; -1 where there is none. O(1)."""
        if self._wide is None:
            return self._near.get(name, -1)
        return self._wide.get(name, -1)

    def _put_place(self, name: str, place: i64) -> None:
        """Gives a name a place, another one if it has one. O(1)."""
        if self._wide is not None:
            self._wide.put(name, place)
            return
        self._near[name] = place
        if len(self._near) > NEAR:
            self._wide = WideDict(self._near)
            self._near = {}

    def _pop_place(self, name: str) -> i64:
        """Takes a name out. Returns the place that it had; -1 where there was none. O(1)."""
        if self._wide is None:
            return self._near.pop(name, -1)
        return self._wide.pop(name, -1)

    def _take_places(self) -> list[object]:
        """Empties it of names. Returns what held them, for lazy freeing."""
        parts: list[object] = [self._near]
        if self._wide is not None:
            parts += self._wide.parts()
        self._near = {}
        self._wide = None
        return parts

    def _copy_places(self, twin: Placed) -> None:
        """Gives a twin that has no names the same, at the same places. O(n)."""
        twin._near = self._near.copy()
        twin._wide = None if self._wide is None else self._wide.copy()

    def _exchange_places(self, other: Placed) -> None:
        """Exchanges the names with those of another. O(1)."""
        self._near, other._near = other._near, self._near
        self._wide, other._wide = other._wide, self._wide

    def _check_places(self, names: list[str]) -> None:
        """Asserts that these are the names, in the order of their places."""
        if self._wide is None:
            assert len(self._near) == len(names) <= NEAR
        else:
            assert len(self._wide) == len(names) and not self._near
            self._wide._check()
        for place, name in enumerate(names):
            assert self._place(name) == place
