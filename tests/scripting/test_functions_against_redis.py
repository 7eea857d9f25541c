"""Functions give what they give in redis-server 7.0: replies and errors, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from lines import Ours, Theirs
from real_servers import RealServer

pytestmark = pytest.mark.usefixtures("no_call_falls_back")

REQUESTS = Path(__file__).parent / "functions" / "functions.txt"
LIBRARY = b"#!lua name=%s\nredis.register_function('%s', function() return 7 end)\n"


def requests() -> list[list[bytes]]:
    r"""The requests of the file, a line each: words between bars; `\n` is a line end."""
    lines = REQUESTS.read_text("utf-8").splitlines()
    texts = [line.replace("\\n", "\n") for line in lines if not line.startswith("#")]
    return [[word.encode() for word in text.split(" | ")] for text in texts]


@pytest.mark.parametrize("protocol", [2, 3])
def test_functions_reply_as_in_redis(redis_server: RealServer, protocol: int) -> None:
    ours, theirs = Ours(), Theirs(redis_server.port)
    try:
        for side in (ours, theirs):
            side.ask(b"HELLO", b"%d" % protocol)
            side.ask(b"FLUSHALL")
        got = [(request, ours.ask(*request)) for request in requests()]
        expected = [(request, theirs.ask(*request)) for request in requests()]
        assert got == expected
    finally:
        theirs.ask(b"FUNCTION", b"FLUSH")
        theirs.close()


def test_libraries_go_from_redis_to_ours_and_back(redis_server: RealServer) -> None:
    ours, theirs = Ours(), Theirs(redis_server.port)
    # of all sizes that are spelled in their own way; compressed by Redis, where that pays
    codes = [LIBRARY % (b"lib%d" % n, b"f%d" % n) + b"-" * size for n, size in SIZES]
    try:
        for first, second in ((theirs, ours), (ours, theirs)):
            first.ask(b"FUNCTION", b"FLUSH")
            second.ask(b"FUNCTION", b"FLUSH")
            for code in codes:
                assert first.ask(b"FUNCTION", b"LOAD", code).startswith(b"$")
            head, _, payload = first.ask(b"FUNCTION", b"DUMP").partition(b"\r\n")
            dumped = payload[: int(head[1:])]
            assert second.ask(b"FUNCTION", b"RESTORE", dumped) == b"+OK\r\n"
            assert second.ask(b"FCALL", b"f2", b"0") == b":7\r\n"
            refused = second.ask(b"FUNCTION", b"RESTORE", dumped)
            assert refused.startswith(b"-ERR Library lib")
            assert refused.endswith(b" already exists\r\n")
            for policy in (b"REPLACE", b"FLUSH"):
                assert second.ask(b"FUNCTION", b"RESTORE", dumped, policy) == b"+OK\r\n"
            assert second.ask(b"FUNCTION", b"LIST").count(b"library_name") == len(codes)
    finally:
        theirs.ask(b"FUNCTION", b"FLUSH")
        theirs.close()


SIZES = [(1, 0), (2, 100), (3, 20_000)]
