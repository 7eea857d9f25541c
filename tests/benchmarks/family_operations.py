"""The operations of the families case: one row each, for every place where it is measured.

An operation leaves its container as large as it was, so that it can be repeated, and is
spelled three times: for a client with redis-py's methods (CacheStorm and fakeredis), for plain
Python containers, and as words for redis-benchmark. Members and keys are called as
redis-benchmark calls them, `m:` and twelve digits.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

KEY = "k"
SIZES = (10, 1_000, 1_000_000)
# how much goes into a container at once while it is filled
CHUNK = 10_000
RANDOM = "__rand_int__"

Call = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        words: the command, as redis-benchmark takes it; `half` is half of the size.
        client: makes the call from a client with redis-py's methods.
        plain: makes it from the family's plain container; None where that has no such thing.
        linear: Redis documents that it takes longer, the larger the container is.
    """

    words: str
    client: Callable[[Any, int], Call]
    plain: Callable[[Any, int], Call] | None = None
    linear: bool = False


def name_of(number: int) -> str:
    """A member or key, as redis-benchmark spells it."""
    return f"m:{number:012}"


class PlainRanks:
    """What one would write for a sorted set: a dict of scores and a sorted list of pairs."""

    def __init__(self, size: int) -> None:
        self.scores = {name_of(number): float(number) for number in range(size)}
        self.pairs = [(score, member) for member, score in self.scores.items()]

    def add(self, member: str, score: float) -> None:
        """Gives a member that is there another score."""
        del self.pairs[self.rank(member)]
        self.scores[member] = score
        insort(self.pairs, (score, member))

    def rank(self, member: str) -> int:
        """How many pairs are before that of a member."""
        return bisect_left(self.pairs, (self.scores[member], member))

    def count(self, least: float) -> int:
        """How many pairs have at least this score."""
        return len(self.pairs) - bisect_left(self.pairs, (least, ""))


def moved_character(text: bytearray, at: int) -> None:
    """Writes one byte in place."""
    text[at] = 120


def rotated(items: list[bytes]) -> None:
    """Moves the first element to the end."""
    items.append(items.pop(0))


def drawn(scores: dict[str, float]) -> float:
    """A random score, within what there is."""
    return float(random.randrange(len(scores)))


def fill(client: Any, family: str, size: int) -> None:
    """Makes the container of a family, or the keys, by redis-py's methods."""
    if family == "strings":
        client.set(KEY, bytes(size))
        return
    for start in range(0, size, CHUNK):
        numbers = range(start, min(start + CHUNK, size))
        names = [name_of(number) for number in numbers]
        match family:
            case "hashes":
                client.hset(KEY, mapping=dict.fromkeys(names, b"v"))
            case "lists":
                client.rpush(KEY, *names)
            case "sets":
                client.sadd(KEY, *names)
            case "sorted sets":
                client.zadd(KEY, dict(zip(names, numbers, strict=True)))
            case "keys":
                client.mset(dict.fromkeys(names, b"v"))


def filling(family: str, size: int) -> Iterator[tuple[bytes, ...]]:
    """The commands that do the same on the wire."""
    key = KEY.encode()
    if family == "strings":
        yield (b"SET", key, bytes(size))
        return
    for start in range(0, size, CHUNK):
        numbers = range(start, min(start + CHUNK, size))
        names = [name_of(number).encode() for number in numbers]
        match family:
            case "hashes":
                yield (b"HSET", key, *[part for name in names for part in (name, b"v")])
            case "lists":
                yield (b"RPUSH", key, *names)
            case "sets":
                yield (b"SADD", key, *names)
            case "sorted sets":
                pairs = zip(numbers, names, strict=True)
                yield (b"ZADD", key, *[part for n, name in pairs for part in (b"%d" % n, name)])
            case "keys":
                yield (b"MSET", *[part for name in names for part in (name, b"v")])


def plain_container(family: str, size: int) -> Any:
    """What plain Python has for a family."""
    names = [name_of(number) for number in range(size)]
    match family:
        case "strings":
            return bytearray(size)
        case "lists":
            return [name.encode() for name in names]
        case "sets":
            return set(names)
        case "sorted sets":
            return PlainRanks(size)
    return dict.fromkeys(names, b"v")


