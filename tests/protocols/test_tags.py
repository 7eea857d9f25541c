"""Every row of what is decided on tags, through every protocol."""

from __future__ import annotations

import pytest
from every_protocol import Protocol


@pytest.fixture(autouse=True)
def _invariants(protocol: Protocol) -> object:
    yield
    protocol.cache._check()


def test_settag_replaces_value_type_ttl_and_all_tags(protocol: Protocol) -> None:
    protocol("RPUSH", "k", "a")
    protocol("ADDTAG", "k", "old")
    protocol("EXPIRE", "k", "100")
    protocol.gives("OK", "SETTAG", "k", "v", "b", "a", "b")
    protocol.gives("v", "GET", "k")
    protocol.gives(-1, "TTL", "k")
    protocol.gives(["b", "a"], "TAGS", "k")
    protocol.gives(0, "TAGCOUNT", "old")


def test_settag_wants_a_tag(protocol: Protocol) -> None:
    protocol.gives("-ERR wrong number of arguments for 'settag' command", "SETTAG", "k", "v")
    protocol.gives(
        "-ERR invalid tag name: it has 1 to 1024 bytes of UTF-8", "SETTAG", "k", "v", ""
    )
    protocol.gives(0, "EXISTS", "k")


def test_tag_and_ex_are_good_tags(protocol: Protocol) -> None:
    protocol.gives("OK", "SETTAG", "k", "v", "EX", "TAG")
    protocol.gives("OK", "SET", "q", "v", "EX", "60", "TAGS", "EX", "NX", "TAGS")
    protocol.gives(["EX", "NX", "TAGS"], "TAGS", "q")
    protocol.gives(60, "TTL", "q")
    protocol.gives(["k", "q"], "TAGKEYS", "EX")


