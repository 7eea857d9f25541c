"""The geo commands in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import random

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ArgumentError, ArityError, CommandSyntaxError, NotAFloatError
from cachestorm.values.geohash import distance_m

PALERMO = (13.361389, 38.115556)
CATANIA = (15.087269, 37.502669)


@pytest.fixture
def cache() -> Cache:
    made = Cache()
    made.geoadd("s", {"Palermo": PALERMO, "Catania": CATANIA})
    return made


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": (1.0, 2.0), "b": (3, 4)},
        [(1.0, 2.0, "a"), (3, 4, b"b")],
        [1.0, 2.0, "a", "3", "4", "b"],
        ((1, 2, "a"), [3, 4, "b"]),
    ],
)
def test_geoadd_takes_a_mapping_or_rows_or_one_row_after_the_other(mapping: object) -> None:
    cache = Cache()
    assert cache.geoadd("g", mapping) == 2
    a, b = cache.geopos("g", "a", "b")
    assert pytest.approx(a, abs=1e-5) == (1.0, 2.0)
    assert pytest.approx(b, abs=1e-5) == (3.0, 4.0)


def test_geoadd_of_nothing_or_of_half_a_row_is_refused(cache: Cache) -> None:
    with pytest.raises(ArityError):
        cache.geoadd("s", {})
    with pytest.raises(CommandSyntaxError):
        cache.geoadd("s", [1, 2])
    with pytest.raises(NotAFloatError):
        cache.geoadd("s", {"a": ("east", 1)})


def test_a_refused_geoadd_adds_nothing(cache: Cache) -> None:
    with pytest.raises(ArgumentError, match="invalid longitude,latitude pair"):
        cache.geoadd("s", {"a": (1, 1), "pole": (0, 90)})
    assert cache.zcard("s") == 2


def test_a_distance_is_a_float_in_the_unit_that_is_asked_for(cache: Cache) -> None:
    metres = cache.geodist("s", "Palermo", "Catania")
    assert metres == pytest.approx(166274.1516, abs=1e-4)
    assert metres / 1000 == cache.geodist("s", "Palermo", "Catania", "km")
    assert metres / 0.3048 == cache.geodist("s", "Palermo", "Catania", unit="FT")
    assert cache.geodist("s", "Palermo", "Rome") is None


def test_a_search_tells_what_is_asked_for_as_tuples(cache: Cache) -> None:
    ((member, distance, score, place),) = cache.geosearch(
        *["s", "Palermo"], radius=1, unit="km", withdist=True, withhash=True, withcoord=True
    )
    assert (member, distance, score) == ("Palermo", 0.0, 3479099956230698)
    assert [place] == cache.geopos("s", "Palermo")


def test_a_search_without_a_centre_or_a_shape_is_refused(cache: Cache) -> None:
    with pytest.raises(ArgumentError, match="exactly one of FROMMEMBER or FROMLONLAT"):
        cache.geosearch("s", radius=1)
    with pytest.raises(ArgumentError, match="exactly one of FROMMEMBER or FROMLONLAT"):
        cache.geosearch("s", longitude=1, radius=1)
    with pytest.raises(ArgumentError, match="exactly one of BYRADIUS and BYBOX"):
        cache.geosearch("s", "Palermo", width=1)
    with pytest.raises(CommandSyntaxError):
        cache.geosearch("s", "Palermo", longitude=1, latitude=1, radius=1)
    with pytest.raises(CommandSyntaxError):
        cache.geosearch("s", "Palermo", radius=1, width=1, height=1)
    with pytest.raises(CommandSyntaxError):
        cache.geosearch("s", "Palermo", radius=1, sort="UP")
    with pytest.raises(ArgumentError, match="the ANY argument requires COUNT"):
        cache.geosearch("s", "Palermo", radius=1, any=True)
    with pytest.raises(ArgumentError, match="COUNT must be > 0"):
        cache.geosearch("s", "Palermo", radius=1, count=0)
    with pytest.raises(ArgumentError, match="radius cannot be negative"):
        cache.geosearch("s", "Palermo", radius=-1)


def test_a_place_may_be_stored_and_found_over_itself(cache: Cache) -> None:
    assert cache.execute(*["GEORADIUS", "s", "15", "37", "200", "km", "STORE", "s"]) == 2
    assert cache.execute(*["GEORADIUS", "s", "15", "37", "100", "km"]) == ["Catania"]
    with pytest.raises(CommandSyntaxError):
        cache.execute(
            *["GEORADIUS", "s", "15", "37", "200", "km", "STORE", "a", "STOREDIST", "b"]
        )


def test_geoadd_keeps_tags_and_time_to_live_and_a_store_drops_them() -> None:
    cache = Cache(clock=ManualClock())
    cache.geoadd("g", {"a": (1, 1)})
    cache.addtag("g", "t")
    cache.expire("g", 60)
    cache.geoadd("g", {"b": (1, 1)})
    assert (cache.tags("g"), cache.ttl("g")) == (["t"], 60)
    cache.geosearchstore("g", "g", "a", radius=1)
    assert (cache.tags("g"), cache.ttl("g")) == ([], None)
    cache._check()


def test_a_search_finds_exactly_the_members_within_the_radius() -> None:
    chance = random.Random(5)
    cache = Cache()
    places = {
        f"m{number}": (chance.uniform(-179, 179), chance.uniform(-75, 75))
        for number in range(3000)
    }
    cache.geoadd("g", places)
    kept = dict(zip(places, cache.geopos("g", *places), strict=True))
    for _ in range(40):
        longitude, latitude = chance.uniform(-150, 150), chance.uniform(-60, 60)
        radius = 10 ** chance.uniform(3, 6.1)
        within = {
            name
            for name, place in kept.items()
            if distance_m(longitude, latitude, *place) <= radius
        }
        found = cache.geosearch("g", None, longitude, latitude, radius=radius)
        assert within == set(found)
        assert len(found) == len(within)
        nearest = cache.geosearch(
            "g", None, longitude, latitude, radius=radius, count=5, withdist=True
        )
        assert sorted(distance for _, distance in nearest) == [d for _, d in nearest]
