"""The near cache with each redis-py."""

from __future__ import annotations

import pytest
import redis

import cachestorm
from cachestorm.errors import ConfigError

TELLS = not redis.__version__.startswith("5.")


@pytest.mark.skipif(TELLS, reason="it tells near caches")
def test_a_redis_py_that_tells_no_near_cache_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=r"needs redis-py 6\.4 or newer, this is 5\."):
        cachestorm.connect(f"redis://127.0.0.1:{port}", near=True)


@pytest.mark.skipif(not TELLS, reason="it tells no near cache")
def test_what_another_client_writes_is_read_by_a_near_cache(port: int) -> None:
    near = cachestorm.connect(f"redis://127.0.0.1:{port}", near=True)
    with redis.Redis(port=port) as other:
        other.set("k", "old")
        while not near.near.is_live:
            near.get("k")
        assert near.get("k") == b"old"
        other.set("k", "new")
        while near.get("k") != b"new":
            pass
    near.close()
