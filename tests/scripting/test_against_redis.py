"""Scripts give what they give in redis-server 7.0: replies and errors, byte by byte."""

from __future__ import annotations

import pytest
from lines import FOLDER, TAIL, Ours, Theirs, lines
from real_servers import RealServer

pytestmark = pytest.mark.usefixtures("no_call_falls_back")

NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_scripts_give_what_they_give_in_redis(
    redis_server: RealServer, name: str, protocol: int
) -> None:
    ours, theirs = Ours(), Theirs(redis_server.port)
    try:
        for side in (ours, theirs):
            side.ask(b"HELLO", b"%d" % protocol)
            side.ask(b"FLUSHALL")
        got = {line: ours.ask(b"EVAL", line, *TAIL) for line in lines(name)}
        expected = {line: theirs.ask(b"EVAL", line, *TAIL) for line in lines(name)}
        assert got == expected
    finally:
        theirs.close()
