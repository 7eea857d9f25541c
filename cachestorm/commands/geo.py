"""The geo family: points on the earth, kept as the scores of a sorted set.

A trait that works on sorted sets: every command of theirs may be used on the same key. The
mathematics is in `geohash`, the search around a point in `geo_search`. A member whose score is
not a geohash is at the point that Redis computes from it. A missing key is an empty sorted set.

1. Distances are measured from the centre of the search, in the requested unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import ZSET
from cachestorm.errors import ArgumentError, ArityError, CommandSyntaxError
from cachestorm.operations.containers import entry_of, sorted_set_at
from cachestorm.operations.geo_search import (
    ReturningSearch,
    Search,
    StoringSearch,
    metres_of,
    point_at,
)
from cachestorm.operations.names import exact_key, name_of, names_of
from cachestorm.operations.rows import add_scores
from cachestorm.values.geohash import distance_m, geohash_of, point_of, score_of

command: Final = partial(Declaration, group="geo")

Point = tuple[float, float]
Points = list[str] | list[tuple[object, ...]]

_UNIT: Final = "unit:<M | KM | FT | MI> "
_CENTRE_AND_SHAPE: Final = (
    "[FROMMEMBER member | FROMLONLAT longitude latitude] "
    "by:<BYRADIUS radius unit:<M | KM | FT | MI> | "
    "BYBOX width <height> unit:<M | KM | FT | MI>> "
)
_ORDER: Final = "[sort:<ASC | DESC>] "
_COUNT: Final = "[COUNT count:found-count [ANY]] "
_EXTRAS: Final = "[WITHCOORD] [WITHDIST] [WITHHASH] "
_STORE: Final = "[STORE storekey:ow-update | STOREDIST storedistkey:ow-update]"
_SEARCHED: Final = "O(N + log M) for N members in the cells around the area and M in all"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Geo(Edge):
    """Points on the earth."""

    @command(
        "GEOADD key:rw-update [NX | XX] [CH] longitude latitude member [longitude latitude "
        "member ...]",
        complexity="O(log N) a member",
        grows=True,
        summary="Add members with their points to a sorted set, or move them.",
    )
    def geoadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
    ) -> int:
        """Adds members or moves them.

        Args:
            mapping: members with their (longitude, latitude) in degrees; or rows of
                longitude, latitude and member, as on the wire, also flat.
            nx: only add.
            xx: only move.
            ch: count what was moved as well.

        Returns:
            How many members are new, with `ch` new or moved.

        Raises:
            ArgumentError: for a point that no map shows: beyond 180 degrees of longitude
                or 85.05112878 of latitude.
        """
        key = exact_key(key)
        if nx and xx:
            raise CommandSyntaxError()
        rows = _rows(mapping)
        if not rows:
            raise ArityError("geoadd")
        space = enter_for(self, key)
        try:
            count = add_scores(space, key, rows, nx, xx, False, False, ch, False)
            return cast(int, count)
        finally:
            self._leave()

    @command(
        "GEOPOS key [member [member ...]]",
        complexity="O(1) a member",
        reply="positions",
        summary="Return the points of members as longitude and latitude.",
    )
    def geopos(self, key: str, *members: object) -> list[Point | None]:
        """The (longitude, latitude) of members in order, None for each that is missing."""
        return [
            None if score is None else point_of(score) for score in self._scores(key, members)
        ]

    @command(
        "GEOHASH key [member [member ...]]",
        complexity="O(1) a member",
        summary="Return the points of members as geohashes.",
    )
    def geohash(self, key: str, *members: object) -> list[str | None]:
        """The geohashes of members, eleven letters, None for each that is missing."""
        return [
            None if score is None else geohash_of(score) for score in self._scores(key, members)
        ]

    @command(
        "GEODIST key member1:member member2:member [unit:<M | KM | FT | MI>]",
        complexity="O(1)",
        reply="distance",
        local="distances are rounded on the wire",
        summary="Return how far two members are from each other.",
    )
    def geodist(
        self, key: str, member1: object, member2: object, unit: str = "m"
    ) -> float | None:
        """How far two members are from each other; None if one is missing.

        Args:
            unit: "m", "km", "ft" or "mi".
        """
        metres = metres_of(unit)
        one, other = self._scores(key, (member1, member2))
        if one is None or other is None:
            return None
        longitude, latitude = point_of(one)
        other_longitude, other_latitude = point_of(other)
        return distance_m(longitude, latitude, other_longitude, other_latitude) / metres

    def _scores(self, key: str, members: tuple[object, ...]) -> list[float | None]:
        key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return [None] * len(names)
            found = sorted_set_at(space, entry)
            return [found.score(name) for name in names]
        finally:
            self._leave()

    @command(
        "GEOSEARCH key " + _CENTRE_AND_SHAPE + _ORDER + _COUNT + _EXTRAS,
        complexity=_SEARCHED,
        reply="points",
        local="distances are rounded on the wire",
        summary="Return the members in a circle or a box.",
    )
    def geosearch(
        self,
        key: str,
        member: object = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        *,
        withcoord: bool = False,
        withdist: bool = False,
        withhash: bool = False,
    ) -> Points:
        """The members in a circle or a box.

        Args:
            member: the one at the centre; or else
            longitude, latitude: of the centre, in degrees.
            unit: "m", "km", "ft" or "mi".
            radius: of a circle; or else
            width, height: of a box.
            sort: "ASC" or "DESC" by distance from the centre.
            count: at most so many, the nearest ones.
            any: any so many instead: the search stops when they are found.
            withcoord, withdist, withhash: tuples of the member, its distance, its score
                and its (longitude, latitude) instead of members, as far as asked for.

        Raises:
            ArgumentError: without a centre or a shape, for a centre that is not there, and
                for a negative length.
        """
        search = Search("GEOSEARCH", member, longitude, latitude, unit)
        search.shape(radius, width, height)
        search.order(sort, count, any)
        return self._search(key, search, withcoord, withdist, withhash)

    @command(
        "GEOSEARCHSTORE destination:ow-update source "
        + _CENTRE_AND_SHAPE
        + _ORDER
        + _COUNT
        + "[STOREDIST]",
        complexity=_SEARCHED,
        grows=True,
        summary="Store the members in a circle or a box at a key.",
    )
    def geosearchstore(
        self,
        destination: str,
        source: str,
        member: object = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        *,
        storedist: bool = False,
    ) -> int:
        """Stores what `geosearch` finds in place of whatever is there; how many members.

        Args:
            storedist: their distances as scores instead of their points.
        """
        search = Search("GEOSEARCHSTORE", member, longitude, latitude, unit)
        search.shape(radius, width, height)
        search.order(sort, count, any)
        return self._store_found(source, search, destination, storedist)

    def _search(
        self, key: str, search: Search, withcoord: bool, withdist: bool, withhash: bool
    ) -> Points:
        key = exact_key(key)
        searching = ReturningSearch(self._space, key, search, withcoord, withdist, withhash)
        return cast("Points", self._run_on([key], searching))

    def _store_around(
        self,
        key: str,
        search: Search,
        store: str | None,
        storedist: str | None,
        has_extras: bool,
    ) -> int:
        if has_extras:
            raise ArgumentError(
                "STORE option in GEORADIUS is not compatible with "
                "WITHDIST, WITHHASH and WITHCOORD options"
            )
        if storedist is not None:
            if store is not None:
                raise CommandSyntaxError()
            return self._store_found(key, search, storedist, True)
        return self._store_found(key, search, cast(str, store), False)

    def _store_found(
        self, source: str, search: Search, destination: str, by_distance: bool
    ) -> int:
        source = exact_key(source)
        destination = exact_key(destination)
        storing = StoringSearch(self._space, source, search, destination, by_distance)
        return cast(int, self._run_on([source], storing))


@command(
    "GEORADIUS key longitude latitude radius " + _UNIT + _EXTRAS + _COUNT + _ORDER + _STORE,
    complexity=_SEARCHED,
    grows=True,
    reply="points",
    deprecated="6.2.0",
    instead="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    summary="Return or store the members in a circle; an older form of GEOSEARCH.",
)
def georadius(
    cache: Geo,
    key: str,
    longitude: float,
    latitude: float,
    radius: float,
    unit: str = "m",
    withdist: bool = False,
    withcoord: bool = False,
    withhash: bool = False,
    count: int | None = None,
    sort: str | None = None,
    store: str | None = None,
    storedist: str | None = None,
    any: bool = False,
) -> Points | int:
    """The members in a circle; else as `geosearch`.

    Args:
        store, storedist: a key to store them at as `geosearchstore` does; then it is
            their number that is returned.
    """
    search = Search("GEORADIUS", None, longitude, latitude, unit)
    search.shape(radius, None, None)
    search.order(sort, count, any)
    extras = withcoord or withdist or withhash
    if store is not None or storedist is not None:
        return cache._store_around(key, search, store, storedist, extras)
    return cache._search(key, search, withcoord, withdist, withhash)


@command(
    "GEORADIUS_RO key longitude latitude radius " + _UNIT + _EXTRAS + _COUNT + _ORDER,
    complexity=_SEARCHED,
    reply="points",
    deprecated="6.2.0",
    instead="`GEOSEARCH` with the `BYRADIUS` argument",
    summary="Return the members in a circle; an older form of GEOSEARCH.",
)
def georadius_ro(
    cache: Geo,
    key: str,
    longitude: float,
    latitude: float,
    radius: float,
    unit: str = "m",
    withdist: bool = False,
    withcoord: bool = False,
    withhash: bool = False,
    count: int | None = None,
    sort: str | None = None,
    any: bool = False,
) -> Points:
    """As `georadius`, but it stores nothing."""
    search = Search("GEORADIUS_RO", None, longitude, latitude, unit)
    search.shape(radius, None, None)
    search.order(sort, count, any)
    return cache._search(key, search, withcoord, withdist, withhash)


@command(
    "GEORADIUSBYMEMBER key member radius " + _UNIT + _EXTRAS + _COUNT + _ORDER + _STORE,
    complexity=_SEARCHED,
    grows=True,
    reply="points",
    deprecated="6.2.0",
    instead="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    summary="Return or store the members around one; an older form of GEOSEARCH.",
)
def georadiusbymember(
    cache: Geo,
    key: str,
    member: object,
    radius: float,
    unit: str = "m",
    withdist: bool = False,
    withcoord: bool = False,
    withhash: bool = False,
    count: int | None = None,
    sort: str | None = None,
    store: str | None = None,
    storedist: str | None = None,
    any: bool = False,
) -> Points | int:
    """The members in a circle around one of them; else as `georadius`."""
    search = Search("GEORADIUSBYMEMBER", member, None, None, unit)
    search.shape(radius, None, None)
    search.order(sort, count, any)
    extras = withcoord or withdist or withhash
    if store is not None or storedist is not None:
        return cache._store_around(key, search, store, storedist, extras)
    return cache._search(key, search, withcoord, withdist, withhash)


@command(
    "GEORADIUSBYMEMBER_RO key member radius " + _UNIT + _EXTRAS + _COUNT + _ORDER,
    complexity=_SEARCHED,
    reply="points",
    deprecated="6.2.0",
    instead="`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    summary="Return the members around one; an older form of GEOSEARCH.",
)
def georadiusbymember_ro(
    cache: Geo,
    key: str,
    member: object,
    radius: float,
    unit: str = "m",
    withdist: bool = False,
    withcoord: bool = False,
    withhash: bool = False,
    count: int | None = None,
    sort: str | None = None,
    any: bool = False,
) -> Points:
    """As `georadiusbymember`, but it stores nothing."""
    search = Search("GEORADIUSBYMEMBER_RO", member, None, None, unit)
    search.shape(radius, None, None)
    search.order(sort, count, any)
    return cache._search(key, search, withcoord, withdist, withhash)


def _rows(mapping: object) -> list[tuple[float, str]]:
    """Scores and members of a mapping, of rows, or of rows one after the other."""
    rows: list[tuple[float, str]] = []
    if isinstance(mapping, Mapping):
        for member, (longitude, latitude) in mapping.items():
            rows.append(_row(longitude, latitude, member))
        return rows
    items = list(cast("Iterable[object]", mapping))
    if items and not isinstance(items[0], (tuple, list)):
        if len(items) % 3 != 0:
            raise CommandSyntaxError()
        for at in range(0, len(items), 3):
            rows.append(_row(items[at], items[at + 1], items[at + 2]))
        return rows
    for item in items:
        # a row may be a list, which compiled code would not unpack as a tuple
        longitude, latitude, member = cast("Iterable[object]", item)
        rows.append(_row(longitude, latitude, member))
    return rows


def _row(longitude: object, latitude: object, member: object) -> tuple[float, str]:
    east, north = point_at(longitude, latitude)
    return score_of(east, north), name_of(member)
