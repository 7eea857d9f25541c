"""Handshakes: the clients of TLS that have come and have not shown yet who they are.

Called by the listeners of an endpoint and by the event loop. The loop tells an endpoint of a
client when its handshake is over; until then it has taken a descriptor all the same.

1. A client counts from its first moment: with those that are connected, as many come as there
   is room for, and the next one is disconnected before anything is worked out for it.
2. It counts until its handshake is over, or the loop has given it up. asyncio's own loop tells
   nobody of one that has gone in the midst of it: that counts for as long as it may have taken.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

# how long one may take
WITHIN_S: Final = 10.0


class Handshakes:
    """Those of one endpoint."""

    def __init__(self) -> None:
        # by their identity, until when each counts, in the order of that
        self._under_way: Final[OrderedDict[int, float]] = OrderedDict()

    def count(self) -> int:
        """How many are under way."""
        under_way = self._under_way
        while under_way and next(iter(under_way.values())) < monotonic():
            under_way.popitem(last=False)
        return len(under_way)

    def begin(self, handshake: Handshake) -> None:
        """Counts one."""
        self._under_way[id(handshake)] = monotonic() + WITHIN_S
        handshake.counted = self

    def end(self, handshake: Handshake) -> None:
        """Counts it no more."""
        self._under_way.pop(id(handshake), None)
        handshake.counted = None


class Handshake(ssl.SSLObject):
    """A client's TLS, from its first moment on.

    Attributes:
        counted: where it counts until its handshake is over; then None.
    """

    counted: Handshakes | None = None

    def do_handshake(self) -> None:
        """Goes on; the event loop calls this again for all that the client sends."""
        is_over = True
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            is_over = False
            raise
        finally:
            if is_over and self.counted is not None:
                self.counted.end(self)

    def __del__(self) -> None:
        if self.counted is not None:
            self.counted.end(self)


class AdmittingContext(ssl.SSLContext):
    """A listener's context: as another one, for as many clients as there is room for."""

    _handshakes: Handshakes
    _admits: Callable[[], bool]
    _tls: ssl.SSLContext

    @classmethod
    def of(
        cls, tls: ssl.SSLContext, handshakes: Handshakes, admits: Callable[[], bool]
    ) -> AdmittingContext:
        """A context for a listener.

        Args:
            tls: begins the handshakes.
            handshakes: counts them.
            admits: whether there is room for one more client; it counts who is refused.
        """
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._tls = tls
        made._handshakes = handshakes
        made._admits = admits
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begins a handshake; the event loop calls this for each client.

        Raises:
            SSLError: if there is no room for one.
        """
        if not self._admits():
            raise ssl.SSLError("max number of clients reached")
        made = self._tls.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, Handshake):
            self._handshakes.begin(made)
        return made
