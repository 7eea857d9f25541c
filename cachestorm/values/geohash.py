"""The geohash: points on the earth as numbers of which neighbours are near, and back.

Called by the geo commands; pure functions and shapes that know no sorted set. Longitude
and latitude are halved in turn, and the bits of both interleaved: 26 steps make a number
of 52 bits, which a double holds, so a point is the score of a member.

1. Coordinates are degrees, lengths metres, on a sphere of the earth's mean radius.
2. A point is the middle of its cell, a third of a metre from its corners: no more is kept.
3. A search looks at the cell of its centre and the eight around it, wide enough to cover
   it, in a fixed order: that is the order of what is found.
4. The arithmetic is Redis', operation by operation, so that the last digit is the same, and so
   are the odd cells east of 180 degrees and those of scores that are not geohashes.

Source: G. Niemeyer's geohash, and Redis' `geohash.c` and `geohash_helper.c`.
"""

from __future__ import annotations

import math
from typing import Final

from mypy_extensions import i64

LONGITUDE_MAX: Final = 180.0
# where a square map of the world ends (EPSG:900913)
LATITUDE_MAX: Final = 85.05112878
STEPS: Final = 26
EARTH_RADIUS_M: Final = 6372797.560856
MERCATOR_MAX_M: Final = 20037726.37
RADIANS: Final = math.pi / 180.0
# the first number that 63 bits cannot hold
HALF: Final = 9223372036854775808.0
ALPHABET: Final = "0123456789bcdefghjkmnpqrstuvwxyz"

METRES: Final = {"M": 1.0, "KM": 1000.0, "FT": 0.3048, "MI": 1609.34}


def score_of(longitude: float, latitude: float) -> float:
    """The score of a point in range."""
    bits: int = _cell(longitude, latitude, LATITUDE_MAX, STEPS)
    return float(bits)


def point_of(score: float) -> tuple[float, float]:
    """Longitude and latitude of the middle of a score's cell, whatever the score.

    Examples:
        >>> point_of(score_of(13.361389, 38.115556))
        (13.361389338970184, 38.1155563954963)
    """
    bits = _bits_of(score)
    west, east = _span(_every_other(bits >> 1), STEPS, LONGITUDE_MAX)
    south, north = _span(_every_other(bits), STEPS, LATITUDE_MAX)
    longitude = (west + east) / 2
    latitude = (south + north) / 2
    return (
        min(max(longitude, -LONGITUDE_MAX), LONGITUDE_MAX),
        min(max(latitude, -LATITUDE_MAX), LATITUDE_MAX),
    )


def geohash_of(score: float) -> str:
    """The eleven letters by which the rest of the world calls a score's point.

    Their latitudes go to the poles, and 55 bits would be needed: the last letter is 0.
    """
    longitude, latitude = point_of(score)
    bits = _cell(longitude, latitude, 90.0, STEPS)
    letters = ""
    shift: i64 = 47
    while shift > 0:
        point: int = (bits >> shift) & 31
        letters += ALPHABET[point]
        shift -= 5
    return letters + "0"


def distance_m(
    longitude: float, latitude: float, other_longitude: float, other_latitude: float
) -> float:
    """The way between two points along the sphere (haversine)."""
    v = math.sin((other_longitude * RADIANS - longitude * RADIANS) / 2)
    if v == 0.0:
        return _along_meridian(latitude, other_latitude)
    one = latitude * RADIANS
    other = other_latitude * RADIANS
    u = math.sin((other - one) / 2)
    part = u * u + math.cos(one) * math.cos(other) * v * v
    # at the far side of the earth rounding may pass 1
    return 2.0 * EARTH_RADIUS_M * math.asin(min(math.sqrt(part), 1.0))


def _along_meridian(latitude: float, other_latitude: float) -> float:
    return EARTH_RADIUS_M * abs(other_latitude * RADIANS - latitude * RADIANS)


