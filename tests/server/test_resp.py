"""The reader and the encoder, without a session."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from librt.strings import BytesWriter

from cachestorm.declare.wire_values import NULL_ARRAY, OK, Members, Pairs, Status, Verbatim
from cachestorm.errors import WrongTypeError
from cachestorm_server.replies import write_reply
from cachestorm_server.requests import (
    COMPILED,
    LARGE_BYTES,
    ProtocolError,
    RequestReader,
    split_inline,
)


def read_all(*pieces: bytes, unauthenticated: bool = False) -> list[object]:
    """Requests, and at the end the protocol error if there was one."""
    reader = RequestReader()
    reader.unauthenticated = unauthenticated
    found: list[object] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while True:
                request = reader.next()
                if request is None:
                    break
                found.append(request)
    except ProtocolError as error:
        found.append(error.resp)
    return found


def spell(*argv: bytes) -> bytes:
    """A request in RESP."""
    bulks = [b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv]
    return b"*%d\r\n" % len(argv) + b"".join(bulks)


def written(reply: object, resp3: bool) -> bytes:
    out = BytesWriter()
    write_reply(out, reply, resp3)
    return out.getvalue()


WORDS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"GET", b"PERSIST", b"EXPIRETIME", b"GET\0", b"x" * 1500]),
)
REQUESTS = st.lists(WORDS, min_size=1, max_size=6).map(lambda argv: spell(*argv))
LINES = st.sampled_from(
    [b"PING\r\n", b"\r\n", b"*0\r\n", b"*-1\r\n", b'ECHO "a b"\n', b"*1\rx$4\rxPINGyy"]
)
BROKEN = st.sampled_from(
    [b"*x\r\n", b"*1\r\n+PING\r\n", b"*1\r\n$-1\r\n", b'"\r\n', b"*2\r\n$01\r\n", b"*1\r\n\r\n"]
)


@given(
    st.lists(st.one_of(REQUESTS, LINES), max_size=6),
    st.one_of(st.just(b""), BROKEN, st.binary(max_size=40)),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_how_bytes_are_split_never_shows(
    parts: list[bytes], tail: bytes, cuts: list[int]
) -> None:
    wire = b"".join(parts) + tail
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = [wire[begin:end] for begin, end in pairwise(edges)]
    whole = read_all(wire)
    assert read_all(*pieces) == whole
    assert read_all(*[wire[at : at + 1] for at in range(len(wire))]) == whole


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6), max_size=5))
def test_what_was_spelled_is_read(requests: list[list[bytes]]) -> None:
    assert read_all(b"".join(spell(*argv) for argv in requests)) == requests


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*\0\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*99999999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*1\r\nxPING\r\n", "expected '$', got 'x'"),
        (b"*" + b"1" * 70_000, "too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 70_000, "too big bulk count string"),
        (b"x" * 70_000, "too big inline request"),
        (b"x" * 70_000 + b"\r\n", "too big inline request"),
        (b'SET "a\r\n', "unbalanced quotes in request"),
        (b'SET "a"b\r\n', "unbalanced quotes in request"),
        (b"SET 'a\r\n", "unbalanced quotes in request"),
    ],
)
def test_bytes_that_are_no_resp_are_refused_in_the_words_of_redis(
    wire: bytes, error: str
) -> None:
    assert read_all(wire) == [f"ERR Protocol error: {error}"]


def test_requests_before_a_protocol_error_are_read() -> None:
    assert read_all(spell(b"PING") + b"*x\r\n") == [
        [b"PING"],
        "ERR Protocol error: invalid multibulk length",
    ]


def test_a_stranger_may_send_little() -> None:
    assert read_all(b"*10\r\n$16384\r\n", unauthenticated=True) == []
    assert read_all(b"*11\r\n", unauthenticated=True) == [
        "ERR Protocol error: unauthenticated multibulk length"
    ]
    assert read_all(b"*1\r\n$16385\r\n", unauthenticated=True) == [
        "ERR Protocol error: unauthenticated bulk length"
    ]


def test_a_length_is_a_claim_and_allocates_nothing() -> None:
    tracemalloc.start()
    try:
        read_all(b"*2147483647\r\n$536870912\r\nabc")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_long_argument_in_many_pieces_is_put_together_once() -> None:
    value = bytes(range(256)) * 4096
    wire = spell(b"SET", b"k", value)
    pieces = [wire[at : at + 1000] for at in range(0, len(wire), 1000)]
    assert read_all(*pieces) == [[b"SET", b"k", value]]


@pytest.mark.skipif(not COMPILED, reason="the interpreter splits lines instead")
def test_short_names_are_the_same_object_every_time() -> None:
    first, second = read_all(spell(b"GET", b"key") + spell(b"GET", b"other"))
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[0] is second[0]


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        (b"", []),
        (b"  \t ", []),
        (b"PING  x", [b"PING", b"x"]),
        (b'"a b" c', [b"a b", b"c"]),
        (b"'it\\'s' '\\x41'", [b"it's", b"\\x41"]),
        (b'"\\x41\\n\\q\\""', [b'A\nq"']),
        (b'a"b c"', [b"ab c"]),
        (b"a\\x41", [b"a\\x41"]),
        (b"\0\xff", [b"\0\xff"]),
    ],
)
def test_inline_requests_are_split_as_redis_splits_them(line: bytes, argv: list[bytes]) -> None:
    assert split_inline(line) == argv


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (None, b"$-1\r\n", b"_\r\n"),
        (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
        (OK, b"+OK\r\n", b"+OK\r\n"),
        (Status("a\r\nb"), b"+a  b\r\n", b"+a  b\r\n"),
        (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
        (
            b"x" * 2000,
            b"$2000\r\n" + b"x" * 2000 + b"\r\n",
            b"$2000\r\n" + b"x" * 2000 + b"\r\n",
        ),
        ("\udcff", b"$1\r\n\xff\r\n", b"$1\r\n\xff\r\n"),
        (True, b":1\r\n", b":1\r\n"),
        (False, b":0\r\n", b":0\r\n"),
        (-1, b":-1\r\n", b":-1\r\n"),
        (2**63 - 1, b":9223372036854775807\r\n", b":9223372036854775807\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
        ([], b"*0\r\n", b"*0\r\n"),
        ((1, [b"a"]), b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n"),
        ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (Members([b"a"]), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
        (
            Pairs([("a", 1.0)]),
            b"*2\r\n$1\r\na\r\n$1\r\n1\r\n",
            b"*1\r\n*2\r\n$1\r\na\r\n,1\r\n",
        ),
        (Verbatim("hé"), b"$3\r\nh\xc3\xa9\r\n", b"=7\r\ntxt:h\xc3\xa9\r\n"),
        (
            [WrongTypeError("no\r\nway")],
            b"*1\r\n-WRONGTYPE no  way\r\n",
            b"*1\r\n-WRONGTYPE no  way\r\n",
        ),
    ],
)
def test_a_wire_value_has_its_form_in_both_protocols(
    reply: object, resp2: bytes, resp3: bytes
) -> None:
    assert written(reply, False) == resp2
    assert written(reply, True) == resp3


def test_what_is_no_wire_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in RESP"):
        written(object(), False)


@pytest.mark.parametrize("start", [b"ECHO ", b"*", b"*2\r\n$4\r\nECHO\r\n$"])
def test_a_line_that_comes_byte_by_byte_is_not_copied_at_each(start: bytes) -> None:
    reader = RequestReader()
    reader.feed(start)
    assert reader.next() is None
    held = reader._held
    for _ in range(60_000):
        reader.feed(b"1")
        assert reader.next() is None
    assert reader._held is held
    assert reader.pending_bytes >= 60_000


def test_a_large_payload_is_read_however_it_is_cut() -> None:
    first = bytes(range(256)) * (LARGE_BYTES // 256)
    second = b"y" * (LARGE_BYTES + 3)
    small = b"z" * (LARGE_BYTES - 1)
    requests = [[b"SET", b"k", first], [b"MSET", second, b"", small, b"v"], [b"PING"]]
    wire = b"".join(
        b"*%d\r\n" % len(each) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in each)
        for each in requests
    )
    ends = [wire.index(each) + len(each) for each in (first, second, small)]
    for cut in (cut for end in ends for cut in range(end - 2, end + 4)):
        for step in (len(wire), 100_000):
            reader = RequestReader()
            seen = []
            for start, stop in pairwise([*range(0, cut, step), cut, *range(cut + 1, cut + 4)]):
                reader.feed(wire[start:stop])
                while (request := reader.next()) is not None:
                    seen.append(request)
            reader.feed(wire[cut + 3 :])
            while (request := reader.next()) is not None:
                seen.append(request)
            assert seen == requests
            assert reader.pending_bytes == 0


def test_a_large_payload_counts_while_it_comes_and_is_never_copied_whole() -> None:
    size = 16 * LARGE_BYTES
    reader = RequestReader()
    reader.feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size)
    assert reader.next() is None
    piece = b"x" * LARGE_BYTES
    tracemalloc.start()
    try:
        for _ in range(16):
            reader.feed(piece)
            assert reader.next() is None
        assert size <= reader.pending_bytes < size + 200
        reader.feed(b"\r\n")
        request = reader.next()
        assert request is not None and request[2] == b"x" * size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # what grows is sometimes held twice for a moment; the last expression makes one more
    assert peak < 2.5 * size
