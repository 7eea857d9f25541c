"""Kinds: what a parameter of a command may be, and the error text of what it may not.

A notation names kinds, a plan reads raw arguments through them. A raw argument is
`bytes` from the wire, any object from Python, anything JSON has from HTTP: `read` makes
the value that the command's method takes.

1. A kind owns the conversion and its error text, for every endpoint.
2. A kind sees one argument: what needs two (NX with XX) is for the method to refuse.
3. `read` raises nothing but CacheStormError.

Source: the texts are those of Redis 7.2 and, for what it lacks, of Valkey 9.1.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import (
    INT64_MAX,
    INT64_MIN,
    bytes_of,
    checked_text,
    parse_float,
    parse_int,
    text_of,
    to_wire,
)
from cachestorm.declare.bit_fields import FURTHEST_BIT, NO_OFFSET, bit_offset, field_type
from cachestorm.declare.spans import Lifetime as Lifetime
from cachestorm.declare.spans import length, lex_bound, score_bound
from cachestorm.errors import (
    ArgumentError,
    CommandSyntaxError,
    InvalidKeyError,
    NotAFloatError,
)

# What a key is to most commands that read; a notation says it by `key` alone.
READ_KEY: Final = "ro-access"
_ACCESSES: Final = ("ro", "rw", "ow", "rm")
_EFFECTS: Final = ("access", "update", "insert", "delete", "variable_flags")

# What has a name that access may be limited to.
KEY: Final = "key"
TAG: Final = "tag"
NAMESPACE: Final = "namespace"
DATABASE: Final = "database"
CHANNEL: Final = "channel"
CHANNELS: Final = "channels"
KEYS: Final = "keys"

# Permissions for keys.
READS: Final = 1
WRITES: Final = 2

NOT_AN_INTEGER: Final = "value is not an integer or out of range"
NOT_A_FLOAT: Final = "value is not a valid float"
# Of numbers that are negated: what has no positive counterpart is refused.
UNEVEN: Final = f"value is out of range, value must between {-INT64_MAX} and {INT64_MAX}"
ZERO_RANK: Final = (
    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    "or use negative to start from the end of the list"
)


class Kind:
    """How one argument is read.

    Attributes:
        name: what a notation calls it.
        docs_type: its `type` in COMMAND DOCS.
        docs_name: its `name` in COMMAND DOCS; empty: the parameter's own.
        names: what an argument is the name of, if access to that may be limited: KEY, TAG,
            NAMESPACE, DATABASE or CHANNEL, CHANNELS or KEYS for a pattern; else empty.
    """

    def __init__(self, name: str, docs_type: str, docs_name: str = "", names: str = "") -> None:
        self.name = name
        self.docs_type = docs_type
        self.docs_name = docs_name
        self.names = names

    def read(self, raw: object) -> object:
        """The value that the method takes."""
        return raw

    def find_names(self, raw: object, found: list[FoundName]) -> None:
        """Appends what the argument names; most kinds name nothing."""
        if self.names:
            found.append((raw, self))


# A key among the arguments of a call, and how the command accesses it.
FoundKey = tuple[str, "Key"]
# Anything that has a name: the argument as it came, and its kind.
FoundName = tuple[object, Kind]


class Text(Kind):
    """A `str` that survives the round trip through UTF-8; an int is its decimal digits."""

    def read(self, raw: object) -> object:
        if isinstance(raw, bytes):
            return text_of(raw)
        if isinstance(raw, str):
            return checked_text(raw)
        if isinstance(raw, int) and not isinstance(raw, bool):
            return str(raw)
        raise InvalidKeyError(f"a {self.name} is a str, not {type(raw).__name__}")


class Key(Text):
    """The name of a key. An int is refused, as in Python for `cache[1]`.

    Args:
        access: Redis' flags of the key, with `-` between them: `rw-access-delete`.

    Attributes:
        flags: the same, as COMMAND INFO has them: `["RW", "access", "delete"]`.
        reads: the command looks at what is there (RO, RW), not only overwrites it (OW) or
            removes it (RM).
        writes: it may change what is there.
        permissions: what a user needs: READS, WRITES, both or, where nothing of the value is
            told or changed, neither.
    """

    def __init__(self, access: str = READ_KEY) -> None:
        super().__init__("key", "key", names=KEY)
        mode, *effects = access.split("-")
        self.flags = [mode.upper(), *effects]
        self.reads = mode in ("ro", "rw")
        self.writes = mode != "ro"
        self.permissions = 0
        if "access" in effects:
            self.permissions |= READS
        if "update" in effects or "insert" in effects or "delete" in effects:
            self.permissions |= WRITES

    def read(self, raw: object) -> object:
        if isinstance(raw, bytes):
            return text_of(raw)
        if isinstance(raw, str):
            return checked_text(raw)
        raise InvalidKeyError(f"a key is a str, not {type(raw).__name__}")


class ShardChannel(Key):
    """A channel that a cluster keeps in the slot of its name; it is not a key."""

    def __init__(self, name: str = "shardchannel", names: str = CHANNEL) -> None:
        super().__init__()
        self.name = name
        self.docs_type = "string"
        self.flags = ["not_key"]
        self.reads = False
        self.writes = False
        self.permissions = 0
        self.names = names


class Blob(Kind):
    """Bytes, such as a message, a script or a serialized value."""

    def read(self, raw: object) -> object:
        return to_wire(raw)


class Integer(Kind):
    """A 64-bit integer, within a range if the kind has one.

    Attributes:
        text: the refusal of anything but an integer.
        least, most: the range.
        range_text: the refusal of what is out of it.
    """

    def __init__(
        self,
        name: str,
        text: str = NOT_AN_INTEGER,
        least: int = INT64_MIN,
        most: int = INT64_MAX,
        range_text: str = "",
        names: str = "",
    ) -> None:
        super().__init__(name, "integer", names=names)
        self.text = text
        self.least: i64 = least
        self.most: i64 = most
        self.range_text = range_text or text

    def read(self, raw: object) -> object:
        number = parse_int(raw, self.text)
        # compiled, in a machine's word
        exact: i64 = number
        if exact < self.least or exact > self.most:
            raise ArgumentError(self.range_text)
        return number


class Tally(Integer):
    """How many arguments follow: `numkeys key [key ...]`.

    Attributes:
        excess_text: the refusal when fewer follow.
    """

    def __init__(
        self,
        name: str,
        text: str,
        range_text: str,
        excess_text: str,
        least: int = 1,
        most: int = INT64_MAX,
    ) -> None:
        super().__init__(name, text, least, most, range_text)
        self.excess_text = excess_text

    def count(self, raw: object, argv_left: int, width: int, exact: bool, command: str) -> int:
        """How many rows of `width` words follow; `exact`: they are all that is left."""
        number = parse_int(raw, self.text)
        if not self.least <= number <= self.most:
            raise ArgumentError(self.range_text.replace("{command}", command))
        needed = number * width
        if needed > argv_left or (exact and needed != argv_left):
            raise CommandSyntaxError(self.excess_text)
        return number


class Rank(Integer):
    """The RANK of LPOS: any 64-bit integer except 0 and the smallest."""

    def read(self, raw: object) -> object:
        number = parse_int(raw, self.text)
        if number == 0:
            raise ArgumentError(ZERO_RANK)
        if number < self.least:
            raise ArgumentError(self.range_text)
        return number


class PromptInteger(Integer):
    """An integer that is checked before the arguments behind it."""


class Cursor(Kind):
    """The position of an iteration: an unsigned 64-bit integer."""

    def read(self, raw: object) -> object:
        if isinstance(raw, int) and not isinstance(raw, bool):
            number = raw
        else:
            digits = bytes_of(raw) if isinstance(raw, str) else raw
            if not isinstance(digits, bytes) or not digits.isdigit() or len(digits) > 20:
                raise ArgumentError("invalid cursor")
            number = int(digits)
        if not 0 <= number <= 18446744073709551615:
            raise ArgumentError("invalid cursor")
        return number


class Double(Kind):
    """A floating point number; infinities are numbers, NaN is not."""

    def __init__(self, name: str, text: str = NOT_A_FLOAT) -> None:
        super().__init__(name, "double")
        self.text = text

    def read(self, raw: object) -> object:
        return parse_float(raw, self.text)


class Length(Double):
    """The length of a side or of a radius."""

    def read(self, raw: object) -> object:
        return length(raw, self.name)


MOMENT_S: Final = 0.001


class Timeout(Double):
    """How long a blocking command waits: seconds, may be a fraction; 0: for ever."""

    def read(self, raw: object) -> object:
        if raw == b"0":
            return 0.0
        try:
            seconds = parse_float(raw, self.text)
        except NotAFloatError:
            # a number that no double holds: Redis has long doubles, and waits for a moment
            seconds = parse_float(raw, self.text, True) or MOMENT_S
        # what is less than a millisecond below zero is zero, as in Redis
        if seconds * 1000 <= -1:
            raise NotAFloatError("timeout is negative")
        if seconds * 1000 > INT64_MAX:
            raise NotAFloatError("timeout is out of range")
        return max(seconds, 0.0)


class Ttl(Kind):
    """A time to live, read as a Lifetime."""

    def __init__(self, name: str, docs_name: str, unit_ms: int, absolute: bool) -> None:
        super().__init__(name, "unix-time" if absolute else "integer", docs_name)
        self.unit_ms = unit_ms
        self.absolute = absolute

    def read(self, raw: object) -> object:
        return Lifetime(parse_int(raw) * self.unit_ms, self.absolute)


class ScoreBoundKind(Kind):
    """One end of a range of scores."""

    def read(self, raw: object) -> object:
        return score_bound(raw)


class LexBoundKind(Kind):
    """One end of a lexical range."""

    def read(self, raw: object) -> object:
        return lex_bound(raw)


class FieldTypeKind(Kind):
    """The type of an integer in a bitmap: `u8`, `i64`."""

    def read(self, raw: object) -> object:
        return field_type(raw)


class FieldOffsetKind(Kind):
    """A position in a bitmap: a bit, or `#n` for n times the width of the type."""

    def read(self, raw: object) -> object:
        bit_offset(raw, 1)
        return raw


AS_GIVEN: Final = Kind("value", "string")
# An end of ZRANGE's range: a later token says what it means, so the method reads it.
BOUND: Final = Kind("bound", "string")

_NOT_KEYS: Final = "Bad number of keys provided"
_EXCESS: Final = "Number of keys can't be greater than number of args"
_NO_KEYS: Final = "numkeys should be greater than 0"
_NO_INPUT: Final = "at least 1 input key is needed for '{command}' command"
_FIELDS: Final = "numfields should be greater than 0 and match the provided number of fields"
_NO_PAIRS: Final = "invalid numkeys value or out of range"
_NO_TIMEOUT: Final = "timeout is not an integer or out of range"
_NOT_LOCAL: Final = "value is out of range, value must between 0 and 1"
_NOT_POSITIVE: Final = "value is out of range, must be positive"
_NO_COUNT: Final = "count should be greater than 0"
_NO_INT: Final = "value is out of range, value must between -2147483648 and 2147483647"
_NO_IDLENESS: Final = "Invalid IDLETIME value, must be >= 0"
_NO_FREQUENCY: Final = "Invalid FREQ value, must be >= 0 and <= 255"
_NO_LIMIT: Final = "LIMIT can't be negative"
_SYNTAX: Final = "syntax error"
_NO_BIT: Final = "bit is not an integer or out of range"
_NEITHER_BIT: Final = "The bit argument must be 1 or 0."


def _tabulate(kinds: list[Kind]) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


# What a notation may call a kind.
KINDS: Final = _tabulate(
    [
        AS_GIVEN,
        BOUND,
        Key(),
        Text("string", "string"),
        Text("field", "string"),
        Text("member", "string"),
        Text("tag", "string", names=TAG),
        Text("namespace", "string", names=NAMESPACE),
        Text("pattern", "pattern"),
        Text("channel-pattern", "pattern", names=CHANNELS),
        Text("by-pattern", "pattern", names=KEYS),
        Text("get-pattern", "pattern", names=KEYS),
        Blob("blob", "string"),
        Blob("channel", "string", names=CHANNEL),
        ShardChannel(),
        # one that is left: anybody may
        ShardChannel("left-shardchannel", ""),
        Integer("integer"),
        Integer("count"),
        Rank("rank", NOT_AN_INTEGER, -INT64_MAX, INT64_MAX, UNEVEN),
        PromptInteger("draws", NOT_AN_INTEGER, -INT64_MAX, INT64_MAX, UNEVEN),
        Integer("limit", _NO_LIMIT, 0),
        Integer("positive", _NOT_POSITIVE, 0),
        Integer("numlocal", NOT_AN_INTEGER, 0, 1, _NOT_LOCAL),
        Integer("pause", _NO_TIMEOUT, 0, INT64_MAX, "timeout is negative"),
        Integer("scan-count", NOT_AN_INTEGER, 1, INT64_MAX, _SYNTAX),
        Integer("pop-count", _NO_COUNT, 1),
        Integer("found-count", NOT_AN_INTEGER, 1, INT64_MAX, "COUNT must be > 0"),
        Integer("database", NOT_AN_INTEGER, -(1 << 31), (1 << 31) - 1, _NO_INT, DATABASE),
        Integer(
            "first-index",
            "invalid first DB index",
            -(1 << 31),
            (1 << 31) - 1,
            names=DATABASE,
        ),
        Integer(
            "second-index",
            "invalid second DB index",
            -(1 << 31),
            (1 << 31) - 1,
            names=DATABASE,
        ),
        Integer("sample-count", NOT_AN_INTEGER, 0, INT64_MAX, _SYNTAX),
        Integer("idle-time", NOT_AN_INTEGER, 0, INT64_MAX, _NO_IDLENESS),
        Integer("hit-frequency", NOT_AN_INTEGER, 0, 255, _NO_FREQUENCY),
        PromptInteger("protocol", "Protocol version is not an integer or out of range"),
        Integer("client-id", "client-id should be greater than 0", 1),
        Integer("entry-count", "count should be greater than or equal to -1", -1),
        Integer("num-matches", "COUNT can't be negative", 0),
        Integer("len", "MAXLEN can't be negative", 0),
        Integer("bit-offset", NO_OFFSET, 0, FURTHEST_BIT),
        Integer("bit", _NO_BIT, 0, 1),
        Integer("sought-bit", NOT_AN_INTEGER, 0, 1, _NEITHER_BIT),
        FieldTypeKind("field-type", "string"),
        FieldOffsetKind("field-offset", "integer"),
        Tally("numkeys", _NO_KEYS, _NO_KEYS, _SYNTAX),
        Tally("card-keys", _NO_KEYS, _NO_KEYS, _EXCESS),
        Tally("input-keys", NOT_AN_INTEGER, _NO_INPUT, _SYNTAX),
        Tally("script-keys", NOT_AN_INTEGER, "Number of keys can't be negative", _EXCESS, 0),
        Tally("function-keys", _NOT_KEYS, "Number of keys can't be negative", _EXCESS, 0),
        Tally("numfields", NOT_AN_INTEGER, _FIELDS, _FIELDS),
        Tally("pair-count", _NO_PAIRS, _NO_PAIRS, _SYNTAX, most=2**31 - 1),
        Tally("field-count", NOT_AN_INTEGER, _SYNTAX, _SYNTAX),
        Cursor("cursor", "integer"),
        Double("double"),
        Double("score"),
        Double("weight", "weight value is not a float"),
        Length("radius"),
        Length("width"),
        Length("height"),
        Timeout("timeout", "timeout is not a float or out of range"),
        Ttl("seconds", "seconds", 1000, False),
        Ttl("milliseconds", "milliseconds", 1, False),
        Ttl("unix-seconds", "unix-time-seconds", 1000, True),
        Ttl("unix-milliseconds", "unix-time-milliseconds", 1, True),
        ScoreBoundKind("score-bound", "double"),
        LexBoundKind("lex-bound", "string"),
    ]
)

# Names that need no `:kind` in a notation: each means the same thing in every command.
NAMED_KINDS: Final = {
    "newkey": "key",
    "shardchannel": "shardchannel",
    "source": "key",
    "destination": "key",
    "element": "value",
    "pivot": "value",
    "start": "integer",
    "stop": "integer",
    "index": "integer",
    "offset": "integer",
    "increment": "integer",
    "decrement": "integer",
    "longitude": "double",
    "latitude": "double",
}

# How a choice of that name is refused, where it is not by a syntax error: without any of
# its members, though COMMAND DOCS may call it optional; or if all of them are lone tokens,
# for a word that is none of them.
CHOICE_REFUSALS: Final = {
    "from": "exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}",
    "by": "exactly one of BYRADIUS and BYBOX can be specified for {command}",
    "unit": "unsupported unit provided. please use M, KM, FT, MI",
}


def kind_named(name: str) -> Kind | None:
    """The kind of that name, or of a parameter of that name.

    Redis' flags of a key name a key that is accessed so: `rw-access-delete`.
    """
    mode, *effects = name.split("-")
    if mode in _ACCESSES and all([effect in _EFFECTS for effect in effects]):
        return Key(name)
    return KINDS.get(NAMED_KINDS.get(name, name))
