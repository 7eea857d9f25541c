"""Where commands on keys and values answer otherwise: see `differences.py`."""

from __future__ import annotations

from typing import Final

from conditions import (
    finds_nothing,
    has_blank_number,
    has_cut_word,
    has_hexadecimal,
    has_key_fields,
    has_many_digits,
    has_negative_offset,
    has_nul,
    has_other_last_digits,
    has_repeated_option,
    has_seventeen_digits,
    has_signed_zero,
    has_ties,
    has_wide_exponent,
    has_word,
    is_reordered,
)
from difference import (
    ANYTHING,
    ARGUMENTS_FIRST,
    ARRAY,
    EVERY,
    NOTHING,
    NUMBER,
    ONE_NAMED,
    PLACES_FIRST,
    SYNTAX,
    VALUES_FIRST,
    Difference,
)

DOUBLE: Final = "-ERR value is not a valid float"
RANGE: Final = "-ERR Invalid *"
WEIGHT: Final = "-ERR weight value is not a float"
WRONG_TYPE: Final = "-WRONGTYPE Operation against a key holding the wrong kind of value"
NEGATIVE: Final = "-ERR * can't be negative"
CONFLICT: Final = "-ERR * options at the same time are not compatible"
BIT_OFFSET: Final = "-ERR bit offset is not an integer or out of range"
FIELD_TYPE: Final = "-ERR Invalid bitfield type.*"
ONLY_GET: Final = "-ERR BITFIELD_RO only supports the GET subcommand"
NO_FIELDS: Final = (
    "-ERR numfields should be greater than 0 and match the provided number of fields"
)
FIELD_DEADLINES: Final = "HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT"
SCANS: Final = "SCAN HSCAN SSCAN ZSCAN"
ALGEBRA: Final = "ZUNION ZINTER ZDIFF ZUNIONSTORE ZINTERSTORE ZDIFFSTORE"
RANGES: Final = "ZRANGE ZRANGESTORE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX"
SEARCHES: Final = (
    "GEOSEARCH GEOSEARCHSTORE GEORADIUS GEORADIUS_RO GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO"
)
SCORED: Final = (
    "ZRANGE ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZSCORE ZMSCORE ZINCRBY ZADD ZUNION "
    "ZINTER ZDIFF ZPOPMIN ZPOPMAX ZMPOP ZSCAN ZRANK ZREVRANK ZRANDMEMBER"
)
PAIR: Final = "-ERR invalid longitude,latitude pair "
NO_CENTRE: Final = "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for *"
NO_SHAPE: Final = "-ERR exactly one of BYRADIUS and BYBOX can be specified for *"
NO_MEMBER: Final = "-ERR could not decode requested zset member"
SEARCH_REFUSALS: Final = [
    SYNTAX,
    NUMBER,
    DOUBLE,
    f"{PAIR}*",
    NO_CENTRE,
    NO_SHAPE,
    "-ERR need numeric *",
    "-ERR * cannot be negative",
    "-ERR unsupported unit provided. please use M, KM, FT, MI",
    "-ERR COUNT must be > 0",
    "-ERR the ANY argument requires COUNT argument",
    "-ERR * is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
]

