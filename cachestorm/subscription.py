"""The subscription: messages of channels for a thread, or for a task of asyncio.

Made by `Cache.subscribe`; the broker of the store tells it of messages.

1. It listens from entering the `with` block to leaving it, and takes messages in between.
2. What waits to be taken is bounded. Who is further behind has missed messages, and is told
   so by an error: no message is dropped silently.
3. Not compiled: a task awaits it.
"""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from cachestorm import channels
from cachestorm.channels import CHANNEL, PATTERN, SHARD, Broker, Subscriber
from cachestorm.codec import bytes_of, text_of
from cachestorm.errors import ArgumentError, MessagesMissedError

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

MOST_WAITING_BYTES: Final = 32 << 20


class Message(bytes):
    """A message: the bytes that were published.

    Attributes:
        channel: where.
        pattern: by which pattern of the subscription it came; None if by the channel itself.
    """

    channel: str
    pattern: str | None


class Subscription(Subscriber):
    """The messages of some channels; a context manager and an iterator, of both sorts.

    Args:
        broker: of the store.
        names: channels, patterns or shard channels, by kind.
        most_waiting_bytes: how much may wait to be taken.
    """

    def __init__(
        self,
        broker: Broker,
        names: dict[int, list[bytes]],
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        super().__init__()
        self._broker: Final = broker
        self._names: Final = names
        self._most_waiting_bytes: Final = most_waiting_bytes
        # None stands for the end
        self._queue: SimpleQueue[channels.Message | None] = SimpleQueue()
        # what has come and what was taken: one thread at a time writes the first
        self._received_bytes = 0
        self._taken_bytes = 0
        self._is_open = False
        self._has_begun = False
        self._has_missed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: asyncio.Event | None = None

    def receive(self, message: channels.Message) -> None:
        """Keeps a message until it is taken."""
        if self._has_missed:
            return
        if self._received_bytes - self._taken_bytes > self._most_waiting_bytes:
            self._has_missed = True
            self._queue.put(None)
        else:
            self._received_bytes += len(message.data)
            self._queue.put(message)
        self._notify()

    def _notify(self) -> None:
        if self._loop is not None and self._arrived is not None:
            try:
                self._loop.call_soon_threadsafe(self._arrived.set)
            except RuntimeError:
                # the loop has ended, and with it whoever would take the message
                self._loop = None

    def open(self) -> None:
        """Begins to listen; nothing if it listens already."""
        if not self._is_open:
            self._is_open = True
            self._has_begun = True
            self._has_missed = False
            self._queue = SimpleQueue()
            self._received_bytes = self._taken_bytes = 0
            for kind, names in self._names.items():
                for name in names:
                    self._broker.subscribe(self, kind, name)

    def close(self) -> None:
        """Ends the subscription and wakes those who wait for a message. Any thread may."""
        if self._is_open:
            self._is_open = False
            for kind, names in self._names.items():
                for name in names:
                    self._broker.unsubscribe(self, kind, name)
            self._queue.put(None)
            self._notify()

    def get(self, timeout: float | None = None) -> Message | None:
        """The next message.

        Args:
            timeout: how many seconds to wait for one; None for no end, 0 for not at all.

        Returns:
            None if there was none in time, or when the subscription was closed.

        Raises:
            MessagesMissedError: when more came than could wait. What had come before has
                been given.
            RuntimeError: before the `with` block, when it does not listen yet.
        """
        if not self._has_begun:
            raise RuntimeError("a subscription has messages inside its 'with' block")
        try:
            taken = self._queue.get(timeout != 0, timeout)
        except Empty:
            return None
        return self._given(taken)

    def _given(self, taken: channels.Message | None) -> Message | None:
        if taken is None:
            # it stands for the end to all who wait
            self._queue.put(None)
            if self._has_missed:
                raise MessagesMissedError()
            return None
        self._taken_bytes += len(taken.data)
        message = Message(taken.data)
        message.channel = text_of(taken.channel)
        message.pattern = text_of(taken.pattern) if taken.kind == PATTERN else None
        return message

    def __enter__(self) -> Subscription:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Message:
        message = self.get()
        if message is None:
            raise StopIteration
        return message

    async def __aenter__(self) -> Subscription:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        arrived = self._arrived
        if arrived is None:
            raise RuntimeError("'async for' takes messages inside 'async with'")
        while True:
            # before the look: what comes after it sets the event again
            arrived.clear()
            try:
                message = self._given(self._queue.get_nowait())
            except Empty:
                await arrived.wait()
                continue
            if message is None:
                raise StopAsyncIteration
            return message

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        count = sum(len(names) for names in self._names.values())
        return f"<Subscription to {count} channels and patterns, {state}>"


def subscription(
    broker: Broker,
    channels: Iterable[str | bytes],
    patterns: Iterable[str | bytes],
    shards: Iterable[str | bytes],
) -> Subscription:
    """What `Cache.subscribe` gives.

    Raises:
        ArgumentError: when there is nothing to listen to.
        TypeError: for a name that is neither `str` nor `bytes`.
    """
    names = {
        CHANNEL: _names(channels),
        PATTERN: _names(patterns),
        SHARD: _names(shards),
    }
    if not any(names.values()):
        raise ArgumentError("a subscription is to at least one channel or pattern")
    return Subscription(broker, names)


def _names(names: Iterable[str | bytes]) -> list[bytes]:
    if isinstance(names, (str, bytes)):
        raise TypeError(f"channels and patterns are given as a list, not as {names!r}")
    return [name_of_channel(name) for name in names]


def name_of_channel(name: object) -> bytes:
    """A channel's bytes.

    Raises:
        TypeError: for what is neither `str` nor `bytes`.
    """
    if isinstance(name, str):
        return bytes_of(name)
    if isinstance(name, bytes):
        return bytes(name)
    raise TypeError(f"a channel or pattern is a str or bytes, not {type(name).__name__}")
