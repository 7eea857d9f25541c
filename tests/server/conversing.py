"""Clients of sessions of ours, without sockets."""

from __future__ import annotations

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

assert declares_commands


class Inbox(Carrier):
    """What a session sends by itself.

    Attributes:
        data: what was sent, and nobody has taken.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.data = b""
        self._session = session
        self._is_resumed = False

    def send(self, data: bytes) -> None:
        self.data += data

    def resume(self) -> None:
        self._is_resumed = True

    def take_turn(self) -> None:
        """What a connection does in a later turn of the loop."""
        if self._is_resumed:
            self._is_resumed = False
            self.data += self._session.receive(b"")


def turn(endpoint: Endpoint) -> None:
    """A turn of the loop: what was posted is delivered, and woken sessions go on."""
    endpoint.deliver()
    for session in list(endpoint.sessions.values()):
        if isinstance(session.carrier, Inbox):
            session.carrier.take_turn()


def sessions_of(cache: Cache, count: int) -> list[tuple[Session, Inbox]]:
    """Sessions of one endpoint of a cache."""
    endpoint = Endpoint(cache, REGISTRY, Settings())
    return [session_of(endpoint) for _ in range(count)]


def session_of(endpoint: Endpoint) -> tuple[Session, Inbox]:
    """One more session of an endpoint."""
    session = Session(endpoint)
    inbox = Inbox(session)
    session.carrier = inbox
    return session, inbox
