"""What objects show of themselves, as text and in notebooks."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from cachestorm import Cache
from cachestorm.notebooks import MOST_ROWS, content_table
from cachestorm.sizes import human_bytes

NASTY = "<script>alert('&')</script>"


class Texts(HTMLParser):
    """The texts and the tags of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.hset("h", NASTY, NASTY)
    cache.rpush("l", NASTY)
    cache.sadd("s", NASTY)
    cache.zadd("z", {NASTY: 1})
    cache.incr("c")
    cache.addtag("h", NASTY)
    cache.set(NASTY, NASTY)
    return cache


def test_the_repr_of_a_cache_says_what_it_holds() -> None:
    cache = Cache()
    assert repr(cache) == "<Cache 'default': 0 keys, 0B>"
    limited = Cache(max_memory="64mb")
    limited.set("k", b"x" * 2000)
    used = human_bytes(limited.stats().used_memory)
    assert repr(limited) == f"<Cache 'default': 1 keys, {used} of 64.00M>"
    blog = limited.namespace("blog", max_memory="1mb")
    assert repr(blog) == "<Cache 'blog': 0 keys, 0B of 1.00M>"


def test_the_table_of_a_cache_has_its_statistics(cache: Cache) -> None:
    shown = Texts(cache._repr_html_())
    assert shown.texts[0].startswith("Cache 'default': 6 keys, ")
    assert shown.texts[shown.texts.index("policy") + 1] == "adaptive"
    assert "hit_ratio" in shown.texts


@pytest.mark.parametrize(
    "call",
    [
        "cache.as_hash('h')",
        "cache.as_list('l')",
        "cache.as_set('s')",
        "cache.as_sorted_set('z')",
        "cache.tag('<script>')",
        "cache.view(str, '<')",
        "cache.as_hash('<script>')",
    ],
)
def test_what_users_wrote_is_escaped(cache: Cache, call: str) -> None:
    html = eval(call, {"cache": cache})._repr_html_()
    assert Texts(html).tags <= {"table", "caption", "tr", "th", "td"}
    assert any("<script>" in text for text in Texts(html).texts)


def test_the_tables_of_handles_have_a_row_for_each_element(cache: Cache) -> None:
    cache.hset("two", mapping={"a": 1, "b": [2]})
    assert Texts(cache.as_hash("two")._repr_html_()).texts == [
        "HashHandle 'two' in 'default'", "'a'", "1", "'b'", "[2]",
    ]  # fmt: skip
    assert Texts(cache.counter("c")._repr_html_()).texts == ["Counter 'c' in 'default'", "1"]
    assert Texts(cache.as_list("none")._repr_html_()).texts == [
        "ListHandle 'none' in 'default'"
    ]
    assert Texts(cache.tag(NASTY)._repr_html_()).texts[1:] == ["'h'"]


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    shown = Texts(content_table("t", list(range(MOST_ROWS + 5))))
    assert shown.texts[-2:] == [str(MOST_ROWS - 1), "and 5 more"]
    assert len(Texts(content_table("t", ["x" * 10_000])).texts[-1]) < 300
