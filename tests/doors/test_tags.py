"""Every row of what is decided on tags, through every door."""

from __future__ import annotations

import pytest
from every_door import Door


@pytest.fixture(autouse=True)
def _invariants(door: Door) -> object:
    yield
    door.cache._check()


def test_settag_replaces_value_type_ttl_and_all_tags(door: Door) -> None:
    door("RPUSH", "k", "a")
    door("ADDTAG", "k", "old")
    door("EXPIRE", "k", "100")
    door.gives("OK", "SETTAG", "k", "v", "b", "a", "b")
    door.gives("v", "GET", "k")
    door.gives(-1, "TTL", "k")
    door.gives(["b", "a"], "TAGS", "k")
    door.gives(0, "TAGCOUNT", "old")


def test_settag_wants_a_tag(door: Door) -> None:
    door.gives("-ERR wrong number of arguments for 'settag' command", "SETTAG", "k", "v")
    door.gives("-ERR invalid tag name", "SETTAG", "k", "v", "")
    door.gives(0, "EXISTS", "k")


def test_tag_and_ex_are_good_tags(door: Door) -> None:
    door.gives("OK", "SETTAG", "k", "v", "EX", "TAG")
    door.gives("OK", "SET", "q", "v", "EX", "60", "TAGS", "EX", "NX", "TAGS")
    door.gives(["EX", "NX", "TAGS"], "TAGS", "q")
    door.gives(60, "TTL", "q")
    door.gives(["k", "q"], "TAGKEYS", "EX")


@pytest.mark.parametrize(
    "words",
    [
        ("SET", "k", "w"),
        ("SET", "k", "w", "KEEPTTL"),
        ("MSET", "k", "w"),
        ("GETSET", "k", "w"),
        ("SETEX", "k", "9", "w"),
        ("SINTERSTORE", "k", "s"),
        ("SORT", "l", "STORE", "k"),
    ],
    ids=" ".join,
)
def test_replacing_the_whole_value_drops_the_tags(door: Door, words: tuple[str, ...]) -> None:
    door("SADD", "s", "1")
    door("RPUSH", "l", "1")
    door("SETTAG", "k", "v", "t")
    door(*words)
    door.gives(1, "EXISTS", "k")
    door.gives([], "TAGS", "k")
    door.gives([], "TAGKEYS", "t")
    door.gives(0, "TAGCOUNT", "t")