FAMILIES: dict[str, list[Operation]] = {
    "strings": [
        Operation(
            f"GETRANGE {KEY} half half",
            lambda c, n: lambda m: c.getrange(KEY, n // 2, n // 2),
            lambda p, n: lambda m: p[n // 2 : n // 2 + 1],
        ),
        Operation(
            f"SETRANGE {KEY} half x",
            lambda c, n: lambda m: c.setrange(KEY, n // 2, b"x"),
            lambda p, n: lambda m: moved_character(p, n // 2),
        ),
        Operation(
            f"STRLEN {KEY}", lambda c, n: lambda m: c.strlen(KEY), lambda p, n: lambda m: len(p)
        ),
        Operation(
            f"GET {KEY}",
            lambda c, n: lambda m: c.get(KEY),
            lambda p, n: lambda m: p,
            linear=True,
        ),
    ],
    "hashes": [
        Operation(
            f"HGET {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.hget(KEY, m),
            lambda p, n: lambda m: p.get(m),
        ),
        Operation(
            f"HSET {KEY} m:{RANDOM} v",
            lambda c, n: lambda m: c.hset(KEY, m, b"v"),
            lambda p, n: lambda m: p.__setitem__(m, b"v"),
        ),
        Operation(
            f"HEXISTS {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.hexists(KEY, m),
            lambda p, n: lambda m: m in p,
        ),
        Operation(f"HRANDFIELD {KEY}", lambda c, n: lambda m: c.hrandfield(KEY)),
        Operation(f"HSCAN {KEY} 0", lambda c, n: lambda m: c.hscan(KEY, 0)),
    ],
    "lists": [
        Operation(
            f"LMOVE {KEY} {KEY} LEFT RIGHT",
            lambda c, n: lambda m: c.lmove(KEY, KEY, "LEFT", "RIGHT"),
            lambda p, n: lambda m: rotated(p),
        ),
        Operation(
            f"LRANGE {KEY} 0 9",
            lambda c, n: lambda m: c.lrange(KEY, 0, 9),
            lambda p, n: lambda m: p[:10],
        ),
        Operation(
            f"LSET {KEY} -1 v",
            lambda c, n: lambda m: c.lset(KEY, -1, b"v"),
            lambda p, n: lambda m: p.__setitem__(-1, b"v"),
        ),
        Operation(
            f"LINDEX {KEY} half",
            lambda c, n: lambda m: c.lindex(KEY, n // 2),
            lambda p, n: lambda m: p[n // 2],
            linear=True,
        ),
        Operation(
            f"LRANGE {KEY} half half",
            lambda c, n: lambda m: c.lrange(KEY, n // 2, n // 2),
            lambda p, n: lambda m: p[n // 2 : n // 2 + 1],
            linear=True,
        ),
    ],
    "sets": [
        Operation(
            f"SISMEMBER {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.sismember(KEY, m),
            lambda p, n: lambda m: m in p,
        ),
        Operation(
            f"SADD {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.sadd(KEY, m),
            lambda p, n: lambda m: p.add(m),
        ),
        Operation(f"SMOVE {KEY} {KEY} m:{RANDOM}", lambda c, n: lambda m: c.smove(KEY, KEY, m)),
        Operation(f"SRANDMEMBER {KEY}", lambda c, n: lambda m: c.srandmember(KEY)),
        Operation(f"SSCAN {KEY} 0", lambda c, n: lambda m: c.sscan(KEY, 0)),
    ],
    "sorted sets": [
        Operation(
            f"ZSCORE {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.zscore(KEY, m),
            lambda p, n: lambda m: p.scores.get(m),
        ),
        Operation(
            f"ZADD {KEY} {RANDOM} m:{RANDOM}",
            lambda c, n: lambda m: c.zadd(KEY, {m: random.randrange(n)}),
            lambda p, n: lambda m: p.add(m, drawn(p.scores)),
        ),
        Operation(
            f"ZRANK {KEY} m:{RANDOM}",
            lambda c, n: lambda m: c.zrank(KEY, m),
            lambda p, n: lambda m: p.rank(m),
        ),
        Operation(
            f"ZRANGE {KEY} half half",
            lambda c, n: lambda m: c.zrange(KEY, n // 2, n // 2),
            lambda p, n: lambda m: p.pairs[n // 2][1],
        ),
        Operation(
            f"ZCOUNT {KEY} half +inf",
            lambda c, n: lambda m: c.zcount(KEY, n // 2, "+inf"),
            lambda p, n: lambda m: p.count(n // 2),
        ),
    ],
    "keys": [
        Operation(
            f"GET m:{RANDOM}",
            lambda c, n: lambda m: c.get(m),
            lambda p, n: lambda m: p.get(m),
        ),
        Operation(
            f"SET m:{RANDOM} v",
            lambda c, n: lambda m: c.set(m, b"v"),
            lambda p, n: lambda m: p.__setitem__(m, b"v"),
        ),
        Operation(
            f"EXISTS m:{RANDOM}",
            lambda c, n: lambda m: c.exists(m),
            lambda p, n: lambda m: m in p,
        ),
        Operation(f"TTL m:{RANDOM}", lambda c, n: lambda m: c.ttl(m)),
        Operation(f"EXPIRE m:{RANDOM} 100000", lambda c, n: lambda m: c.expire(m, 100_000)),
        Operation("RANDOMKEY", lambda c, n: lambda m: c.randomkey()),
        Operation("SCAN 0", lambda c, n: lambda m: c.scan(0)),
    ],
}
