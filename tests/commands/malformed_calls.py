"""Random calls of a declared command, nearly all of them wrong in some way.

Drawn from the tree of a declaration, so that every command that is declared is covered and
none is named here. A call begins as a right one and is then damaged a few times: words
left out, added, said twice, moved, replaced by words that other places expect.

1. No small number of seconds or milliseconds is drawn where it would be a time to live:
   what is answered must not depend on the millisecond.
2. A word is bytes; some are not UTF-8, hold NULs or line ends, or are empty.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import (
    Blob,
    Cursor,
    Double,
    Integer,
    Key,
    Kind,
    LexBoundKind,
    ScoreBoundKind,
    Tally,
    Text,
    Timeout,
    Ttl,
)
from cachestorm.declare.notation import BLOCK, ONEOF, TOKEN, Argument

GREATEST, LEAST = b"9223372036854775807", b"-9223372036854775808"
# one of each type; `missing` is never made before a batch
KEYS: Final = [b"text", b"number", b"hash", b"list", b"set", b"ranks", b"missing", b"\0\xff"]
TEXTS: Final = [b"a", b"b", b"1", b"x", b"2", b"", b"\0", b"\xff\xc3", b"\xc3\xa9", b"a" * 70]
COUNTS: Final = [b"0", b"1", b"2", b"-1", b"3", b"-2", b"100"]
BAD_INTEGERS: Final = (
    b" 1,1 ,+1,01,-0,1.0,1e2,0x10,,x,-,--1,1_0,1\0,\xd9\xa1,nan,inf,"
    b"9223372036854775808,-9223372036854775809,18446744073709551616,4294967296,"
    b"2147483648,-2147483649,99999999999999999999999999"
).split(b",")
EDGES: Final = [GREATEST, LEAST, b"2147483647", b"-2147483648"]
FLOATS: Final = [
    b"1",
    b"0.5",
    b"-1.5",
    b"3e2",
    b"inf",
    b"-inf",
    b"0",
    b"-0",
    b"+1",
    b".5",
    b"5.",
]
BAD_FLOATS: Final = (
    b"nan,-nan,x,, 1,1 ,1_0,1e400,-1e400,1e-400,0x1p3,infx,1.5.,1\0,(1,--1".split(b",")
)
LIFETIMES: Final = [b"0", b"-1", *EDGES, b"9223372036854775"]
MOMENTS: Final = [b"4000000000", b"4000000000000", b"1", b"0", b"-1", *EDGES]
BOUNDS: Final = [b"(1", b"-inf", b"+inf", b"(-inf", b"(", b"", b"(x", b"(nan", b"( 1", b"1.5"]
LEX_BOUNDS: Final = [b"-", b"+", b"[a", b"(b", b"[", b"(", b"a", b"", b"--", b"[\xff", b"(\0"]
PATTERNS: Final = [b"*", b"?", b"[ab]*", b"[^a]", b"\\", b"[", b"", b"h*->f", b"w_*", b"#"]
SPECIAL: Final = [b"\r\n", b"'", b'"', b"-", b"$-1", b"%s", b"\x1b[0m", b"A" * 300]

# What would end the real server, or keep it from answering, if it were called rightly; and
# what shows the default user, or changes users for good.
HANDS_OFF = {"SHUTDOWN", "DEBUG", "MONITOR", "REPLICAOF", "SLAVEOF", "FAILOVER", "CLIENT PAUSE"}
HANDS_OFF |= {"ACL GETUSER", "ACL LIST", "ACL LOG", "ACL SETUSER"}
# they wait for what never comes
HANDS_OFF |= {"WAIT", "WAITAOF"}

MOST_REPEATS = 3
OPTION_CHANCE = 0.4
UNTOUCHED = 0.12
MOST_DAMAGES = 3
# a number that lives for less than this many units would be gone before it is compared
SHORTEST_LIFE = 60_000


class MalformedCalls:
    """Draws calls of one command.

    Attributes:
        declaration: of the command.
        keys: what is drawn for a key.
    """

    def __init__(
        self, declaration: Declaration, chance: random.Random, keys: list[bytes] = KEYS
    ) -> None:
        self.declaration = declaration
        self.keys = keys
        self._chance = chance
        self._name = [arg.encode() for arg in declaration.name.split(" ")]
        nodes = [*_all_of(declaration.notation.arguments)]
        self._tokens = [node.token.strip('"').encode() for node in nodes if node.token]
        self._lives = [node for node in nodes if isinstance(node.kind, Ttl)]
        self._counting = {
            node.token.encode()
            for node in nodes
            if node.token and any(isinstance(child.kind, Tally) for child in node.children)
        }

    def draw_right(self) -> list[bytes]:
        """One call that has all that it needs; a word of it may be a bad one."""
        argv = self._name + self._spelled(self.declaration.notation.arguments)
        self._lengthen_lives(argv)
        return argv

    def draw(self) -> list[bytes]:
        """One call, wrong or right."""
        argv = self._name + self._spelled(self.declaration.notation.arguments)
        if self._chance.random() >= UNTOUCHED:
            for _ in range(self._chance.randint(1, MOST_DAMAGES)):
                self._damage(argv)
        argv[0] = self._cased(argv[0])
        self._lengthen_lives(argv)
        return argv

    # right calls

    def _spelled(self, nodes: list[Argument]) -> list[bytes]:
        """Words for nodes in a row; options next to each other in any order."""
        chance = self._chance
        argv: list[bytes] = []
        options: list[list[bytes]] = []
        rows = 0
        for node in nodes:
            if (node.optional and node.token) or (node.shape == ONEOF and node.optional):
                if chance.random() < OPTION_CHANCE:
                    options.append(self._spelled_one(node, rows))
                continue
            chance.shuffle(options)
            argv += [arg for option in options for arg in option]
            options = []
            if isinstance(node.kind, Tally):
                rows = chance.randint(1, MOST_REPEATS)
                argv.append(self._tallied(node.kind, rows))
                continue
            if not node.optional or chance.random() < OPTION_CHANCE:
                argv += self._spelled_one(node, rows)
        chance.shuffle(options)
        return argv + [arg for option in options for arg in option]

    def _spelled_one(self, node: Argument, rows: int) -> list[bytes]:
        """Words for one node; `rows` of it if a number before it said so."""
        chance = self._chance
        repeats = 1
        if node.multiple:
            repeats = rows or chance.choice([1, 1, 2, MOST_REPEATS])
        argv: list[bytes] = []
        for number in range(repeats):
            if node.token and (number == 0 or node.multiple_token):
                argv.append(self._cased(node.token.strip('"').encode()))
            if node.shape == ONEOF:
                argv += self._spelled_one(chance.choice(node.children), rows)
            elif node.shape == BLOCK:
                argv += self._spelled(node.children)
            elif node.shape != TOKEN:
                assert node.kind is not None
                argv.append(self._worded(node.kind))
        return argv

    def _tallied(self, kind: Kind, rows: int) -> bytes:
        if self._chance.random() < 0.8:
            return b"%d" % rows
        return self._chance.choice([*COUNTS, *BAD_INTEGERS, *EDGES])

    def _worded(self, kind: Kind) -> bytes:
        """A word that a kind may be given: mostly a right one."""
        chance = self._chance
        bad = chance.random() < 0.1
        match kind:
            case Key():
                return chance.choice(self.keys)
            case Ttl(absolute=True):
                return chance.choice(BAD_INTEGERS if bad else MOMENTS)
            case Ttl():
                # no two alike: GT and LT would tell which millisecond it is
                usual = b"%d" % chance.randrange(10**5, 10**9)
                return chance.choice(BAD_INTEGERS if bad else [usual, usual, *LIFETIMES])
            case Timeout():
                return chance.choice(BAD_FLOATS if bad else [b"0.01", b"-1", b"1e400"])
            case Integer() | Cursor():
                return chance.choice(BAD_INTEGERS + EDGES if bad else COUNTS)
            case Double():
                return chance.choice(BAD_FLOATS if bad else FLOATS)
            case ScoreBoundKind():
                return chance.choice(BAD_FLOATS if bad else BOUNDS + FLOATS)
            case LexBoundKind():
                return chance.choice(LEX_BOUNDS)
            case Text(name="pattern"):
                return chance.choice(PATTERNS)
            case Text() | Blob() | Kind(name="value"):
                return chance.choice(SPECIAL + BAD_INTEGERS if bad else TEXTS + FLOATS)
            case Kind(name="bound"):
                return chance.choice(COUNTS + BOUNDS + LEX_BOUNDS)
        return self._any_word()

    def _any_word(self) -> bytes:
        pools = [
            KEYS,
            TEXTS,
            COUNTS,
            BAD_INTEGERS,
            EDGES,
            FLOATS,
            BAD_FLOATS,
            BOUNDS,
            LEX_BOUNDS,
            PATTERNS,
            SPECIAL,
            self._tokens or TEXTS,
            self._tokens or TEXTS,
        ]
        return self._chance.choice(self._chance.choice(pools))

    def _cased(self, token: bytes) -> bytes:
        """The token in upper, lower or mixed case."""
        match self._chance.randrange(4):
            case 0:
                return token.lower()
            case 1:
                return token.swapcase().title()
        return token

    # damages

    def _damage(self, argv: list[bytes]) -> None:
        """Makes a call wrong, in one of many ways; the command's own name stays."""
        chance = self._chance
        first = 1 if len(self._name) == 1 or chance.random() < 0.1 else 2
        if len(argv) <= first:
            argv += [self._any_word() for _ in range(chance.randint(1, 2))]
            return
        at = chance.randrange(first, len(argv))
        other = chance.randrange(first, len(argv))
        match chance.randrange(11):
            case 0:
                del argv[at]
            case 1:
                del argv[at:]
            case 2:
                argv += [self._any_word() for _ in range(chance.randint(1, 3))]
            case 3:
                argv.insert(at, self._any_word())
            case 4:
                argv.insert(other, argv[at])
            case 5:
                argv[at], argv[other] = argv[other], argv[at]
            case 6:
                # an option twice, with all that follows it up to the end or the other place
                argv += argv[min(at, other) : max(at, other) + 1]
            case 7 if self._tokens:
                argv.insert(at, self._cased(chance.choice(self._tokens)))
            case 8:
                argv[at] = argv[at] + chance.choice([b" ", b"\0", b"X", b"1", b"\xff"])
            case _:
                argv[at] = self._any_word()

    def _lengthen_lives(self, argv: list[bytes]) -> None:
        """Makes short times to live long, wherever in the call one may have come to stand."""
        if not self._lives:
            return
        for at in range(len(self._name), len(argv)):
            arg = argv[at]
            is_short = arg.isdigit() and 0 < int(arg) < SHORTEST_LIFE
            if is_short and argv[at - 1].upper() not in self._counting:
                argv[at] = b"%d" % (int(arg) + 100_000)


def _all_of(nodes: list[Argument]) -> Iterator[Argument]:
    for node in nodes:
        yield node
        yield from _all_of(node.children)


def unknown_call(chance: random.Random) -> list[bytes]:
    """A call of something that is not a command."""
    name = chance.choice([b"NOPE", b"get\r\n", b"", b"\0", b"SET ", b"\xff", b"N" * 200])
    return [name, *[chance.choice(TEXTS + SPECIAL) for _ in range(chance.randrange(5))]]
