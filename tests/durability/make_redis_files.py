"""Makes the files of an older Redis that are checked in: in `redis_files/`, by its version.

Run by hand with the path of its server, of which nothing needs to be installed for the tests:
`PYTHONPATH=$PWD python tests/durability/make_redis_files.py redis-server`. 6.2 was the last
version that packed values into ziplists and wrote its AOF into one file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from pprint import pformat
from typing import Any

import redis
from redis_contents import of_server

FOLDER = Path(__file__).parent / "redis_files"
SOON_MS = 4_102_444_800_000
# beyond these nothing is packed
LIMITS = {
    "hash-max-ziplist-entries": 8,
    "zset-max-ziplist-entries": 8,
    "set-max-intset-entries": 8,
    "list-max-ziplist-size": 8,
}


def fill(client: Any) -> None:
    """Values in every encoding of that time."""
    client.set("text", "x" * 200)
    client.set("bytes", b"\x00\xff\r\n" * 3)
    for number in (7, -300, 70_000, -(2**31), 2**40):
        client.set(f"number:{number}", number)
    for size in (3, 20):
        client.hset(f"h:{size}", mapping={f"f{each}": each * 1000 for each in range(size)})
        client.rpush(f"l:{size}", *[each * 10_000_000 for each in range(size)], "z" * 100)
        client.sadd(f"s:{size}", *[f"m{each}" for each in range(size)])
        client.zadd(f"z:{size}", {f"m{each}": each * 0.5 - 1 for each in range(size)})
    client.zadd("z:inf", {"a": "-inf", "b": "inf", "c": 1e300})
    for bits in (15, 31, 63):
        client.sadd(f"ints:{bits}", *[each << (bits - 3) for each in (-3, -1, 0, 1, 3)])
    client.set("later", "v", pxat=SOON_MS)
    client.sadd("expires", "a")
    client.pexpireat("expires", SOON_MS)
    client.execute_command("SELECT", 3)
    client.sadd("other", "a")
    client.execute_command("SELECT", 0)


def change(client: Any) -> None:
    """What is in an AOF behind its beginning."""
    client.lpop("l:3")
    client.incrbyfloat("number:7", 0.5)
    with client.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.pexpireat("a", SOON_MS)
        pipe.execute()


def tell(client: Any, path: Path) -> None:
    """Writes beside a file what is in it."""

    def deadline(key: bytes) -> int:
        return SOON_MS if client.pttl(key) > 0 else -1

    found = pformat(of_server(client, deadline)) + "\n"
    path.with_name(f"{path.name}.contents").write_text(found, "utf-8")


def wait(client: Any) -> None:
    """Returns when no file is being written anew."""
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.05)


def main(binary: str) -> int:
    """Makes them all."""
    with tempfile.TemporaryDirectory() as made:
        socket = f"{made}/socket"
        argv = [binary, "--port", "0", "--unixsocket", socket, "--dir", made, "--save", ""]
        argv += ["--aof-use-rdb-preamble", "no"]
        for name, limit in LIMITS.items():
            argv += [f"--{name}", str(limit)]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=socket, protocol=2)
            while not Path(socket).exists():
                time.sleep(0.05)
            version = client.info("server")["redis_version"]
            folder = FOLDER / version
            folder.mkdir(parents=True)
            fill(client)
            client.save()
            shutil.copy(f"{made}/dump.rdb", folder)
            tell(client, folder / "dump.rdb")
            client.config_set("appendonly", "yes")
            wait(client)
            for preamble, name in (("no", "commands.aof"), ("yes", "preamble.aof")):
                client.config_set("aof-use-rdb-preamble", preamble)
                client.config_set("appendfsync", "always")
                client.bgrewriteaof()
                wait(client)
                change(client)
                shutil.copy(f"{made}/appendonly.aof", folder / name)
                tell(client, folder / name)
        finally:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
