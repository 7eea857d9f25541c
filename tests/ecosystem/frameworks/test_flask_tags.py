"""Tags of cached views and functions in Flask, which Flask-Caching itself does not have."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from cachestorm.contrib.flask import Cache


def application() -> tuple[Flask, Cache]:
    """An application with a store of its own."""
    app = Flask(__name__)
    app.config["CACHE_TYPE"] = "cachestorm.contrib.flask.CacheStormCache"
    app.config["CACHE_LOCATION"] = f"memory://{secrets.token_hex(4)}"
    return app, Cache(app)


def test_a_view_goes_with_the_tags_of_its_arguments() -> None:
    app, cache = application()
    made: list[int] = []

    @app.get("/posts/<int:pk>")
    @cache.cached(timeout=60, tags=["posts", "post:{pk}"])
    def show(pk: int) -> str:
        made.append(pk)
        return str(len(made))

    client = app.test_client()
    for pk in (1, 2, 1):
        client.get(f"/posts/{pk}")
    with app.app_context():
        assert cache.invalidate_tags("post:1") == 1
    for pk in (1, 2):
        client.get(f"/posts/{pk}")
    assert made == [1, 2, 1]


def test_what_is_invalidated_while_it_is_made_is_not_cached() -> None:
    app, cache = application()
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        if len(made) == 1:
            # somebody else, meanwhile
            cache.invalidate_tags("numbers")
        return number

    remembered: Callable[[int], int] = cache.memoize(timeout=60, tags=["numbers"])(make)
    with app.app_context():
        assert [remembered(7) for _ in range(3)] == [7, 7, 7]
    assert made == [7, 7]


@pytest.mark.parametrize("told", [[""], "", "news", None])
def test_a_view_whose_tags_are_none_is_served_and_not_cached(
    told: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, cache = application()
    made: list[int] = []

    @app.get("/news")
    @cache.cached(timeout=60, tags=lambda: told)
    def news() -> str:
        made.append(1)
        return "news"

    assert [app.test_client().get("/news").status_code for _ in range(2)] == [200, 200]
    assert len(made) == 2
    assert "news is not cached: its tags are" in caplog.text
