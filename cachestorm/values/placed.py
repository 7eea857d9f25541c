"""The placed: containers of names, each at a place of its own in a dense list.

The base of hashes, sets and sorted sets, which keep the dense lists; a list finds nothing by
name. Knows where a name lies, and nothing of what lies there.

1. There is a place for every name of the container, and for no other.
2. A follower is told of each name that is put, that moves or that is taken out.
3. Beyond `NEAR` names they are in a `WideDict`, and stay there: with fewer, one dict is
   smaller and faster, and never takes longer than a millisecond to grow.
4. That one dict has the names in the order in which they came, wherever their places are.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.values.container import Container
from cachestorm.values.wide_dict import MEAN, WideDict

NEAR: Final = 2 * MEAN
# Redis keeps so many names at most in the order in which they came: those of a hash.
SHORT: Final = 512
# Who is told of more names than this had better look at all.
MOST_TOUCHED: Final = 65_536


class Touched:
    """The names of some containers that were touched since somebody began to follow them.

    Attributes:
        names: each once.
        is_all: there were too many to tell them, or all were exchanged at once.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.is_all: bool = False

    def note(self, name: str) -> None:
        """Adds a name."""
        self.names[name] = None
        if len(self.names) > MOST_TOUCHED:
            self.is_all = True
            self.names = {}

    def take(self, count: int) -> list[str]:
        """Some of the names, which are no longer among them."""
        names = self.names
        return [names.popitem()[0] for _ in range(min(count, len(names)))]


class Placed(Container):
    """A container that finds names."""

    def __init__(self) -> None:
        super().__init__()
        self._followers: list[Touched] | None = None
        self._near: dict[str, int] = {}
        self._wide: WideDict[int] | None = None
        # a name has gone to the place of another, so that places are in no order
        self._has_moved: bool = False

    def follow(self, touched: Touched) -> None:
        """From now on, has each name noted that is touched."""
        if self._followers is None:
            self._followers = []
        self._followers.append(touched)

    def unfollow(self, touched: Touched) -> None:
        """Ends that."""
        followers = self._followers
        if followers is not None and touched in followers:
            followers.remove(touched)
            if not followers:
                self._followers = None

    def _touch(self, name: str) -> None:
        if self._followers is not None:
            for each in self._followers:
                each.note(name)

    def _touch_all(self) -> None:
        if self._followers is not None:
            for each in self._followers:
                each.is_all = True

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
        if self._followers is not None:
            self._touch(name)
        if self._wide is not None:
            self._wide.put(name, place)
            return
        self._near[name] = place
        if len(self._near) > NEAR:
            self._wide = WideDict(self._near)
            self._near = {}

    def _pop_place(self, name: str) -> i64:
        """Takes a name out. Returns the place that it had; -1 where there was none. O(1)."""
        if self._followers is not None:
            self._touch(name)
        if self._wide is None:
            return self._near.pop(name, -1)
        return self._wide.pop(name, -1)

    def _move_place(self, name: str, place: i64) -> None:
        """Gives a name that has a place another one. O(1)."""
        self._has_moved = True
        self._put_place(name, place)

    def _is_mixed(self) -> bool:
        """Whether places are not in the order in which the names came, and Redis is."""
        return self._has_moved and self._wide is None and len(self._near) <= SHORT

    def _take_places(self) -> list[object]:
        """Empties it of names. Returns what held them, for lazy freeing."""
        self._touch_all()
        parts: list[object] = [self._near]
        if self._wide is not None:
            parts += self._wide.parts()
        self._near = {}
        self._wide = None
        self._has_moved = False
        return parts

    def _copy_places(self, twin: Placed) -> None:
        """Gives a twin that has no names the same, at the same places. O(n)."""
        twin._near = self._near.copy()
        twin._wide = None if self._wide is None else self._wide.copy()
        twin._has_moved = self._has_moved

    def _exchange_places(self, other: Placed) -> None:
        """Exchanges the names with those of another. O(1)."""
        self._touch_all()
        self._near, other._near = other._near, self._near
        self._wide, other._wide = other._wide, self._wide
        self._has_moved, other._has_moved = other._has_moved, self._has_moved

    def _check_places(self, names: list[str]) -> None:
        """Asserts that these are the names, in the order of their places."""
        if self._wide is None:
            assert len(self._near) == len(names) <= NEAR
        else:
            assert len(self._wide) == len(names) and not self._near
            self._wide._check()
        for place, name in enumerate(names):
            assert self._place(name) == place
        assert self._has_moved or self._wide is not None or list(self._near) == names
