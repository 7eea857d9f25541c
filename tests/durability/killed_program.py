"""A program that writes with threads and with tasks until it is killed.

Started by `test_killed_programs.py` with the directory and when it is forced to the disk. Each
writer has keys of its own, and says on the standard output how far it is, once the write has
returned.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

from cachestorm import Cache

THREADS = TASKS = 3


def say(writer: str, count: int) -> None:
    # in one step, so that no line is torn
    os.write(1, f"{writer} {count}\n".encode())


def by_thread(cache: Cache[Any], writer: str) -> None:
    count = 0
    while True:
        count += 1
        cache.set(f"{writer}:s", count, tags=[writer, f"t{count % 3}"])
        say(f"{writer}:s", count)
        cache.rpush(f"{writer}:l", count)
        cache.ltrim(f"{writer}:l", -10, -1)
        with cache.transaction():
            cache.hincrby("totals", f"{writer}:a", 1)
            cache.hincrby("totals", f"{writer}:b", 1)
        say("totals", count)
        if count % 40 == 0:
            cache.invalidate(writer)
            cache.rename(f"{writer}:l", f"{writer}:r")


async def by_task(cache: Cache[Any], writer: str) -> None:
    count = 0
    while True:
        count += 1
        await cache.aio.set(f"{writer}:s", count, ttl=3600)
        say(f"{writer}:s", count)
        await cache.aio.zadd(f"{writer}:z", {str(count % 7): count})
        await asyncio.sleep(0)


async def main(folder: str, sync: str) -> None:
    cache: Cache[Any] = Cache(data_dir=folder, aof_sync=sync)
    for number in range(THREADS):
        threading.Thread(target=by_thread, args=(cache, f"w{number}"), daemon=True).start()
    await asyncio.gather(*[by_task(cache, f"a{number}") for number in range(TASKS)])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
