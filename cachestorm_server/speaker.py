"""The speaker: the half of a session that says something unasked. Sans-IO.

The base class of the session. It calls the carrier with bytes that are ready, and knows no
command and no request.

1. What is said comes between replies, never within one: while the session is being answered it
   waits for the end of that reply.
2. A client that does not take what waits for it, beyond the limit of its class, is
   disconnected; see `output_limits.py`. Its replies are bounded by its own reading, but what it
   is told is not: where its class has no limit, that is held to the limit of subscribers.
"""

from __future__ import annotations

import logging
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.output_limits import NORMAL, PUBSUB, REPLICA
from cachestorm_server.replies import write_reply
from cachestorm_server.subscriptions import Subscriptions

_log = logging.getLogger("cachestorm.resp")


class Speaker:
    """A client that can be told something.

    Attributes:
        id: unique in the endpoint.
        resp3: whether the client speaks RESP3.
        closing: nothing more is read; to be disconnected when the replies have gone.
        guarded: something unusual is to be kept when the client asks.
        carrier: what carries the bytes; None when there is nothing.
        subscriptions: what the client listens to; None until it first does.
        is_replica: whether it gets all that changes.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint: Final = endpoint
        endpoint.last_id += 1
        self.id: Final = int(endpoint.last_id)
        self.carrier: Carrier | None = None
        self.resp3: bool = False
        self.closing: bool = False
        self.guarded: bool = False
        self.subscriptions: Subscriptions | None = None
        self.is_replica: bool = False
        # what waits for the reply that is being made
        self._pushes: list[bytes] = []
        # what waits for the end of the delivery: sent in one piece, for a write is dear
        self._unsent: list[bytes] = []
        # what it was told since nothing waited for it
        self._told_bytes: i64 = 0
        # since when its output has been above the soft limit; -1 when it is not
        self._soft_since_tick: i64 = -1

    def push(self, value: object) -> None:
        """Tells the client something unasked.

        It comes after the reply of the command that is being answered, if there is one.
        Nothing is sent to a client that is leaving, nor in RESP2 to one that would take it
        for a reply.
        """
        if self.resp3 and not self.closing:
            out = BytesWriter()
            write_reply(out, value, self.resp3)
            self.push_bytes(out.getvalue())

    def push_bytes(self, data: bytes) -> None:
        """As `push`, for what is in RESP already and known to be understood."""
        if self.closing or self.carrier is None:
            return
        endpoint = self.endpoint
        if endpoint.executing is self:
            self._pushes.append(data)
            self.guarded = True
        elif endpoint.is_delivering:
            if not self._unsent:
                endpoint.told.append(self)
            self._unsent.append(data)
        else:
            self._send(data)

    def send_told(self) -> None:
        """Sends what was pushed in the course of a delivery."""
        unsent = self._unsent
        self._unsent = []
        self._send(b"".join(unsent))

    def _send(self, data: bytes) -> None:
        carrier = self.carrier
        if self.closing or carrier is None:
            return
        self.endpoint.sendings += 1
        self.endpoint.net_out_bytes += len(data)
        self._told_bytes += len(data)
        carrier.send(data)
        self.check_output()

    def write_pushes(self, out: BytesWriter) -> None:
        """Writes what has waited for the reply that is before it."""
        for push in self._pushes:
            out.write(push)
        self._pushes = []

    def output_class(self) -> str:
        """By which of the output limits the client is measured."""
        if self.is_replica:
            return REPLICA
        return PUBSUB if self.is_subscribed() else NORMAL

    def check_output(self) -> None:
        """Disconnects the client if more waits for it than it may."""
        carrier = self.carrier
        if carrier is None or self.closing:
            return
        unsent: i64 = carrier.unsent_bytes()
        endpoint = self.endpoint
        limit = endpoint.settings.output_limits[self.output_class()]
        if unsent == 0:
            self._told_bytes = 0
        elif limit.is_none():
            limit = endpoint.settings.output_limits[PUBSUB]
            unsent = min(unsent, self._told_bytes)
        if not limit.is_soft_exceeded(unsent):
            self._soft_since_tick = -1
        elif self._soft_since_tick < 0:
            self._soft_since_tick = endpoint.tick
        soft_for_s: i64 = 0
        if self._soft_since_tick >= 0:
            soft_for_s = endpoint.tick - self._soft_since_tick
        if limit.is_exceeded(unsent, soft_for_s):
            endpoint.cut_off += 1
            _log.warning(
                "client %d is disconnected: %d bytes of output wait for it, beyond its limit",
                self.id,
                unsent,
            )
            self.closing = True
            carrier.abort()

    # -- subscriptions

    def listening(self) -> Subscriptions:
        """The subscriptions, which are made at their first use."""
        subscriptions = self.subscriptions
        if subscriptions is None:
            endpoint = self.endpoint
            subscriptions = Subscriptions(endpoint, self.id, endpoint.broker)
            self.subscriptions = subscriptions
        return subscriptions

    def is_subscribed(self) -> bool:
        """Whether the client listens to any channel or pattern."""
        return self.subscriptions is not None and self.subscriptions.count() != 0

    def is_restricted(self) -> bool:
        """Whether a client of RESP2 has subscribed, and may do little else."""
        return not self.resp3 and self.is_subscribed()

    def push_later(self, value: object) -> None:
        """Tells the client something after the reply that is being made."""
        out = BytesWriter()
        write_reply(out, value, self.resp3)
        self.push_bytes_later(out.getvalue())

    def push_bytes_later(self, data: bytes) -> None:
        """As `push_later`, for what is in RESP already."""
        self._pushes.append(data)
        self.guarded = True
