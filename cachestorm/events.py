"""Events: what can happen in a cache, what it is called, and what a listener is told of it.

The vocabulary that the store and its listeners share. `keyspace/effects.py` queues effects
and delivers them; nothing here calls the store.

1. An effect is a change of state, never the request that caused it: what a journal, a tracked
   client and a waiting one need is the same, whichever command it was.
2. It says in two ways what happened. Its `kind` is how the state changed, one bit of
   `Interest`, by which listeners choose. Its `event` is the name that Redis' keyspace
   notifications have for it. HSET is a put if it makes the hash, else a change: `hset` in both.
3. An event is its name, a string literal at the place that writes. Numbers would need a
   table from number to name beside the table from name to class.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, mypyc_attr

from cachestorm.errors import ArgumentError

# What an effect takes beside its values.
EFFECT_BYTES: Final = 256

# -- how the state changed: one bit each, as literals for compiled code

PUT: Final = 1 << 0
CHANGED: Final = 1 << 1
EXPIRY: Final = 1 << 2
TAGS: Final = 1 << 3
TAG_EVENTS: Final = 1 << 4
SPACE: Final = 1 << 5
HIT: Final = 1 << 7
MISS: Final = 1 << 8
NEW: Final = 1 << 9
DELETED: Final = 1 << 10
REPLACED: Final = 1 << 11
EXPIRED: Final = 1 << 12
EVICTED: Final = 1 << 13
INVALIDATED: Final = 1 << 14
EMPTIED: Final = 1 << 15
RENAMED: Final = 1 << 16
FLUSHED: Final = 1 << 17
VALUES: Final = 1 << 18
DELTAS: Final = 1 << 19
ABSENT: Final = 1 << 20
LOADED: Final = 1 << 21

REMOVED: Final = ((FLUSHED << 1) - 1) ^ (DELETED - 1)
READS: Final = HIT | MISS
CHANGES: Final = PUT | CHANGED | EXPIRY | TAGS | TAG_EVENTS | SPACE | (REMOVED ^ FLUSHED)


class Interest(enum.IntFlag):
    """What a listener wants to be told of; joined with `|`.

    A listener costs writers only what it asked for.

    Attributes:
        PUT: a key was written as a whole, or made.
        CHANGED: a value was changed in place.
        EXPIRY: a key was given another deadline, or none.
        TAGS: the tags of a key changed, but for those that it was put with.
        TAG_EVENTS: a tag was invalidated, softened, linked or unlinked.
        SPACE: a namespace was flushed, swapped, or given other settings.
        HIT: a key that was read was there.
        MISS: a key that was read was missing. HIT and MISS have every read take the lock.
        NEW: a key was put that was not there.
        REMOVED: a key left, for any cause; or one of the next eight.
        FLUSHED: each key of a flush, which then takes O(N). SPACE tells of it in one.
        VALUES: with what is told of values, the values too. Without it no value is copied.
        DELTAS: with what is told of changed containers, what changed in them.
        ABSENT: a key was deleted that was not there. It ends loads of it, and changes nothing.
        LOADED: what a loader gave was kept. It is told as a PUT before.
        CHANGES: every change of state, a flush as one.
        READS: HIT and MISS.
    """

    PUT = PUT
    CHANGED = CHANGED
    EXPIRY = EXPIRY
    TAGS = TAGS
    TAG_EVENTS = TAG_EVENTS
    SPACE = SPACE
    HIT = HIT
    MISS = MISS
    NEW = NEW
    DELETED = DELETED
    REPLACED = REPLACED
    EXPIRED = EXPIRED
    EVICTED = EVICTED
    INVALIDATED = INVALIDATED
    EMPTIED = EMPTIED
    RENAMED = RENAMED
    FLUSHED = FLUSHED
    VALUES = VALUES
    DELTAS = DELTAS
    ABSENT = ABSENT
    LOADED = LOADED
    REMOVED = REMOVED
    CHANGES = CHANGES
    READS = READS


class Cause(enum.Enum):
    """Why an entry left, or why its value was dropped."""

    DELETED = "deleted"
    REPLACED = "replaced"
    EXPIRED = "expired"
    EVICTED = "evicted"
    INVALIDATED = "invalidated"
    EMPTIED = "emptied"
    RENAMED = "renamed"
    FLUSHED = "flushed"


_DELETED: Final = Cause.DELETED
_REPLACED: Final = Cause.REPLACED
_EXPIRED: Final = Cause.EXPIRED
_EVICTED: Final = Cause.EVICTED
_INVALIDATED: Final = Cause.INVALIDATED
_EMPTIED: Final = Cause.EMPTIED
_RENAMED: Final = Cause.RENAMED


def bit_of(cause: Cause) -> i64:
    """The bit of a cause. A dict would run the interpreted hash of an enum under the latch."""
    if cause is _DELETED:
        return DELETED
    if cause is _REPLACED:
        return REPLACED
    if cause is _EXPIRED:
        return EXPIRED
    if cause is _EVICTED:
        return EVICTED
    if cause is _INVALIDATED:
        return INVALIDATED
    if cause is _EMPTIED:
        return EMPTIED
    if cause is _RENAMED:
        return RENAMED
    return FLUSHED


def event_of(cause: Cause) -> str:
    """What the removal for a cause is called, where the command has no other name for it."""
    if cause is _DELETED or cause is _EMPTIED:
        return "del"
    if cause is _REPLACED:
        return "overwritten"
    if cause is _EXPIRED:
        return "expired"
    if cause is _EVICTED:
        return "evicted"
    if cause is _INVALIDATED:
        return "invalidated"
    if cause is _RENAMED:
        return "rename_from"
    return "flushed"


# -- what it is called

# Every event, and the class of `notify-keyspace-events` that it belongs to; "" for those that
# Redis 7.2 has no notification for, of which the tags' are ours.
CLASSES: Final[dict[str, str]] = {
    # generic
    "copy_to": "g",
    "del": "g",
    "expire": "g",
    "move_from": "g",
    "move_to": "g",
    "persist": "g",
    "rename_from": "g",
    "rename_to": "g",
    "restore": "g",
    # strings
    "append": "$",
    "incrby": "$",
    "incrbyfloat": "$",
    "pfadd": "$",
    "set": "$",
    "setbit": "$",
    "setrange": "$",
    # lists
    "linsert": "l",
    "lpop": "l",
    "lpush": "l",
    "lrem": "l",
    "lset": "l",
    "ltrim": "l",
    "rpop": "l",
    "rpush": "l",
    "sortstore": "l",
    # hashes; those of deadlines are Valkey's
    "hdel": "h",
    "hexpire": "h",
    "hexpired": "h",
    "hincrby": "h",
    "hincrbyfloat": "h",
    "hpersist": "h",
    "hset": "h",
    # sets
    "sadd": "s",
    "sdiffstore": "s",
    "sinterstore": "s",
    "spop": "s",
    "srem": "s",
    "sunionstore": "s",
    # sorted sets
    "geosearchstore": "z",
    "georadiusstore": "z",
    "zadd": "z",
    "zdiffstore": "z",
    "zincr": "z",
    "zinterstore": "z",
    "zpopmax": "z",
    "zpopmin": "z",
    "zrangestore": "z",
    "zrem": "z",
    "zremrangebylex": "z",
    "zremrangebyrank": "z",
    "zremrangebyscore": "z",
    "zunionstore": "z",
    # what nobody asked for
    "evicted": "e",
    "expired": "x",
    "keymiss": "m",
    "new": "n",
    # ours
    "absent": "",
    "changed": "",
    "flushed": "",
    "hit": "",
    "invalidated": "",
    "linked": "",
    "loaded": "",
    "overwritten": "",
    "settings": "",
    "softened": "",
    "swapped": "",
    "tags": "",
    "unlinked": "",
}

_KINDS: Final[dict[int, str]] = {
    PUT: "put",
    CHANGED: "changed",
    EXPIRY: "expiry",
    TAGS: "tags",
    TAG_EVENTS: "tag",
    SPACE: "space",
    HIT: "hit",
    MISS: "miss",
    NEW: "new",
    ABSENT: "absent",
    LOADED: "loaded",
}


# Untracked by the garbage collector: below 3.12 an allocation that it tracks may run it, and
# with it a finalizer that gives up the interpreter's lock in the middle of a write.
@mypyc_attr(acyclic=True)
class Effect:
    """One change of state.

    It is not tracked by the garbage collector. Keeping one in an object that is its `value`,
    or that its value refers to, makes a cycle that is never freed.

    Attributes:
        version: the number of the write in the order of all writes of this cache. Effects come
            in its order; those of one step may share it.
        interest: how the state changed, one bit of `Interest`.
        event: what Redis' keyspace notifications call it: a name of `CLASSES`.
        namespace: where it happened.
        key: which key or tag; empty for a whole namespace; the other one of a swap.
        cause: why it left, of a removal.
        value: what was stored, or what was removed; None unless somebody asked for VALUES,
            and for a hash, a list, a set or a sorted set. Of settings a dict of them.
        delta: what changed in a container; None unless somebody asked for DELTAS.
        expires_at_ms: the deadline of the key now; 0 for never.
        tags: those of the key now, or None; the child, of a link.
        origin: who caused it; 0 for nobody in particular.
        size_bytes: what it is reckoned at while it waits to be told.
        is_told: whether every listener has been told.
    """

    def __init__(
        self, version: i64, interest: i64, event: str, namespace: str, key: str, origin: i64
    ) -> None:
        self.version: Final[i64] = version
        self.interest: Final[i64] = interest
        self.event: Final = event
        self.namespace: Final = namespace
        self.key: Final = key
        self.origin: Final[i64] = origin
        self.cause: Cause | None = None
        self.value: object = None
        self.delta: object = None
        self.expires_at_ms: i64 = 0
        self.tags: tuple[str, ...] | None = None
        self.size_bytes: i64 = EFFECT_BYTES
        self.is_told: bool = False

    @property
    def kind(self) -> str:
        """How the state changed, in a word: `put`, `changed`, `removed` and so on."""
        return _KINDS.get(int(self.interest), "removed")

    def __repr__(self) -> str:
        facts = [f"{self.version} {self.kind} {self.event} {self.namespace}:{self.key!r}"]
        if self.cause is not None:
            facts.append(f"cause={self.cause.value}")
        if self.value is not None:
            facts.append(f"value={self.value!r}")
        if self.delta is not None:
            facts.append(f"delta={self.delta!r}")
        if self.expires_at_ms != 0:
            facts.append(f"expires_at_ms={self.expires_at_ms}")
        if self.tags is not None:
            facts.append(f"tags={self.tags!r}")
        return f"<Effect {' '.join(facts)}>"


Listener = Callable[[Effect], object]
# told of the key, the value and the cause of a removal
RemovalListener = Callable[[str, object, Cause], object]

# -- how a listener is called: with the effect, or with what concerns the event

WITH_EFFECT: Final = 0
WITH_KEY: Final = 1
WITH_VALUE: Final = 2
WITH_CAUSE: Final = 3
WITH_TAG: Final = 4

# what `Cache.on` takes: how it is called, and the interest that it stands for
NAMED: Final[dict[str, tuple[int, int]]] = {
    "hit": (WITH_KEY, HIT),
    "miss": (WITH_KEY, MISS),
    "set": (WITH_VALUE, PUT | VALUES),
    "removed": (WITH_CAUSE, (REMOVED ^ RENAMED) | VALUES),
    "invalidated": (WITH_TAG, TAG_EVENTS),
    "loaded": (WITH_VALUE, LOADED | VALUES),
}


def interest_named(event: object) -> tuple[int, int]:
    """How a listener of an event of `Cache.on` is called, and the interest it stands for.

    Raises:
        ArgumentError: for what is no such event.
    """
    found = NAMED.get(event) if isinstance(event, str) else None
    if found is None:
        raise ArgumentError(f"an event is one of {', '.join(NAMED)}, not {event!r}")
    return found


def is_invalidation(effect: Effect) -> bool:
    """Whether a tag was invalidated or softened, of what is told of tags."""
    return effect.event == "invalidated" or effect.event == "softened"