def test_keepttl_keeps_the_time_to_live_only(door: Door) -> None:
    door("SET", "k", "v", "EX", "100", "TAGS", "t")
    door.gives("OK", "SET", "k", "w", "KEEPTTL")
    door.gives(100, "TTL", "k")
    door.gives([], "TAGS", "k")


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        (("SET", "k", "1"), ("INCR", "k")),
        (("SET", "k", "1"), ("APPEND", "k", "2")),
        (("SET", "k", "1"), ("SETRANGE", "k", "1", "2")),
        (("HSET", "k", "f", "1"), ("HSET", "k", "g", "2")),
        (("RPUSH", "k", "1"), ("LPUSH", "k", "2")),
        (("SADD", "k", "1"), ("SADD", "k", "2")),
        (("ZADD", "k", "1", "a"), ("ZADD", "k", "2", "b")),
    ],
    ids=lambda words: " ".join(words),
)
def test_changing_a_value_keeps_tags_and_ttl(
    door: Door, made: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    door(*made)
    door("ADDTAG", "k", "t", "u")
    door("EXPIRE", "k", "100")
    door(*changed)
    door.gives(["t", "u"], "TAGS", "k")
    door.gives(100, "TTL", "k")
    door.gives(["k"], "TAGKEYS", "t")


def test_expire_and_persist_keep_the_tags(door: Door) -> None:
    door("SETTAG", "k", "v", "t")
    door.gives(1, "EXPIRE", "k", "100")
    door.gives(1, "PERSIST", "k")
    door.gives(["t"], "TAGS", "k")


def test_tags_travel_with_a_renamed_key_and_those_of_the_destination_go(door: Door) -> None:
    door("SETTAG", "a", "1", "t")
    door("SETTAG", "b", "2", "u")
    door.gives("OK", "RENAME", "a", "b")
    door.gives(["t"], "TAGS", "b")
    door.gives(["b"], "TAGKEYS", "t")
    door.gives(0, "TAGCOUNT", "u")


def test_tags_are_copied_with_a_key(door: Door) -> None:
    door("SETTAG", "a", "1", "t", "u")
    door.gives(1, "COPY", "a", "b")
    door.gives(["t", "u"], "TAGS", "b")
    door.gives(["a", "b"], "TAGKEYS", "t")


@pytest.mark.parametrize(
    "words",
    [
        ("DEL", "k"),
        ("UNLINK", "k"),
        ("LPOP", "k"),
        ("FLUSHDB",),
        ("FLUSHALL",),
        ("EXPIRE", "k", "-1"),
    ],
    ids=" ".join,
)
def test_a_key_that_goes_takes_its_tags_along(door: Door, words: tuple[str, ...]) -> None:
    door("RPUSH", "k", "1")
    door("ADDTAG", "k", "t")
    door(*words)
    door.gives([], "TAGS", "k")
    door.gives([], "TAGKEYS", "t")
    door.gives(0, "TAGCOUNT", "t")


def test_an_expired_key_is_in_no_list_of_a_tag(door: Door) -> None:
    door("SET", "k", "v", "PX", "10", "TAGS", "t")
    door.clock.advance(0.011)
    door.gives([], "TAGKEYS", "t")
    door.gives([], "TAGS", "k")
    door.gives(0, "INVALIDATE", "t")


def test_addtag_and_remtag_count_what_changed_and_never_touch_the_ttl(door: Door) -> None:
    door("HSET", "k", "f", "v")
    door("EXPIRE", "k", "100")
    door.gives(2, "ADDTAG", "k", "a", "b", "a")
    door.gives(1, "ADDTAG", "k", "b", "c")
    door.gives(["a", "b", "c"], "TAGS", "k")
    door.gives(2, "REMTAG", "k", "b", "c", "d")
    door.gives(["a"], "TAGS", "k")
    door.gives(100, "TTL", "k")
    door.gives(0, "ADDTAG", "none", "a")
    door.gives(0, "REMTAG", "none", "a")


def test_invalidate_deletes_each_key_of_the_tag_once(door: Door) -> None:
    door("SETTAG", "a", "1", "t", "u")
    door("SETTAG", "b", "1", "t")
    door("SETTAG", "c", "1", "u")
    door.gives(2, "INVALIDATE", "t")
    door.gives(0, "INVALIDATE", "t")
    door.gives(1, "DBSIZE")
    door.gives(["c"], "TAGKEYS", "u")


def test_invalidate_with_cascade_follows_the_links(door: Door) -> None:
    door.gives("OK", "TAGLINK", "users", "admin")
    door.gives("OK", "TAGLINK", "admin", "root")
    door("SETTAG", "a", "1", "users")
    door("SETTAG", "b", "1", "admin", "users")
    door("SETTAG", "c", "1", "root")
    door("SETTAG", "d", "1", "other")
    door.gives(3, "INVALIDATE", "users", "cascade")
    door.gives(["admin"], "TAGCHILDREN", "users")
    door.gives(1, "DBSIZE")


@pytest.mark.parametrize("word", ["DEEP", "CASCADEX", ""])
def test_invalidate_knows_no_other_word(door: Door, word: str) -> None:
    door("SETTAG", "a", "1", "t")
    door.gives("-ERR syntax error", "INVALIDATE", "t", word)
    door.gives(1, "EXISTS", "a")


def test_a_softly_invalidated_key_is_missing_until_it_is_written_again(door: Door) -> None:
    door("SETTAG", "a", "1", "t")
    door("SETTAG", "b", "1", "child")
    door("TAGLINK", "t", "child")
    door.gives(2, "INVALIDATE", "t", "SOFT", "CASCADE")
    door.gives(None, "GET", "a")
    door.gives(0, "EXISTS", "b")
    door.gives(0, "TAGCOUNT", "t")
    door.gives([], "KEYS", "*")
    door.gives("OK", "SETTAG", "a", "2", "t")
    door.gives("2", "GET", "a")
    door.gives(1, "TAGCOUNT", "t")


def test_a_link_is_idempotent_and_never_closes_a_cycle(door: Door) -> None:
    door.gives("OK", "TAGLINK", "a", "b")
    door.gives("OK", "TAGLINK", "a", "b")
    door.gives("OK", "TAGLINK", "x", "b")
    door.gives("OK", "TAGLINK", "b", "c")
    for parent, child in (("a", "a"), ("b", "a"), ("c", "a"), ("c", "x")):
        door.gives("-ERR tag link would create a cycle", "TAGLINK", parent, child)
    door.gives(["b"], "TAGCHILDREN", "a")
    door.gives([], "TAGCHILDREN", "c")


def test_taking_a_link_away_that_is_not_there_is_no_error(door: Door) -> None:
    door("TAGLINK", "a", "b")
    door.gives("OK", "TAGUNLINK", "a", "b")
    door.gives("OK", "TAGUNLINK", "a", "b")
    door.gives([], "TAGCHILDREN", "a")


def test_flushing_clears_the_links(door: Door) -> None:
    door("TAGLINK", "a", "b")
    door("FLUSHDB")
    door.gives([], "TAGCHILDREN", "a")


def test_lists_of_names_are_in_the_order_of_their_bytes(door: Door) -> None:
    for name in ("b", "ä", "a", "B", "\U0001f600", "\uffff"):
        door("SETTAG", name, "1", "t")
        door("TAGLINK", "t", name)
    door.gives(["B", "a", "b", "ä", "\uffff", "\U0001f600"], "TAGKEYS", "t")
    door.gives(["B", "a", "b", "ä", "\uffff", "\U0001f600"], "TAGCHILDREN", "t")


@pytest.mark.parametrize("name", ["TAGS", "TAGKEYS", "TAGCOUNT", "TTL", "TYPE", "EXISTS"])
def test_asking_about_a_key_is_no_access(door: Door, name: str) -> None:
    door("SETTAG", "k", "v", "k")
    before = door.cache.stats()
    door(name, "k")
    after = door.cache.stats()
    assert (before["hits"], before["misses"]) == (after["hits"], after["misses"])


def test_a_tag_has_at_most_1024_bytes(door: Door) -> None:
    door.gives("OK", "SETTAG", "k", "v", "x" * 1024)
    door.gives("-ERR invalid tag name", "SETTAG", "k", "v", "x" * 1025)
    door.gives("-ERR invalid tag name", "TAGCOUNT", "é" * 513)
    door.gives("-ERR invalid tag name", "INVALIDATE", "")


def test_the_example_of_the_readme_works_line_by_line(door: Door) -> None:
    door.gives("OK", "SETTAG", "user:1", "John Doe", "users", "profile")
    door.gives("OK", "SETTAG", "user:2", "Jane", "users", "profile")
    door.gives("OK", "SETTAG", "product:1", "Widget", "products", "catalog")
    door.gives(["user:1", "user:2"], "TAGKEYS", "users")
    door.gives(2, "INVALIDATE", "users")
    door.gives("OK", "TAGLINK", "users", "admin")
    door.gives("OK", "SETTAG", "admin:1", "Admin", "admin", "users")
    door.gives(1, "INVALIDATE", "users", "CASCADE")
    door.gives(["product:1"], "KEYS", "*")
