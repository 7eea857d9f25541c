"""An operator's day: Redis' own tools, in each of their modes, against a live server."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import termios
import time
import urllib.request
from collections.abc import Iterator

import pytest
from processes import Running

CLI = shutil.which("redis-cli")
BENCHMARK = shutil.which("redis-benchmark")
PROMTOOL = shutil.which("promtool")
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(CLI is None, reason="redis-cli is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running("serve", "--port", "0", "--http-port", "0", "--policy", "allkeys-lfu")
    yield running
    assert running.end() == 0


@pytest.fixture
def filled(server: Running) -> Running:
    """A server with a key of each type, and nothing else."""
    cli(
        server,
        given=b"FLUSHALL\nSET text value\nINCR number\nRPUSH list x y\nHSET hash f v\n"
        b"SADD set m\nZADD ranks 1 m\nXX\nSET tagged v TAGS news\n",
    )
    return server


def cli(server: Running, *arguments: str, given: bytes = b"") -> str:
    """What redis-cli prints, errors included; it has to end by itself."""
    done = subprocess.run(
        [str(CLI), "-p", server.port, *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
    )
    return done.stdout.decode()


def on_terminal(server: Running, typed: bytes, until: bytes, *arguments: str) -> bytes:
    """What redis-cli shows on a terminal until something is there; then it is ended.

    Args:
        typed: at its prompt; empty where it shows none.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 200))
    process = subprocess.Popen(
        [str(CLI), "-p", server.port, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "HOME": "/nonexistent"},
    )
    os.close(slave)
    try:
        shown = b""
        if typed:
            shown = _read(master, f":{server.port}> ".encode())
            # what is typed before that is thrown away
            os.write(master, typed)
        return shown + _read(master, until)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _read(master: int, until: bytes) -> bytes:
    shown = b""
    end = time.monotonic() + PATIENCE_S
    while until not in shown and (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            shown += os.read(master, 4096)
    return shown


MODES: dict[str, tuple[list[str], str]] = {
    "raw": (["--raw", "LRANGE", "list", "0", "-1"], "x\ny\n"),
    "for people": (["--no-raw", "LRANGE", "list", "0", "-1"], '1) "x"\n2) "y"\n'),
    "csv": (["--csv", "LRANGE", "list", "0", "-1"], '"x","y"\n'),
    "json": (["--json", "HGETALL", "hash"], '{"f":"v"}\n'),
    "quoted json": (["--quoted-json", "HGETALL", "hash"], '{"f":"v"}\n'),
    "RESP2": (["-2", "--no-raw", "HGETALL", "hash"], '1) "f"\n2) "v"\n'),
    "RESP3": (["-3", "--no-raw", "HGETALL", "hash"], '1# "f" => "v"\n'),
    "delimited": (["-d", "|", "LRANGE", "list", "0", "-1"], "x|y\n"),
    "repeated": (["-r", "3", "-i", "0.01", "INCR", "number"], "2\n3\n4\n"),
    "a database": (["-n", "1", "DBSIZE"], "0\n"),
    "in a cluster or not": (["-c", "GET", "text"], "value\n"),
    "quoted input": (["--quoted-input", "--no-raw", "ECHO", '"\\x00k"'], '"\\x00k"\n'),
    "a refusal": (["-e", "GET"], "ERR wrong number of arguments for 'get' command\n"),
}


@pytest.mark.parametrize(("arguments", "shown"), MODES.values(), ids=MODES)
def test_a_mode_of_redis_cli_shows_what_it_should(
    filled: Running, arguments: list[str], shown: str
) -> None:
    assert cli(filled, *arguments).rstrip("\n") == shown.rstrip("\n")


def test_commands_are_read_from_a_pipe(server: Running) -> None:
    given = b"FLUSHALL\nSET a 1\nINCR a\nGET a\nNOPE\n"
    expected = "OK\nOK\n2\n2\nERR unknown command 'NOPE', with args beginning with:"
    assert cli(server, given=given).startswith(expected)


def test_a_uri_says_where_to_go(filled: Running) -> None:
    assert cli(filled, "-u", f"redis://127.0.0.1:{filled.port}/0", "GET", "text") == "value\n"


def test_a_value_comes_from_standard_input(filled: Running) -> None:
    assert cli(filled, "-x", "SET", "file", given=b"a\0b\n") == "OK\n"
    assert cli(filled, "-X", "HERE", "SET", "other", "HERE", given=b"c") == "OK\n"
    assert cli(filled, "--no-raw", "MGET", "file", "other") == '1) "a\\x00b\\n"\n2) "c"\n'


def test_many_commands_are_loaded_at_once(server: Running) -> None:
    cli(server, "FLUSHALL")
    keys = [b"key:%d" % number for number in range(5000)]
    given = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(key), key) for key in keys
    )
    assert cli(server, "--pipe", given=given).splitlines()[-1] == "errors: 0, replies: 5000"
    assert cli(server, "DBSIZE") == "5000\n"
    found = cli(server, "--scan", "--pattern", "key:49?9").split()
    assert sorted(found) == [f"key:49{digit}9" for digit in range(10)]


