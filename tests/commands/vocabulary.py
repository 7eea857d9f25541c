"""Random commands of all families, over few keys, members and numbers.

Templates say how most are drawn. A declared command that has none is drawn from its
declaration, so that a new one is combined with all others at once.

So few that types and members collide all the time, and with enough bad words among them
that every refusal comes up. Numbers are small, or at the edge of what a machine counts to.
Now and then a command is spoilt: a word left out, said twice, replaced or added.

1. Nothing here lives for less than an hour, and no two times to live are the same, so that
   what is answered does not depend on the millisecond.
2. What draws at random (SPOP without a count) is not drawn here.
"""

from __future__ import annotations

import random

from malformed_calls import MalformedCalls

from cachestorm.declare.registry import REGISTRY

# a surrogate stands for a byte that is not UTF-8
KEYS = ["a", "b", "c", "d", "\0\udcff"]
MEMBERS = ["x", "y", "z", "1", "2", "-3", "", "é", "zz", "\0", "\udcff\udcc3"]
GREATEST, LEAST = "9223372036854775807", "-9223372036854775808"
NUMBERS = ["0", "1", "2", "-1", "-2", "3", "100", "x", "-100", "1.5", ""]
# around the widths of a machine: what is one more, double or three times as much does not fit
WIDE = [2**31, -(2**31), 2**32 + 1, 2**62, -(2**62), 2**63 // 3 + 1, 2**63 - 2, 2**63 - 1]
WIDE += [-(2**63), 2**63, 2**64 - 1, 2**64, 2**64 + 1]
INTEGERS = ["1", "-1", "5", GREATEST, LEAST, str(2**62), str(2**31), "x", " 1", "1.0", "01"]
FLOATS = ["1", "0.1", "-0.25", "3.0e2", "1e-3", "x", "", "-1.5", "0.2", "1_0", " 1"]
FLOATS += ["1e8", "-1.7e9", "1e15", "1e17", "1e21", "1e-7", "1e-18", "0.0123456789012345678"]
VALUES = [*MEMBERS, "10", "0.5", GREATEST, "ohmytext", "mynewtext", "3.0", "1e3"]
SCORES = ["1", "2", "-1.5", "inf", "-inf", "0", "3e2", "x", "-0", "0.25"]
SCORES += ["1e8", "1.7e9", "-1e15", "1e17", "1e21", "1e-7", str(2**62), "0.30000000001"]
LONGITUDES = ["0", "13.361389", "15.087269", "-180", "180", "179.9999", "-1e-7", "181", "x"]
LATITUDES = ["0", "38.115556", "37.502669", "85.05112878", "-85", "66.5", "85.06", "x"]
LENGTHS = ["0", "1", "200", "1e4", "30000", "2e7", "inf", "-1", "x"]
SCORE_BOUNDS = ["1e8", "(1e17", "(1", "1", "-inf", "+inf", "(2", "5", "x", "(-1.5", "0"]
LEX_BOUNDS = ["-", "+", "[x", "(x", "[", "(", "[z", "(zz", "[1", "x", "[\udcff"]
MOMENTS = ["4000000000", "4000000001", "5000000000", "1", "0", "-1", "x", GREATEST]
MOMENTS_MS = ["4000000000000", "4000000000001", "1", "-1", "x", GREATEST]
BIT_PLACES = ["0", "1", "7", "8", "17", "200", "-1", "x", "4294967296", "#1"]
FIELD_TYPES = ["u1", "u4", "i4", "u8", "i8", "u13", "i33", "u63", "i64", "u64", "i65", "u", "x"]
FIELD_PLACES = ["0", "3", "#0", "#1", "#2", "100", "#", "-1", "x", "34359738367"]
# one of them is a key of the other commands too
SKETCHES = ["h", "i", "j", "h", "a"]
# of DUMP: a string, an integer, a list, a set, a hash and a sorted set of Redis 7.0; one
# with a wrong check sum, and one with a good check sum of an empty list
PAYLOADS = [
    raw.decode("utf-8", "surrogateescape")
    for raw in (
        b"\x00\x05hello\n\x00cr\xdfve4 \n",
        b"\x00\xc0\x0c\n\x00<*\xf8Q\\\x04\xbc\xd5",
        b"\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x01\x01\x81x\x02\xff\n\x00j\xe6\x9a\xad\xbf}\xc9\xd8",
        b"\x02\x02\x01y\x01x\n\x00\x0c\xdfk=\xb30\xbc\xf0",
        b"\x10\x12\x12\x00\x00\x00\x04\x00\x81x\x02\x01\x01\x81y\x02\x81z\x02\xff\n\x00\xbf\x8d\xe6\x9a\x860\xdb\x91",
        b"\x11\x14\x14\x00\x00\x00\x04\x00\x81x\x02\x01\x01\x81y\x02\x832.5\x04\xff\n\x002\xac\xbbP-7\xc4p",
        b"\x00\x05hello\n\x00cr\xdfve4 \x00",
        b"\x01\x00\n\x00[\xf8%\xccl\x17CV",
        b"",
    )
]
NOISE = ["FOO", "", "-1", "9223372036854775808", "x", "NX", "GET", "\0", "1e5", "0", "LIMIT"]
# whose reply is left to chance when a word is missing
NEVER_SPOILT = ("SCAN", "SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY")
SPOILT = 0.06
WIDE_SHARE = 0.15
# how often a word that may be said many times is said very many times
MANY_SHARE = 0.02

# A command is words: "key" and its like are replaced by chance, "[...]" is there or not,
# "a|b" is one of both, "x*" is one to three of them, and now and then many.
COMMANDS = """
HSET key member member
HSET key member member member member
HMSET key member member member member
HSETNX key member member
HGET key member
HMGET key member*
HGETALL key
HKEYS key
HVALS key
HLEN key
HEXISTS key member
HSTRLEN key member
HDEL key member*
HINCRBY key member number
HINCRBYFLOAT key member 1|0.5|x|-2
HINCRBYFLOAT key member float
HSCAN key 0 [MATCH *|x*|[xy]]
HEXPIREAT key 4000000000|4000000001|1|x|-1 [NX|XX|GT|LT] FIELDS 2 member member
HPEXPIREAT key moment-ms [NX|XX|GT|LT] FIELDS 2 member member
HEXPIRETIME key FIELDS 1 member
HPEXPIRETIME key FIELDS 2 member member
HRANDFIELD key draws [WITHVALUES]
HGETEX key [EXAT 4000000000|4000000001|x|-1|PERSIST] FIELDS 2 member member
HGETEX key [PERSIST] FIELDS 1|2|0|x member
HSETEX key [NX|XX] [FNX|FXX] [EXAT 4000000000|4000000001|x|-1] FIELDS 1 member member
HSETEX key [FNX|FXX|NX] [KEEPTTL] FIELDS 2 member member member member
HPERSIST key FIELDS 2 member member
LPUSH key member*
RPUSH key member*
RPUSHX key member
LPUSHX key member
LPOP key [number]
RPOP key [number]
LLEN key
LRANGE key number number
LINDEX key number
LSET key number member
LREM key number member
LTRIM key 0|1|-3 -1|2|-2
LINSERT key before|AFTER|x member member
LPOS key member [RANK number] [COUNT number] [MAXLEN number]
LMOVE key key left|RIGHT left|RIGHT
RPOPLPUSH key key
LMPOP 2 key key left|RIGHT [COUNT number]
SADD key member*
SADD key member*
SREM key member*
SMEMBERS key
SISMEMBER key member
SMISMEMBER key member*
SCARD key
SMOVE key key member
SUNION key*
SINTER key*
SDIFF key*
SUNIONSTORE key key*
SINTERSTORE key key*
SDIFFSTORE key key*
SINTERCARD 2 key key [LIMIT number]
SSCAN key 0
SPOP key 100|2147483648|4611686018427387904|9223372036854775807
SRANDMEMBER key draws
ZADD key [NX] [XX] [GT] [LT] [CH] [INCR] score member
ZADD key [XX] [GT|LT] [CH] score member score member
ZADD key score member score member
ZADD key 0 member 0 member
ZINCRBY key score member
ZREM key member*
ZCARD key
ZSCORE key member
ZMSCORE key member*
ZRANK key member [WITHSCORE]
ZREVRANK key member [WITHSCORE]
ZCOUNT key score-bound score-bound
ZLEXCOUNT key lex-bound lex-bound
ZRANGE key number number [REV] [WITHSCORES] [LIMIT number number]
ZRANGE key score-bound score-bound BYSCORE [REV] [LIMIT number number] [WITHSCORES]
ZRANGE key lex-bound lex-bound BYLEX [REV] [LIMIT 0|1|2 number]
ZRANGESTORE key key score-bound score-bound BYSCORE [REV] [LIMIT number number]
ZRANGEBYSCORE key score-bound score-bound [WITHSCORES] [LIMIT number number]
ZREVRANGEBYSCORE key score-bound score-bound [WITHSCORES] [LIMIT number number]
ZRANGEBYLEX key lex-bound lex-bound [LIMIT 0|1|2 number]
ZREVRANGEBYLEX key lex-bound lex-bound [LIMIT 0|1|2 number]
ZREVRANGE key number number [WITHSCORES]
ZPOPMIN key [number]
ZPOPMAX key [number]
ZMPOP 2 key key MIN|max [COUNT number]
ZREMRANGEBYRANK key number number
ZREMRANGEBYSCORE key score-bound score-bound
ZREMRANGEBYLEX key lex-bound lex-bound
ZUNION 2 key key [WEIGHTS score score] [AGGREGATE SUM|min|MAX] [WITHSCORES]
ZINTER 3 key key key [WEIGHTS score score score] [AGGREGATE SUM|min|MAX] [WITHSCORES]
ZDIFF 2 key key [WITHSCORES]
ZUNIONSTORE key 2 key key [WEIGHTS score score] [AGGREGATE SUM|min|MAX]
ZINTERSTORE key 2 key key [WEIGHTS score score] [AGGREGATE SUM|min|MAX]
ZDIFFSTORE key 2 key key
ZINTERCARD 2 key key [LIMIT number]
ZSCAN key 0
ZRANDMEMBER key draws [WITHSCORES]
GEOADD key [NX] [XX] [CH] longitude latitude member
GEOADD key longitude latitude member longitude latitude member
GEOPOS key member*
GEOHASH key member*
GEODIST key member member [unit]
GEOSEARCH key FROMMEMBER member BYRADIUS length unit [WITHCOORD] [WITHDIST] [WITHHASH]
GEOSEARCH key FROMLONLAT longitude latitude BYBOX length length unit [ASC|DESC] [WITHDIST]
GEOSEARCH key [FROMMEMBER member] [BYBOX length length unit] [COUNT number] [ANY] [ASC|DESC]
GEOSEARCHSTORE key key FROMMEMBER member BYRADIUS length unit [COUNT number] [STOREDIST]
GEORADIUS key longitude latitude length unit [WITHDIST] [COUNT number] [ANY] [STORE key]
GEORADIUS_RO key longitude latitude length unit [ASC|DESC] [WITHHASH]
GEORADIUSBYMEMBER key member length unit [WITHCOORD] [COUNT number] [STOREDIST key]
GEORADIUSBYMEMBER_RO key member length unit [DESC] [COUNT 1|2|3] [WITHDIST]
SORT key [LIMIT 0|1 number] [GET #|w_*|h_*->f] [DESC] [ALPHA]
SORT key [BY nosort] ALPHA [DESC] STORE key
SORT_RO key [BY w_*|nosort] [ALPHA] [DESC]
GET key
GET key
SET key member
SET key value [NX] [XX] [GET]
SET key value [GET] [NX|XX|KEEPTTL] [EX ttl]
SET key value [KEEPTTL] [EXAT moment] [GET]
SET key value [PXAT moment-ms] [PX ttl-ms]
SETNX key value
SETEX key ttl value
PSETEX key ttl-ms value
GETSET key value
GETDEL key
GETEX key [PERSIST]
GETEX key [EX ttl] [PXAT moment-ms]
GETEX key EXAT moment
MGET key*
MSET key value key value
MSETNX key value key value
INCR key
DECR key
INCRBY key integer
DECRBY key integer
INCRBYFLOAT key float
INCRBYFLOAT key float
APPEND key value
STRLEN key
GETRANGE key number number
SUBSTR key number number
SETRANGE key 0|1|5|-1|x value
SETBIT key bit-place 0|1|1|2|x
GETBIT key bit-place
BITCOUNT key
BITCOUNT key number number [BYTE|bit]
BITPOS key 0|1|2|x
BITPOS key 0|1 number [number]
BITPOS key 0|1 number number BIT|byte|x
BITOP AND|or|XOR|NOT|x key key
BITOP AND|or|XOR|not key key*
BITFIELD key SET field-type field-place integer GET field-type field-place
BITFIELD key OVERFLOW SAT|fail|WRAP|x INCRBY field-type field-place integer
BITFIELD key INCRBY field-type 3 1|-1|100 [OVERFLOW SAT|FAIL] SET field-type #1 integer
BITFIELD key GET field-type field-place
BITFIELD_RO key GET field-type field-place [GET field-type field-place]
BITFIELD_RO key
PFADD sketch member*
PFADD sketch value*
PFADD sketch
PFCOUNT sketch
PFCOUNT sketch*
PFMERGE sketch sketch
PFMERGE sketch sketch*
GET sketch
LCS key key [LEN] [IDX] [MINMATCHLEN number] [WITHMATCHLEN]
DEL key*
UNLINK key*
EXISTS key*
TOUCH key*
TYPE key
EXPIRE key ttl [NX|XX|GT|LT|FOO] [NX|XX|GT|LT]
PEXPIRE key ttl-ms [NX|XX|GT|LT]
EXPIREAT key moment [NX|XX|GT|LT] [NX|XX|GT|LT]
PEXPIREAT key moment-ms [NX|XX|GT|LT]
PERSIST key
TTL key
PTTL key
EXPIRETIME key
PEXPIRETIME key
RENAME key key
RENAMENX key key
COPY key key [REPLACE] [DB database]
MOVE key database
SELECT 0|0|1
KEYS *|?|a|[a-c]|\udcff
SCAN 0 COUNT 1000 [MATCH *|[ab]] [TYPE string|hash|list|zset]
OBJECT REFCOUNT nokey
DUMP nokey
DUMP key
RESTORE key ttl-ms payload [REPLACE]
RESTORE key 0 payload REPLACE [IDLETIME number] [FREQ number]
RESTORE key 4000000000000|4000000000001|-1|x payload ABSTTL [REPLACE] [FREQ 0|255|256|x]
OBJECT FREQ key
MEMORY USAGE key [SAMPLES number]
SWAPDB database database
SWAPDB 0|1 0|1
FOO key
"""

_WORDS = {
    "key": KEYS,
    "value": VALUES,
    "integer": INTEGERS,
    "float": FLOATS,
    "moment": MOMENTS,
    "moment-ms": MOMENTS_MS,
    "payload": PAYLOADS,
    "database": ["0", "1", "2", "16", "x", "99999999999"],
    "member": MEMBERS,
    "sketch": SKETCHES,
    "bit-place": BIT_PLACES,
    "field-type": FIELD_TYPES,
    "field-place": FIELD_PLACES,
    "number": NUMBERS,
    "score": SCORES,
    "longitude": LONGITUDES,
    "latitude": LATITUDES,
    "length": LENGTHS,
    "unit": ["m", "km", "KM", "ft", "mi", "x"],
    # none at all, or more than there are
    "draws": ["0", "100", "x"],
    "score-bound": SCORE_BOUNDS,
    "lex-bound": LEX_BOUNDS,
}
_TEMPLATES = [line.split(" ") for line in COMMANDS.strip().splitlines()]
_NAMES = {" ".join(template[:size]) for template in _TEMPLATES for size in (1, 2)}
# groups that hold no data of a key, and what is compared in another place
_OTHER_GROUPS = ("server", "pubsub", "connection", "transactions", "cluster")
_DECLARED = [
    each
    for each in REGISTRY
    if each.name not in (*_NAMES, *NEVER_SPOILT)
    and each.notation.accesses()
    and not (each.own or each.connection or each.group in _OTHER_GROUPS)
    and "blocking" not in each.flags.split()
]
_KEYS = [key.encode("utf-8", "surrogateescape") for key in KEYS]


def random_command(chance: random.Random) -> list[bytes]:
    """One command, drawn at random."""
    if chance.random() * (len(_TEMPLATES) + len(_DECLARED)) < len(_DECLARED):
        return MalformedCalls(chance.choice(_DECLARED), chance, _KEYS).draw_right()
    argv: list[str] = []
    template = iter(chance.choice(_TEMPLATES))
    for arg in template:
        if arg.startswith("[") and arg != "[xy]]":
            option = [arg[1:]]
            while not option[-1].endswith("]"):
                option.append(next(template))
            option[-1] = option[-1][:-1]
            if chance.random() < 0.35:
                argv += [_drawn(each, chance) for each in option]
        elif arg.endswith("*") and arg[:-1] in _WORDS:
            many = chance.random() < MANY_SHARE
            times = chance.randint(20, 200) if many else chance.randint(1, 3)
            argv += [_drawn(arg[:-1], chance) for _ in range(times)]
        else:
            argv.append(_drawn(arg, chance))
    if chance.random() < SPOILT and argv[0] not in NEVER_SPOILT:
        _spoil(argv, chance)
    return [arg.encode("utf-8", "surrogateescape") for arg in argv]


def _drawn(arg: str, chance: random.Random) -> str:
    if arg == "ttl":
        return _lifetime(chance, 10**4, 10**7)
    if arg == "ttl-ms":
        return _lifetime(chance, 10**7, 10**10)
    if arg in ("number", "draws") and chance.random() < WIDE_SHARE:
        wide = chance.choice(WIDE)
        # a negative number of draws is as many of them
        return str(abs(wide) if arg == "draws" else wide)
    return chance.choice(_WORDS[arg] if arg in _WORDS else arg.split("|"))


def _lifetime(chance: random.Random, least: int, most: int) -> str:
    if chance.random() < 0.3:
        half = str(2**62 - chance.randrange(10**12))
        return chance.choice(["0", "-1", GREATEST, half])
    return str(chance.randrange(least, most))


def _spoil(argv: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(argv))
    match chance.randrange(4):
        case 0:
            argv.append(chance.choice(NOISE))
        case 1 if len(argv) > 1:
            del argv[max(at, 1)]
        case 2 if at:
            argv[at] = chance.choice(NOISE)
        case _:
            argv.insert(at, argv[at])
