"""The family of scalars: the number or the bytes of a value, changed and looked at in place.

1. A change of the value (`incr`, `append`, `setrange`) keeps time to live and tags.
2. A number is stored as Python's own: INCR leaves an `int`, INCRBYFLOAT a `float`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import (
    INT64_MIN,
    LONGEST_FLOAT,
    LONGEST_INTEGER,
    LONGEST_STRING,
    is_int64,
    parse_float,
    parse_int,
    to_wire,
)
from cachestorm.commands.edge import Edge, enter_for, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import STRING, Entry
from cachestorm.errors import ArgumentError, CodecError, NotAnIntegerError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.arithmetic import float_sum
from cachestorm.operations.names import exact_int, exact_key
from cachestorm.operations.string_values import (
    buffer_of,
    keep_scalar,
    length_of,
    part_of,
    short_scalar,
    wire_scalar,
)
from cachestorm.operations.subsequences import (
    common_ranges,
    common_subsequence,
    length_at,
    table_of,
)

command: Final = partial(Declaration, group="string")

# of the table of LCS, in which Redis gives each cell four bytes
MOST_CELLS: Final = LONGEST_STRING // 4


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Scalars(Edge):
    """INCR, APPEND, GETRANGE and what else works on a part of a value."""

    @command(
        "INCRBY key:rw-access-update amount:integer",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Increment the integer value of a key by a number.",
    )
    @command(
        "INCR key:rw-access-update",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Increment the integer value of a key by one.",
    )
    def incr(self, key: str, amount: object = 1) -> int:
        """Adds to the integer of a key, which counts as 0 while missing.

        Returns:
            The new value, which is stored as an `int`. TTL and tags are kept.

        Raises:
            NotAnIntegerError: if the value is not an integer of 64 bits.
            ArgumentError: if the sum would not fit into 64 bits.
        """
        return _add(self, key, amount)

    @command(
        "DECRBY key:rw-access-update amount:integer",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Decrement the integer value of a key by a number.",
    )
    @command(
        "DECR key:rw-access-update",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Decrement the integer value of a key by one.",
    )
    def decr(self, key: str, amount: object = 1) -> int:
        """Takes from the integer of a key; else as `incr`."""
        number = _amount_of(amount)
        if number == INT64_MIN:
            raise ArgumentError("decrement would overflow")
        return _add(self, key, -number)

    @command(
        "APPEND key:rw-insert value",
        complexity="O(N) in the appended length",
        grows=True,
        fast=True,
        summary="Append bytes to the value of a key.",
    )
    def append(self, key: str, value: object) -> int:
        """Appends the bytes of a value. Returns the new length in bytes.

        Raises:
            WrongTypeError: if the key holds no scalar.
            ArgumentError: beyond 512 MiB.
            CodecError: for None, and what JSON cannot carry.
        """
        key = exact_key(key)
        tail = _bytes_to_write(value)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                keep_scalar(space, key, None, tail, "append")
                return len(tail)
            size = length_of(space, entry)
            if size + len(tail) > LONGEST_STRING:
                raise ArgumentError("string exceeds maximum allowed size (proto-max-bulk-len)")
            return _overwritten(space, key, entry, size, tail, "append")
        finally:
            space.leave()

    @command(
        "STRLEN key:ro",
        complexity="O(1)",
        fast=True,
        summary="Return the length of a value in bytes.",
    )
    def strlen(self, key: str) -> int:
        """The length of a value in bytes; 0 for a missing key."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            return length_of(space, space.find(key))
        finally:
            space.leave()

    @command(
        "SUBSTR key start:integer end:integer",
        complexity="O(N) in the returned length",
        deprecated="2.0.0",
        instead="`GETRANGE`",
        summary="Return a part of a value; an older name of GETRANGE.",
    )
    @command(
        "GETRANGE key start:integer end:integer",
        complexity="O(N) in the returned length",
        summary="Return a part of a value.",
    )
    def getrange(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, both included; negative ones count from the end."""
        start = exact_int(start)
        end = exact_int(end)
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            size = length_of(space, entry)
            if start < 0 and end < 0 and start > end:
                return b""
            if start < 0:
                start = max(size + start, 0)
            if end < 0:
                end = max(size + end, 0)
            # compiled, a slice of bytes may not end before it begins
            return part_of(space, entry, start, end + 1) if start <= end else b""
        finally:
            space.leave()

    @command(
        "SETRANGE key:rw-update offset:integer value",
        complexity="O(N) in the written length",
        grows=True,
        summary="Overwrite a part of a value, padded with zero bytes where needed.",
    )
    def setrange(self, key: str, offset: int, value: object) -> int:
        """Overwrites the bytes from `offset` on. Returns the new length.

        Raises:
            ArgumentError: for a negative offset, or beyond 512 MiB.
            CodecError: for None, and what JSON cannot carry.
        """
        offset = exact_int(offset)
        key = exact_key(key)
        patch = _bytes_to_write(value)
        if offset < 0:
            raise ArgumentError("offset is out of range")
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            size = length_of(space, entry)
            if not patch:
                return size
            if offset + len(patch) > LONGEST_STRING:
                raise ArgumentError("string exceeds maximum allowed size (proto-max-bulk-len)")
            return _overwritten(space, key, entry, offset, patch, "setrange")
        finally:
            space.leave()

    @command(
        "INCRBYFLOAT key:rw-access-update increment:double",
        complexity="O(1)",
        grows=True,
        fast=True,
        reply="bulk",
        summary="Increment the number of a key by a floating point number.",
    )
    def incrbyfloat(self, key: str, increment: float | str = 1.0) -> float:
        """Adds to the number of a key, which counts as 0 while missing.

        Returns:
            The new value, which is stored as a `float`. TTL and tags are kept.

        Raises:
            NotAFloatError: if the value is not a number.
            ArgumentError: if the sum is not finite.
        """
        key = exact_key(key)
        amount = parse_float(increment)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                total = float_sum(0.0, amount)
                keep_scalar(space, key, None, total, "incrbyfloat")
            else:
                number = parse_float(short_scalar(space, entry, LONGEST_FLOAT) or b"")
                total = float_sum(number, amount)
                space.change(entry, total, "incrbyfloat")
            return total
        finally:
            space.leave()

    @command(
        "LCS key1:key key2:key [LEN] [IDX] [MINMATCHLEN minmatchlen:integer] [WITHMATCHLEN]",
        complexity="O(N*M) in the lengths",
        local="its reply, a map of several types, is not read back",
        summary="Return the longest common subsequence of two values.",
    )
    def lcs(
        self,
        key1: str,
        key2: str,
        *,
        len: bool = False,
        idx: bool = False,
        minmatchlen: int = 0,
        withmatchlen: bool = False,
    ) -> object:
        """The longest common subsequence of two values; a missing key counts as empty.

        Args:
            len: only its length.
            idx: instead, where its stretches lie.
            minmatchlen: with `idx`, only stretches at least that long.
            withmatchlen: with `idx`, the length of each stretch too.

        Returns:
            `bytes`, an `int` with `len`; with `idx` a dict of `matches`, last one first,
            each `[[first, last], [first, last]]` in either value, and `len`.

        Raises:
            ArgumentError: if a key holds no scalar, for both `len` and `idx`, and if the
                values are too long to be compared.
        """
        pair = self._two_scalars(exact_key(key1), exact_key(key2))
        if len and idx:
            raise ArgumentError("If you want both the length and indexes, please just use IDX.")
        if pair is None:
            raise ArgumentError(
                "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
            )
        return _compared(pair[0], pair[1], len, idx, minmatchlen, withmatchlen)

    def _two_scalars(self, key1: str, key2: str) -> tuple[bytes, bytes] | None:
        """The bytes of two strings; None if they are too long to be compared."""
        space = enter_for_all(self, [key1, key2])
        try:
            first = space.find(key1)
            second = space.find(key2)
            cells = (length_of(space, first) + 1) * (length_of(space, second) + 1)
            if cells > MOST_CELLS:
                return None
            return wire_scalar(space, first), wire_scalar(space, second)
        except WrongTypeError as error:
            raise ArgumentError("The specified keys must contain string values") from error
        finally:
            space.leave()


def _amount_of(given: object) -> int:
    if type(given) is int and is_int64(given):
        return given
    return parse_int(given, f"an amount is an integer of 64 bits, not {given!r}")


def _bytes_to_write(value: object) -> bytes:
    """The bytes of what is written into a string; a JSON null among text is nobody's wish."""
    if value is None:
        raise CodecError("None has no bytes to write into a string")
    return to_wire(value)


def _overwritten(
    space: Keyspace, key: str, entry: Entry | None, offset: int, patch: bytes, event: str
) -> int:
    """Writes bytes into a string, which grows as needed. Returns its length."""
    stop = offset + len(patch)
    buffer = buffer_of(space, entry, stop)
    if buffer is not None and entry is not None:
        buffer.data[offset:stop] = patch
        buffer.wrote(offset, stop)
        space.changed(entry, 0, event)
        return len(buffer)
    whole = wire_scalar(space, entry).ljust(offset, b"\0")
    joined = whole[:offset] + patch
    if stop < len(whole):
        joined += whole[stop:]
    keep_scalar(space, key, entry, joined, event)
    return len(joined)


def _compared(
    first: bytes, second: bytes, only_length: bool, idx: bool, least: int, with_sizes: bool
) -> object:
    table = table_of(first, second)
    length = length_at(table[-1], len(second))
    if only_length:
        return length
    if not idx:
        return common_subsequence(first, second, table)
    matches: list[object] = []
    for at, other, size in common_ranges(first, second, table):
        if size >= least:
            match: list[object] = [[at, at + size - 1], [other, other + size - 1]]
            if with_sizes:
                match.append(size)
            matches.append(match)
    return {"matches": matches, "len": length}


def _add(cache: Scalars, key: str, given: object) -> int:
    """Adds to an integer; a function, for who calls a method of a trait has to find it."""
    if type(key) is not str:
        key = exact_key(key)
    amount = _amount_of(given)
    space = enter_for(cache, key)
    try:
        entry = space.find(key)
        if entry is None:
            keep_scalar(space, key, None, amount, "incrby")
            return amount
        value = space.value(entry) if entry.kind == STRING else None
        if type(value) is int:
            number = value
        else:
            number = parse_int(short_scalar(space, entry, LONGEST_INTEGER) or b"")
        if not is_int64(number):
            raise NotAnIntegerError()
        total = number + amount
        if not is_int64(total):
            raise ArgumentError("increment or decrement would overflow")
        space.change(entry, total, "incrby")
        return total
    finally:
        space.leave()
