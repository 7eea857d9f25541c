"""The set value: members without order, any of which can be drawn in O(1).

Made and changed by the set commands. Each member has its place in a dense list: removal moves
the last member into the gap.

1. `members[place(m)] == m` for every member, and nothing else has a place or is in the list.
2. What has ceased to be a set of integers is none again when its last word leaves, as in Redis:
   from then on it tells its members as they came.
3. A member only ever moves towards the beginning. So a scan that walks from the end to the
   beginning may see a member twice, but never misses one that was there all the time.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.diary import DROP, PUT, Record
from cachestorm.values.placed import Placed
from cachestorm.values.weights import weigh

SLOT_BYTES: Final = 76
SET_BYTES: Final = CONTAINER_BYTES + 120
LISTPACK_ENTRIES: Final = 128
LISTPACK_MEMBER: Final = 64
INTSET_ENTRIES: Final = 512
_FIRST_OF_INTEGERS: Final = frozenset("-0123456789")
# of so many digits some are beyond 64 bits
_LONGEST_INTEGER: Final = 19


class SetValue(Placed):
    """A set of `str` members."""

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = SET_BYTES
        self._members: list[str] = []
        # one that was no integer has left
        self._had_words: bool = False

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: str) -> bool:
        """Adds a member; whether it was new. O(1)."""
        if self._place(member) >= 0:
            return False
        if self.diary is not None:
            self.diary.append((PUT, member))
        self._put_place(member, len(self._members))
        self._members.append(member)
        self.size_bytes += weigh(member) + SLOT_BYTES
        return True

    def remove(self, member: str) -> bool:
        """Removes a member; whether it was there. O(1)."""
        if not (self._had_words or len(self._members) > INTSET_ENTRIES or _is_integer(member)):
            self._keep_order(member)
        place = self._pop_place(member)
        if place < 0:
            return False
        if self.diary is not None:
            self.diary.append((DROP, member))
        last = self._members.pop()
        if place < len(self._members):
            self._members[place] = last
            self._move_place(last, place)
        self.size_bytes -= weigh(member) + SLOT_BYTES
        return True

    def member_at(self, place: i64) -> str:
        """The member at a place from 0 to the length; how one is drawn at random. O(1)."""
        return self._members[place]

    def members(self) -> list[str]:
        """All members, as a list of its own. O(n)."""
        return self._members.copy()

    def in_order(self) -> list[str]:
        """All members, few in Redis' order: integers by value, others as they were added."""
        members = list(self._near) if self._is_mixed() else self._members.copy()
        return members if self._had_words else in_order_of_redis(members)

    def _keep_order(self, word: str) -> None:
        """Has the order be that in which the members came, as the first word is to leave."""
        if word not in self:
            return
        if self._wide is None:
            near = self._near
            self._near = {member: near[member] for member in self.in_order()}
            self._has_moved = True
        self._had_words = True

    def is_told_whole(self) -> bool:
        """Whether Redis tells all of it in one step of a scan."""
        count = len(self._members)
        return count <= LISTPACK_ENTRIES or (count <= INTSET_ENTRIES and self._is_of_integers())

    def some(self, start: i64, stop: i64) -> list[str]:
        """The members at the places from `start` up to `stop`. O(stop - start)."""
        return self._members[start:stop]

    def encoding(self) -> str:
        count = len(self._members)
        if count <= INTSET_ENTRIES and self._is_of_integers():
            return "intset"
        if count <= LISTPACK_ENTRIES and all(
            len(each.encode("utf-8", "surrogateescape")) <= LISTPACK_MEMBER
            for each in self._members
        ):
            return "listpack"
        return "hashtable"

    def take_apart(self) -> list[object]:
        parts = [*self._take_places(), self._members]
        self._members = []
        self._had_words = False
        self.size_bytes = SET_BYTES
        return parts

    def twin(self) -> Container:
        return SetValue()

    def records_of(self, start: i64, stop: i64) -> list[object]:
        found: list[object] = []
        for member in self._members[start:stop]:
            found.append((PUT, member))
        return found

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, SetValue)
        for member in self._members[start:stop]:
            twin.add(member)

    def revise(self, twin: Container, name: str) -> None:
        """Makes a name in a twin what it is here, or takes it out there."""
        assert isinstance(twin, SetValue)
        if name in self:
            twin.add(name)
        else:
            twin.remove(name)

    def copy(self) -> Container:
        twin = SetValue()
        self._copy_places(twin)
        twin._members = self._members.copy()
        twin._had_words = self._had_words
        twin.size_bytes = self.size_bytes
        return twin

    def apply(self, record: Record) -> None:
        member = cast(str, record[1])
        if record[0] == PUT:
            self.add(member)
        else:
            self.remove(member)

    def _is_of_integers(self) -> bool:
        return not self._had_words and all(_is_integer(each) for each in self._members)

    def _check(self) -> None:
        self._check_places(self._members)
        weight = sum(weigh(member) + SLOT_BYTES for member in self._members)
        assert self.size_bytes == SET_BYTES + weight


def in_order_of_redis(members: list[str]) -> list[str]:
    """Members of a set in the order of an intset or, where there are others, of a listpack.

    Args:
        members: in the order in which they were added; it may be returned.
    """
    count = len(members)
    if not 1 < count <= INTSET_ENTRIES or members[0][0:1] not in _FIRST_OF_INTEGERS:
        return members
    joined = "".join(members)
    if joined.isascii() and joined.isdigit():
        # far cheaper than to make numbers of them; what has a needless zero is at the front
        ordered = sorted(members)
        is_canonical = ordered[0][0:1] != "0" or (ordered[0] == "0" and ordered[1][0:1] != "0")
        ordered.sort(key=len)
        if is_canonical and len(ordered[-1]) < _LONGEST_INTEGER:
            return ordered
    # it was an intset until the first of the others came
    integers = 0
    while integers < count and _is_integer(members[integers]):
        integers += 1
    return sorted(members[:integers], key=int) + members[integers:]


def _is_integer(member: str) -> bool:
    # the common ones, without a number that would be made
    is_plain = member.isascii() and member.isdigit() and member[0:1] != "0"
    if is_plain and len(member) < _LONGEST_INTEGER:
        return True
    digits = member[1:] if member.startswith("-") else member
    if not digits.isascii() or not digits.isdigit() or len(member) > 20:
        return False
    number = int(member)
    return str(number) == member and -(2**63) <= number < 2**63