OF_DATA: Final = [
    Difference(
        f"EXPIRE PEXPIRE EXPIREAT PEXPIREAT {FIELD_DEADLINES}",
        [CONFLICT],
        [NUMBER, NO_FIELDS],
        VALUES_FIRST,
    ),
    Difference(
        "ZADD",
        [CONFLICT, "-ERR INCR option supports a single increment-element pair"],
        [DOUBLE],
        VALUES_FIRST,
    ),
    Difference("COPY", ["-ERR DB index is out of range"], [SYNTAX, NUMBER], PLACES_FIRST),
    Difference(
        "COPY",
        ["-ERR DB index is out of range"],
        [":*"],
        "the last DB counts, and the others are not checked",
        condition=has_repeated_option,
    ),
    Difference(
        "BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP",
        ["-ERR timeout is negative"],
        ["-ERR timeout is out of range"],
        "a timeout beyond 64 bits is out of range; theirs overflows",
        "redis",
    ),
    Difference(
        "SET",
        [SYNTAX],
        [ANYTHING],
        "TAGS is an option of CacheStorm",
        condition=has_word(b"TAGS"),
    ),
    Difference(
        "HSCAN",
        [SYNTAX],
        [ARRAY, NUMBER, "-ERR invalid cursor", WRONG_TYPE],
        "NOVALUES is of Redis 7.4",
        "redis",
        has_word(b"NOVALUES"),
    ),
    Difference(
        "ZINCRBY", [SYNTAX], [DOUBLE], "they take an increment NX for an option of ZADD"
    ),
    Difference("SET", [SYNTAX], [NUMBER], VALUES_FIRST),
    Difference(
        f"{SCANS} {ALGEBRA} ZINTERCARD LCS",
        [WRONG_TYPE, "-ERR The specified keys must contain string values"],
        [SYNTAX, NUMBER, WEIGHT, NEGATIVE, "-ERR invalid cursor"],
        ARGUMENTS_FIRST,
    ),
    Difference(
        f"{SCANS} {ALGEBRA}",
        [ARRAY],
        [SYNTAX, NUMBER, WEIGHT, "-ERR invalid cursor"],
        ARGUMENTS_FIRST,
        condition=finds_nothing,
    ),
    Difference(
        "LINDEX LSET", [WRONG_TYPE, NOTHING, "-ERR no such key"], [NUMBER], ARGUMENTS_FIRST
    ),
    Difference(
        "LSET",
        ["+OK"],
        ["-ERR index out of range"],
        "they use only the last 32 bits of an index",
        "valkey",
    ),
    Difference("INCRBYFLOAT", [WRONG_TYPE], [DOUBLE], ARGUMENTS_FIRST),
    Difference(
        "GETEX",
        [WRONG_TYPE, NOTHING],
        [NUMBER, "-ERR invalid expire time in 'getex' command"],
        f"{ARGUMENTS_FIRST}, as in Valkey",
        "redis",
    ),
    Difference(
        "HGETEX HSETEX",
        [NO_FIELDS, SYNTAX],
        [SYNTAX, NO_FIELDS],
        "anything else in the place of FIELDS is a syntax error",
        "valkey",
    ),
    Difference(
        "HGETEX HSETEX",
        [":*", ARRAY, NUMBER],
        [SYNTAX, NO_FIELDS, ":*", ARRAY],
        "a key may be called FIELDS; they take it for the keyword",
        "valkey",
        condition=has_key_fields,
    ),
    Difference(
        "HGETEX HSETEX",
        [WRONG_TYPE, NO_FIELDS, ":0"],
        [NUMBER, "-ERR invalid expire time in '*' command"],
        ARGUMENTS_FIRST,
        "valkey",
    ),
    Difference(
        "SORT SORT_RO",
        ["-ERR One or more scores can't be converted into double"],
        [ARRAY],
        "an empty element counts as 0, as in Redis 7.2",
        "valkey",
    ),
    Difference(
        "SORT SORT_RO",
        [ARRAY],
        [ARRAY, "-ERR One or more scores can't be converted into double"],
        "they read a C string, which ends at a NUL byte",
        condition=has_nul,
    ),
    Difference(
        "INCRBYFLOAT HINCRBYFLOAT",
        ["$*"],
        ["$*"],
        "a stored number is a double; theirs is a long double of 64 bits, stored as digits",
        condition=has_many_digits,
    ),
    Difference(
        SCORED,
        ["$*", ",*", ARRAY],
        ["$*", ",*", ARRAY],
        "minus zero is zero; they distinguish them after the set was sorted by SORT",
        condition=has_signed_zero,
    ),
    Difference(
        SCORED,
        ["$*", ",*", ARRAY],
        ["$*", ",*", ARRAY],
        "a double has the fewest digits that read back, and of those the nearest; theirs has "
        "one more now and then, or another last one",
        "valkey",
        condition=has_other_last_digits,
    ),
    Difference(
        "ZSCAN",
        [ARRAY],
        [ARRAY],
        "a score is formatted as elsewhere; theirs has 17 digits once the set was large",
        "valkey",
        condition=has_seventeen_digits,
    ),
    Difference(
        RANGES,
        [ARRAY, ":*"],
        [ARRAY, ":*"],
        "a negative offset finds nothing, as in Redis 7.2",
        "valkey",
        condition=has_negative_offset,
    ),
    Difference(
        SCORED,
        ["$*", ",*", ARRAY],
        ["$*", ",*", ARRAY],
        "a double has the fewest digits that read back, as in Redis 7.2",
        "redis",
        condition=has_seventeen_digits,
    ),
    Difference(
        SEARCHES,
        [WRONG_TYPE, NO_MEMBER, "-ERR member * does not exist"],
        SEARCH_REFUSALS,
        ARGUMENTS_FIRST,
    ),
    Difference(
        SEARCHES, [ARRAY, ":0"], SEARCH_REFUSALS, ARGUMENTS_FIRST, condition=finds_nothing
    ),
    Difference(SEARCHES, SEARCH_REFUSALS, SEARCH_REFUSALS, ONE_NAMED),
    Difference(
        SEARCHES,
        ["-ERR member * does not exist"],
        ["-ERR could not decode requested zset member"],
        "as in Redis 7.2",
        "valkey",
    ),
    Difference(
        SEARCHES,
        ["-ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for *"],
        SEARCH_REFUSALS,
        "as in Redis 7.2, which has no polygons",
        "valkey",
    ),
    Difference(
        SEARCHES,
        [ARRAY],
        [ARRAY],
        "members at the same distance have no defined order",
        condition=has_ties,
    ),
    Difference(
        "GEOADD", [SYNTAX, f"{PAIR}*", WRONG_TYPE], [DOUBLE, f"{PAIR}*"], ARGUMENTS_FIRST
    ),
    Difference(
        "SCAN",
        ["-ERR unknown type name '*'"],
        [ARRAY, SYNTAX, NUMBER, "-ERR invalid cursor"],
        "an unknown type finds nothing, as in Redis 7.2",
        "valkey",
    ),
    Difference(
        SCANS,
        [ARRAY, SYNTAX, NUMBER],
        ["-ERR invalid cursor"],
        "a cursor is digits, without a sign",
    ),
    Difference(
        "LREM LPOS",
        [ANYTHING],
        ["-ERR value is out of range, *"],
        "the smallest integer cannot be negated, as in Redis 7.2",
        "redis",
    ),
    Difference(
        f"ZCOUNT ZREMRANGEBYSCORE {RANGES}",
        ["-ERR min or max is not a float"],
        [ANYTHING],
        "a bound may begin with blanks, as in Redis 7.2",
        "valkey",
        has_blank_number,
    ),
    Difference(
        "ZADD ZINCRBY ZCOUNT ZREMRANGEBYSCORE INCRBYFLOAT HINCRBYFLOAT GEOADD "
        f"{RANGES} {ALGEBRA} {SEARCHES}",
        ["-ERR *"],
        [ANYTHING],
        "a number may be hexadecimal, as in Redis 7.2",
        "valkey",
        has_hexadecimal,
    ),
    Difference(
        "HINCRBYFLOAT INCRBYFLOAT",
        [ANYTHING],
        [DOUBLE],
        "a stored number is a double; theirs is a long double of 64 bits",
        condition=has_wide_exponent,
    ),
    Difference(
        EVERY,
        [ANYTHING],
        [ANYTHING],
        "they read arguments as C strings, which end at a NUL byte",
        condition=has_cut_word,
    ),
    Difference(
        "BITCOUNT BITPOS BITFIELD BITFIELD_RO",
        [
            NUMBER,
            BIT_OFFSET,
            FIELD_TYPE,
            "-ERR Invalid OVERFLOW type specified",
            "-ERR The bit argument must be 1 or 0.",
        ],
        [SYNTAX, ONLY_GET],
        PLACES_FIRST,
    ),
    Difference(
        "BITCOUNT BITPOS",
        [WRONG_TYPE, ":0", ":-1"],
        [NUMBER, SYNTAX],
        f"{ARGUMENTS_FIRST}, as in Redis 7.2",
        "redis",
    ),
    Difference(
        "BITCOUNT",
        [SYNTAX],
        [NUMBER, ":*", WRONG_TYPE],
        "the end of a range may be left out, as in Valkey",
        "redis",
    ),
    Difference(
        "BITCOUNT BITPOS",
        [SYNTAX],
        [":*", NUMBER, WRONG_TYPE],
        "a repeated option is accepted, as in other commands",
        condition=has_repeated_option,
    ),
    Difference(
        "BITFIELD_RO",
        [SYNTAX, ARRAY, WRONG_TYPE],
        [ONLY_GET],
        "anything but GET gets the same error; they accept OVERFLOW",
    ),
    Difference(
        "OBJECT",
        [":*"],
        ["-ERR idle time is not tracked*"],
        "IDLETIME is there only for keys with an idle time: of others recency is a count of"
        " accesses",
    ),
    Difference(
        "SORT SORT_RO",
        [ARRAY],
        [ARRAY],
        "a set has no order, and elements that SORT considers equal may come in any",
        condition=is_reordered,
    ),
    Difference(
        "OBJECT", ["$quicklist", "$hashtable"], ["$listpack"], "as in Redis 7.2", "redis"
    ),
    Difference(
        "OBJECT",
        [":2147483647"],
        [":1"],
        "REFCOUNT is 1: no value is shared between keys",
        "redis",
    ),
    Difference(
        "OBJECT",
        ["$raw", "$embstr"],
        ["$embstr", "$int", "$raw"],
        "ENCODING is what the value would have if it were new; they may keep an earlier one",
    ),
    Difference(
        "DUMP",
        ["$*"],
        ["$*"],
        "the payload has a format of its own, with tags; RESTORE reads those of Redis too",
    ),
    Difference("RESTORE RESTORE-ASKING", ["-BUSYKEY *"], [NUMBER], ARGUMENTS_FIRST),
    Difference("RESTORE RESTORE-ASKING", [SYNTAX], [NUMBER, RANGE], VALUES_FIRST),
    Difference(
        "RESTORE-ASKING",
        [SYNTAX],
        ["-BUSYKEY *", "-ERR DUMP payload *"],
        "SEEN and IDLE are options of our own, which nodes send each other",
    ),
    Difference(
        "RESTORE", ["+OK"], ["-ERR Invalid TTL *"], "their deadlines overflow beyond 64 bits"
    ),
]
