"""django-redis, as its documentation shows it: cache, lock, `delete_pattern`, raw client.

It has packages of its own, so the programs that use it are processes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from processes import environment, installed

SETUP = """if True:
    import os
    from django.conf import settings
    settings.configure(CACHES={"default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ["LOCATION"],
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
    }})
    from django.core.cache import cache
    from django_redis import get_redis_connection
    cache.clear()
"""


@pytest.fixture
def variables(port: int) -> dict[str, str]:
    location = f"redis://127.0.0.1:{port}/5"
    return environment(installed("django-redis"), LOCATION=location)


def printed(lines: list[str], variables: dict[str, str]) -> list[str]:
    """What a program prints, whose last lines these are."""
    code = SETUP + "".join([f"    {line}\n" for line in lines])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_values_are_kept_counted_and_expire(variables: dict[str, str]) -> None:
    got = printed(
        [
            'print(cache.set("k", {"a": 1}, timeout=30), cache.get("k"), cache.ttl("k") > 0)',
            'print(cache.add("k", 2), cache.get_or_set("n", 5), cache.incr("n", 2))',
            'print(cache.persist("k"), cache.ttl("k"), cache.expire("k", 10))',
            'cache.set_many({"x": 1, "y": 2}); print(cache.get_many(["x", "y", "z"]))',
            'print(cache.set("k", 1, nx=True), cache.has_key("k"), cache.delete("k"))',
        ],
        variables,
    )
    assert got == [
        "True {'a': 1} True",
        "False 5 7",
        "True None True",
        "{'x': 1, 'y': 2}",
        "False True True",
    ]


def test_keys_are_found_and_deleted_by_patterns(variables: dict[str, str]) -> None:
    got = printed(
        [
            'cache.set_many({f"foo-{n}": n for n in range(2000)}); cache.set("bar", 1)',
            'print(len(cache.keys("foo-*")), next(cache.iter_keys("foo-1*"))[:5])',
            'print(cache.delete_pattern("foo-*", itersize=100), cache.keys("*"))',
        ],
        variables,
    )
    assert got == ["2000 foo-1", "2000 ['bar']"]


def test_a_lock_is_held_by_one(variables: dict[str, str]) -> None:
    got = printed(
        [
            'other = cache.lock("job", timeout=1)',
            'with cache.lock("job", timeout=10) as lock:',
            "    print(lock.owned(), other.acquire(blocking=False))",
            "print(other.acquire(blocking=False))",
            'get_redis_connection("default").ping() and print("raw")',
        ],
        variables,
    )
    assert got == ["True False", "True", "raw"]
