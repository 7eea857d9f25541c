"""The bitmap family: the bits of a value, and integers of any width among them.

Bit 0 is the highest of the first byte. A missing key is an empty string; bits beyond the
end are clear. Writing keeps time to live and tags, but for BITOP, which replaces its
destination. Every method raises WrongTypeError for a key that holds no scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX, parse_int, text_of
from cachestorm.commands.edge import Edge, enter_for, enter_for_all
from cachestorm.declare.bit_fields import FURTHEST_BIT, NO_OFFSET, bit_offset, field_type
from cachestorm.declare.bound import Bound
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import Entry
from cachestorm.errors import ArgumentError, ArityError, CommandSyntaxError
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.names import exact_int, exact_key, keys_of, word_of
from cachestorm.operations.string_values import (
    buffer_of,
    keep_scalar,
    length_of,
    part_of,
    wire_scalar,
)
from cachestorm.values.bits import (
    AND,
    FAIL,
    NOT,
    OR,
    SAT,
    WRAP,
    XOR,
    combine,
    count_bits,
    field_of,
    find_bit,
    fitted,
    put_field,
)

command: Final = partial(Declaration, group="bitmap")

BYTE: Final = "BYTE"
BIT: Final = "BIT"
GET_WORD: Final = "GET"
SET_WORD: Final = "SET"
INCRBY_WORD: Final = "INCRBY"
OVERFLOW_WORD: Final = "OVERFLOW"
_DELETED: Final = Cause.DELETED
_UNSIGNED: Final = (1 << 64) - 1


class _Action:
    """One operation of BITFIELD, read."""

    def __init__(self, name: str, offset: int, bits: int, signed: bool) -> None:
        self.name = name
        self.offset = offset
        self.bits = bits
        self.signed = signed
        self.number = 0
        self.overflow = WRAP


def _access_of_bitfield(bound: Bound) -> str:
    clauses = cast("list[tuple[str, object, object]]", bound.values[1] or [])
    only_reads = all([token == "GET" for token, _, _ in clauses])
    return "ro-access" if only_reads else "rw-access-update"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Bitmaps(Edge):
    """SETBIT, BITCOUNT, BITFIELD and related commands."""

    @command(
        "SETBIT key:rw-access-update offset:bit-offset value:bit",
        complexity="O(1)",
        grows=True,
        summary="Set or clear a bit of a value, which grows as needed.",
    )
    def setbit(self, key: str, offset: int, value: int) -> int:
        """Sets or clears a bit. Returns what it was.

        Raises:
            ArgumentError: for an offset beyond 512 MiB, and a value that is not a bit.
        """
        offset = exact_int(offset)
        value = exact_int(value)
        key = exact_key(key)
        offset = _checked_offset(offset)
        if value != 0 and value != 1:
            raise ArgumentError("bit is not an integer or out of range")
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            at = offset >> 3
            mask = 128 >> (offset & 7)
            there = part_of(space, entry, at, at + 1)
            byte = there[0] if there else 0
            former = 1 if byte & mask else 0
            if there and former == value:
                return former
            byte = byte | mask if value else byte & ~mask
            buffer = buffer_of(space, entry, at + 1)
            if buffer is not None and entry is not None:
                buffer.data[at] = byte
                buffer.wrote(at, at + 1)
                space.changed(entry, 0, "setbit")
                return former
            raw = wire_scalar(space, entry).ljust(at, b"\0")
            changed = raw[:at] + bytes([byte])
            if there:
                changed += raw[at + 1 :]
            keep_scalar(space, key, entry, changed, "setbit")
            return former
        finally:
            self._leave()

    @command(
        "GETBIT key offset:bit-offset",
        complexity="O(1)",
        fast=True,
        summary="Return a bit of a value.",
    )
    def getbit(self, key: str, offset: int) -> int:
        """A bit of a value: 1 or 0.

        Raises:
            ArgumentError: for an offset beyond 512 MiB.
        """
        key = exact_key(key)
        offset = _checked_offset(offset)
        at = offset >> 3
        space = enter_for(self, key)
        try:
            there = part_of(space, space.find(key), at, at + 1)
        finally:
            self._leave()
        return 1 if there and there[0] & (128 >> (offset & 7)) else 0

    def _bits(self, key: str) -> bytes | None:
        """The bytes of a key, to be looked at when the latch is free; None if missing."""
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            return None if entry is None else wire_scalar(space, entry)
        finally:
            self._leave()

    @command(
        "BITCOUNT key [start [end:integer [mode:<BYTE | BIT>]]]",
        complexity="O(N) in the length",
        summary="Return how many bits of a value are set.",
    )
    def bitcount(
        self, key: str, start: int | None = None, end: int | None = None, mode: str = "BYTE"
    ) -> int:
        """How many bits are set, of the whole value or of a part.

        Args:
            start: the first byte; a negative one counts from the end.
            end: the last byte, which is included; None for the last of all.
            mode: `"BIT"` if `start` and `end` count bits.

        Raises:
            ArgumentError: for another mode.
        """
        key = exact_key(key)
        by_bits = _counts_bits(mode)
        raw = self._bits(key)
        if raw is None:
            return 0
        if start is not None and end is not None and end < start < 0:
            return 0
        first, last = _span(start, end, len(raw), by_bits)
        return count_bits(raw, first, last) if first <= last else 0

    @command(
        "BITPOS key bit:sought-bit [start [end:integer [mode:<BYTE | BIT>]]]",
        complexity="O(N) in the length",
        summary="Return the position of the first bit that is set, or clear.",
    )
    def bitpos(
        self,
        key: str,
        bit: int,
        start: int | None = None,
        end: int | None = None,
        mode: str = "BYTE",
    ) -> int:
        """The place of the first bit that is set or clear, of the whole value or of a part.

        Args:
            bit: 1 or 0, what to look for.
            start: the first byte; a negative one counts from the end.
            end: the last byte, which is included; None for the last of all.
            mode: `"BIT"` if `start` and `end` count bits.

        Returns:
            Its place from the beginning of the value, -1 if there is none. A value without
            clear bits has one right behind its end, unless an `end` is given.

        Raises:
            ArgumentError: for another bit or mode.
        """
        key = exact_key(key)
        if bit != 0 and bit != 1:
            raise ArgumentError("The bit argument must be 1 or 0.")
        by_bits = _counts_bits(mode)
        raw = self._bits(key)
        if raw is None:
            return -1 if bit else 0
        first, last = _span(start, end, len(raw), by_bits)
        if first > last:
            return -1
        found = find_bit(raw, bit, first, last)
        if found < 0 and bit == 0 and end is None:
            return len(raw) * 8
        return found

    @command(
        "BITOP operation:<AND | OR | XOR | NOT> destkey:ow-update key [key ...]",
        complexity="O(N) in the lengths",
        grows=True,
        summary="Combine values bit by bit and store the result.",
    )
    def bitop(self, operation: str, destkey: str, *keys: str) -> int:
        """Combines values bit by bit; shorter ones are filled up with clear bits.

        Args:
            operation: `"AND"`, `"OR"`, `"XOR"`, or `"NOT"`, which takes one key.
            destkey: where the result goes, in place of whatever is there; an empty result
                deletes it.

        Returns:
            The length of the result in bytes.

        Raises:
            ArgumentError: for `"NOT"` of several keys.
            CommandSyntaxError: for another operation.
        """
        destkey = exact_key(destkey)
        names = keys_of(keys)
        operation = word_of(operation, (AND, OR, XOR, NOT), "an operation")
        if not names:
            raise ArityError("bitop")
        if operation == NOT and len(names) > 1:
            raise ArgumentError("BITOP NOT must be called with a single source key.")
        space = enter_for_all(self, names)
        try:
            parts = [wire_scalar(space, space.find(name)) for name in names]
            result = combine(operation, parts)
            if result:
                keep_scalar(space, destkey, None, result, "set")
                return len(result)
            former = space.peek(destkey)
            if former is not None:
                space.remove(former, _DELETED)
            return 0
        finally:
            self._leave()

    @command(
        "BITFIELD key:rw-access-update-variable_flags [operation:<GET encoding:field-type "
        "offset:field-offset | "
        "[OVERFLOW <WRAP | SAT | FAIL>] "
        "<SET encoding:field-type offset:field-offset value:integer | "
        "INCRBY encoding:field-type offset:field-offset increment>> [operation ...]]",
        complexity="O(1) for each operation",
        grows=True,
        narrowed=_access_of_bitfield,
        note="This command allows both access and modification of the key",
        summary="Read and write integers of any width in a value.",
    )
    def bitfield(self, key: str, *operations: Sequence[object]) -> list[int | None]:
        """Reads and writes integers of any width, in one step.

        Args:
            operations: in order, each a tuple: `("GET", type, offset)`,
                `("SET", type, offset, number)`, `("INCRBY", type, offset, number)`, or
                `("OVERFLOW", how)` for what follows it. A type is `"u"` or `"i"` (signed)
                and the width in bits, up to `"u63"` and `"i64"`; an offset is a bit, or
                `"#n"`, n times the width. How is `"WRAP"`, `"SAT"` or `"FAIL"`.

        Returns:
            For each but OVERFLOW a number: of GET what is there, of SET what was there, of
            INCRBY what is there now; None where FAIL kept the number from being written.

        Raises:
            ArgumentError: for a type or an offset that is none.
            CommandSyntaxError: for an operation that is none.

        Examples:
            >>> from cachestorm import Cache
            >>> Cache().bitfield("k", ("SET", "u8", 0, 255), ("INCRBY", "u8", "#0", 10))
            [0, 9]
        """
        key = exact_key(key)
        actions = _actions_of(operations)
        needed = 0
        for action in actions:
            if action.name != GET_WORD:
                needed = max(needed, (action.offset + action.bits + 7) >> 3)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if needed == 0:
                return _numbers_at(space, entry, actions)
            buffer = buffer_of(space, entry, needed)
            if buffer is not None and entry is not None:
                answers = [_act(buffer.data, action) for action in actions]
                for action in actions:
                    if action.name != GET_WORD:
                        stop = (action.offset + action.bits + 7) >> 3
                        buffer.wrote(action.offset >> 3, stop)
                space.changed(entry, 0, _event_of(actions, answers))
                return answers
            raw = wire_scalar(space, entry)
            data = bytearray(raw)
            if len(data) < needed:
                data.extend(bytes(needed - len(data)))
            answers = [_act(data, action) for action in actions]
            changed = bytes(data)
            if changed != raw:
                keep_scalar(space, key, entry, changed, _event_of(actions, answers))
            return answers
        finally:
            self._leave()


@command(
    "BITFIELD_RO key [GET encoding:field-type offset:field-offset [GET encoding offset ...]]",
    complexity="O(1) for each operation",
    fast=True,
    stray="BITFIELD_RO only supports the GET subcommand",
    summary="Read integers of any width in a value.",
)
def bitfield_ro(cache: Bitmaps, key: str, *gets: Sequence[object]) -> list[int | None]:
    """Reads integers of any width: each a tuple `(type, offset)`, as for `bitfield`.

    Raises:
        ArgumentError: for a type or an offset that is none.
    """
    key = exact_key(key)
    actions = _actions_of([(GET_WORD, *get) for get in gets])
    space = enter_for(cache, key)
    try:
        return _numbers_at(space, space.find(key), actions)
    finally:
        cache._leave()


def _checked_offset(offset: int) -> int:
    offset = exact_int(offset)
    if not 0 <= offset <= FURTHEST_BIT:
        raise ArgumentError(NO_OFFSET)
    return offset


def _counts_bits(mode: str) -> bool:
    mode = mode.upper()
    if mode not in (BYTE, BIT):
        raise CommandSyntaxError()
    return mode == BIT


def _span(start: int | None, end: int | None, length: int, by_bits: bool) -> tuple[int, int]:
    """The first and the last bit of a range with both ends included; -1 the last of none."""
    size = length * 8 if by_bits else length
    first = 0 if start is None else start
    last = size - 1 if end is None else end
    if first < 0:
        first = max(size + first, 0)
    if last < 0:
        last = max(size + last, 0)
    last = min(last, size - 1)
    if first > last:
        return 0, -1
    return (first, last) if by_bits else (first * 8, last * 8 + 7)


def _word(word: object) -> str:
    return str(text_of(word) if isinstance(word, bytes) else word).upper()


def _actions_of(operations: Sequence[Sequence[object]]) -> list[_Action]:
    actions: list[_Action] = []
    overflow = WRAP
    for operation in operations:
        name = _word(operation[0]) if operation else ""
        size = len(operation)
        if name == OVERFLOW_WORD and size == 2:
            overflow = _word(operation[1])
            if overflow not in (WRAP, SAT, FAIL):
                raise ArgumentError("Invalid OVERFLOW type specified")
            continue
        is_read = name == GET_WORD and size == 3
        if not is_read and not (name in (SET_WORD, INCRBY_WORD) and size == 4):
            raise CommandSyntaxError()
        kind = field_type(operation[1])
        offset = bit_offset(operation[2], kind.bits)
        action = _Action(name, offset, kind.bits, kind.signed)
        if not is_read:
            action.number = parse_int(operation[3])
            action.overflow = overflow
        actions.append(action)
    return actions


def _numbers_at(
    space: Keyspace, entry: Entry | None, actions: list[_Action]
) -> list[int | None]:
    length_of(space, entry)  # refuses other types, also where nothing is to be read
    found: list[int | None] = []
    for action in actions:
        at = action.offset >> 3
        # 64 bits, and up to 7 before them
        piece = part_of(space, entry, at, at + 9)
        found.append(field_of(piece, action.offset & 7, action.bits, action.signed))
    return found


def _event_of(actions: list[_Action], answers: list[int | None]) -> str:
    """What a BITFIELD is called; one that FAIL kept from writing has no name in Redis."""
    for action, answer in zip(actions, answers, strict=True):
        if action.name != GET_WORD and answer is not None:
            return "setbit"
    return "changed"


def _act(data: bytearray, action: _Action) -> int | None:
    former = field_of(data, action.offset, action.bits, action.signed)
    if action.name == GET_WORD:
        return former
    number = action.number
    if action.name == INCRBY_WORD:
        number += former
    elif not action.signed:
        # as 64 bits without a sign: a negative number is too great, not too small
        number &= _UNSIGNED
    elif action.bits < 64 and number < (1 << (action.bits - 1)) - 1 - INT64_MAX:
        # its distance from what fits wraps around, so that Redis takes it for too great
        number &= _UNSIGNED
    settled = fitted(number, action.bits, action.signed, action.overflow)
    if settled is None:
        return None
    put_field(data, action.offset, action.bits, settled)
    return settled if action.name == INCRBY_WORD else former
