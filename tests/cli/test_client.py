"""The client without a server: replies out of bytes, and as text."""

from __future__ import annotations

import io

import pytest

from cachestorm.declare.wire_values import OK, Members, Pairs, Status, Verbatim
from cachestorm_cli.client import ServerError, read_reply
from cachestorm_cli.printing import for_people, for_programs, quoted

REPLIES = [
    (b"+OK\r\n", OK, "OK", b"OK"),
    (b":-7\r\n", -7, "(integer) -7", b"-7"),
    (b"$2\r\na\n\r\n", b"a\n", '"a\\n"', b"a\n"),
    (b"$0\r\n\r\n", b"", '""', b""),
    (b"$-1\r\n", None, "(nil)", b""),
    (b"*-1\r\n", None, "(nil)", b""),
    (b"_\r\n", None, "(nil)", b""),
    (b"*0\r\n", [], "(empty array)", b""),
    (b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", [1, [b"x"]], '1) (integer) 1\n2) 1) "x"', b"1\nx"),
    (b"#t\r\n", True, "(true)", b"true"),
    (b",1.5\r\n", 1.5, "(double) 1.5", b"1.5"),
    (b",inf\r\n", float("inf"), "(double) inf", b"inf"),
    (b"(12345678901234567890\r\n", 12345678901234567890, None, b"12345678901234567890"),
    (b"=6\r\ntxt:ab\r\n", Verbatim("ab"), "ab", b"ab"),
    (b"~1\r\n$1\r\na\r\n", Members([b"a"]), '1~ "a"', b"a"),
    (b"%1\r\n+a\r\n:1\r\n", Pairs([(Status("a"), 1)]), "1# a => (integer) 1", b"a\n1"),
    # a push and an attribute are passed over
    (b">2\r\n+a\r\n+b\r\n|1\r\n+c\r\n+d\r\n:1\r\n", 1, "(integer) 1", b"1"),
]


@pytest.mark.parametrize(("raw", "value", "people", "programs"), REPLIES)
def test_a_reply_is_read_and_printed(raw, value, people, programs) -> None:
    stream = io.BytesIO(raw)
    reply = read_reply(stream)
    assert value == reply
    assert stream.read() == b""
    assert people is None or people == for_people(reply)
    assert programs == for_programs(reply)


def test_an_error_keeps_its_code() -> None:
    for raw in (b"-WRONGTYPE no\r\n", b"!12\r\nWRONGTYPE no\r\n"):
        reply = read_reply(io.BytesIO(raw))
        assert isinstance(reply, ServerError)
        assert for_people(reply) == "(error) WRONGTYPE no"


@pytest.mark.parametrize("raw", [b"", b"$5\r\nab", b"+OK", b"*2\r\n:1\r\n", b"?x\r\n"])
def test_what_ends_too_early_or_is_no_resp_is_a_lost_connection(raw) -> None:
    with pytest.raises(ConnectionError):
        read_reply(io.BytesIO(raw))


def test_what_a_terminal_would_act_upon_is_shown_and_not_sent() -> None:
    assert quoted(b"\x1b[31m\xff") == '"\\x1b[31m\\xff"'
    assert for_people(ServerError("ERR \x1b[31m")) == "(error) ERR [31m"


def test_rows_are_aligned() -> None:
    lines = for_people([b"x"] * 10).splitlines()
    assert (lines[0], lines[-1]) == (' 1) "x"', '10) "x"')
