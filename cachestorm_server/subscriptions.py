"""The subscriptions of a session: what its client listens to, and how messages look in RESP.

Made by the commands of `pubsub.py`; the broker of the store tells them of messages, in any
thread, and they post these to the session.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.channels import CHANNEL, PATTERN, SHARD, Broker, Message, Subscriber
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.replies import Push, write_reply

# How a message is announced, and what is said when a subscription begins and ends.
_MESSAGES: Final = (b"message", b"pmessage", b"smessage")
_BEGINS: Final = (b"subscribe", b"psubscribe", b"ssubscribe")
_ENDS: Final = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")


class Subscriptions(Subscriber):
    """What one client listens to.

    Attributes:
        names: channels, patterns and shard channels, in the order in which they were named.
    """

    def __init__(self, endpoint: Endpoint, session_id: int, broker: Broker) -> None:
        super().__init__()
        self._endpoint: Final = endpoint
        self._session_id: Final = session_id
        self._broker: Final = broker
        self.names: Final[list[dict[bytes, None]]] = [{}, {}, {}]

    def receive(self, message: Message) -> None:
        self._endpoint.post(self._session_id, message)

    def begin(self, kind: int, name: bytes) -> Push:
        """Subscribes. Returns what the client is told of it."""
        if name not in self.names[kind]:
            self.names[kind][name] = None
            self._broker.subscribe(self, kind, name)
        return Push([_BEGINS[kind], name, self.count_like(kind)])

    def end(self, kind: int, name: bytes) -> Push:
        """Unsubscribes; nothing if there is no such subscription. Returns what is told."""
        if name in self.names[kind]:
            del self.names[kind][name]
            self._broker.unsubscribe(self, kind, name)
        return Push([_ENDS[kind], name, self.count_like(kind)])

    def end_all(self, kind: int) -> list[Push]:
        """Ends all subscriptions of a kind. Returns what is told: something in any case."""
        told = [self.end(kind, name) for name in list(self.names[kind])]
        return told or [Push([_ENDS[kind], None, self.count_like(kind)])]

    def close(self) -> None:
        """Ends all of them, and tells nobody."""
        for kind in (CHANNEL, PATTERN, SHARD):
            self.end_all(kind)

    def count_like(self, kind: int) -> int:
        """The number that a client is told: shard channels are counted by themselves."""
        if kind == SHARD:
            return len(self.names[SHARD])
        return len(self.names[CHANNEL]) + len(self.names[PATTERN])

    def count(self) -> int:
        """How many there are."""
        return len(self.names[CHANNEL]) + len(self.names[PATTERN]) + len(self.names[SHARD])


def encoded(message: Message, resp3: bool) -> bytes:
    """A message in RESP; made once, and kept with it."""
    raw = message.resp3 if resp3 else message.resp2
    if raw is None:
        kind: i64 = message.kind
        items: list[object] = [_MESSAGES[kind], message.channel, message.data]
        if kind == PATTERN:
            items.insert(1, message.pattern)
        out = BytesWriter()
        write_reply(out, Push(items), resp3)
        raw = out.getvalue()
        if resp3:
            message.resp3 = raw
        else:
            message.resp2 = raw
    return raw
