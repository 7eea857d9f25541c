"""The messages that nodes of a cluster send each other, as values. Pure.

Made and read by `node.py`; the bus turns them into bytes and back. One kind of message carries
everything: what differs is whether an answer is wanted, and what it is an answer to.

1. What comes from outside is looked at whole by `from_plain`: a message is right in all its
   parts, or it is refused.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final, NamedTuple, cast

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.link_map import Link
from cachestorm_server.cluster.op_log import Operation, Share
from cachestorm_server.cluster.slot_map import Run

# a node wants to join those of another; asks whether the other is there; answers
MEET: Final = "meet"
PING: Final = "ping"
PONG: Final = "pong"
KINDS: Final = (MEET, PING, PONG)
ID_LENGTH: Final = 40
MOST_TEXT: Final = 255
MOST_MEMBERS: Final = 100_000
# of a result in one message; a key may be far larger than that only by itself
MOST_PART_BYTES: Final = 4 * 1024 * 1024

Address = tuple[str, int]


class MessageError(ValueError):
    """What came is no message."""


@dataclass(frozen=True, slots=True)
class Member:
    """What is known of a node; nobody but itself changes it.

    Attributes:
        id: 40 hexadecimal digits.
        name: what people call it; may be empty.
        host, port, bus_port: where clients and other nodes reach it.
        config_epoch: what CLUSTER SET-CONFIG-EPOCH and BUMPEPOCH say.
        version: raised with every change; the higher one is the newer one.
        instance: of the process, drawn anew with each start.
        primary: whose replica it is; empty for none.
    """

    id: str
    name: str
    host: str
    port: int
    bus_port: int
    config_epoch: int
    version: int
    instance: str
    primary: str = ""

    @property
    def address(self) -> Address:
        """Where other nodes reach it."""
        return self.host, self.bus_port


class Query(NamedTuple):
    """A command that reads, for another node to answer of its own keys.

    Attributes:
        key: what its result is known by.
    """

    key: str
    namespace: str
    words: tuple[str, ...]


class Result(NamedTuple):
    """What an operation or a query has come to on one node.

    Attributes:
        key: of the query, or `operation_key` of the operation.
        left: how many parts are still to come, where it is too long for one message.
    """

    key: str
    value: int | tuple[str, ...]
    left: int = 0


def parts_of(result: Result) -> list[Result]:
    """A result as one message or several can carry it."""
    words = result.value
    if not isinstance(words, tuple):
        return [result]
    parts: list[tuple[str, ...]] = []
    start = size = 0
    for at, word in enumerate(words):
        if at - start == MOST_MEMBERS or size > MOST_PART_BYTES:
            parts.append(words[start:at])
            start, size = at, 0
        # of UTF-8, and what msgpack adds
        size += 4 * len(word) + 5
    parts.append(words[start:])
    return [
        Result(result.key, part, len(parts) - number)
        for number, part in enumerate(parts, start=1)
    ]


def operation_key(operation: Operation) -> str:
    """What the results of an operation are known by."""
    return f"{operation.origin}#{operation.number}"


def operation_plain(operation: Operation) -> list[object]:
    """Lists, texts and numbers."""
    return [operation.origin, operation.number, operation.namespace, list(operation.words)]


@dataclass(frozen=True, slots=True)
class Message:
    """What one node tells another.

    Attributes:
        kind: one of `KINDS`.
        nonce: of a question; of the answer to it as well.
        clusters: the ids by which the cluster of the sender has been known, the current first.
        sender: the sender itself.
        epoch: the highest that it knows.
        digest: of its slot map.
        members: some that it knows.
        suspects: ids of those from which it has heard nothing for too long.
        runs: of its slot map: all, what has just changed, or nothing.
        done: by origin, which operations it has done.
        shares: operations that it believes the receiver has not done.
        queries: what it wants to know of the receiver's keys.
        results: of operations and queries of the receiver.
        link_digest: of its link map.
        links: of that: all, or nothing.
        is_cut: there are more shares than these.
        ended: of which origins it keeps no operation, and will get none.
    """

    kind: str
    nonce: int
    clusters: tuple[str, ...]
    sender: Member
    epoch: int
    digest: int
    members: tuple[Member, ...] = ()
    suspects: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    done: tuple[tuple[str, int], ...] = ()
    shares: tuple[Share, ...] = ()
    queries: tuple[Query, ...] = ()
    results: tuple[Result, ...] = ()
    link_digest: int = 0
    links: tuple[Link, ...] = ()
    ended: tuple[str, ...] = ()
    is_cut: bool = False

    def to_plain(self) -> list[object]:
        """Lists, texts and numbers."""
        return [
            self.kind,
            self.nonce,
            list(self.clusters),
            list(astuple(self.sender)),
            self.epoch,
            self.digest,
            [list(astuple(member)) for member in self.members],
            list(self.suspects),
            [list(run) for run in self.runs],
            [list(each) for each in self.done],
            [
                [
                    share.origin,
                    share.floor,
                    share.lost,
                    [operation_plain(each) for each in share.operations],
                ]
                for share in self.shares
            ],
            [[each.key, each.namespace, list(each.words)] for each in self.queries],
            [
                [
                    each.key,
                    list(each.value) if isinstance(each.value, tuple) else each.value,
                    each.left,
                ]
                for each in self.results
            ],
            self.link_digest,
            [list(each) for each in self.links],
            list(self.ended),
            self.is_cut,
        ]


def from_plain(plain: object) -> Message:
    """The message that lists, texts and numbers stand for.

    Raises:
        MessageError: if they stand for none.
    """
    parts = _list(plain, 17)
    kind = _text(parts[0])
    if kind not in KINDS:
        raise MessageError(f"no kind of message: {kind!r}")
    return Message(
        kind,
        _number(parts[1]),
        tuple(_id(each) for each in _list(parts[2])),
        _member(parts[3]),
        _number(parts[4]),
        _number(parts[5]),
        tuple(_member(each) for each in _list(parts[6])),
        tuple(_id(each) for each in _list(parts[7])),
        tuple(_run(each) for each in _list(parts[8])),
        tuple(_done(each) for each in _list(parts[9])),
        tuple(_share(each) for each in _list(parts[10])),
        tuple(_query(each) for each in _list(parts[11])),
        tuple(_result(each) for each in _list(parts[12])),
        _number(parts[13]),
        tuple(link_of(each) for each in _list(parts[14])),
        tuple(_text(each) for each in _list(parts[15])),
        _flag(parts[16]),
    )


def _done(value: object) -> tuple[str, int]:
    origin, number = _list(value, 2)
    return _text(origin), _number(number)


def operation_of(value: object) -> Operation:
    """The operation that lists, texts and numbers stand for.

    Raises:
        MessageError: if they stand for none.
    """
    origin, number, namespace, words = _list(value, 4)
    return Operation(_text(origin), _number(number), _text(namespace), _words(words))


def _share(value: object) -> Share:
    origin, floor, lost, operations = _list(value, 4)
    kept = tuple(operation_of(each) for each in _list(operations))
    if any(each.origin != origin for each in kept):
        raise MessageError("operations of two origins")
    return Share(_text(origin), _number(floor), _number(lost), kept)


def _query(value: object) -> Query:
    key, namespace, words = _list(value, 3)
    return Query(_text(key), _text(namespace), _words(words))


def _result(value: object) -> Result:
    key, result, left = _list(value, 3)
    if isinstance(result, list):
        return Result(_text(key), _words(_list(result)), _number(left))
    return Result(_text(key), _number(result), _number(left))


def link_of(value: object) -> Link:
    """The decision that texts and a number stand for.

    Raises:
        MessageError: if they stand for none.
    """
    namespace, parent, child, stamp, by, is_there = _list(value, 6)
    names = _words([namespace, parent, child])
    return Link(names[0], names[1], names[2], _number(stamp), _id(by), _flag(is_there))


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise MessageError("no words")
    return tuple(value)


def _list(value: object, size: int = -1) -> list[object]:
    if not isinstance(value, list) or (size >= 0 and len(value) != size):
        raise MessageError(f"no list of {size}" if size >= 0 else "no list")
    if len(value) > MOST_MEMBERS:
        raise MessageError("too long a list")
    return cast("list[object]", value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT or not value.isprintable():
        raise MessageError("no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise MessageError("no number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise MessageError("no flag")
    return value


def _port(value: object) -> int:
    port = _number(value)
    if port > 65535:
        raise MessageError("no port")
    return port


def is_id(text: str) -> bool:
    """Whether a text could be the id of a node or of a cluster."""
    return len(text) == ID_LENGTH and all(letter in "0123456789abcdef" for letter in text)


def _id(value: object) -> str:
    text = _text(value)
    if not is_id(text):
        raise MessageError("no id")
    return text


def _member(value: object) -> Member:
    parts = _list(value, 9)
    return Member(
        _id(parts[0]),
        _text(parts[1]),
        _text(parts[2]),
        _port(parts[3]),
        _port(parts[4]),
        _number(parts[5]),
        _number(parts[6]),
        _text(parts[7]),
        _id(parts[8]) if _text(parts[8]) else "",
    )


def _run(value: object) -> Run:
    first, last, epoch, owner = _list(value, 4)
    run = Run(_number(first), _number(last), _number(epoch), _text(owner))
    if (
        not run.first <= run.last < SLOTS
        or run.epoch == 0
        or (run.owner and not is_id(run.owner))
    ):
        raise MessageError("no slots")
    return run
