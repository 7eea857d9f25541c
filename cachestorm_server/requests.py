r"""The requests: bytes into RESP requests. Sans-IO.

Called by a session; calls nobody. It knows no command, no store and no socket.

A reader is at every moment in one of these states; `next` moves along the table until a
request is whole, or the bytes are not enough and it waits for more.

    state       known                 reads                   then
    ---------   -------------------   ---------------------   ------------------------------
    between     nothing               `*<count>\r\n`          count > 0: header; else between
                                      any other line          inline request, between
    header      arguments missing     `$<size>\r\n`           payload
    payload     size of the next      size bytes and two      one missing less; none: request,
                argument                                      between

1. How the bytes were split on their way never shows in what is read.
2. A length is a claim: nothing is allocated before the bytes themselves have come.
3. There is a shorter way through the table for a request that is whole and has short
   headers: compiled code recognises a header in one 8-byte word, the interpreter splits
   the buffer at its line ends and compares sizes. Neither is a second grammar: what they
   do not know at sight they leave, untouched, to the table.
4. The first argument is the name of a command and names repeat: in compiled code short
   ones come out of a small table, the same object every time, whose hash is known.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/, and `networking.c`
of Redis 7.2 for limits, order of checks and the text of every refusal.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from cachestorm.codec import LONGEST_STRING
from cachestorm_server.inline import ProtocolError as ProtocolError
from cachestorm_server.inline import split_inline as split_inline

MAX_LINE_BYTES: Final = 64 * 1024
MAX_ARGUMENTS: Final = 2**31 - 1
MAX_BULK_BYTES: Final = LONGEST_STRING
# what a client may send that has not said who it is yet
UNAUTHENTICATED_MAX_ARGUMENTS: Final = 10
UNAUTHENTICATED_MAX_BULK_BYTES: Final = 16384
# a longer payload is put together as it comes, not copied when it is whole: new memory of that
# size would hold everybody up
LARGE_BYTES: Final = 256 * 1024
# what an argument costs beside its bytes, so that a flood of tiny ones counts as what it is
ARGUMENT_OVERHEAD_BYTES: Final = 48

_DOLLAR: Final = 36
_STAR: Final = 42
_CRLF_WORD: Final = 0x0A0D


COMPILED: Final = not __file__.endswith(".py")
# the short headers, for the interpreter
_COUNTS: Final[dict[bytes, int]] = {b"*%d" % count: count for count in range(1, 17)}
_SIZES: Final[dict[bytes, int]] = {b"$%d" % size: size for size in range(1024)}


class _Name:
    """A short first argument: its bytes in a word, and the object that stands for it."""

    def __init__(self, arg: i64, raw: bytes) -> None:
        self.arg: i64 = arg
        self.raw: bytes = raw


# direct-mapped: a collision costs an allocation, and no client can make it grow
_NAMES: Final[list[_Name]] = [_Name(0, b"")] * 256


def _name(data: bytes, at: i64, size: i64) -> bytes:
    """The bytes of a command's name, as the same object every time if at most 7 long.

    Args:
        data: the buffer; at least 8 bytes of it follow `at`.
        at: where the name begins.
        size: its length, 1 to 7.
    """
    arg = read_i64_le(data, at)
    # its low bytes only; mypyc would compute `1 << bits` in 32 bits
    bits = size << 3
    arg -= (arg >> bits) << bits
    # the size as well, or a name that ends in NUL would pass for a shorter one
    arg |= size << 56
    slot = (arg ^ (arg >> 13) ^ (arg >> 29)) & 255
    name = _NAMES[slot]
    if name.arg == arg:
        return name.raw
    raw = data[at : at + size]
    _NAMES[slot] = _Name(arg, raw)
    return raw


def _glance(arg: i64, mark: i64) -> i64:
    """Reads a header of one to five digits out of the 8 bytes it begins.

    Args:
        arg: 8 bytes of the buffer, little-endian.
        mark: the byte the header must begin with.

    Returns:
        The number times 16, plus the length of the header in bytes; -1 when the bytes are
        anything else, which need not be wrong.
    """
    # mark, digits masked out, line end: one comparison tells how many digits there are
    if arg & 0xFFFF00FF == 0x0A0D0000 | mark:
        ones = ((arg >> 8) & 0xFF) - 48
        # two branches: of a conditional expression compiled code makes an object
        if ones < 0 or ones > 9:
            return -1
        return ones << 4 | 4
    tens = ((arg >> 8) & 0xFF) - 48
    ones = ((arg >> 16) & 0xFF) - 48
    if tens < 1 or tens > 9 or ones < 0 or ones > 9:
        return -1
    number = tens * 10 + ones
    if arg & 0xFFFF0000FF == 0x0A0D000000 | mark:
        return number << 4 | 5
    if arg & 0xFF != mark:
        return -1
    size: i64 = 3
    while size < 6:
        arg >>= 8
        digit = ((arg >> 16) & 0xFF) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
        size += 1
        if (arg >> 24) & 0xFFFF == _CRLF_WORD:
            return number << 4 | (size + 2)
    return -1


def _parse_length(digits: bytes, most: int, message: str) -> i64:
    """A length as Redis spells it: no blanks, no plus, no leading zeros.

    Raises:
        ProtocolError: with `message`, for anything else or more than `most`.
    """
    size = len(digits)
    if 0 < size <= 20:
        figures = digits[1:] if digits.startswith(b"-") else digits
        if figures.isdigit() and (not figures.startswith(b"0") or size == 1):
            # an int first: twenty digits do not fit into 64 bits
            number = int(digits)
            if -MAX_ARGUMENTS <= number <= most:
                return number
            if number < 0:
                return -1
    raise ProtocolError(message)


class RequestReader:
    r"""Bytes in, requests out.

    Attributes:
        unauthenticated: the limits are narrow, as the client has yet to authenticate.

    Examples:
        >>> reader = RequestReader()
        >>> reader.feed(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPI")
        >>> reader.next()
        [b'GET', b'k']
        >>> reader.next()
        >>> reader.feed(b"NG\r\n")
        >>> reader.next()
        [b'PING']
    """

    def __init__(self, max_bulk_bytes: int = MAX_BULK_BYTES) -> None:
        self._data: bytes = b""
        self._at: i64 = 0
        self._end: i64 = 0
        # the request begun and not finished: its arguments, and how many are missing
        self._args: list[object] = []
        self._missing: i64 = 0
        self._args_bytes: i64 = 0
        # bytes that are no whole step of the table yet, and what makes them worth a look: so
        # many of them, or (where that is not known) the end of a line among what comes
        self._held: bytearray = bytearray()
        self._need: i64 = 0
        self._ending: bytes = b""
        # a large payload that is on its way, and how much of it is missing
        self._large: BytesIO | None = None
        self._large_missing: i64 = 0
        # the buffer split at its line ends: None not yet, empty when that is of no use
        self._lines: list[bytes] | None = None
        self._line_at: int = 0
        self._max_arguments: i64 = MAX_ARGUMENTS
        self.max_bulk_bytes: i64 = max_bulk_bytes
        self.unauthenticated: bool = False

    @property
    def pending_bytes(self) -> int:
        """Bytes held for a request that is not whole yet."""
        large = 0 if self._large is None else self._large.tell()
        return len(self._held) + self._args_bytes + (self._end - self._at) + large

    def feed(self, data: bytes) -> None:
        """Takes bytes from the wire."""
        if self._large_missing != 0:
            data = self._take_large(data)
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return
            if self._ending and self._ending not in data and len(self._held) <= MAX_LINE_BYTES:
                return
            data = bytes(self._held)
            self._held = bytearray()
        elif self._at < self._end:
            data = self._data[self._at : self._end] + data
        self._data = data
        self._at = 0
        self._end = len(data)
        self._lines = None

    def _take_large(self, data: bytes) -> bytes:
        """Puts a large payload together. Returns what has come behind it."""
        large = self._large
        assert large is not None
        missing = self._large_missing
        size: i64 = len(data)
        if size <= missing:
            large.write(data)
            self._large_missing = missing - size
            return b""
        large.write(data[:missing])
        self._large_missing = 0
        return data[missing:]

    def is_done(self) -> bool:
        """Whether the last request ended where the bytes did; they are dropped then."""
        if self._at < self._end:
            return False
        self._data = b""
        return True

    def next(self) -> list[object] | None:
        """The next whole request; None when more bytes are needed.

        Returns:
            The arguments as `bytes`, the command's name first; never empty.

        Raises:
            ProtocolError: the bytes are not RESP; nothing can be read any more.
        """
        begin = self._at
        if begin >= self._end:
            self._data = b""
            return None
        if self._missing == 0 and not self.unauthenticated:
            args = self._take_words() if COMPILED else self._take_lines()
            if args is not None:
                return args
            self._at = begin
        return self._step()

    def _take_lines(self) -> list[object] | None:
        """The interpreter's shorter way: a whole request, out of the buffer's lines.

        Returns:
            None when the table has to read it, and all that follows it in the buffer.
        """
        if self._lines is None:
            self._lines = self._data[self._at :].split(b"\r\n")
            self._line_at = 0
        lines = self._lines
        begin = self._line_at
        count = _COUNTS.get(lines[begin], 0) if lines else 0
        after = begin + 2 * count + 1
        if count == 0 or after >= len(lines):
            self._lines = []
            return None
        args: list[object] = []
        taken = len(lines[begin]) + 2
        for at in range(begin + 1, after, 2):
            argument = lines[at + 1]
            size = len(argument)
            # a payload that holds a line end is longer than its line
            if _SIZES.get(lines[at]) != size:
                self._lines = []
                return None
            args.append(argument)
            taken += size + len(lines[at]) + 4
        self._at += taken
        self._line_at = after
        return args

    def _take_words(self) -> list[object] | None:
        """The compiled shorter way: a whole request, header by header in a word each.

        Returns:
            None when the table has to read it; then `_at` is anywhere.
        """
        if self._at + 8 > self._end:
            return None
        glance = _glance(read_i64_le(self._data, self._at), _STAR)
        if glance < 16:
            return None
        self._at += glance & 15
        missing = (glance >> 4) - 1
        name = self._take_name()
        if name is None:
            return None
        # a list made of what is in it is made in one piece; most requests have these shapes
        if missing == 0:
            return [name]
        first = self._take()
        if first is None:
            return None
        if missing == 1:
            return [name, first]
        second = self._take()
        if second is None:
            return None
        args: list[object] = [name, first, second]
        missing -= 2
        while missing > 0:
            argument = self._take()
            if argument is None:
                return None
            args.append(argument)
            missing -= 1
        return args

    def _take_name(self) -> bytes | None:
        """The first argument, if it is whole and short; None otherwise."""
        at = self._at
        if at + 8 > self._end:
            return None
        glance = _glance(read_i64_le(self._data, at), _DOLLAR)
        size = glance >> 4
        at += glance & 15
        stop = at + size
        if size <= 0 or size > 7 or at + 8 > self._end or stop + 2 > self._end:
            return None
        self._at = stop + 2
        return _name(self._data, at, size)

    def _take(self) -> bytes | None:
        """The next argument, if it is whole and its header short; None otherwise."""
        at = self._at
        if at + 8 > self._end:
            return None
        glance = _glance(read_i64_le(self._data, at), _DOLLAR)
        if glance < 0:
            return None
        at += glance & 15
        stop = at + (glance >> 4)
        if stop + 2 > self._end:
            return None
        self._at = stop + 2
        return self._data[at:stop]

    def _step(self) -> list[object] | None:
        """One request by the table at the top of this module; None when bytes are missing."""
        while self._missing == 0:
            if self._at >= self._end:
                self._wait(0)
                return None
            if self._data[self._at] != _STAR:
                line = self._line(b"\n", "too big inline request")
                if line is None:
                    return None
                argv = split_inline(line[:-1] if line.endswith(b"\r") else line)
                if argv:
                    return argv
                continue
            line = self._line(b"\r", "too big mbulk count string")
            if line is None:
                return None
            count = _parse_length(line[1:], MAX_ARGUMENTS, "invalid multibulk length")
            if self.unauthenticated and count > UNAUTHENTICATED_MAX_ARGUMENTS:
                raise ProtocolError("unauthenticated multibulk length")
            if count > 0:
                self._missing = count
        while self._missing > 0:
            if self._large is not None:
                if self._at + 2 > self._end:
                    self._wait(2)
                    return None
                # it gives its own buffer, which was never copied
                payload = self._large.getvalue()
                self._large = None
                self._take_payload(payload, self._at + 2)
                continue
            begin = self._at
            line = self._line(b"\r", "too big bulk count string")
            if line is None:
                return None
            if not line.startswith(b"$"):
                got = line[:1] if line else b"\r"
                raise ProtocolError(
                    f"expected '$', got '{got.decode('utf-8', 'surrogateescape')}'"
                )
            size = _parse_length(line[1:], int(self.max_bulk_bytes), "invalid bulk length")
            if size < 0:
                raise ProtocolError("invalid bulk length")
            if self.unauthenticated and size > UNAUTHENTICATED_MAX_BULK_BYTES:
                raise ProtocolError("unauthenticated bulk length")
            # what ends a payload is skipped unseen, as Redis does
            after = self._at + size + 2
            if after > self._end:
                here = self._end - self._at
                if size >= LARGE_BYTES and here < size:
                    self._large = BytesIO()
                    self._large.write(self._data[self._at : self._end])
                    self._large_missing = size - here
                    self._at = self._end
                    self._wait(0)
                    return None
                self._at = begin
                self._wait(after - begin)
                return None
            self._take_payload(self._data[self._at : self._at + size], after)
        args = self._args
        self._args = []
        self._args_bytes = 0
        return args

    def _take_payload(self, payload: bytes, after: i64) -> None:
        """Takes an argument in, and goes on behind it."""
        self._args.append(payload)
        self._args_bytes += len(payload) + ARGUMENT_OVERHEAD_BYTES
        self._at = after
        self._missing -= 1

    def _line(self, ending: bytes, too_big: str) -> bytes | None:
        """Steps over a line and gives its bytes; None, and waits, when it has not come yet."""
        stop: i64 = self._data.find(ending, self._at)
        if (self._end if stop < 0 else stop) - self._at > MAX_LINE_BYTES:
            raise ProtocolError(too_big)
        # a carriage return takes the byte that follows it along, whatever it is
        after: i64 = stop + (2 if ending == b"\r" else 1)
        if stop < 0:
            self._wait(0, ending)
            return None
        if after > self._end:
            self._wait(after - self._at)
            return None
        line = self._data[self._at : stop]
        self._at = after
        return line

    def _wait(self, need: i64, ending: bytes = b"") -> None:
        """Keeps what is left until more has come.

        Args:
            need: how many bytes the next step takes, as far as that is known.
            ending: the end of the line that is to come; empty when it is not a line.
        """
        if self._at < self._end:
            self._held = bytearray(self._data[self._at : self._end])
        self._need = need
        self._ending = ending
        self._data = b""
        self._at = 0
        self._end = 0
