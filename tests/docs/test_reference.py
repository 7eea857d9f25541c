"""The Python reference shows what is public, and nothing that is not there."""

from __future__ import annotations

import inspect

import pytest
from reference import methods, public, resolved, sections_of_examples, shown


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    assert public() - set(shown()) == set()


def test_a_name_is_on_one_page_of_the_reference() -> None:
    assert sorted(shown()) == sorted(set(shown()))


def test_examples_of_docstrings_are_in_a_section_that_the_site_shows_as_code() -> None:
    assert {
        place: head for place, head in sections_of_examples().items() if head != "Examples"
    } == {}


@pytest.mark.parametrize("name", sorted(set(shown())))
def test_a_name_in_the_reference_exists_and_is_documented(name: str) -> None:
    found = resolved(name)
    if inspect.isclass(found) or inspect.isfunction(found) or inspect.ismodule(found):
        assert inspect.getdoc(found)


def test_the_methods_of_a_cache_include_those_of_its_families() -> None:
    wanted = {"get", "zadd", "invalidate", "memoize", "get_or_set", "transaction", "name"}
    assert {f"cachestorm.Cache.{name}" for name in wanted} <= methods("cachestorm.Cache")