class Area:
    """A shape around a centre in which to search.

    Attributes:
        longitude, latitude: of the centre.
        reach_m: from the centre to the furthest point.
        half_width_m, half_height_m: of the box around it.
    """

    def __init__(
        self,
        longitude: float,
        latitude: float,
        reach_m: float,
        half_width_m: float,
        half_height_m: float,
    ) -> None:
        self.longitude: Final = longitude
        self.latitude: Final = latitude
        self.reach_m: Final = reach_m
        self.half_width_m: Final = half_width_m
        self.half_height_m: Final = half_height_m

    def distance_m(self, longitude: float, latitude: float) -> float:
        """How far a point is from the centre; -1 if it is not in the area."""
        raise NotImplementedError

    def score_ranges(self) -> list[tuple[float, float]]:
        """What the members in the area may score: each from the first to below the second.

        At most nine ranges; they cover the area and some more.
        """
        steps = _steps_for(self.reach_m, self.latitude)
        grid = _Grid(self, steps)
        if steps > 1:
            box = self._box()
            if not grid.covers(box):
                steps -= 1
                grid = _Grid(self, steps)
            if steps > 1:
                grid.narrow(box)
        return grid.score_ranges()

    def _box(self) -> tuple[float, float, float, float]:
        """West, south, east and north of the box around the area, in degrees.

        Its sides are bent; the nearer pole decides how wide it is.
        """
        height = self.half_height_m / EARTH_RADIUS_M / RADIANS
        side = self.latitude - height if self.latitude < 0 else self.latitude + height
        width = self.half_width_m / EARTH_RADIUS_M / math.cos(side * RADIANS) / RADIANS
        return (
            self.longitude - width,
            self.latitude - height,
            self.longitude + width,
            self.latitude + height,
        )


class Circle(Area):
    """All points within a radius."""

    def __init__(self, longitude: float, latitude: float, radius_m: float) -> None:
        super().__init__(longitude, latitude, radius_m, radius_m, radius_m)

    def distance_m(self, longitude: float, latitude: float) -> float:
        """How far a point is from the centre; -1 if it is not in the circle."""
        distance = distance_m(self.longitude, self.latitude, longitude, latitude)
        return -1.0 if distance > self.reach_m else distance


class Box(Area):
    """All points whose way to the centre's meridian and parallel is short enough."""

    def __init__(
        self, longitude: float, latitude: float, width_m: float, height_m: float
    ) -> None:
        half_width = width_m / 2
        half_height = height_m / 2
        reach = math.sqrt(half_width * half_width + half_height * half_height)
        super().__init__(longitude, latitude, reach, half_width, half_height)

    def distance_m(self, longitude: float, latitude: float) -> float:
        """How far a point is from the centre; -1 if it is not in the box."""
        if _along_meridian(latitude, self.latitude) > self.half_height_m:
            return -1.0
        if distance_m(longitude, latitude, self.longitude, latitude) > self.half_width_m:
            return -1.0
        return distance_m(self.longitude, self.latitude, longitude, latitude)


