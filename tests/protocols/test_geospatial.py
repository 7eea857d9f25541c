"""The geo commands through every protocol: the shapes of their replies."""

from __future__ import annotations

import pytest
from every_protocol import Protocol

PALERMO = (13.361389338970184, 38.1155563954963)
CATANIA = (15.087267458438873, 37.50266842333162)


@pytest.fixture(autouse=True)
def _sicily(protocol: Protocol) -> object:
    protocol(
        "GEOADD", "s", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"
    )
    yield
    protocol.cache._check()


def coordinates(protocol: Protocol, point: tuple[float, float]) -> list[object]:
    """A point as the protocol tells it: RESP2 has no doubles, and 17 decimals."""
    if protocol.name != "resp2":
        return list(point)
    return [f"{degrees:.17f}".rstrip("0") for degrees in point]


def test_geoadd_counts_what_is_new_and_with_ch_what_moved(protocol: Protocol) -> None:
    protocol.gives(0, "GEOADD", "s", "13", "38", "Palermo")
    protocol.gives(2, "GEOADD", "s", "CH", "13.5", "38", "Palermo", "1", "1", "new")
    protocol.gives(0, "GEOADD", "s", "NX", "CH", "1", "1", "Palermo")
    protocol.gives(0, "GEOADD", "s", "XX", "1", "1", "other")
    protocol.gives(0, "GEOADD", "none", "XX", "1", "1", "other")
    protocol.gives("-ERR syntax error", "GEOADD", "s", "NX", "XX", "1", "1", "a")
    protocol.gives("-ERR syntax error", "GEOADD", "s", "1", "1", "a", "2")


def test_geoadd_refuses_what_no_map_shows(protocol: Protocol) -> None:
    pair = "-ERR invalid longitude,latitude pair"
    protocol.gives(f"{pair} 180.100000,1.000000", "GEOADD", "s", "180.1", "1", "a")
    protocol.gives(f"{pair} 1.000000,-85.100000", "GEOADD", "s", "1", "-85.1", "a")
    protocol.gives("-ERR value is not a valid float", "GEOADD", "s", "x", "1", "a")
    protocol.gives(2, "ZCARD", "s")


def test_a_place_is_the_score_of_a_member(protocol: Protocol) -> None:
    assert str(protocol("ZSCORE", "s", "Palermo")).removesuffix(".0") == "3479099956230698"


def test_geopos_gives_longitude_and_latitude(protocol: Protocol) -> None:
    expected = [coordinates(protocol, PALERMO), None]
    assert protocol("GEOPOS", "s", "Palermo", "nope") == expected
    protocol.gives([], "GEOPOS", "s")
    protocol.gives([None], "GEOPOS", "none", "a")


def test_geohash_gives_eleven_letters(protocol: Protocol) -> None:
    protocol.gives(
        ["sqc8b49rny0", None, "sqdtr74hyu0"], "GEOHASH", "s", "Palermo", "x", "Catania"
    )
    protocol.gives([], "GEOHASH", "s")


def test_geodist_has_four_decimals(protocol: Protocol) -> None:
    protocol.gives("166274.1516", "GEODIST", "s", "Palermo", "Catania")
    protocol.gives("166.2742", "GEODIST", "s", "Palermo", "Catania", "KM")
    protocol.gives("0.0000", "GEODIST", "s", "Palermo", "Palermo", "mi")
    protocol.gives(None, "GEODIST", "s", "Palermo", "nope")
    protocol.gives(
        "-ERR unsupported unit provided. please use M, KM, FT, MI",
        *["GEODIST", "s", "Palermo", "Catania", "league"],
    )


