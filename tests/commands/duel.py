"""A duel: calls given to a session of ours and to a real server, replies and data compared.

Used by the tests of malformed calls. What of a command's reply can be compared, its tips
in the real server's COMMAND INFO say; which replies are meant to differ, `differences`.

1. A call of the data runs on one long connection, on data prepared anew for every batch.
   After the batch the data must be the same, key by key, in all databases.
2. A call of the connection (HELLO, CLIENT KILL) runs on a connection of its own, which ends
   with it; refusals must be the same to the byte, other replies of the same type.
3. Where replies differ as they are meant to, or are left to chance, data may differ too:
   it is prepared anew.
4. A call of a command that waits runs in a transaction, where nothing does.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Final

from comparison import (
    Ours,
    Reply,
    Theirs,
    alike,
    is_undefined,
    lines_of,
    parsed,
    request,
    settled,
)
from conditions import has_same_scores
from differences import why_different
from real_servers import HOST, RealServer

import cachestorm_server.server  # noqa: F401  it declares commands
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

PREPARED: Final = r"""
    FLUSHALL
    SELECT 1
    SET other 1
    SELECT 0
    SET text hello
    SET number 10 EX 100000
    HSET hash a 1 b 2 x text
    RPUSH list a b 1 2 a
    SADD set a b 1
    ZADD ranks 1 a 2 b 3 x
    SET \x00\xff \xff\xc3 EX 100000
"""
DATABASES: Final = 16
RANDOM: Final = "nondeterministic_output"
UNORDERED: Final = "nondeterministic_output_order"
LATITUDE_MS: Final = 60_000
LAST_WORD: Final = b"the last word"
ANSWER_TIMEOUT_S: Final = 60.0
# How the data of a type is read, and whether its elements come in no order.
READERS: Final = {
    "string": ([b"GET"], [], False),
    "hash": ([b"HGETALL"], [], True),
    "list": ([b"LRANGE"], [b"0", b"-1"], False),
    "set": ([b"SMEMBERS"], [], True),
    "zset": ([b"ZRANGE"], [b"0", b"-1", b"WITHSCORES"], False),
}


class Mismatch(AssertionError):
    """Replies, or data, that differ and are not meant to."""


class Duel:
    """Both servers, side by side.

    Attributes:
        meant: how many replies differed as they are meant to.
    """

    def __init__(self, server: RealServer, resp3: bool) -> None:
        self.server = server
        self.resp3 = resp3
        self.theirs = Theirs(server, resp3)
        self.ours = Ours(resp3)
        self.meant = 0
        self._tips: dict[str, list[str]] = {}
        self.prepare()

    def close(self) -> None:
        """Hangs up."""
        self.theirs.close()

    def prepare(self) -> None:
        """Gives both the same data."""
        commands = list(lines_of(PREPARED))
        self._keep_time()
        for replies in (self.theirs.run(commands), self.ours.run(commands)):
            assert not any(reply.mark == "-" for reply in replies), replies

    def compare(self, declaration: Declaration, argv: list[bytes]) -> None:
        """Gives a call of a command to both.

        Raises:
            Mismatch: for replies that differ.
        """
        if self.theirs.lacks(argv):
            return
        self._keep_time()
        undefined = is_undefined(argv, self.ours)
        is_blocking = "blocking" in declaration.flags.split()
        expected, actual = [
            _answer(side, argv, is_blocking) for side in (self.theirs, self.ours)
        ]
        tips = self.tips(declaration)
        if not self._are_alike(argv, tips, expected, actual):
            if not undefined:
                self._refuse_unless_meant(argv, expected, actual)
            self.prepare()
        elif expected.mark != "-" and (
            stores_any_order(argv) or (RANDOM in tips and declaration.writes)
        ):
            self.prepare()

    def compare_alone(self, argv: list[bytes]) -> None:
        """Gives a call to both, each time on a connection that ends with it.

        Raises:
            Mismatch: for refusals that differ, or other replies of different types.
        """
        expected, actual = self._asked_theirs(argv), self._asked_ours(argv)
        if expected.mark == actual.mark != "-" or expected == actual:
            return
        self._refuse_unless_meant(argv, expected, actual)

    def compare_data(self) -> None:
        """Asserts that both hold the same, and that ours is sound.

        Raises:
            Mismatch: for a database or key that differs.
        """
        self._keep_time()
        for index in range(DATABASES):
            for side in (self.theirs, self.ours):
                side.run([[b"SELECT", b"%d" % index]])
            has_fields = not self.theirs.lacks([b"HEXPIRETIME"])
            expected = contents(self.theirs, has_fields)
            actual = contents(self.ours, has_fields)
            if not same(expected, actual):
                raise Mismatch(f"database {index}: theirs {expected}, ours {actual}")
        for side in (self.theirs, self.ours):
            side.run([[b"SELECT", b"0"]])
        self.ours.cache._check()

    def lacks(self, declaration: Declaration) -> bool:
        """Whether the real server has no such command."""
        return not self._info(declaration.full_name)

    def tips(self, declaration: Declaration) -> list[str]:
        """The real server's tips on a command."""
        return self._info(declaration.full_name)

    def _info(self, name: str) -> list[str]:
        """The tips on a command, with a word before them; empty if there is no command."""
        if name not in self._tips:
            ask = [b"COMMAND", b"INFO", name.encode()]
            (entry,) = _list_of(self.theirs.run([ask])[0])
            found = []
            if isinstance(entry.value, list):
                found = ["known"] + [str(tip.text[1:]) for tip in _list_of(entry.value[7])]
            self._tips[name] = found
        return self._tips[name]

    def _keep_time(self) -> None:
        clock = self.ours.clock
        clock.advance(max(0.0, time.time() - clock.now_ms() / 1000))

    def _are_alike(
        self, argv: list[bytes], tips: list[str], expected: Reply, actual: Reply
    ) -> bool:
        if alike(argv, expected, actual):
            return True
        if "-" in (expected.mark, actual.mark):
            return False
        if RANDOM in tips:
            return True
        if UNORDERED in tips and isinstance(expected.value, list) == isinstance(
            actual.value, list
        ):
            return expected.mark == actual.mark and unordered(expected) == unordered(actual)
        return False

    def _refuse_unless_meant(self, argv: list[bytes], expected: Reply, actual: Reply) -> None:
        if why_different(self.server.name, argv, expected, actual) is None:
            raise Mismatch(
                f"{argv}: {self.server.name} {settled(argv, expected)}, "
                f"ours {settled(argv, actual)}"
            )
        self.meant += 1

    def _asked_theirs(self, argv: list[bytes]) -> Reply:
        with (
            socket.create_connection((HOST, self.server.port), ANSWER_TIMEOUT_S) as connection,
            connection.makefile("rb") as file,
        ):
            connection.sendall(request(self._asked(argv)))
            taken = b""
            try:
                while LAST_WORD not in taken:
                    line = file.readline()
                    if not line:
                        break
                    taken += line
            except ConnectionError:
                pass
        return _first_reply(taken)

    def _asked_ours(self, argv: list[bytes]) -> Reply:
        session = Session(Endpoint(self.ours.cache, REGISTRY, Settings()), "127.0.0.1:1")
        taken = session.receive(request(self._asked(argv)))
        while session.backlog:
            taken += session.receive(b"")
        return _first_reply(taken)

    def _asked(self, argv: list[bytes]) -> list[list[bytes]]:
        hello = [b"HELLO", b"3" if self.resp3 else b"2"]
        # a transaction or a subscription would keep the last word from coming
        ends = [[b"CLIENT", b"REPLY", b"ON"], [b"RESET"], [b"ECHO", LAST_WORD]]
        return [hello, argv, *ends]


