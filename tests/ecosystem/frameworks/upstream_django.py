"""Runs one of Django's own test suites on our backend: a script, for a process of its own.

    python upstream_django.py SUITE SDIST LOCATION [PATTERN ...]

SUITE is `cache`, `async`, `redis-backend`, `sessions-cache` or `sessions-cached-db`. The suite
`async` is `cache` once more, with each method replaced by its coroutine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import unittest
import unittest.mock
from typing import Any

import django
from django.conf import settings

SUITE, SDIST, LOCATION = sys.argv[1:4]
BACKEND = "cachestorm.contrib.django.CacheStormCache"
if SUITE == "redis-backend":
    # our server behind Django's own backend
    BACKEND = "django.core.cache.backends.redis.RedisCache"
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
# functions that the suite gives to get_or_set ask the database, in a loop as well
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
# Django's suite leaves these out for backends that do not cull
IS_REMOTE = "://" in LOCATION and not LOCATION.startswith("memory://")

sys.path.insert(0, f"{SDIST}/tests")
settings.configure(
    DATABASES={"default": SQLITE, "other": SQLITE},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "cache",
        "sessions_tests",
    ],
    CACHES={"default": {"BACKEND": BACKEND, "LOCATION": LOCATION}},
    SECRET_KEY="of the tests",
    USE_TZ=False,
    ROOT_URLCONF="",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

import cache.tests as upstream  # noqa: E402
import sessions_tests.tests as sessions  # noqa: E402
from django.core.cache import caches as real_caches  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import TestCase, override_settings  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

try:
    from redis.exceptions import ResponseError
except ImportError:
    ResponseError = TypeError  # type: ignore[assignment, misc]

WITHOUT_CULLING = {"cull", "zero_cull"} if IS_REMOTE else set()


CACHES = upstream.caches_setting_for_tests(
    BACKEND=BACKEND, LOCATION=LOCATION, exclude=WITHOUT_CULLING
)


class Awaiting:
    """A cache whose methods run as coroutines, though the suite calls them as functions."""

    def __init__(self, alias: str) -> None:
        object.__setattr__(self, "_alias", alias)

    def __getattr__(self, name: str) -> Any:
        cache = real_caches[self._alias]
        coroutine = getattr(cache, f"a{name}", None)
        if name == "close" or not asyncio.iscoroutinefunction(coroutine):
            return getattr(cache, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            database = connections["default"]

            async def closing() -> Any:
                # the suite lets functions and pickles ask the database of its transaction
                connections["default"] = database
                try:
                    return await coroutine(*args, **kwargs)
                finally:
                    # each loop has connections of its own
                    if cache._far is not None:
                        await cache._far.close()

            return asyncio.run(closing())

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(real_caches[self._alias], name, value)

    def __contains__(self, key: Any) -> bool:
        return bool(self.has_key(key))


class AwaitingCaches:
    """The aliases, each as such a cache."""

    def __getitem__(self, alias: str) -> Awaiting:
        real_caches[alias]
        return Awaiting(alias)


class OurBackend(upstream.BaseCacheTests):  # type: ignore[misc]
    """What both suites of the backend share."""

    incr_decr_type_error = ResponseError if IS_REMOTE else TypeError


@override_settings(CACHES=CACHES)
class CacheSuite(OurBackend, TestCase):  # type: ignore[misc]
    """Django's suite for caches."""


@override_settings(CACHES=CACHES)
class AsyncSuite(OurBackend, TestCase):  # type: ignore[misc]
    """The same, awaited."""

    def setUp(self) -> None:
        self.enterContext(unittest.mock.patch.object(upstream, "cache", Awaiting("default")))
        self.enterContext(unittest.mock.patch.object(upstream, "caches", AwaitingCaches()))
        super().setUp()


SUITES = {
    "cache": CacheSuite,
    "async": AsyncSuite,
    "redis-backend": upstream.RedisCacheTests,
    "sessions-cache": sessions.CacheSessionTests,
    "sessions-cached-db": sessions.CacheDBSessionTests,
}

if __name__ == "__main__":
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    loader = unittest.TestLoader()
    loader.testNamePatterns = sys.argv[4:] or None
    result = unittest.TextTestRunner().run(loader.loadTestsFromTestCase(SUITES[SUITE]))
    sys.exit(not result.wasSuccessful())
