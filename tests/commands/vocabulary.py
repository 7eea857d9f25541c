"""Random commands of the container families, over few keys, members and numbers.

So few that types and members collide all the time, and with enough bad words among them
that every refusal comes up.
"""

from __future__ import annotations

import random
from collections.abc import Callable

KEYS = ["a", "b", "c", "d"]
MEMBERS = ["x", "y", "z", "1", "2", "-3", "", "é", "zz"]
NUMBERS = ["0", "1", "2", "-1", "-2", "3", "100", "x", "-100", "1.5", ""]
SCORES = ["1", "2", "-1.5", "inf", "-inf", "0", "3e2", "x", "-0", "0.25"]
SCORE_BOUNDS = ["(1", "1", "-inf", "+inf", "(2", "5", "x", "(-1.5", "0"]
LEX_BOUNDS = ["-", "+", "[x", "(x", "[", "(", "[z", "(zz", "[1", "x"]

# A command is words: "key" and its like are replaced by chance, "[...]" is there or not,
# "a|b" is one of both, "x*" is one to three of them.
COMMANDS = """
HSET key member member
HSET key member member member member
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
HSCAN key 0 [MATCH *|x*|[xy]]
HEXPIREAT key 4000000000|4000000001|1|x|-1 [NX|XX|GT|LT] FIELDS 2 member member
HEXPIRETIME key FIELDS 1 member
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
SPOP key 100
SRANDMEMBER key 0
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
SORT key [LIMIT 0|1 number] [GET #|w_*|h_*->f] [DESC] [ALPHA]
SORT key [BY w_*|nosort] [ALPHA] [DESC] STORE key
DEL key
DEL key
DEL key key
TYPE key
SET key member
EXISTS key
"""

_WORDS = {
    "key": KEYS,
    "member": MEMBERS,
    "number": NUMBERS,
    "score": SCORES,
    "score-bound": SCORE_BOUNDS,
    "lex-bound": LEX_BOUNDS,
}
_TEMPLATES = [line.split(" ") for line in COMMANDS.strip().splitlines()]


def random_command(chance: random.Random) -> list[bytes]:
    """One command, drawn at random."""
    words: list[str] = []
    template = iter(chance.choice(_TEMPLATES))
    for word in template:
        if word.startswith("[") and word != "[xy]]":
            option = [word[1:]]
            while not option[-1].endswith("]"):
                option.append(next(template))
            option[-1] = option[-1][:-1]
            if chance.random() < 0.35:
                for each in option:
                    words += _drawn(each, chance.choice)
        elif word.endswith("*") and word[:-1] in _WORDS:
            for _ in range(chance.randint(1, 3)):
                words.append(chance.choice(_WORDS[word[:-1]]))
        else:
            words += _drawn(word, chance.choice)
    return [word.encode() for word in words]


def _drawn(word: str, choice: Callable[[list[str]], str]) -> list[str]:
    return [choice(_WORDS[word] if word in _WORDS else word.split("|"))]
