"""A program that uses the cache as many do, run by tests in unusual environments.

Prints one line for each thing that it has seen. With `--serve` it also serves the cache, and
asks itself over a socket. With `--watch` it prints each file that is written and each address
that is named from before CacheStorm is imported. With `--compiled` it fails where it is not.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from pathlib import Path


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            print("writes", path)
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.truncate"):
        print("writes", arguments[0])
    elif event in ("socket.bind", "socket.connect", "socket.sendto"):
        print("socket", event, arguments[1])
    elif event == "socket.getaddrinfo":
        print("socket", event, arguments[0])


if "--watch" in sys.argv:
    sys.addaudithook(watch)

from cachestorm import COMPILED, Cache, CacheStormError  # noqa: E402

logging.basicConfig(level=logging.ERROR)
cache = Cache(max_memory="64mb")


@cache.memoize(tags=["squares"])
def square(number: int) -> int:
    return number * number


def uses() -> object:
    return square.cache_info()


def cache_raises() -> None:
    cache.set("text", "one")
    cache.incr("text")


def main() -> None:
    if "--compiled" in sys.argv:
        assert COMPILED, "this is the source"
    cache.set("größe", {"ключ": [1, 2.5, None]}, tags=["a:b"], ttl=60)
    print(ascii(cache.get("größe")), cache.tagkeys("a:b") == ["größe"])
    cache.taglink("a", "a:b")
    print(square(7), square(7), square.cache_info().hits)
    print(
        cache.invalidate("a", cascade=True), cache.invalidate("squares"), cache.exists("größe")
    )
    cache.zadd("board", {"ada": 2, "bob": 1})
    print(cache.zrange("board", 0, -1, withscores=True))
    try:
        cache.lpush("board", 1)
    except CacheStormError as error:
        print(str(error)[:9])
    threads = [threading.Thread(target=cache.incr, args=("hits",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(cache.get("hits"))
    with tempfile.TemporaryDirectory() as folder:
        with Cache(data_dir=Path(folder) / "data") as kept:
            kept.set("k", (1, "two"), tags=["t"])
        with Cache(data_dir=Path(folder) / "data") as kept:
            print(kept.get("k"), kept.invalidate("t"))
    if "--serve" in sys.argv:
        serve()


def serve() -> None:
    import redis

    from cachestorm_server.hosting import serve as serving

    with serving(cache, port=0) as server:
        client = redis.Redis(port=server.resp.port, protocol=3)
        print(client.execute_command("SETTAG", "k", "v", "t"), client.get("k"))
        print(client.eval("return redis.call('get', KEYS[1])", 1, "k"))
        print(client.execute_command("INVALIDATE", "t"), client.get("k"))


if __name__ == "__main__":
    main()
