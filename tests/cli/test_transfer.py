"""Export and import: files and servers, there and back, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from in_this_process import CommandLine, Served

from cachestorm import Cache
from cachestorm.codec import to_wire
from cachestorm_cli.transfer import exporting
from cachestorm_cli.transfer.progress import State, progress_line
from cachestorm_cli.transfer.records import RecordError, read_batches
from cachestorm_server.hosting import serve


@pytest.fixture
def other() -> Iterator[Served]:
    cache = Cache()
    with serve(cache, port=0) as protocols:
        yield Served(cache, f"redis://127.0.0.1:{protocols.resp.port}", "")


def fill(cache: Cache) -> None:
    """A key of each type, with all that a key can have."""
    cache.set("page", "Hello", ttl=3600, tags=["home", "author:3"])
    cache.set("empty", b"")
    cache.set("\udcff\udcfe", b"\x00\xff\r\n")
    cache.set("object", {"a": [1, None]}, tags=["home"])
    cache.hset("hash", mapping={"f": "v", "\udcff": b"\xff"})
    cache.hexpire("hash", 1000, "f")
    cache.rpush("list", "a", b"\xff", "a")
    cache.sadd("set", "m", "n")
    cache.zadd("ranks", {"a": 1.5, "b": float("inf"), "c": float("-inf")})
    cache.expire("ranks", 3600)
    cache.addtag("list", "home")
    cache.taglink("authors", "author:3")


def picture(cache: Cache) -> dict[str, object]:
    """All that a cache holds, deadlines to the second left out."""
    found: dict[str, object] = {}
    for key in sorted(cache.keys()):
        ttl = cache.ttl(key)
        found[key] = (_value(cache, key), cache.tags(key), ttl is not None)
    return {"links": cache.taglinks(), "fields": _deadlines(cache), "keys": found}


def _value(cache: Cache, key: str) -> object:
    kind = cache.type(key)
    if kind == "hash":
        return {field: to_wire(value) for field, value in cache.hgetall(key).items()}
    if kind == "list":
        return [to_wire(one) for one in cache.lrange(key, 0, -1)]
    if kind == "set":
        return cache.smembers(key)
    if kind == "zset":
        return cache.zrange(key, 0, -1, withscores=True)
    return kind, to_wire(cache.get(key))


def _deadlines(cache: Cache) -> list[object]:
    return [at_ms > 0 for at_ms in cache.hpexpiretime("hash", "f", "\udcff")]


@pytest.mark.parametrize("name", ["all.jsonl", "all.msgpack"])
def test_what_is_exported_is_imported_as_it_was(
    served: Served, other: Served, command_line: CommandLine, tmp_path: Path, name: str
) -> None:
    fill(served.cache)
    path = str(tmp_path / name)
    assert command_line("export", path, url=served.url).code == 0
    outcome = command_line("import", path, "--json", url=other.url)
    assert (outcome.code, json.loads(outcome.out)["written"]) == (0, 8)
    assert picture(served.cache) == picture(other.cache)
    left = (served.cache.pttl("page") or 0) - (other.cache.pttl("page") or 0)
    assert abs(left) < 5_000
    assert os.listdir(tmp_path) == [name]  # no state is left behind


def test_a_server_is_copied_straight_into_another(
    served: Served, other: Served, command_line: CommandLine
) -> None:
    fill(served.cache)
    assert command_line("import", served.url, url=other.url).code == 0
    assert picture(served.cache) == picture(other.cache)


def test_export_reads_http_as_well(
    served: Served, other: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    served.cache.set("k", b"\xff", ttl=100, tags=["t"])
    served.cache.hset("h", mapping={"f": "v"})
    path = str(tmp_path / "x.jsonl")
    assert command_line("export", path, url=served.http_url).code == 0
    assert command_line("import", path, url=other.url).code == 0
    assert (other.cache.get("k"), other.cache.tags("k")) == (b"\xff", ["t"])
    assert other.cache.hgetall("h") == {"f": b"v"}


def test_a_redis_is_imported_and_takes_an_export(
    real_server, served: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    url = f"redis://127.0.0.1:{real_server.port}"
    with redis.Redis(port=real_server.port) as client:
        client.flushall()
        client.set("k", "v", px=100_000)
        client.hset("h", mapping={"f": "v"})
        client.zadd("z", {"m": 2})
        client.xadd("stream", {"f": "v"})
        outcome = command_line("import", url, "--json", url=served.url)
        told = json.loads(outcome.out)
        # a stream is none of our types: said, and the rest is there
        assert (told["written"], told["refused"]) == (3, 1)
        assert outcome.code == 1
        assert told["reasons"][0].startswith(
            "stream: the server cannot read a key of this type"
        )
        assert served.cache.get("k") == b"v"
        assert served.cache.hgetall("h") == {"f": b"v"}
        client.flushall()
        served.cache.set("tagged", "v", tags=["t"])
        path = str(tmp_path / "x.jsonl")
        assert command_line("export", path, url=served.url).code == 0
        back = command_line("import", path, url=url)
        assert back.code == 0
        assert "1 without tags" in back.out
        assert sorted(client.keys()) == [b"h", b"k", b"tagged", b"z"]
        assert 0 < client.pttl("k") <= 100_000
        client.flushall()


def test_what_is_left_behind_is_named(
    served: Served, other: Served, redis_server, command_line: CommandLine
) -> None:
    with redis.Redis(port=redis_server.port, db=3) as client:
        client.set("k", "v")
    address = f"redis://127.0.0.1:{redis_server.port}"
    assert "not read: db3;" in command_line("import", address, url=served.url).err
    assert "not read" not in command_line("import", f"{address}/3", url=served.url).err
    with redis.Redis(port=redis_server.port, db=3) as client:
        client.delete("k")
    other.cache.namespace("blog").set("k", "v")
    assert "not read: blog;" in command_line("export", "-", url=other.url).err


def test_keys_that_are_there_are_kept_unless_told_otherwise(
    served: Served, other: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    fill(served.cache)
    for key in ("page", "object"):
        other.cache.set(key, "mine")
    other.cache.rpush("list", "mine")
    path = str(tmp_path / "x.jsonl")
    command_line("export", path, url=served.url)
    outcome = command_line("import", path, "--json", url=other.url)
    told = json.loads(outcome.out)
    assert (outcome.code, told["written"], told["kept"]) == (0, 5, 3)
    assert other.cache.lrange("list", 0, -1) == ["mine"]
    assert other.cache.get("page") == "mine"
    assert command_line("import", path, "--replace").code == 0
    assert picture(served.cache) == picture(other.cache)


def test_a_dry_run_changes_nothing_and_says_what_would_be(
    served: Served, other: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    fill(served.cache)
    path = tmp_path / "x.jsonl"
    counted = command_line("export", str(path), "--dry-run", url=served.url)
    assert counted.out.startswith("8 keys (1 dump, 1 hash, 1 list, 1 set, 3 string, 1 zset)")
    assert not path.exists()
    command_line("export", str(path))
    other.cache.set("page", "mine")
    outcome = command_line("import", str(path), "--dry-run", "--json", url=other.url)
    told = json.loads(outcome.out)
    assert (told["written"], told["kept"], told["links"]) == (7, 1, 1)
    assert list(other.cache.keys()) == ["page"]
    assert os.listdir(tmp_path) == ["x.jsonl"]


MIXED = [
    {"key": "mine:1", "type": "string", "value": "v", "tags": ["t"]},
    {"key": "theirs:1", "type": "string", "value": "v"},
    {
        "key": "mine:2",
        "type": "hash",
        "value": {"f": "v"},
        "field_expires_at_ms": [["f", 9**15]],
    },
    {"key": "theirs:2", "type": "list", "value": ["v"]},
    {"key": "mine:stream", "type": "dump", "value": {"base64": "EwEC"}},
    {"key": "mine:3", "type": "set", "value": ["there already"]},
]


@pytest.mark.parametrize("replace", [[], ["--replace"]])
@pytest.mark.parametrize("target", ["cachestorm", "redis"])
def test_a_dry_run_counts_what_is_refused_as_an_import_does(
    other: Served, redis_server, command_line: CommandLine, tmp_path: Path, replace, target: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in MIXED))
    address = other.url if target == "cachestorm" else f"redis://127.0.0.1:{redis_server.port}"
    with redis.Redis.from_url(address) as client:
        client.flushall()
        client.acl_setuser(
            "ann", True, passwords=["+pw"], keys=["mine:*"], categories=["+@all"]
        )
        if target == "cachestorm":
            client.execute_command("ACL", "SETUSER", "ann", "alltags")
        client.lpush("mine:3", "x")
        url = address.replace("//", "//ann:pw@")
        dry = command_line("import", str(path), "--dry-run", "--json", *replace, url=url)
        assert client.keys() == [b"mine:3"]
        wet = command_line("import", str(path), "--json", *replace, url=url)
        client.execute_command("ACL DELUSER ann")
    told, done = json.loads(dry.out), json.loads(wet.out)
    assert done["refused"] == (4 if target == "redis" else 3)
    of_keys = [[each.split(": ")[0] for each in found.pop("reasons")] for found in (told, done)]
    assert sorted(of_keys[0]) == sorted(of_keys[1])
    assert told == {**done, "dry_run": True}
    assert dry.code == wet.code == 1


def test_a_key_that_expired_on_the_way_is_not_made(
    other: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"key":"old","type":"string","value":"v","expires_at_ms":1000}\n')
    outcome = command_line("import", str(path), url=other.url)
    assert outcome.out == "0 keys written\n1 expired before\n"


def test_a_file_is_not_overwritten_unasked(
    served: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("precious")
    refused = command_line("export", str(path), url=served.url)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert path.read_text() == "precious"
    assert command_line("export", str(path), "--overwrite").code == 0


DAMAGED = [
    ("{nonsense\n", "line 2 is no jsonl"),
    ("[]\n", "line 2 is no object"),
    ('{"type":"string","value":"v"}\n', "line 2 lacks 'key'"),
    ('{"key":"k","type":"blob","value":"v"}\n', "type 'blob' is none of string"),
    ('{"key":"k","type":"list","value":[]}\n', "a list that is not empty"),
    ('{"key":"k","type":"zset","value":[["m","x"]]}\n', "could not convert"),
    ('{"key":"k","type":"string","value":"v","expires_at_ms":-1}\n', "expires_at_ms"),
    ('{"key":{"base64":"%"},"type":"string","value":"v"}\n', "line 2: "),
    ('{"cachestorm":7}\n', "version 7 of the format is not known"),
]


@pytest.mark.parametrize(("line", "reason"), DAMAGED)
def test_what_is_before_a_damaged_line_is_imported_and_the_line_named(
    other: Served, command_line: CommandLine, tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"key":"a","type":"string","value":"1"}\n' + line)
    outcome = command_line("import", str(path), url=other.url)
    assert outcome.code == 1
    assert reason in outcome.err
    assert "1 keys before that" in outcome.err
    assert other.cache.get("a") == b"1"


def test_a_damaged_msgpack_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.msgpack"
    for raw in (b"\xc1", b"\x93\x01\x02\x03"):
        path.write_bytes(raw)
        with path.open("rb") as stream, pytest.raises(RecordError, match="record 1"):
            list(read_batches(stream, "msgpack"))


def test_two_documents_on_a_line_are_not_taken_for_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    record = '{"key":"a","type":"string","value":"1"}'
    for text in (f"{record},{record}\n", f"\n{record},{record}\n"):
        path.write_text(text)
        with path.open("rb") as stream, pytest.raises(RecordError, match="is no jsonl"):
            list(read_batches(stream, "jsonl"))
    path.write_text(f"{record}\n\n{record}\n")
    with path.open("rb") as stream:
        assert [len(items) for items, _ in read_batches(stream, "jsonl")] == [2]


def lines_of(count: int) -> list[str]:
    return [f'{{"key":"k{n}","type":"string","value":"{n}"}}\n' for n in range(count)]


def test_an_import_goes_on_after_the_server_went_away(
    command_line: CommandLine, tmp_path: Path
) -> None:
    lines = lines_of(2500)
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    cache = Cache()
    serving = ExitStack()
    protocols = serving.enter_context(serve(cache, port=0))

    def feed() -> None:
        with pipe.open("w") as stream:
            stream.writelines(lines[:1000])
            stream.flush()
            reached.wait(30)
            serving.close()
            try:
                stream.writelines(lines[1000:])
            except BrokenPipeError:
                pass

    reached = threading.Event()
    watching = threading.Thread(target=lambda: _until(lambda: len(cache) == 1000, reached))
    feeding = threading.Thread(target=feed)
    watching.start()
    feeding.start()
    url = f"redis://127.0.0.1:{protocols.resp.port}"
    outcome = command_line("import", str(pipe), url=url)
    feeding.join()
    watching.join()
    assert outcome.code == 1
    assert "1000 keys before that; --resume goes on from there" in outcome.err
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(lines))
    shutil.move(State(str(pipe)).path, State(str(whole)).path)
    with serve(cache, port=0) as again:
        url = f"redis://127.0.0.1:{again.resp.port}"
        resumed = command_line("import", str(whole), "--resume", "--json", url=url)
    assert (resumed.code, json.loads(resumed.out)["written"]) == (0, 1500)
    assert len(cache) == 2500


def _until(is_so, reached: threading.Event) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if is_so():
            break
        pause.wait(0.01)
    reached.set()


def test_an_export_goes_on_where_it_was_interrupted(
    served: Served, command_line: CommandLine, tmp_path: Path, monkeypatch
) -> None:
    for number in range(1700):
        served.cache.set(f"k{number}", number)
    path = tmp_path / "x.jsonl"

    class Interrupted(State):
        def write(self, **facts: object) -> None:
            super().write(**facts)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "State", Interrupted)
        outcome = command_line("export", str(path), url=served.url)
    assert outcome.code == 1
    assert "interrupted; 500 keys are in" in outcome.err
    # what a crash left behind the last whole page
    with path.open("ab") as stream:
        stream.write(b'{"key":"half')
    assert command_line("export", str(path), "--resume").code == 0
    keys = [json.loads(line).get("key") for line in path.read_text().splitlines()][1:]
    assert sorted(keys) == sorted(f"k{number}" for number in range(1700))


def test_an_export_of_another_server_is_not_gone_on_with(
    served: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{}")
    State(str(path)).write(cursor="5", offset=2, run="another")
    refused = command_line("export", str(path), "--resume", url=served.url)
    assert refused.code == 1
    assert "restarted, or is another one" in refused.err
    assert path.read_text() == "{}"


def test_there_must_be_something_to_go_on_from(
    served: Served, command_line: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("")
    for tool in ("export", "import"):
        refused = command_line(tool, str(path), "--resume", url=served.url)
        assert refused.code == 1
        assert "leave out --resume" in refused.err


def test_an_export_is_piped_into_an_import(
    served: Served, other: Served, command_line: CommandLine, monkeypatch
) -> None:
    import io

    fill(served.cache)
    exported = command_line("export", "-", url=served.url)
    assert exported.err == ""
    stdin = io.TextIOWrapper(io.BytesIO(exported.out.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert command_line("import", "-", url=other.url).code == 0
    assert picture(served.cache) == picture(other.cache)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("import", "redis://x", "--resume"), "are for files"),
        (("import", "x.jsonl", "--match", "a*"), "--match is for a source that is a server"),
        (("import", "nowhere.jsonl"), "No such file"),
        (("export", "/nowhere/x.jsonl"), "No such file"),
        (("export", "x.jsonl", "--format", "xml"), "--format is one of jsonl, msgpack"),
    ],
)
def test_what_cannot_be_is_refused(
    served: Served, command_line: CommandLine, arguments: tuple[str, ...], reason: str
) -> None:
    refused = command_line(*arguments, url=served.url)
    assert refused.code in (1, 2)
    assert reason in refused.err


@pytest.mark.parametrize("width", [5, 20, 40, 79])
def test_the_bar_fits_its_width(width: int) -> None:
    for done, total in ((0, 0), (500, 1000), (10**9, 10**9)):
        line = progress_line(done, total, 12345.0, width)
        assert 0 < len(line) <= width