@pytest.mark.parametrize("mode", ["--bigkeys", "--memkeys", "--hotkeys"])
def test_the_largest_and_the_hottest_keys_are_found(filled: Running, mode: str) -> None:
    shown = cli(filled, mode)
    assert "Sampled 7 keys in the keyspace!" in shown
    if mode == "--hotkeys":
        assert "hot key found with counter" in shown
    else:
        assert all(f"{kind} found '\"" in shown for kind in ("list", "hash", "set", "zset"))


def test_latency_is_measured(server: Running) -> None:
    least, most, mean, samples = map(float, cli(server, "--latency", "-i", "0.2").split())
    assert 0 <= least <= mean <= most
    assert samples > 0


def test_a_person_types_at_the_prompt(filled: Running) -> None:
    port = filled.port.encode()
    shown = on_terminal(filled, b"GET text\r", b'"value"')
    assert b"127.0.0.1:" + port + b"> " in shown
    assert b'"value"' in shown


def test_the_prompt_knows_commands_of_ours(filled: Running) -> None:
    # redis-cli asks COMMAND when it starts, and newer ones COMMAND DOCS
    shown = on_terminal(filled, b"HELP INVALIDATE\r", b"summary")
    helped = shown.rpartition(b"HELP INVALIDATE")[2]
    assert b"INVALIDATE" in helped
    assert b"summary" in helped


def test_statistics_are_shown_as_they_change(filled: Running) -> None:
    shown = on_terminal(filled, b"", b" (+1)", "--stat", "-i", "0.05")
    assert b"keys       mem      clients" in shown
    assert b"\n7 " in shown


def test_monitor_and_subscribe_show_what_comes(filled: Running) -> None:
    assert b"OK" in on_terminal(filled, b"", b"OK", "MONITOR")
    shown = on_terminal(filled, b"", b"(integer) 1", "SUBSCRIBE", "news")
    assert b'"subscribe"' in shown


def test_a_copy_for_a_replica_is_refused_in_words(filled: Running, tmp_path) -> None:
    shown = cli(filled, "--rdb", str(tmp_path / "dump.rdb"))
    assert "SYNC with master failed: -ERR unknown command 'SYNC'" in shown


@pytest.mark.skipif(BENCHMARK is None, reason="redis-benchmark is not installed")
def test_redis_benchmark_runs_its_standard_tests(server: Running) -> None:
    tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"
    command = [str(BENCHMARK), "-p", server.port, "-n", "200", "-c", "5", "-t", tests, "--csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert "ERR" not in done.stdout + done.stderr
    # a head, then a line for each; ping and lrange are several
    assert len(done.stdout.splitlines()) >= len(tests.split(","))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_is_content_with_the_metrics_of_a_server_at_work(filled: Running) -> None:
    address = f"http://127.0.0.1:{filled.http_port}"
    with urllib.request.urlopen(f"{address}/metrics", timeout=PATIENCE_S) as answer:
        scrape = answer.read()
    check = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=scrape, capture_output=True, timeout=120
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
    with urllib.request.urlopen(f"{address}/health", timeout=PATIENCE_S) as answer:
        assert json.load(answer)["status"] == "ok"
