"""The HyperLogLog family: how many different elements a key has seen, about.

A sketch is a string that `cachestorm.values.hyperloglog` reads and writes. A missing key is
an empty one. Adding keeps time to live and tags. Every method raises WrongTypeError for a
key that holds no sketch, and CorruptedSketchError for one whose bytes were tampered with.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import to_wire
from cachestorm.commands.edge import Edge, enter_for, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.wire_values import Status
from cachestorm.entry import Entry
from cachestorm.errors import (
    ArgumentError,
    ArityError,
    CorruptedSketchError,
    NoSuchKeyError,
    WrongTypeError,
)
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.names import exact_key, keys_of
from cachestorm.operations.string_values import keep_scalar, part_of, short_scalar
from cachestorm.values.hyperloglog import (
    DENSE,
    ENCODING_AT,
    HEADER,
    LONGEST,
    NEW,
    Sketch,
    estimate_of,
    greater,
    is_sketch,
    known_estimate,
    merged,
    opcodes_of,
    packed,
    registers_of,
    with_estimate,
    without_estimate,
)

command: Final = partial(Declaration, group="hyperloglog")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class HyperLogLogs(Edge):
    """Estimates of how many different elements were added."""

    @command(
        "PFADD key:rw-insert [element:blob [element ...]]",
        complexity="O(1) for each element",
        grows=True,
        fast=True,
        summary="Add elements to a HyperLogLog.",
    )
    def pfadd(self, key: str, *elements: object) -> bool:
        """Adds elements, each by its bytes; a list, tuple or set stands for its items.

        Returns:
            Whether the estimate may have changed, or the key is new.
        """
        key = exact_key(key)
        added = _bytes_of_all(elements)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            raw = NEW if entry is None else _sketch(space, entry)
            sketch = Sketch(raw)
            is_changed = entry is None
            for element in added:
                if sketch.add(element):
                    is_changed = True
            if is_changed:
                keep_scalar(space, key, entry, without_estimate(sketch.raw), "pfadd")
            return is_changed
        finally:
            self._leave()

    @command(
        "PFCOUNT key:rw-access [key ...]",
        complexity="O(1) for one key whose estimate is known, else O(N) in the keys",
        writes=False,
        note="RW because it may change the internal representation of the key, "
        "and propagate to replicas",
        summary="Return an estimate of the number of distinct elements.",
    )
    def pfcount(self, *keys: str) -> int:
        """About how many different elements were added to any of the keys.

        The standard error is 0.81 %. Of a single key the estimate is remembered, in its
        bytes, until it changes.
        """
        names = keys_of(keys)
        if not names:
            raise ArityError("pfcount")
        space = enter_for_all(self, names)
        try:
            if len(names) > 1:
                registers, _ = _union(space, names)
                return 0 if registers is None else estimate_of(registers)
            entry = space.find(names[0])
            if entry is None:
                return 0
            raw = _sketch(space, entry)
            estimate = known_estimate(raw)
            if estimate < 0:
                estimate = estimate_of(registers_of(raw))
                space.change(entry, with_estimate(raw, estimate), "changed")
            return estimate
        finally:
            self._leave()

    @command(
        "PFMERGE destkey:rw-access-insert [sourcekey:key [sourcekey ...]]",
        complexity="O(N) in the keys",
        grows=True,
        reply="ok",
        summary="Merge HyperLogLogs into one.",
    )
    def pfmerge(self, destkey: str, *sourcekeys: str) -> bool:
        """Adds to a key whatever was added to the others."""
        destkey = exact_key(destkey)
        names = [destkey, *keys_of(sourcekeys)]
        space = enter_for_all(self, names)
        try:
            registers, is_dense = _union(space, names)
            entry = space.peek_value(destkey)
            raw = NEW if entry is None else _sketch(space, entry)
            if registers is None:
                raw = without_estimate(raw)
            else:
                raw = merged(raw, registers, is_dense)
            keep_scalar(space, destkey, entry, raw, "pfadd")
            return True
        finally:
            self._leave()

    def _sketch_of(self, key: str) -> bytes:
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                raise NoSuchKeyError("The specified key does not exist")
            return _sketch(space, entry)
        finally:
            self._leave()

    def _densified(self, key: str) -> bytes:
        """The sketch of a key, which is dense from now on; no event is published."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                raise NoSuchKeyError("The specified key does not exist")
            raw = _sketch(space, entry)
            if raw[ENCODING_AT] != DENSE:
                raw = packed(raw, registers_of(raw))
                space.change(entry, raw, "changed")
            return raw
        finally:
            self._leave()


@command(
    "PFDEBUG subcommand:string key:rw-access",
    complexity="O(1)",
    grows=True,
    flags="admin",
    summary="Show the registers, the opcodes or the encoding of a HyperLogLog.",
)
def pfdebug(cache: HyperLogLogs, subcommand: str, key: str) -> object:
    """What a sketch is made of, as tests of Redis ask for it.

    Args:
        subcommand: GETREG for the 16384 registers, after which it is dense, as in Redis;
            DECODE for the opcodes of a sparse one, ENCODING for `dense` or `sparse`, TODENSE
            to make it dense: 1 if it was not.

    Raises:
        NoSuchKeyError: for a missing key.
        ArgumentError: for any other subcommand, and to decode a dense sketch.
    """
    raw = cache._sketch_of(key)
    name = subcommand.upper()
    is_dense = raw[ENCODING_AT] == DENSE
    if name == "ENCODING":
        return Status("dense" if is_dense else "sparse")
    if name == "DECODE":
        if is_dense:
            raise ArgumentError("HLL encoding is not sparse")
        return opcodes_of(raw)
    if name == "GETREG":
        return list(registers_of(cache._densified(key)))
    if name == "TODENSE":
        cache._densified(key)
        return int(not is_dense)
    raise ArgumentError(f"Unknown PFDEBUG subcommand '{subcommand[:128]}'")


def _bytes_of_all(elements: Iterable[object]) -> list[bytes]:
    found: list[bytes] = []
    for element in elements:
        if isinstance(element, (list, tuple, set, frozenset)):
            for inner in element:
                found.append(to_wire(inner))
        else:
            found.append(to_wire(element))
    return found


def _sketch(space: Keyspace, entry: Entry) -> bytes:
    raw = short_scalar(space, entry, LONGEST)
    if raw is None:
        # too long for one: by its first bytes it may look like one all the same
        head = part_of(space, entry, 0, HEADER)
        if is_sketch(head):
            raise CorruptedSketchError()
    if raw is None or not is_sketch(raw):
        raise WrongTypeError("Key is not a valid HyperLogLog string value.")
    return raw


def _union(space: Keyspace, names: list[str]) -> tuple[bytes | None, bool]:
    """The registers of all keys, None if there are none; and whether one is dense."""
    union: bytes | None = None
    has_dense = False
    for name in names:
        entry = space.find(name)
        if entry is not None:
            raw = _sketch(space, entry)
            has_dense = has_dense or Sketch(raw).is_dense()
            registers = registers_of(raw)
            union = registers if union is None else greater(union, registers)
    return union, has_dense
