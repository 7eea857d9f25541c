"""The family of messages: what is published to a channel, and to whom it comes.

Channels belong to a cache as a whole, not to a namespace. Publishing touches no key.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import to_wire
from cachestorm.commands.edge import Edge
from cachestorm.declare.declaration import Declaration

command: Final = partial(Declaration, group="pubsub")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Messages(Edge):
    """PUBLISH and SPUBLISH."""

    @command(
        "PUBLISH channel message:blob",
        complexity="O(N+M): N subscribers of the channel, M patterns in all",
        fast=True,
        flags="pubsub loading stale",
        summary="Send a message to a channel.",
    )
    def publish(self, channel: object, message: object) -> int:
        """Sends a message to those who have subscribed to a channel, or to a pattern of it.

        They are clients of the server as well as subscriptions of this process.

        Args:
            message: `bytes`, or what is sent as the bytes that it is stored as.

        Returns:
            How many subscriptions it was for.

        Raises:
            CodecError: for a message that has no bytes.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> with cache.subscribe("news") as messages:
            ...     cache.publish("news", "hello")
            ...     messages.get()
            1
            b'hello'
        """
        return self._store.broker.publish(to_wire(channel), to_wire(message))

    @command(
        "SPUBLISH shardchannel message:blob",
        complexity="O(N) in the subscribers of the channel",
        fast=True,
        flags="pubsub loading stale",
        summary="Send a message to a shard channel.",
    )
    def spublish(self, shardchannel: object, message: object) -> int:
        """Sends a message to a shard channel, which `publish` does not reach.

        Returns:
            How many subscriptions it was for.

        Raises:
            CodecError: for a message that has no bytes.
        """
        return self._store.broker.publish_to_shard(to_wire(shardchannel), to_wire(message))
