"""The stores of all frameworks when something is wrong: the server, a setting, a value."""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import django_site
import pytest
from django.test import override_settings
from dogpile.cache import make_region, register_backend
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry

from cachestorm.contrib.cachelib import CacheStormCache as CachelibCache
from cachestorm.contrib.django import CacheStormCache
from cachestorm.contrib.django.checks import check_caches
from cachestorm.contrib.flask import Cache
from cachestorm.errors import ConfigError
from cachestorm.remote.address import Address

assert django_site.settings.configured
BACKEND = "cachestorm.contrib.django.CacheStormCache"
GONE = "redis://127.0.0.1:1/0"
ONCE = Retry(NoBackoff(), 0)


# -- a server that is gone


def test_statistics_of_a_server_that_is_gone_count_the_ignored_errors() -> None:
    cache = CacheStormCache(GONE, {"OPTIONS": {"IGNORE_ERRORS": True, "retry": ONCE}})
    before = cache.stats()["ignored_errors"]
    assert cache.stats()["ignored_errors"] > before


def test_inc_ends_where_errors_of_the_server_are_ignored() -> None:
    cache = CachelibCache(GONE, secrets=["s"], ignore_errors=True, retry=ONCE)
    assert cache.inc("visits") is None


def test_inc_of_what_is_no_number_ends_where_errors_are_ignored(url: str) -> None:
    cache = CachelibCache(url, secrets=["s"], ignore_errors=True)
    cache.set("text", "five")
    assert cache.inc("text") is None


def test_a_region_creates_without_a_lock_where_errors_are_ignored() -> None:
    register_backend("cachestorm.faults", "cachestorm.contrib.dogpile", "CacheStormBackend")
    options = {"retry": ONCE}
    arguments = {
        "location": GONE,
        "secrets": ["s"],
        "ignore_errors": True,
        "options": options,
    }
    region = make_region().configure("cachestorm.faults", arguments=arguments)
    assert region.get_or_create("user:1", lambda: "Ada") == "Ada"


# -- loops


@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc lists")
def test_loops_that_have_ended_leave_no_connections_open(url: str) -> None:
    cache = CacheStormCache(url, {})

    async def ask() -> Any:
        await cache.aset("n", 1)
        return await cache.aget("n")

    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    assert asyncio.run(ask()) == 1
    before = files()
    for _loop in range(10):
        asyncio.run(ask())
    gc.collect()
    assert files() <= before + 2


# -- settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec/ret@127.0.0.1:6380/0",
        "redis://:sec?ret@127.0.0.1:6380/0",
        "redis://:sec#ret@127.0.0.1:6380/0",
        "redis://127.0.0.1:wrong/0?password=x@secret",
    ],
)
def test_a_password_that_is_not_encoded_is_in_no_message(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Address.parse(url)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"LOCATION": "redis://127.0.0.1/0?socket_timeout=soon"}, "socket_timeout"),
        ({"LOCATION": "redis://127.0.0.1/0?colour=red"}, "colour"),
        ({"LOCATION": "redis://127.0.0.1/0", "OPTIONS": {"ssl_ca_certs": "x"}}, "ssl_ca_certs"),
        ({"LOCATION": ["redis://127.0.0.1/0"]}, "must be one string, not a list"),
        ({"LOCATION": "memory://m", "OPTIONS": {"max_memory": "lots"}}, "'lots' is not a size"),
    ],
)
def test_the_check_says_what_would_fail_later(entry: dict[str, Any], said: str) -> None:
    with override_settings(CACHES={"default": {"BACKEND": BACKEND, **entry}}):
        (error,) = check_caches()
    assert said in error.msg


# -- values


class Numbered:
    """A serializer, of which there may be several."""

    def __init__(self, number: int) -> None:
        self.number = number

    def dumps(self, value: Any) -> bytes:
        return repr((self.number, value)).encode()

    def loads(self, data: bytes) -> Any:
        return ast.literal_eval(data.decode())


def test_aliases_of_one_server_keep_their_own_serializers(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("numbered")
    module.one, module.two = Numbered(1), Numbered(2)
    monkeypatch.setitem(sys.modules, "numbered", module)
    for name, number in (("one", 1), ("two", 2)):
        cache = CacheStormCache(url, {"OPTIONS": {"serializer": f"numbered.{name}"}})
        cache.set(name, "v")
        assert cache.get(name) == (number, "v")


class Texts:
    """A serializer that makes no bytes."""

    dumps = staticmethod(json.dumps)
    loads = staticmethod(json.loads)


def test_a_serializer_that_makes_no_bytes_is_refused_before_anything_is_stored() -> None:
    cache = CachelibCache("memory://texts", serializer=Texts())
    with pytest.raises(TypeError, match="must return bytes, not str"):
        cache.set("key", [1])
    assert cache.get("key") is None


def test_an_integer_too_large_for_incr_is_a_value_like_others(url: str) -> None:
    cache = CacheStormCache(url, {})
    for value in (2**63 - 1, 2**63, 10**5000):
        cache.set("n", value)
        assert cache.get("n") == value


# -- functions in Flask


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    made = Flask("site")
    made.config["CACHE_TYPE"] = "cachestorm.contrib.flask.CacheStormCache"
    made.config["CACHE_LOCATION"] = f"memory://{tmp_path.name}"
    return made


def test_a_function_that_calls_itself_has_the_tags_of_each_call(app: Flask) -> None:
    cache = Cache(app)

    @cache.memoize(60, tags=["sum:{n}"])
    def sum_to(n: int) -> int:
        return 0 if n == 0 else n + sum_to(n - 1)

    with app.app_context():
        sum_to(3)
        assert [cache.invalidate_tags(f"sum:{n}", dry_run=True) for n in range(4)] == [1] * 4


def test_a_view_may_be_a_coroutine(app: Flask) -> None:
    cache = Cache(app)
    asked = []

    @app.get("/posts/<pk>")
    @cache.cached(tags=["post:{pk}"])
    async def show(pk: str) -> str:
        asked.append(pk)
        return f"post {pk}"

    client = app.test_client()
    assert [client.get("/posts/7").text for _ in range(2)] == ["post 7", "post 7"]
    with app.app_context():
        assert (asked, cache.invalidate_tags("post:7")) == (["7"], 1)
