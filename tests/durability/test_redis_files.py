"""Files that redis-server and Valkey have written, read into a cache."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest
import redis
from contents import contents
from real_servers import redis_binary, running, valkey_binary
from redis_contents import of_server

from cachestorm import Cache
from cachestorm.errors import DamagedFileError, DurabilityError

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import Running, run

BINARIES = {"redis": redis_binary, "valkey": valkey_binary}
# by which small values are packed, or are not
PARAMETERS = (
    "hash-max-listpack-entries",
    "set-max-listpack-entries",
    "set-max-intset-entries",
    "zset-max-listpack-entries",
)
SOON_MS = 4_102_444_800_000
# of versions that nobody installs any more: see make_redis_files.py
FILES = sorted(
    each
    for each in (Path(__file__).parent / "redis_files").rglob("*")
    if each.suffix in (".rdb", ".aof")
)


@contextmanager
def theirs(name: str) -> Iterator[tuple[Any, Path]]:
    """A real server with an AOF, and its directory."""
    with (
        running(name, BINARIES[name]()) as server,
        redis.Redis(port=server.port, protocol=2) as client,
    ):
        client.config_set("appendonly", "yes")
        await_rewrite(client)
        yield client, Path(client.config_get("dir")["dir"])


def await_rewrite(client: Any) -> None:
    """Waits until no AOF is being written anew."""
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)


def fill(client: Any) -> None:
    """Values in every encoding that the server has for them."""
    for size in (3, 600):
        client.set(f"text:{size}", "x" * size)
        client.set(f"number:{size}", size * 10_000)
        client.hset(f"h:{size}", mapping={f"f{each}": each for each in range(size)})
        client.rpush(f"l:{size}", *[f"{each}" * 40 for each in range(size)])
        client.sadd(f"ints:{size}", *range(size))
        client.sadd(f"s:{size}", *[f"m{each}" for each in range(size)])
        client.zadd(f"z:{size}", {f"m{each}": each * 0.5 for each in range(size)})
    client.set(b"\xff\x00key", b"\x00\xff" * 9)
    client.set("short", "v", px=1)
    client.set("later", "v", pxat=SOON_MS)
    client.execute_command("SELECT", 3)
    client.sadd("other", "a")
    client.execute_command("SELECT", 0)
    client.pfadd("hll", *range(100))
    client.setbit("bits", 70_000, 1)
    time.sleep(0.01)


def same(cache: Cache[Any], client: Any) -> bool:
    """Whether a cache holds what a real server does."""
    cache._check()
    assert cache.database(3).smembers("other") == {"a"}
    assert cache.pfcount("hll") == client.pfcount("hll")
    with cache.redis() as ours:
        return of_server(ours) == of_server(client)


@pytest.mark.parametrize("name", BINARIES)
@pytest.mark.parametrize("packed", [512, 0])
def test_an_rdb_file_of_a_real_server_is_read_whole(name: str, packed: int) -> None:
    with theirs(name) as (client, folder):
        for parameter in PARAMETERS:
            # what a server of 7.0 has not got, it does not pack
            if client.config_get(parameter):
                client.config_set(parameter, packed)
        fill(client)
        client.save()
        cache = Cache[Any].load(folder / "dump.rdb")
        assert same(cache, client)
        whole = (folder / "dump.rdb").read_bytes()
        damaged = folder / "damaged.rdb"
        for place in range(0, len(whole), max(len(whole) // 50, 1)):
            damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(DurabilityError):
                Cache.load(damaged)
            damaged.write_bytes(whole[:place])
            with pytest.raises(DurabilityError):
                Cache.load(damaged)


@pytest.mark.parametrize("name", BINARIES)
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_an_aof_of_many_parts_is_read_whole(name: str, preamble: str) -> None:
    with theirs(name) as (client, folder):
        client.config_set("aof-use-rdb-preamble", preamble)
        fill(client)
        client.bgrewriteaof()
        await_rewrite(client)
        client.lpop("l:3")
        client.spop("s:600")
        client.incrbyfloat("number:3", 0.5)
        client.zincrby("z:3", 5, "m0")
        with client.pipeline() as pipe:
            pipe.set("a", 1)
            pipe.expire("a", 1000)
            pipe.execute()
        client.eval("redis.call('set','b',redis.call('time')[1])", 0)
        client.config_set("appendfsync", "always")
        parts = folder / "appendonlydir"
        for path in (folder, parts, next(parts.glob("*.manifest"))):
            assert same(Cache[Any].load(path), client)
        # PFCOUNT may have written, so this comes behind what is compared
        client.set("end", 1)
        last = max(parts.glob("*.incr.aof"))
        last.write_bytes(last.read_bytes()[:-5])
        cut = Cache[Any].load(folder)
        assert (cut.get("end"), cut.get("a")) == (None, b"1")


def words(*argv: str) -> bytes:
    """A command as an AOF has it."""
    spelled = (f"${len(each)}\r\n{each}\r\n" for each in argv)
    return f"*{len(argv)}\r\n{''.join(spelled)}".encode()


def test_a_transaction_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    whole = words("SELECT", "0") + words("SET", "a", "1")
    moved = words("MULTI") + words("SET", "a", "2") + words("SET", "b", "2") + words("EXEC")
    for size in range(len(moved) + 1):
        path.write_bytes(whole + moved[:size])
        cache = Cache[Any].load(path)
        assert cache.mget("a", "b") in ([b"1", None], [b"2", b"2"])
        assert (cache.get("b") is None) == (size < len(moved))
    path.write_bytes(whole + words("XADD", "s", "*", "f", "v"))
    with pytest.raises(DurabilityError, match=f"XADD at offset {len(whole)} is refused"):
        Cache.load(path)
    path.write_bytes(whole + b"nonsense\r\n")
    with pytest.raises(DamagedFileError, match=f"offset {len(whole)}"):
        Cache.load(path)


@pytest.mark.parametrize("name", BINARIES)
def test_what_a_cache_cannot_store_is_said_with_its_key(name: str) -> None:
    with theirs(name) as (client, folder):
        client.xadd("events", {"f": "v"})
        client.save()
        with pytest.raises(DurabilityError, match="'events' is a stream"):
            Cache.load(folder / "dump.rdb")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_an_older_redis_are_read_whole(path: Path) -> None:
    cache = Cache[Any].load(path)
    cache._check()
    assert cache.database(3).smembers("other") == {"a"}
    with cache.redis() as ours:
        assert pformat(of_server(ours)) + "\n" == Path(f"{path}.contents").read_text("utf-8")


def test_a_file_of_the_first_versions_is_read_whole(tmp_path: Path) -> None:
    """With deadlines in seconds, scores as digits, and no checksum yet."""

    def string(text: str) -> bytes:
        return bytes([len(text)]) + text.encode()

    # signed, as Redis has them
    soon_s = 2_147_000_000
    path = tmp_path / "dump.rdb"
    path.write_bytes(
        b"REDIS0002\xfe\x00"
        + (b"\xfd" + soon_s.to_bytes(4, "little") + b"\x00" + string("text") + string("v"))
        + (b"\xfd" + (1).to_bytes(4, "little") + b"\x00" + string("gone") + string("v"))
        + (b"\x00" + string("number") + b"\xc1\x2c\x01")
        + (b"\x01" + string("list") + b"\x02" + string("a") + string("b"))
        + (b"\x02" + string("set") + b"\x01" + string("m"))
        + (b"\x03" + string("zset") + b"\x02" + string("m") + string("1.5") + string("n"))
        + b"\xfe"
        + (b"\x04" + string("hash") + b"\x01" + string("f") + string("v"))
        + b"\xff"
    )
    cache = Cache[Any].load(path)
    cache._check()
    with cache.redis() as ours:
        assert of_server(ours) == {
            b"text": (b"string", b"v", soon_s * 1000),
            b"number": (b"string", b"300", -1),
            b"list": (b"list", [b"a", b"b"], -1),
            b"set": (b"set", [b"m"], -1),
            b"zset": (b"zset", [(b"m", 1.5), (b"n", float("inf"))], -1),
            b"hash": (b"hash", {b"f": b"v"}, -1),
        }


def test_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(b"REDIS0099\xff" + bytes(8))
    with pytest.raises(DurabilityError, match="version of RDB that is not known: 0099"):
        Cache.load(path)


def test_a_server_begins_with_a_file_of_redis(tmp_path: Path) -> None:
    with theirs("redis") as (client, folder):
        fill(client)
        client.save()
        given = ("--port", "0", "--no-http", "--data-dir", str(tmp_path / "data"))
        server = Running("serve", *given, "--import", str(folder / "dump.rdb"))
        with redis.Redis(port=int(server.port), protocol=2) as ours:
            assert of_server(ours) == of_server(client)
        assert server.end() == 0
        server = Running("serve", *given)
        with redis.Redis(port=int(server.port), protocol=2) as ours:
            assert of_server(ours) == of_server(client)
        assert server.end() == 0
        refused = run("serve", *given, "--import", str(folder / "dump.rdb"))
        assert refused.returncode == 1
        assert "holds keys already" in refused.stderr + refused.stdout


def test_a_directory_of_redis_is_refused_until_it_is_imported(tmp_path: Path) -> None:
    with theirs("redis") as (client, folder):
        fill(client)
        client.save()
        given = ("--port", "0", "--no-http", "--data-dir", str(folder))
        path = str(folder / "appendonlydir")
        for _ in range(2):
            refused = run("serve", *given)
            assert refused.returncode == 1
            assert f"{folder} holds data of Redis (appendonlydir, dump.rdb)" in refused.stderr
            assert f"serve --data-dir {folder} --import {path}`" in refused.stderr
        with pytest.raises(DurabilityError, match="holds data of Redis"):
            Cache(data_dir=folder)
        assert run("check", str(folder)).stdout == f"{folder}: no file of CacheStorm is there\n"
        for options in (("--import", path), ()):
            server = Running("serve", *given, *options)
            with redis.Redis(port=int(server.port), protocol=2) as ours:
                assert of_server(ours) == of_server(client)
            assert server.end() == 0


def test_an_import_that_fails_leaves_nothing_in_the_data_directory(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.aof", tmp_path / "data"
    good = words("SET", "a", "1") + words("RPUSH", "l", "1", "2")
    path.write_bytes(good + words("XADD", "s", "*", "f", "v"))
    given = ("--port", "0", "--no-http", "--data-dir", str(folder))
    refused = run("serve", *given, "--import", str(path))
    assert refused.returncode == 1
    assert "XADD" in refused.stderr
    path.write_bytes(good)
    server = Running("serve", *given, "--import", str(path))
    with redis.Redis(port=int(server.port)) as ours:
        ours.rpush("l", "3")
    server.end(signal.SIGKILL)
    cache = Cache[Any](data_dir=folder)
    assert (cache.get("a"), cache.lrange("l", 0, -1)) == (b"1", [b"1", b"2", b"3"])
    cache.close()


def test_a_file_that_is_none_of_theirs_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.rdb").write_bytes(b"something else")
    with pytest.raises(DurabilityError, match="does not begin as a journal does"):
        Cache.load(tmp_path / "x.rdb")
    refused = run("serve", "--port", "0", "--no-http", "--import", str(tmp_path / "x.rdb"))
    assert refused.returncode == 1
    assert "is no file of Redis" in refused.stderr + refused.stdout
    assert contents(Cache()) == {}
