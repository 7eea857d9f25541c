"""A class of a user that derives from Cache."""

from __future__ import annotations

from cachestorm import Cache


class Named(Cache):
    """A cache with attributes of its own."""

    def __init__(self, title: str) -> None:
        super().__init__(max_entries=10)
        self.title = title
        self.calls: list[str] = []

    def titled(self, key: str) -> str:
        self.calls.append(key)
        return f"{self.title}: {self.get(key)}"


def test_a_view_has_the_attributes_of_the_cache_it_was_made_of() -> None:
    cache = Named("shop")
    for view in (cache.namespace("n"), cache.database(1), cache.serving_others()):
        assert isinstance(view, Named)
        view.set("k", view.name)
        assert view.titled("k") == f"shop: {view.name}"
    assert cache.calls == ["k", "k", "k"]
    assert cache.name == "default" and cache.max_entries == 10


def test_what_a_view_is_given_later_is_its_own() -> None:
    cache = Named("shop")
    view = cache.namespace("n")
    assert isinstance(view, Named)
    view.title = "other"
    assert cache.title == "shop"


class Slotted(Cache):
    """One without a dict of its own where Cache is compiled."""

    __slots__ = ()


def test_a_subclass_without_attributes_has_views_as_well() -> None:
    assert isinstance(Slotted().namespace("n"), Slotted)