def test_geosearch_gives_members_or_what_is_asked_for(protocol: Protocol) -> None:
    search = ["GEOSEARCH", "s", "FROMLONLAT", "15", "37", "BYRADIUS", "200", "km"]
    protocol.gives(["Palermo", "Catania"], *search)
    protocol.gives(["Catania", "Palermo"], *search, "ASC")
    protocol.gives(["Catania"], *search, "COUNT", "1")
    protocol.gives(["Palermo"], *search, "COUNT", "1", "ANY")
    expected = [
        ["Catania", "56.4413", 3479447370796909, coordinates(protocol, CATANIA)],
        ["Palermo", "190.4424", 3479099956230698, coordinates(protocol, PALERMO)],
    ]
    assert protocol(*search, "WITHCOORD", "WITHHASH", "WITHDIST", "ASC") == expected
    assert protocol(*search, "WITHDIST", "COUNT", "1") == [["Catania", "56.4413"]]


def test_geosearch_looks_into_a_box(protocol: Protocol) -> None:
    around = ["GEOSEARCH", "s", "FROMMEMBER", "Palermo"]
    protocol.gives(["Palermo"], *around, "BYBOX", "200", "200", "km")
    protocol.gives(["Palermo", "Catania"], *around, "BYBOX", "400", "200", "km")
    protocol.gives(["Palermo"], *around, "BYBOX", "400", "100", "km")


def test_geosearch_wants_one_centre_and_one_shape(protocol: Protocol) -> None:
    protocol.gives(
        "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
        *["GEOSEARCH", "s", "BYRADIUS", "1", "km", "ASC", "WITHDIST"],
    )
    protocol.gives(
        "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        *["GEOSEARCH", "s", "FROMLONLAT", "1", "1", "ASC", "WITHDIST"],
    )
    protocol.gives(
        "-ERR could not decode requested zset member",
        *["GEOSEARCH", "s", "FROMMEMBER", "nope", "BYRADIUS", "1", "km"],
    )


def test_geosearchstore_stores_places_or_distances(protocol: Protocol) -> None:
    argv = ["d", "s", "FROMMEMBER", "Palermo", "BYRADIUS", "200", "km"]
    protocol.gives(2, "GEOSEARCHSTORE", *argv)
    assert coordinates(protocol, CATANIA) == protocol("GEOPOS", "d", "Catania")[0]
    protocol.gives(2, "GEOSEARCHSTORE", *argv, "STOREDIST")
    protocol.gives(["Palermo", "Catania"], "ZRANGE", "d", "0", "200", "BYSCORE")
    protocol.gives(0, "GEOSEARCHSTORE", "d", "none", *argv[2:])
    protocol.gives(0, "EXISTS", "d")


@pytest.mark.parametrize(
    "centre", [["GEORADIUS", "s", "15", "37"], ["GEORADIUSBYMEMBER", "s", "Catania"]]
)
def test_the_older_forms_search_and_store(protocol: Protocol, centre: list[str]) -> None:
    protocol.gives(["Palermo", "Catania"], *centre, "200", "km")
    protocol.gives(["Catania"], *centre, "200", "km", "COUNT", "1")
    protocol.gives(2, *centre, "200", "km", "STORE", "d")
    protocol.gives(2, "ZCARD", "d")
    protocol.gives(1, *centre, "100", "km", "STOREDIST", "d")
    protocol.gives(["Catania"], "ZRANGE", "d", "0", "100", "BYSCORE")
    protocol.gives(
        "-ERR STORE option in GEORADIUS is not compatible with "
        "WITHDIST, WITHHASH and WITHCOORD options",
        *[*centre, "1", "km", "STORE", "d", "WITHDIST"],
    )
    read_only = [centre[0] + "_RO", *centre[1:], "200", "km"]
    protocol.gives(["Palermo", "Catania"], *read_only)
    protocol.gives("-ERR syntax error", *read_only, "STORE", "d")


def test_another_kind_of_value_is_refused(protocol: Protocol) -> None:
    protocol("SET", "k", "v")
    wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
    protocol.gives(wrong, "GEOADD", "k", "1", "1", "a")
    protocol.gives(wrong, "GEOPOS", "k", "a")
    protocol.gives(wrong, "GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYRADIUS", "1", "m")
