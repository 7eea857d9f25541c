"""A program's own cache, served to clients, and what redis-py makes of it."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request

import pytest
import redis

from cachestorm.cache import Cache
from cachestorm_server.described import ServeError
from cachestorm_server.hosting import serve


def test_the_program_and_its_clients_share_one_cache() -> None:
    cache = Cache()
    cache.set("mine", "1", tags=["t"])
    with serve(cache, port=0, http_port=0) as endpoints:
        with redis.Redis(port=endpoints.resp.port) as client:
            assert client.get("mine") == b"1"
            client.set("theirs", "2")
        assert endpoints.http is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoints.http.port}/keys") as answer:
            assert sorted(json.load(answer)["keys"]) == ["mine", "theirs"]
    assert cache.get("theirs") == b"2"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", endpoints.resp.port))
    assert "cachestorm-server" not in [thread.name for thread in threading.enumerate()]


def test_a_port_that_is_taken_is_said_to_the_program() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match="in use"), serve(Cache(), port=port):
            pass


def test_a_password_is_asked_for() -> None:
    with serve(Cache(), port=0, password="sesame") as endpoints:
        client = redis.Redis(port=endpoints.resp.port)
        with pytest.raises(redis.AuthenticationError):
            client.ping()
        client.close()
        with redis.Redis(port=endpoints.resp.port, password="sesame") as client:
            assert client.ping()


def test_pipelines_and_locks_of_redis_py_do_what_the_page_says() -> None:
    cache = Cache()
    with serve(cache, port=0) as endpoints, redis.Redis(port=endpoints.resp.port) as client:
        assert client.pipeline().set("a", 1).incr("a").execute() == [True, 2]
        # taken by SET, released by a script
        with client.lock("lock", timeout=10):
            assert cache.exists("lock")
        assert not cache.exists("lock")
        assert client.register_script("return 1")() == 1
        with pytest.raises(redis.ResponseError, match="unknown command"):
            client.xadd("s", {"f": "v"})
