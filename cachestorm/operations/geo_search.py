"""The search of GEOSEARCH and GEORADIUS: which members of a sorted set are in a circle or box.

A long command, made by the geo commands: a search for ten points may have to look at a million.

1. Results are in the order of the nine cells that are searched, and within a cell of the
   scores, unless an order is asked for.
2. Of points as far away as each other the one that was found first comes first, in either
   order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from cachestorm.codec import parse_float
from cachestorm.declare.kinds import CHOICE_REFUSALS
from cachestorm.declare.spans import length
from cachestorm.entry import ZSET
from cachestorm.errors import ArgumentError, CommandSyntaxError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import replace, sorted_set_at
from cachestorm.operations.names import name_of
from cachestorm.operations.optimistic_result import PIECE, OptimisticResult
from cachestorm.operations.sample_sort import SHORT, SampleSort
from cachestorm.values.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    METRES,
    Area,
    Box,
    Circle,
    point_of,
)
from cachestorm.values.ranking import Row
from cachestorm.values.sorted_set import SortedSet, member_of

# A distance, negative in a descending order, and when it was found.
_Distance = tuple[float, int]


class Found:
    """A member in the area."""

    def __init__(self, row: Row, distance: float, longitude: float, latitude: float) -> None:
        self.row: Final = row
        self.distance_m: Final = distance
        self.longitude: Final = longitude
        self.latitude: Final = latitude


class Search:
    """What is searched for: a centre, a shape, an order and a number.

    Attributes:
        event: what a command that stores what it finds is called.
        metres: of the unit that is asked for.
        count: how many are enough, 0 for all.
        stops: the first that are found are enough, not the nearest.
        sign: 1 for ascending distances, -1 for descending ones, 0 for no order.

    Raises:
        ArgumentError: for what cannot be read, and for both or none of two centres.
    """

    def __init__(
        self, name: str, member: object, longitude: object, latitude: object, unit: str
    ) -> None:
        self._name: Final = name
        is_old = name.startswith("GEORADIUS")
        self.event: Final = "georadiusstore" if is_old else "geosearchstore"
        self.metres: Final = metres_of(unit)
        self._member: str | None = None
        self._longitude = 0.0
        self._latitude = 0.0
        if member is not None:
            if longitude is not None or latitude is not None:
                raise CommandSyntaxError()
            self._member = name_of(member)
        elif longitude is None or latitude is None:
            raise self._refusal("from")
        else:
            self._longitude, self._latitude = point_at(longitude, latitude)
        self._is_box = False
        self._width_m = 0.0
        self._height_m = 0.0
        self.count = 0
        self.stops = False
        self.sign = 0

    def _refusal(self, choice: str) -> ArgumentError:
        return ArgumentError(CHOICE_REFUSALS[choice].replace("{command}", self._name))

    def shape(self, radius: object, width: object, height: object) -> None:
        """Sets a circle or a box."""
        if radius is not None:
            if width is not None or height is not None:
                raise CommandSyntaxError()
            self._width_m = length(radius, "radius") * self.metres
        elif width is None or height is None:
            raise self._refusal("by")
        else:
            self._is_box = True
            self._width_m = length(width, "width") * self.metres
            self._height_m = length(height, "height") * self.metres

    def order(self, sort: str | None, count: int | None, stops: bool) -> None:
        """Sets the order, and how many are enough."""
        if stops and count is None:
            raise ArgumentError("the ANY argument requires COUNT argument")
        if count is not None:
            if count < 1:
                raise ArgumentError("COUNT must be > 0")
            self.count = count
            self.stops = stops
        if sort is not None:
            arg = sort.upper()
            if arg not in ("ASC", "DESC"):
                raise CommandSyntaxError()
            self.sign = 1 if arg == "ASC" else -1
        elif self.count and not stops:
            self.sign = 1

    def area(self, scores: SortedSet) -> Area:
        """Where to search.

        Raises:
            ArgumentError: for a member at the centre that is not there.
        """
        longitude = self._longitude
        latitude = self._latitude
        if self._member is not None:
            score = scores.score(self._member)
            if score is None:
                raise ArgumentError("could not decode requested zset member")
            longitude, latitude = point_of(score)
        if self._is_box:
            return Box(longitude, latitude, self._width_m, self._height_m)
        return Circle(longitude, latitude, self._width_m)

    def gather(self, rows: list[Row], area: Area, found: list[Found]) -> bool:
        """Adds those of some rows that are in the area; whether these are enough now."""
        for row in rows:
            longitude, latitude = point_of(row[0])
            distance = area.distance_m(longitude, latitude)
            if distance >= 0.0:
                found.append(Found(row, distance, longitude, latitude))
                if self.stops and len(found) == self.count:
                    return True
        if self.sign != 0 and 0 < self.count <= SHORT and len(found) > SHORT + PIECE:
            # the others are not among the nearest, whatever is still to come
            self.cut(found)
        return False

    def cut(self, found: list[Found]) -> None:
        """Puts what was found in order, if one is asked for, and leaves what is enough."""
        if self.sign != 0:
            found.sort(key=_distance_of, reverse=self.sign < 0)
        if self.count:
            del found[self.count :]


class _Searching(OptimisticResult):
    """A search on its way."""

    def __init__(self, space: Keyspace, key: str, search: Search) -> None:
        super().__init__(space, [key])
        self._search: Final = search
        self._found: list[Found] = []

    def _gather(self) -> Iterator[None]:
        """Fills `_found`, and yields after each piece."""
        found: list[Found] = []
        self._found = found
        self._keep(cast("list[object]", found))
        entry = self._seen[0]
        if entry is None:
            return
        if entry.kind != ZSET:
            raise WrongTypeError()
        search = self._search
        scores = sorted_set_at(self._space, entry)
        area = search.area(scores)
        is_enough = False
        for low, high in area.score_ranges():
            start = scores.rank_of_score(low, False)
            stop = scores.rank_of_score(high, False)
            while start < stop and not is_enough:
                end = min(start + PIECE, stop)
                is_enough = search.gather(scores.slice(start, end), area, found)
                start = end
                yield
        if len(found) <= SHORT:
            search.cut(found)
            return
        if search.sign != 0:
            for _ in self._in_order(found):
                yield
        if search.count:
            self._found = self._found[: search.count]

    def _in_order(self, found: list[Found]) -> Iterator[None]:
        """Puts many in order."""
        distances: list[_Distance] = []
        sort = SampleSort(distances)
        self._keep(cast("list[object]", sort.waiting))
        self._keep(cast("list[object]", sort.parts))
        sign = self._search.sign
        while len(distances) < len(found):
            start = len(distances)
            for at in range(start, min(start + PIECE, len(found))):
                distances.append((sign * found[at].distance_m, at))
            yield
        for _ in sort.run():
            yield
        in_order: list[Found] = []
        self._keep(cast("list[object]", in_order))
        for part in sort.parts:
            in_order.extend([found[distance[1]] for distance in part])
            yield
        self._found = in_order


class ReturningSearch(_Searching):
    """A search whose result is returned: members, or tuples of one and what was asked for."""

    def __init__(
        self,
        space: Keyspace,
        key: str,
        search: Search,
        withcoord: bool,
        withdist: bool,
        withhash: bool,
    ) -> None:
        super().__init__(space, key, search)
        self._withcoord: Final = withcoord
        self._withdist: Final = withdist
        self._withhash: Final = withhash

    def _work(self) -> Iterator[None]:
        for _ in self._gather():
            yield
        result = cast("list[object]", self._found)
        self._aside = [part for part in self._aside if part is not result]

    def result(self) -> object:
        if not (self._withcoord or self._withdist or self._withhash):
            return [member_of(found.row) for found in self._found]
        rows: list[tuple[object, ...]] = []
        for found in self._found:
            parts: list[object] = [member_of(found.row)]
            if self._withdist:
                parts.append(found.distance_m / self._search.metres)
            if self._withhash:
                parts.append(int(found.row[0]))
            if self._withcoord:
                parts.append((found.longitude, found.latitude))
            rows.append(tuple(parts))
        return rows


class StoringSearch(_Searching):
    """A search whose result is stored. Its result: how many members.

    Args:
        by_distance: their distances are the scores, in place of their points.
    """

    def __init__(
        self, space: Keyspace, key: str, search: Search, destination: str, by_distance: bool
    ) -> None:
        super().__init__(space, key, search)
        self._destination: Final = destination
        self._by_distance: Final = by_distance

    def _work(self) -> Iterator[None]:
        for _ in self._gather():
            yield
        made = SortedSet()
        self._made = made
        rows: list[Row] = []
        sort = SampleSort(rows)
        self._keep(cast("list[object]", sort.waiting))
        self._keep(cast("list[object]", sort.parts))
        for at, found in enumerate(self._found):
            score = found.row[0]
            if self._by_distance:
                score = found.distance_m / self._search.metres
            rows.append((score, found.row[1]))
            if at % PIECE == PIECE - 1:
                yield
        for _ in sort.run():
            yield
        for at, part in enumerate(sort.parts):
            sort.parts[at] = []
            made.append(part)
            yield
        self._found = []
        self._value = len(made)
        replace(self._space, self._destination, made, ZSET, self._search.event)
        self._give_away()


def _distance_of(found: Found) -> float:
    return found.distance_m


def metres_of(unit: object) -> float:
    """How many metres a unit is.

    Raises:
        ArgumentError: for an unknown one.
    """
    metres = METRES.get(unit.upper()) if isinstance(unit, str) else None
    if metres is None:
        raise ArgumentError(CHOICE_REFUSALS["unit"])
    return metres


def point_at(longitude: object, latitude: object) -> tuple[float, float]:
    """A point that a geohash can tell: its longitude and latitude in degrees.

    Raises:
        NotAFloatError: for anything that is not a number.
        ArgumentError: for one that is out of range.
    """
    east = parse_float(longitude)
    north = parse_float(latitude)
    if abs(east) > LONGITUDE_MAX or abs(north) > LATITUDE_MAX:
        raise ArgumentError(f"invalid longitude,latitude pair {east:.6f},{north:.6f}")
    return east, north