def _first_reply(taken: bytes) -> Reply:
    """What came between HELLO's answer and those of the words that end a conversation."""
    stream = io.BytesIO(taken)
    replies = []
    parsed(stream)
    while stream.tell() < len(taken):
        replies.append(parsed(stream))
    if len(replies) > 3:
        return replies[0]
    if len(replies) == 3 and replies[2].value == LAST_WORD:
        return Reply("", b"no reply")
    return replies[0] if replies else Reply("", b"disconnected")


def stores_any_order(argv: list[bytes]) -> bool:
    """Whether elements are stored that an order says nothing about: a set's, by a pattern."""
    options = [arg.upper() for arg in argv]
    return b"BY" in options and b"STORE" in options


def _answer(side: Ours | Theirs, argv: list[bytes], is_blocking: bool) -> Reply:
    """The reply to a call; to one that might wait, in a transaction, where none does."""
    if not is_blocking:
        (reply,) = side.run([argv])
        return reply
    _, queued, run = side.run([[b"MULTI"], argv, [b"EXEC"]])
    return queued if queued.mark == "-" else _list_of(run)[0]


def _list_of(reply: Reply) -> list[Reply]:
    assert isinstance(reply.value, list), reply
    return reply.value


def unordered(reply: Reply) -> Reply:
    """The reply with everything in it put into one order."""
    if not isinstance(reply.value, list):
        return reply
    return Reply(reply.mark, sorted(map(unordered, reply.value), key=repr))


Contents = dict[bytes, tuple[str, Reply, list[int]]]


def contents(side: Theirs | Ours, has_fields: bool) -> Contents:
    """Type, value and deadlines of all keys of the database at hand.

    Args:
        side: whom to ask.
        has_fields: the deadlines of a hash's fields are asked for too.
    """
    names = [item.value for item in _list_of(side.run([[b"KEYS", b"*"]])[0])]
    keys = sorted(name for name in names if isinstance(name, bytes))
    kinds = side.run([[b"TYPE", key] for key in keys])
    ends = side.run([[b"PEXPIRETIME", key] for key in keys])
    found = {}
    for key, kind, end in zip(keys, kinds, ends, strict=True):
        before, after, has_no_order = READERS[kind.text[1:]]
        (value,) = side.run([[*before, key, *after]])
        held = settled(before, value) if has_no_order else value
        ends_of_key = [_number(end)]
        if has_fields and kind.text == "+hash":
            rows = _list_of(side.run([[b"HKEYS", key]])[0])
            fields = sorted(row.value for row in rows if isinstance(row.value, bytes))
            ask = [b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields]
            ends_of_key += [_number(each) for each in _list_of(side.run([ask])[0])]
        found[key] = (kind.text, held, ends_of_key)
    return found


def _number(reply: Reply) -> int:
    assert isinstance(reply.value, bytes)
    return int(reply.value)


def same(theirs: Contents, ours: Contents) -> bool:
    """Whether two databases hold the same; deadlines may be a minute apart.

    A score is a double, which servers write in different digits.
    """
    if list(theirs) != list(ours):
        return False
    for key, (kind, value, ends) in theirs.items():
        other_kind, other_value, other_ends = ours[key]
        if kind != other_kind or len(ends) != len(other_ends):
            return False
        is_same = value == other_value
        if not is_same and not (kind == "+zset" and has_same_scores(value, other_value)):
            return False
        for end, other in zip(ends, other_ends, strict=True):
            if (end < 0) != (other < 0) or abs(end - other) > LATITUDE_MS:
                return False
    return True
