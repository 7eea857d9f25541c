"""The sorted set: members with scores, in order of score and then of the member's bytes.

Made and changed by the sorted-set commands. Each member has its place in a dense list of rows;
beside it is a `Ranking` of the same rows.

1. `rows[place(m)]` is the row of `m`, and the ranking holds exactly the same rows.
2. A row only ever moves towards the beginning of the dense list, which is what ZSCAN's
   walk from the end to the beginning relies on.
3. No score is NaN; the commands refuse it.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import bytes_of, is_ascii, text_of
from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.diary import CUT, DROP, PUT, Record
from cachestorm.values.placed import Placed
from cachestorm.values.ranking import Ranking, Row
from cachestorm.values.weights import weigh

SLOT_BYTES: Final = 180
SORTED_SET_BYTES: Final = CONTAINER_BYTES + 320
LISTPACK_ENTRIES: Final = 128
LISTPACK_MEMBER: Final = 64
# So many rows are taken out of a ranking one by one.
FEW_ROWS: Final = 16

# above every spelling: no byte read as Latin-1 is as high as this
LAST: Final = "\u0100"


class SortedSet(Placed):
    """A map from `str` members to scores that is also a ranking.

    Ranks count from 0 at the lowest score; a slice takes them normalised and in range.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = SORTED_SET_BYTES
        # each is the same object as in the ranking: see `long_ranking.py`
        self._rows: list[object] = []
        self._ranking = Ranking()

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, member: str, score: float) -> bool:
        """Sets the score of a member; whether it was new. O(log n)."""
        place = self._place(member)
        if place < 0:
            self.add(member, score)
            return True
        if self.row_at(place)[0] != score:
            self.rescore(place, member, score)
        return False

    def add(self, member: str, score: float) -> None:
        """Adds a member that is not there. O(log n)."""
        score += 0.0  # minus zero becomes zero, as in Redis' packed form
        if self.diary is not None:
            self.diary.append((PUT, member, score))
        row: object = (score, spelling(member))
        self._put_place(member, len(self._rows))
        self._rows.append(row)
        self._ranking.add(row)
        self.size_bytes += _weight(member)

    def rescore(self, place: i64, member: str, score: float) -> None:
        """Gives the member at a place another score. O(log n)."""
        score += 0.0
        if self.diary is not None:
            self.diary.append((PUT, member, score))
        former = self.row_at(place)
        row: object = (score, former[1])
        self._ranking.remove(former)
        self._ranking.add(row)
        self._rows[place] = row
        if self._followers is not None:
            self._touch(member)

    def find(self, member: str) -> i64:
        """The place of a member in the dense list; -1 when it is not there. O(1)."""
        return self._place(member)

    def fill(self, rows: list[Row]) -> bool:
        """Takes all rows at once; only for one that is empty and keeps no diary.

        O(n log n), and fast.

        Args:
            rows: in any order, none of them NaN; they are kept.

        Returns:
            Whether no member was among them twice; if one was, this is not a sorted set.
        """
        assert self.diary is None
        twice = False
        for place, row in enumerate(rows):
            member = member_of(row)
            if self._place(member) >= 0:
                twice = True
            self._put_place(member, place)
            self.size_bytes += _weight(member)
        self._rows = cast("list[object]", rows)
        self._ranking.fill(rows)
        return not twice

    def append(self, rows: list[Row]) -> None:
        """Takes rows in order, of new members, that come after all that are there; see `fill`.

        Args:
            rows: at most `SHORT_ROWS` of a ranking; they are kept.
        """
        self.place(rows)
        self.rank_last(rows)

    def place(self, rows: list[Row]) -> None:
        """The half of `append` that knows no order: rows of new members, yet to be ranked."""
        assert self.diary is None
        place: i64 = len(self._rows)
        for row in rows:
            member = member_of(row)
            self._put_place(member, place)
            self.size_bytes += _weight(member)
            place += 1
        self._rows += rows

    def rank_last(self, rows: list[Row]) -> None:
        """The other half of `append`: rows in order, after all that are ranked."""
        self._ranking.append(rows)

    def remove(self, member: str) -> bool:
        """Removes a member; whether it was there. O(log n)."""
        place = self._pop_place(member)
        if place < 0:
            return False
        if self.diary is not None:
            self.diary.append((DROP, member))
        row = self.row_at(place)
        last = self._rows.pop()
        if place < len(self._rows):
            self._rows[place] = last
            self._move_place(member_of(cast(Row, last)), place)
        self._ranking.remove(row)
        self.size_bytes -= _weight(member)
        return True

    def remove_slice(self, start: i64, stop: i64) -> list[Row]:
        """Removes the rows of rank `start` up to but not including `stop`, and gives them."""
        gone = self._ranking.slice(start, stop)
        if stop - start <= FEW_ROWS:
            for row in gone:
                self.remove(member_of(row))
            return gone
        if self.diary is not None:
            self.diary.append((CUT, gone[0], gone[-1], False))
        self._ranking.cut(start, stop)
        for row in gone:
            member = member_of(row)
            place = self._pop_place(member)
            last = self._rows.pop()
            if place < len(self._rows):
                self._rows[place] = last
                self._move_place(member_of(cast(Row, last)), place)
            self.size_bytes -= _weight(member)
        return gone

    def score(self, member: str) -> float | None:
        """The score of a member, None when there is no such member. O(1)."""
        place = self._place(member)
        if place < 0:
            return None
        return self.row_at(place)[0]

    def rank(self, member: str) -> i64:
        """How many members are before this one; -1 when it is not there. O(log n)."""
        place = self._place(member)
        if place < 0:
            return -1
        return self._ranking.place(self.row_at(place))

    def row_at(self, place: i64) -> Row:
        """The row at a place of the dense list, in no order. O(1)."""
        return cast(Row, self._rows[place])

    def some(self, start: i64, stop: i64) -> list[Row]:
        """The rows at the places of the dense list from `start` up to `stop`, in no order."""
        return cast("list[Row]", self._rows[start:stop])

    def rows(self) -> list[Row]:
        """All rows in no order, as a list of its own. O(n), and faster than `slice`."""
        return cast("list[Row]", self._rows.copy())

    def slice(self, start: i64, stop: i64) -> list[Row]:
        """The rows of rank `start` up to but not including `stop`. O(log n + rows)."""
        return self._ranking.slice(start, stop)

    def is_level(self) -> bool:
        """Whether all members score the same. O(log n)."""
        last = i64(len(self._rows)) - 1
        return last < 0 or self._ranking.at(0)[0] == self._ranking.at(last)[0]

    def rank_of_score(self, score: float, after: bool) -> i64:
        """How many members score less, or with `after` not more. O(log n)."""
        return self._ranking.place((score, LAST if after else ""))

    def rank_of_spelling(self, word: str, after: bool) -> i64:
        """How many members are spelled before `word`, or with `after` up to it. O(log n).

        Only of meaning when all scores are the same, as everywhere with lexical ranges.
        """
        if not self._rows:
            return 0
        return self._ranking.place((self._ranking.at(0)[0], word + "\0" if after else word))

    def scores(self) -> dict[str, float]:
        """All members with their scores, as a dict of its own. O(n)."""
        return {member_of(row): row[0] for row in cast("list[Row]", self._rows)}

    def encoding(self) -> str:
        if len(self._rows) > LISTPACK_ENTRIES:
            return "skiplist"
        if any(len(row[1]) > LISTPACK_MEMBER for row in cast("list[Row]", self._rows)):
            return "skiplist"
        return "listpack"

    def take_apart(self) -> list[object]:
        parts = [*self._take_places(), self._rows, self._ranking.take_apart()]
        self._rows = []
        self.size_bytes = SORTED_SET_BYTES
        return parts

    def twin(self) -> Container:
        return SortedSet()

    def records_of(self, start: i64, stop: i64) -> list[object]:
        found: list[object] = []
        for row in self.some(start, stop):
            found.append((PUT, member_of(row), row[0]))
        return found

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, SortedSet)
        twin.place(self.some(start, stop))
        twin.rank_last(self.slice(start, stop))

    def exchange(self, other: SortedSet, start: i64, stop: i64) -> None:
        """Exchanges all members with those that were gathered in another sorted set. O(1).

        Args:
            other: all members in the same order, but for those of rank `start` up to `stop`,
                of which there is one at least.
        """
        if self.diary is not None:
            lowest, highest = self._ranking.at(start), self._ranking.at(stop - 1)
            self.diary.append((CUT, lowest, highest, True))
        self._exchange_places(other)
        self._rows, other._rows = other._rows, self._rows
        self._ranking, other._ranking = other._ranking, self._ranking
        self.size_bytes, other.size_bytes = other.size_bytes, self.size_bytes

    def copy(self) -> Container:
        twin = SortedSet()
        self._copy_places(twin)
        twin._rows = self._rows.copy()
        twin._ranking = self._ranking.copy()
        twin.size_bytes = self.size_bytes
        return twin

    def apply(self, record: Record) -> None:
        if record[0] == CUT:
            lowest, highest = cast(Row, record[1]), cast(Row, record[2])
            start = self._ranking.place(lowest)
            stop = self._ranking.place((highest[0], highest[1] + "\0"))
            if start >= stop:
                return
            if not record[3]:
                self.remove_slice(start, stop)
                return
            left = SortedSet()
            rows = self.rows()
            left.fill([row for row in rows if row < lowest or row > highest])
            self.exchange(left, start, stop)
            return
        member = cast(str, record[1])
        if record[0] == PUT:
            self.put(member, cast(float, record[2]))
        else:
            self.remove(member)

    def _check(self) -> None:
        assert len(self._rows) == len(self._ranking)
        self._ranking._check()
        ranked = self.slice(0, len(self._rows))
        assert sorted(self.rows()) == ranked
        assert {id(row) for row in cast("list[object]", ranked)} == set(map(id, self._rows))
        members = [member_of(row) for row in self.rows()]
        self._check_places(members)
        weight = sum(_weight(member) for member in members)
        assert self.size_bytes == SORTED_SET_BYTES + weight


def spelling(member: str) -> str:
    """What a ranking compares: code points that order as the member's bytes do.

    Examples:
        >>> spelling("plain") is not spelling("é")
        True
        >>> member_of((0.0, spelling("é")))
        'é'
    """
    if is_ascii(member):
        return member
    return bytes_of(member).decode("latin-1")


def member_of(row: Row) -> str:
    """The member of a row."""
    if is_ascii(row[1]):
        return row[1]
    return text_of(row[1].encode("latin-1"))


def _weight(member: str) -> i64:
    if is_ascii(member):
        return weigh(member) + SLOT_BYTES
    return weigh(member) + weigh(spelling(member)) + SLOT_BYTES
