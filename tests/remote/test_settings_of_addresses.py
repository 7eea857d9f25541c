"""Addresses: what stands in them, and what is refused before anything connects."""

from __future__ import annotations

from typing import Any

import pytest

from cachestorm import Cache, connect
from cachestorm.contrib.places import Place
from cachestorm.errors import ConfigError
from cachestorm.remote.address import options_in
from cachestorm.remote.connected import ConnectedCache
from cachestorm.remote.near_caches import NearCache


@pytest.mark.parametrize(
    ("url", "options", "part"),
    [
        ("http://here", {}, "http:// address"),
        ("http://here", {}, "local://name"),
        ("local://", {}, "use local://name"),
        ("local://a/b", {}, "letters, digits"),
        ("local://" + "n" * 100, {}, "too long"),
        ("local://n", {"colour": "red"}, "colour"),
        ("local://n", {"linger": 0}, "above zero"),
        ("local://n", {"linger": "soon"}, "above zero"),
        ("local://n", {"data_dir": "here"}, "as long as somebody uses them"),
        ("local://n", {"weigher": len}, "travel to another process"),
        ("local://n", {"max_entries": -1}, "max_entries"),
        ("local://n", {"codec": "xml"}, "codec is one of"),
        ("redis://here:port", {}, "port"),
        ("redis://here", {"colour": "red"}, "colour"),
        ("memory://name", {}, "memory://name: memory:// has no name"),
        (None, {}, "an address is text, such as redis://host:6380, not NoneType"),
        (b"redis://user:secret@host", {}, "not bytes"),
        ("memory://?colour=red", {}, "no setting colour"),
        ("memory://?max_entries=-1", {}, "max_entries"),
        ("memory://?near=5", {}, "near is True, False, or settings"),
        ("memory://", {"near": {"size": 3}}, "near has no setting size"),
        ("memory://", {"on_error": "hide"}, "on_error is 'raise' or 'miss'"),
        ("memory://", {"max_pending": -1}, "max_pending"),
        ("redis://here?decode_responses=true", {}, "decode_responses: not an option"),
        ("redis://here?protocol=2", {"near": True}, "needs protocol=3 of redis://here"),
        ("redis://here", {"near": True, "protocol": 2}, "needs protocol=3 of redis://here"),
        ("cluster://here:1?protocol=2", {"near": True}, "needs protocol=3"),
        ("unix://tmp/socket", {}, "unix:///path/to/socket"),
        ("here", {}, "use memory:// for this process"),
        ("local://n?colour=red", {}, "colour"),
        ("cluster://here:1?colour=red", {}, "colour"),
        ("redis://here?colour=red", {}, "colour"),
        ("redis://here", {"near": None}, "near is True, False, or settings"),
        ("redis://here?on_error=hide&near=true", {}, "on_error"),
        ("redis://here?neer=true", {}, r"\?neer= means nothing; did you mean near\?"),
        ("redis://here", {"socket_timout": 1}, r"did you mean socket_timeout\?"),
        ("cluster://here:1?neer=true", {}, r"neer: .* did you mean near\?"),
        ("memory://?max_memry=1mb", {}, r"no setting max_memry.* did you mean max_memory\?"),
        (
            "localhost:6380",
            {},
            r"'localhost:6380' is no .*; did you mean redis://localhost:6380",
        ),
        ("ann:secret@here", {}, r"^'here' is no address: .*; did you mean redis://here\?"),
        ("memory:", {}, r"'memory:' is no address: .*; did you mean memory://\?"),
        ("local:shop", {}, r"did you mean local://shop\?"),
        (
            "rediss://here?ca=a.pem",
            {},
            r"\?ca= is of the command line; here it is ssl_ca_certs",
        ),
        (
            "rediss://here?ssl_ca_certs=/no/a.pem",
            {},
            "ssl_ca_certs: there is no file '/no/a.pem'",
        ),
        ("rediss://here", {"ssl_keyfile": "/no/a.key"}, "ssl_keyfile: there is no file"),
        ("memory://", {"colour": "red"}, "colour"),
        ("redis://here", {"codec": "xml"}, "codec is one of"),
    ],
)
def test_a_wrong_address_is_refused_before_anything_connects(
    url: Any, options: dict[str, Any], part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        connect(url, **options)


def test_settings_stand_in_the_address() -> None:
    cache: Any = connect("Memory://?max_entries=3&default_ttl=5m&hot_keys=false")
    assert isinstance(cache, Cache)
    for key in "abcdef":
        cache[key] = 1
    assert (len(cache), 290 < cache.ttl(cache.keys()[0]) <= 300) == (3, True)


def test_what_stands_in_the_address_counts_before_what_the_program_says() -> None:
    cache: Any = connect("memory://?max_entries=3", max_entries=100)
    for key in "abcdef":
        cache[key] = 1
    assert len(cache) == 3


@pytest.mark.parametrize(
    "url",
    [
        "redis://here:6380/1?near=true&socket_timeout=3&max_pending=7&on_error=miss",
        "cluster://here:6380,there:6380?near=true&socket_timeout=3&max_pending=7&on_error=miss",
        "local://here?near=true&max_entries=5&max_pending=7&on_error=miss",
    ],
)
def test_an_address_says_how_it_is_connected(url: str, folder: Any) -> None:
    cache: Any = connect(url, max_pending=3)
    assert isinstance(cache, NearCache)
    assert (cache._max_pending, cache._absence.on_error) == (7, "miss")
    assert "?" not in cache.address.shown
    cache.close()
    assert type(connect(url.replace("near=true", "near=false"), near=True)) is ConnectedCache


def test_what_redis_py_reads_stays_in_the_address() -> None:
    cache: Any = connect("redis://:p%26q@here/1?near=true&socket_timeout=3")
    assert cache.address.url == "redis://:p%26q@here/1?socket_timeout=3"
    made = cache.address.client().connection_pool.make_connection()
    assert (made.db, made.password, made.socket_timeout) == (1, "p&q", 3.0)


def test_a_framework_takes_the_same_addresses() -> None:
    place = Place.read("memory://pages?max_entries=3", {"policy": "lru"})
    assert (place.name, place.settings) == ("pages", {"policy": "lru", "max_entries": 3})
    place = Place.read("local://pages?max_entries=3&linger=5", {})
    assert (place.settings, place.address and place.address.shown) == (
        {"max_entries": 3},
        "local://pages",
    )
    with pytest.raises(ConfigError, match="no option 'near'"):
        Place.read("redis://here?near=true", {})


def test_a_password_that_looks_like_a_number_is_text() -> None:
    _, told = options_in("cluster://here:7000?password=1234&username=true&socket_timeout=3")
    assert told == {"password": "1234", "username": "true", "socket_timeout": 3}
