"""The channels: who has subscribed to what, and how messages reach subscribers.

One broker belongs to each store, whatever its namespaces. Subscribers are connections of a
server and subscriptions of this process; the broker calls them, and calls nothing else.

1. All messages of a broker have one order, the same for every subscriber.
2. A subscriber is called while the lock is held: it stores the message and wakes its reader. It
   may not wait, and it runs no user code.
3. The lock is re-entrant: a finalizer that runs in the middle may publish or unsubscribe.
4. Shard channels are separate: `publish` does not reach them, and `spublish` reaches nothing
   else.
5. What was published goes to replicas as well; what is told of the keys themselves does not, as
   each server tells that of its own.

Source: https://redis.io/docs/latest/develop/pubsub/
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.patterns import matches

# The kinds of subscriptions.
CHANNEL: Final = 0
PATTERN: Final = 1
SHARD: Final = 2


class Message:
    """A message on its way.

    Attributes:
        kind: of the subscription that it is for.
        channel: where it was published.
        pattern: what the subscription matches channels by; empty for one to a channel.
        data: what was published.
        resp2, resp3: as a server sends it, made once for all who speak that protocol.
    """

    def __init__(self, kind: int, channel: bytes, pattern: bytes, data: bytes) -> None:
        self.kind: Final = kind
        self.channel: Final = channel
        self.pattern: Final = pattern
        self.data: Final = data
        self.resp2: bytes | None = None
        self.resp3: bytes | None = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Subscriber:
    """Who can subscribe. Each is known by its identity."""

    def receive(self, message: Message) -> None:
        """Takes a message. Called by any thread, one at a time."""
        raise NotImplementedError


Subscribers = dict[Subscriber, None]


class Broker:
    """All subscriptions of one store.

    Attributes:
        relay: is called with each message that was published, CHANNEL or SHARD, its channel and
            its data; None: there are no replicas.

    Examples:
        >>> broker = Broker()
        >>> broker.publish(b"news", b"hello")
        0
    """

    def __init__(self) -> None:
        self._lock: RLock = RLock()
        self.relay: Callable[[int, bytes, bytes], object] | None = None
        # by channel or pattern, for each kind of subscription
        self._subscribers: Final[list[dict[bytes, Subscribers]]] = [{}, {}, {}]

    def forked(self) -> None:
        """In a child process: a thread that held the lock exists only in the parent."""
        self._lock = RLock()
        self.relay = None

    def subscribe(self, subscriber: Subscriber, kind: int, name: bytes) -> None:
        """Tells a subscriber of what is published from now on; once, however often asked."""
        with self._lock:
            self._subscribers[kind].setdefault(name, {})[subscriber] = None

    def unsubscribe(self, subscriber: Subscriber, kind: int, name: bytes) -> None:
        """Ends a subscription; nothing if there is none."""
        with self._lock:
            table = self._subscribers[kind]
            subscribers = table.get(name)
            if subscribers is not None:
                subscribers.pop(subscriber, None)
                if not subscribers:
                    del table[name]

    def publish(self, channel: bytes, data: bytes) -> int:
        """Sends a message to a channel, here and at replicas.

        Returns:
            How many subscriptions here it was for.
        """
        count = self.publish_here(channel, data)
        # without the lock: whoever publishes may have that of the store, and this asks for it
        if self.relay is not None:
            self.relay(CHANNEL, channel, data)
        return count

    def publish_here(self, channel: bytes, data: bytes) -> int:
        """Sends a message to a channel. O(N) in its subscribers and in all patterns.

        Returns:
            How many subscriptions it was for.
        """
        with self._lock:
            count = self._send(CHANNEL, channel, channel, data)
            for pattern in list(self._subscribers[PATTERN]):
                if matches(pattern, channel):
                    count += self._send(PATTERN, pattern, channel, data)
            return count

    def publish_to_shard(self, channel: bytes, data: bytes) -> int:
        """Sends a message to a shard channel, here and at replicas. O(N) in its subscribers.

        Returns:
            How many subscriptions here it was for.
        """
        with self._lock:
            count = self._send(SHARD, channel, channel, data)
        if self.relay is not None:
            self.relay(SHARD, channel, data)
        return count

    def _send(self, kind: int, name: bytes, channel: bytes, data: bytes) -> int:
        subscribers = self._subscribers[kind].get(name)
        if subscribers is None:
            return 0
        message = Message(kind, channel, name if kind == PATTERN else b"", data)
        # a list: a finalizer may end one of them meanwhile
        told = list(subscribers)
        for subscriber in told:
            subscriber.receive(message)
        return len(told)

    def names(self, kind: int, pattern: bytes | None = None) -> list[bytes]:
        """The channels that somebody has subscribed to, or all the patterns.

        Args:
            pattern: which of them; None for all.
        """
        with self._lock:
            names = list(self._subscribers[kind])
        return [name for name in names if pattern is None or matches(pattern, name)]

    def count(self, kind: int, name: bytes) -> int:
        """How many have subscribed to a channel."""
        with self._lock:
            return len(self._subscribers[kind].get(name, {}))

    def count_names(self, kind: int) -> int:
        """How many channels there are that somebody has subscribed to, or how many patterns."""
        return len(self._subscribers[kind])

    def _check(self) -> None:
        """Asserts that nobody is kept who has not subscribed."""
        with self._lock:
            for table in self._subscribers:
                assert all(table.values())
