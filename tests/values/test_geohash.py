"""The mathematics of geohashes: points that come back, and areas that are covered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestorm.values.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    Box,
    Circle,
    distance_m,
    geohash_of,
    point_of,
    score_of,
)

# at the very edge, or what rounds to it, the number of the cell does not fit into its bits, as
# in Redis
longitudes = st.floats(-LONGITUDE_MAX, LONGITUDE_MAX - 1e-9)
latitudes = st.floats(-LATITUDE_MAX, LATITUDE_MAX - 1e-9)
EVERY_SCORE = st.floats(allow_nan=False)


@given(longitudes, latitudes)
def test_a_place_comes_back_to_half_a_cell(longitude: float, latitude: float) -> None:
    east, north = point_of(score_of(longitude, latitude))
    assert abs(east - longitude) <= LONGITUDE_MAX / 2**26 * 1.00001
    assert abs(north - latitude) <= LATITUDE_MAX / 2**26 * 1.00001


@given(st.floats(-179.99, 179.99), st.floats(-85, 85))
def test_a_place_that_came_back_has_the_same_score(longitude: float, latitude: float) -> None:
    score = score_of(longitude, latitude)
    assert score == score_of(*point_of(score))
    assert 0 <= score < 2**52


@given(EVERY_SCORE)
def test_every_score_is_a_place_on_the_map(score: float) -> None:
    longitude, latitude = point_of(score)
    assert abs(longitude) <= LONGITUDE_MAX
    assert abs(latitude) <= LATITUDE_MAX
    assert len(geohash_of(score)) == 11


@pytest.mark.parametrize(
    ("longitude", "latitude", "letters"),
    [
        (-5.603, 42.605, "ezs42"),
        (10.40744, 57.64911, "u4pruydqqv"),
        (-0.1246, 51.5007, "gcpuvp"),
    ],
)
def test_a_geohash_is_that_of_the_rest_of_the_world(
    longitude: float, latitude: float, letters: str
) -> None:
    assert geohash_of(score_of(longitude, latitude)).startswith(letters[:9])


@given(longitudes, latitudes, longitudes, latitudes)
def test_the_way_there_is_the_way_back(
    longitude: float, latitude: float, other_longitude: float, other_latitude: float
) -> None:
    there = distance_m(longitude, latitude, other_longitude, other_latitude)
    back = distance_m(other_longitude, other_latitude, longitude, latitude)
    assert there == pytest.approx(back)
    assert 0 <= there <= 20_021_000


def is_covered(ranges: list[tuple[float, float]], score: float) -> bool:
    return any(low <= score < high for low, high in ranges)


@given(
    st.floats(-170, 170),
    st.floats(-60, 60),
    st.floats(0, 1e6),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_nine_ranges_cover_all_of_an_area(
    longitude: float, latitude: float, radius: float, east: float, north: float
) -> None:
    degrees = radius / 111_000
    there = (longitude + 2 * east * degrees, latitude + north * degrees)
    if abs(there[0]) > LONGITUDE_MAX or abs(there[1]) > LATITUDE_MAX:
        return
    score = score_of(*there)
    point = point_of(score)
    for area in (
        Circle(longitude, latitude, radius),
        Box(longitude, latitude, radius * 2, radius),
    ):
        ranges = area.score_ranges()
        assert 1 <= len(ranges) <= 9
        assert area.distance_m(*point) < 0 or is_covered(ranges, score)


def test_no_range_is_searched_twice() -> None:
    for reach in (0, 1, 1e3, 1e5, 1e6, 3e6, 1e7, 3e7, float("inf")):
        for latitude in (0, -70, 85, LATITUDE_MAX):
            for longitude in (0, 179.9, -180, 180):
                ranges = Circle(longitude, latitude, reach).score_ranges()
                assert len(set(ranges)) == len(ranges)