class _Grid:
    """The cell of an area's centre and the eight around it, at some number of steps."""

    def __init__(self, area: Area, steps: i64) -> None:
        self._steps = steps
        bits = _cell(area.longitude, area.latitude, LATITUDE_MAX, steps)
        most: i64 = 1
        most = (most << steps) - 1
        self._column = _every_other(bits >> 1)
        self._row = _every_other(bits)
        self._west = (self._column - 1) & most
        self._east = (self._column + 1) & most
        self._south = (self._row - 1) & most
        self._north = (self._row + 1) & most
        self._has_west = True
        self._has_east = True
        self._has_south = True
        self._has_north = True

    def covers(self, box: tuple[float, float, float, float]) -> bool:
        """Whether the cells reach as far as a box."""
        west, south, east, north = box
        steps = self._steps
        return not (
            _span(self._north, steps, LATITUDE_MAX)[1] < north
            or _span(self._south, steps, LATITUDE_MAX)[0] > south
            or _span(self._east, steps, LONGITUDE_MAX)[1] < east
            or _span(self._west, steps, LONGITUDE_MAX)[0] > west
        )

    def narrow(self, box: tuple[float, float, float, float]) -> None:
        """Leaves out the sides that the box does not touch."""
        west, south, east, north = box
        row = _span(self._row, self._steps, LATITUDE_MAX)
        column = _span(self._column, self._steps, LONGITUDE_MAX)
        self._has_south = row[0] >= south
        self._has_north = row[1] <= north
        self._has_west = column[0] >= west
        self._has_east = column[1] <= east

    def score_ranges(self) -> list[tuple[float, float]]:
        ranges: list[tuple[float, float]] = []
        self._add(ranges, self._column, self._row, True)
        self._add(ranges, self._column, self._north, self._has_north)
        self._add(ranges, self._column, self._south, self._has_south)
        self._add(ranges, self._east, self._row, self._has_east)
        self._add(ranges, self._west, self._row, self._has_west)
        self._add(ranges, self._east, self._north, self._has_east and self._has_north)
        self._add(ranges, self._west, self._north, self._has_west and self._has_north)
        self._add(ranges, self._east, self._south, self._has_east and self._has_south)
        self._add(ranges, self._west, self._south, self._has_west and self._has_south)
        return ranges

    def _add(
        self, ranges: list[tuple[float, float]], column: i64, row: i64, is_wanted: bool
    ) -> None:
        if not is_wanted:
            return
        shift = 2 * (STEPS - self._steps)
        bits = _interleaved(row, column)
        low: int = bits << shift
        high: int = (bits + 1) << shift
        found = (float(low), float(high))
        # with one step for each half of the world, north is south and east is west
        if not ranges or ranges[len(ranges) - 1] != found:
            ranges.append(found)


def _steps_for(reach_m: float, latitude: float) -> i64:
    """How many steps make cells that reach as far, eight around one."""
    if reach_m == 0.0:
        return STEPS
    steps: i64 = -1
    while reach_m < MERCATOR_MAX_M:
        reach_m *= 2
        steps += 1
    # towards the poles cells are narrower
    if abs(latitude) > 66.0:
        steps -= 1
        if abs(latitude) > 80.0:
            steps -= 1
    return min(max(steps, 1), STEPS)


def _cell(longitude: float, latitude: float, latitude_max: float, steps: i64) -> i64:
    size = 2.0**steps
    row: i64 = int((latitude + latitude_max) / (latitude_max + latitude_max) * size)
    column: i64 = int((longitude + LONGITUDE_MAX) / (LONGITUDE_MAX + LONGITUDE_MAX) * size)
    return _interleaved(row, column)


def _span(number: i64, steps: i64, limit: float) -> tuple[float, float]:
    """Where a row or column of cells begins and ends, in degrees."""
    size = 2.0**steps
    first: int = number
    after: int = (number + 1) & 0xFFFFFFFF
    return -limit + (first / size) * (limit + limit), -limit + (after / size) * (limit + limit)


def _bits_of(score: float) -> i64:
    """The 64 bits that C takes a score for, as a signed number."""
    if -HALF <= score < HALF:
        return int(score)
    if score < 0.0:
        return -9223372036854775808
    if score >= 2.0 * HALF:
        return 0
    beyond: int = int(score)
    return beyond - 18446744073709551616


def _interleaved(even: i64, odd: i64) -> i64:
    """The bits of two numbers of 32 bits in turn."""
    return _spread(even) | (_spread(odd) << 1)


def _spread(x: i64) -> i64:
    x = (x | (x << 16)) & 0x0000FFFF0000FFFF
    x = (x | (x << 8)) & 0x00FF00FF00FF00FF
    x = (x | (x << 4)) & 0x0F0F0F0F0F0F0F0F
    x = (x | (x << 2)) & 0x3333333333333333
    return (x | (x << 1)) & 0x5555555555555555


def _every_other(x: i64) -> i64:
    """The bits 0, 2, 4 and so on of a number, put together."""
    x &= 0x5555555555555555
    x = (x | (x >> 1)) & 0x3333333333333333
    x = (x | (x >> 2)) & 0x0F0F0F0F0F0F0F0F
    x = (x | (x >> 4)) & 0x00FF00FF00FF00FF
    x = (x | (x >> 8)) & 0x0000FFFF0000FFFF
    return (x | (x >> 16)) & 0x00000000FFFFFFFF