@pytest.mark.parametrize(
    "argv",
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
def test_replacing_the_whole_value_drops_the_tags(
    protocol: Protocol, argv: tuple[str, ...]
) -> None:
    protocol("SADD", "s", "1")
    protocol("RPUSH", "l", "1")
    protocol("SETTAG", "k", "v", "t")
    protocol(*argv)
    protocol.gives(1, "EXISTS", "k")
    protocol.gives([], "TAGS", "k")
    protocol.gives([], "TAGKEYS", "t")
    protocol.gives(0, "TAGCOUNT", "t")


def test_keepttl_keeps_the_time_to_live_only(protocol: Protocol) -> None:
    protocol("SET", "k", "v", "EX", "100", "TAGS", "t")
    protocol.gives("OK", "SET", "k", "w", "KEEPTTL")
    protocol.gives(100, "TTL", "k")
    protocol.gives([], "TAGS", "k")


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
    ids=lambda argv: " ".join(argv),
)
def test_changing_a_value_keeps_tags_and_ttl(
    protocol: Protocol, made: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    protocol(*made)
    protocol("ADDTAG", "k", "t", "u")
    protocol("EXPIRE", "k", "100")
    protocol(*changed)
    protocol.gives(["t", "u"], "TAGS", "k")
    protocol.gives(100, "TTL", "k")
    protocol.gives(["k"], "TAGKEYS", "t")


def test_expire_and_persist_keep_the_tags(protocol: Protocol) -> None:
    protocol("SETTAG", "k", "v", "t")
    protocol.gives(1, "EXPIRE", "k", "100")
    protocol.gives(1, "PERSIST", "k")
    protocol.gives(["t"], "TAGS", "k")


def test_tags_travel_with_a_renamed_key_and_those_of_the_destination_go(
    protocol: Protocol,
) -> None:
    protocol("SETTAG", "a", "1", "t")
    protocol("SETTAG", "b", "2", "u")
    protocol.gives("OK", "RENAME", "a", "b")
    protocol.gives(["t"], "TAGS", "b")
    protocol.gives(["b"], "TAGKEYS", "t")
    protocol.gives(0, "TAGCOUNT", "u")


def test_tags_are_copied_with_a_key(protocol: Protocol) -> None:
    protocol("SETTAG", "a", "1", "t", "u")
    protocol.gives(1, "COPY", "a", "b")
    protocol.gives(["t", "u"], "TAGS", "b")
    protocol.gives(["a", "b"], "TAGKEYS", "t")


@pytest.mark.parametrize(
    "argv",
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
def test_a_key_that_goes_takes_its_tags_along(
    protocol: Protocol, argv: tuple[str, ...]
) -> None:
    protocol("RPUSH", "k", "1")
    protocol("ADDTAG", "k", "t")
    protocol(*argv)
    protocol.gives([], "TAGS", "k")
    protocol.gives([], "TAGKEYS", "t")
    protocol.gives(0, "TAGCOUNT", "t")


def test_an_expired_key_is_in_no_list_of_a_tag(protocol: Protocol) -> None:
    protocol("SET", "k", "v", "PX", "10", "TAGS", "t")
    protocol.clock.advance(0.011)
    protocol.gives([], "TAGKEYS", "t")
    protocol.gives([], "TAGS", "k")
    protocol.gives(0, "INVALIDATE", "t")


def test_addtag_and_remtag_count_what_changed_and_never_touch_the_ttl(
    protocol: Protocol,
) -> None:
    protocol("HSET", "k", "f", "v")
    protocol("EXPIRE", "k", "100")
    protocol.gives(2, "ADDTAG", "k", "a", "b", "a")
    protocol.gives(1, "ADDTAG", "k", "b", "c")
    protocol.gives(["a", "b", "c"], "TAGS", "k")
    protocol.gives(2, "REMTAG", "k", "b", "c", "d")
    protocol.gives(["a"], "TAGS", "k")
    protocol.gives(100, "TTL", "k")
    protocol.gives(0, "ADDTAG", "none", "a")
    protocol.gives(0, "REMTAG", "none", "a")


def test_invalidate_deletes_each_key_of_the_tag_once(protocol: Protocol) -> None:
    protocol("SETTAG", "a", "1", "t", "u")
    protocol("SETTAG", "b", "1", "t")
    protocol("SETTAG", "c", "1", "u")
    protocol.gives(2, "INVALIDATE", "t")
    protocol.gives(0, "INVALIDATE", "t")
    protocol.gives(1, "DBSIZE")
    protocol.gives(["c"], "TAGKEYS", "u")


def test_invalidate_with_cascade_follows_the_links(protocol: Protocol) -> None:
    protocol.gives("OK", "TAGLINK", "users", "admin")
    protocol.gives("OK", "TAGLINK", "admin", "root")
    protocol("SETTAG", "a", "1", "users")
    protocol("SETTAG", "b", "1", "admin", "users")
    protocol("SETTAG", "c", "1", "root")
    protocol("SETTAG", "d", "1", "other")
    protocol.gives(3, "INVALIDATE", "users", "cascade")
    protocol.gives(["admin"], "TAGCHILDREN", "users")
    protocol.gives(1, "DBSIZE")


@pytest.mark.parametrize("arg", ["DEEP", "CASCADEX", ""])
def test_invalidate_knows_no_other_word(protocol: Protocol, arg: str) -> None:
    protocol("SETTAG", "a", "1", "t")
    protocol.gives("-ERR syntax error", "INVALIDATE", "t", arg)
    protocol.gives(1, "EXISTS", "a")


def test_a_softly_invalidated_key_is_missing_until_it_is_written_again(
    protocol: Protocol,
) -> None:
    protocol("SETTAG", "a", "1", "t")
    protocol("SETTAG", "b", "1", "child")
    protocol("TAGLINK", "t", "child")
    protocol.gives(2, "INVALIDATE", "t", "SOFT", "CASCADE")
    protocol.gives(None, "GET", "a")
    protocol.gives(0, "EXISTS", "b")
    protocol.gives(0, "TAGCOUNT", "t")
    protocol.gives([], "KEYS", "*")
    protocol.gives("OK", "SETTAG", "a", "2", "t")
    protocol.gives("2", "GET", "a")
    protocol.gives(1, "TAGCOUNT", "t")


def test_a_link_is_idempotent_and_never_closes_a_cycle(protocol: Protocol) -> None:
    protocol.gives("OK", "TAGLINK", "a", "b")
    protocol.gives("OK", "TAGLINK", "a", "b")
    protocol.gives("OK", "TAGLINK", "x", "b")
    protocol.gives("OK", "TAGLINK", "b", "c")
    for parent, child in (("a", "a"), ("b", "a"), ("c", "a"), ("c", "x")):
        protocol.gives("-ERR tag link would create a cycle", "TAGLINK", parent, child)
    protocol.gives(["b"], "TAGCHILDREN", "a")
    protocol.gives([], "TAGCHILDREN", "c")


def test_taking_a_link_away_that_is_not_there_is_no_error(protocol: Protocol) -> None:
    protocol("TAGLINK", "a", "b")
    protocol.gives("OK", "TAGUNLINK", "a", "b")
    protocol.gives("OK", "TAGUNLINK", "a", "b")
    protocol.gives([], "TAGCHILDREN", "a")


def test_all_links_are_listed_in_the_order_of_their_bytes(protocol: Protocol) -> None:
    for parent, child in (("b", "c"), ("a", "ä"), ("a", "z"), ("ä", "c")):
        protocol("TAGLINK", parent, child)
    protocol.gives([["a", "z"], ["a", "ä"], ["b", "c"], ["ä", "c"]], "TAGLINKS")
    protocol("TAGUNLINK", "a", "z")
    protocol.gives([["a", "ä"], ["b", "c"], ["ä", "c"]], "TAGLINKS")


def test_a_walk_gives_the_tags_that_have_keys(protocol: Protocol) -> None:
    protocol("SETTAG", "k", "v", "author:1", "home")
    protocol("SETTAG", "l", "v", "author:2")
    protocol("TAGLINK", "authors", "author:1")
    protocol("INVALIDATE", "author:2")
    protocol.gives(["0", ["author:1"]], "TAGSCAN", "0", "MATCH", "a*", "COUNT", "10")
    protocol.gives(["0", []], "TAGSCAN", "0", "MATCH", "authors")


def test_flushing_clears_the_links(protocol: Protocol) -> None:
    protocol("TAGLINK", "a", "b")
    protocol("FLUSHDB")
    protocol.gives([], "TAGCHILDREN", "a")


def test_lists_of_names_are_in_the_order_of_their_bytes(protocol: Protocol) -> None:
    for name in ("b", "ä", "a", "B", "\U0001f600", "\uffff"):
        protocol("SETTAG", name, "1", "t")
        protocol("TAGLINK", "t", name)
    protocol.gives(["B", "a", "b", "ä", "\uffff", "\U0001f600"], "TAGKEYS", "t")
    protocol.gives(["B", "a", "b", "ä", "\uffff", "\U0001f600"], "TAGCHILDREN", "t")


@pytest.mark.parametrize("name", ["TAGS", "TAGKEYS", "TAGCOUNT", "TTL", "TYPE", "EXISTS"])
def test_asking_about_a_key_is_no_access(protocol: Protocol, name: str) -> None:
    protocol("SETTAG", "k", "v", "k")
    before = protocol.cache.store_stats()
    protocol(name, "k")
    after = protocol.cache.store_stats()
    assert (before.hits, before.misses) == (after.hits, after.misses)


def test_a_tag_has_at_most_1024_bytes(protocol: Protocol) -> None:
    protocol.gives("OK", "SETTAG", "k", "v", "x" * 1024)
    protocol.gives(
        "-ERR invalid tag name: it has 1 to 1024 bytes of UTF-8", "SETTAG", "k", "v", "x" * 1025
    )
    protocol.gives(
        "-ERR invalid tag name: it has 1 to 1024 bytes of UTF-8", "TAGCOUNT", "é" * 513
    )
    protocol.gives("-ERR invalid tag name: it has 1 to 1024 bytes of UTF-8", "INVALIDATE", "")


def test_the_example_of_the_readme_works_line_by_line(protocol: Protocol) -> None:
    protocol.gives("OK", "SETTAG", "user:1", "John Doe", "users", "profile")
    protocol.gives("OK", "SETTAG", "user:2", "Jane", "users", "profile")
    protocol.gives("OK", "SETTAG", "product:1", "Widget", "products", "catalog")
    protocol.gives(["user:1", "user:2"], "TAGKEYS", "users")
    protocol.gives(2, "INVALIDATE", "users")
    protocol.gives("OK", "TAGLINK", "users", "admin")
    protocol.gives("OK", "SETTAG", "admin:1", "Admin", "admin", "users")
    protocol.gives(1, "INVALIDATE", "users", "CASCADE")
    protocol.gives(["product:1"], "KEYS", "*")
