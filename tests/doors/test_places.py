"""The geo commands through every door: the shapes of their replies."""

from __future__ import annotations

import pytest
from every_door import Door

PALERMO = (13.361389338970184, 38.1155563954963)
CATANIA = (15.087267458438873, 37.50266842333162)


@pytest.fixture(autouse=True)
def _sicily(door: Door) -> object:
    door(
        "GEOADD", "s", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"
    )
    yield
    door.cache._check()


def coordinates(door: Door, place: tuple[float, float]) -> list[object]:
    """A place as the door tells it: RESP2 has no doubles, and 17 decimals."""
    if door.name != "resp2":
        return list(place)
    return [f"{degrees:.17f}".rstrip("0") for degrees in place]


def test_geoadd_counts_what_is_new_and_with_ch_what_moved(door: Door) -> None:
    door.gives(0, "GEOADD", "s", "13", "38", "Palermo")
    door.gives(2, "GEOADD", "s", "CH", "13.5", "38", "Palermo", "1", "1", "new")
    door.gives(0, "GEOADD", "s", "NX", "CH", "1", "1", "Palermo")
    door.gives(0, "GEOADD", "s", "XX", "1", "1", "other")
    door.gives(0, "GEOADD", "none", "XX", "1", "1", "other")
    door.gives("-ERR syntax error", "GEOADD", "s", "NX", "XX", "1", "1", "a")
    door.gives("-ERR syntax error", "GEOADD", "s", "1", "1", "a", "2")


def test_geoadd_refuses_what_no_map_shows(door: Door) -> None:
    pair = "-ERR invalid longitude,latitude pair"
    door.gives(f"{pair} 180.100000,1.000000", "GEOADD", "s", "180.1", "1", "a")
    door.gives(f"{pair} 1.000000,-85.100000", "GEOADD", "s", "1", "-85.1", "a")
    door.gives("-ERR value is not a valid float", "GEOADD", "s", "x", "1", "a")
    door.gives(2, "ZCARD", "s")


def test_a_place_is_the_score_of_a_member(door: Door) -> None:
    assert str(door("ZSCORE", "s", "Palermo")).removesuffix(".0") == "3479099956230698"


def test_geopos_gives_longitude_and_latitude(door: Door) -> None:
    expected = [coordinates(door, PALERMO), None]
    assert door("GEOPOS", "s", "Palermo", "nope") == expected
    door.gives([], "GEOPOS", "s")
    door.gives([None], "GEOPOS", "none", "a")


def test_geohash_gives_eleven_letters(door: Door) -> None:
    door.gives(["sqc8b49rny0", None, "sqdtr74hyu0"], "GEOHASH", "s", "Palermo", "x", "Catania")
    door.gives([], "GEOHASH", "s")


def test_geodist_has_four_decimals(door: Door) -> None:
    door.gives("166274.1516", "GEODIST", "s", "Palermo", "Catania")
    door.gives("166.2742", "GEODIST", "s", "Palermo", "Catania", "KM")
    door.gives("0.0000", "GEODIST", "s", "Palermo", "Palermo", "mi")
    door.gives(None, "GEODIST", "s", "Palermo", "nope")
    door.gives(
        "-ERR unsupported unit provided. please use M, KM, FT, MI",
        *["GEODIST", "s", "Palermo", "Catania", "league"],
    )


def test_geosearch_gives_members_or_what_is_asked_for(door: Door) -> None:
    search = ["GEOSEARCH", "s", "FROMLONLAT", "15", "37", "BYRADIUS", "200", "km"]
    door.gives(["Palermo", "Catania"], *search)
    door.gives(["Catania", "Palermo"], *search, "ASC")
    door.gives(["Catania"], *search, "COUNT", "1")
    door.gives(["Palermo"], *search, "COUNT", "1", "ANY")
    expected = [
        ["Catania", "56.4413", 3479447370796909, coordinates(door, CATANIA)],
        ["Palermo", "190.4424", 3479099956230698, coordinates(door, PALERMO)],
    ]
    assert door(*search, "WITHCOORD", "WITHHASH", "WITHDIST", "ASC") == expected
    assert door(*search, "WITHDIST", "COUNT", "1") == [["Catania", "56.4413"]]


def test_geosearch_looks_into_a_box(door: Door) -> None:
    around = ["GEOSEARCH", "s", "FROMMEMBER", "Palermo"]
    door.gives(["Palermo"], *around, "BYBOX", "200", "200", "km")
    door.gives(["Palermo", "Catania"], *around, "BYBOX", "400", "200", "km")
    door.gives(["Palermo"], *around, "BYBOX", "400", "100", "km")


def test_geosearch_wants_one_centre_and_one_shape(door: Door) -> None:
    door.gives(
        "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
        *["GEOSEARCH", "s", "BYRADIUS", "1", "km", "ASC", "WITHDIST"],
    )
    door.gives(
        "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        *["GEOSEARCH", "s", "FROMLONLAT", "1", "1", "ASC", "WITHDIST"],
    )
    door.gives(
        "-ERR could not decode requested zset member",
        *["GEOSEARCH", "s", "FROMMEMBER", "nope", "BYRADIUS", "1", "km"],
    )


def test_geosearchstore_stores_places_or_distances(door: Door) -> None:
    words = ["d", "s", "FROMMEMBER", "Palermo", "BYRADIUS", "200", "km"]
    door.gives(2, "GEOSEARCHSTORE", *words)
    assert coordinates(door, CATANIA) == door("GEOPOS", "d", "Catania")[0]
    door.gives(2, "GEOSEARCHSTORE", *words, "STOREDIST")
    door.gives(["Palermo", "Catania"], "ZRANGE", "d", "0", "200", "BYSCORE")
    door.gives(0, "GEOSEARCHSTORE", "d", "none", *words[2:])
    door.gives(0, "EXISTS", "d")


@pytest.mark.parametrize(
    "centre", [["GEORADIUS", "s", "15", "37"], ["GEORADIUSBYMEMBER", "s", "Catania"]]
)
def test_the_older_forms_search_and_store(door: Door, centre: list[str]) -> None:
    door.gives(["Palermo", "Catania"], *centre, "200", "km")
    door.gives(["Catania"], *centre, "200", "km", "COUNT", "1")
    door.gives(2, *centre, "200", "km", "STORE", "d")
    door.gives(2, "ZCARD", "d")
    door.gives(1, *centre, "100", "km", "STOREDIST", "d")
    door.gives(["Catania"], "ZRANGE", "d", "0", "100", "BYSCORE")
    door.gives(
        "-ERR STORE option in GEORADIUS is not compatible with "
        "WITHDIST, WITHHASH and WITHCOORD options",
        *[*centre, "1", "km", "STORE", "d", "WITHDIST"],
    )
    read_only = [centre[0] + "_RO", *centre[1:], "200", "km"]
    door.gives(["Palermo", "Catania"], *read_only)
    door.gives("-ERR syntax error", *read_only, "STORE", "d")


def test_another_kind_of_value_is_refused(door: Door) -> None:
    door("SET", "k", "v")
    wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
    door.gives(wrong, "GEOADD", "k", "1", "1", "a")
    door.gives(wrong, "GEOPOS", "k", "a")
    door.gives(wrong, "GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYRADIUS", "1", "m")
