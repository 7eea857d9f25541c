"""The entry: what the store keeps of a key beside its value.

Made, changed and dropped by the keyspace alone.

1. 64 bytes, and without a garbage-collector header: a full collection passes a million
   entries by. So an entry refers to nothing that could refer back to it. Its value,
   which may be anything, lies outside, in `Keyspace.values` at `entry.index`.
2. `index` is -1 once the entry has left its keyspace.
3. Compiled, the memory of one that was freed is kept for the next: where each new key
   evicts another, none is allocated.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i32, i64, mypyc_attr, u8

STRING: Final = 0
OBJECT: Final = 1
HASH: Final = 2
LIST: Final = 3
SET: Final = 4
ZSET: Final = 5
# a string as well, that is changed in place: see `cachestorm/values/buffer.py`
BUFFER: Final = 6

# in addition, where the value is in a colder tier: see `cachestorm/keyspace/tiering.py`
DEMOTED: Final = 16
KIND_MASK: Final = 15

KIND_NAMES: Final = ("string", "object", "hash", "list", "set", "zset", "string")


@mypyc_attr(acyclic=True, free_list_len=1)
class Entry:
    """A key's place, deadline, version and tags.

    Attributes:
        key: the key; empty once it has left.
        tags: None, the one `TagMark`, or a tuple of them in the order of tagging.
        expires_at_ms: wall-clock deadline; 0 for never.
        version: the store's sequence number at the last write.
        index: position in the keyspace's dense arrays.
        access: what the eviction policy keeps of past hits; only it reads it.
        kind: STRING to BUFFER, and DEMOTED of a value that is not in memory.
        taps: hits that the hot keys have not been told of yet; COUNTED of a stale entry, once
            the tag index has counted it.
    """

    def __init__(self, key: str, index: i32, kind: u8, version: i64) -> None:
        self.key: str = key
        self.tags: object = None
        self.expires_at_ms: i64 = 0
        self.version: i64 = version
        self.index: i32 = index
        self.access: i16 = 0
        self.kind: u8 = kind
        self.taps: u8 = 0


def kind_of(value: object) -> u8:
    """STRING for what string commands work on, OBJECT for everything else."""
    kind = type(value)
    if kind is bytes or kind is str or kind is int or kind is float:
        return STRING
    return OBJECT


def kind_name(entry: Entry) -> str:
    """What TYPE calls the value of an entry."""
    kind: int = entry.kind & KIND_MASK
    return KIND_NAMES[kind]
