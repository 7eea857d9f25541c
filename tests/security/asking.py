"""Clients of one endpoint, without sockets: each line is asked, and the reply is RESP."""

from __future__ import annotations

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

assert declares_commands

ADDRESS = "10.1.2.3:4567"


class Client(Carrier):
    """One client.

    Attributes:
        heard: what it was told unasked.
        is_gone: it was disconnected.
    """

    def __init__(self, endpoint: Endpoint, address: str = ADDRESS) -> None:
        super().__init__()
        self.session = Session(endpoint, address)
        self.session.carrier = self
        self.heard = b""
        self.is_gone = False
        self._resumes = False

    def ask(self, *lines: str) -> bytes:
        """The replies to some lines."""
        return b"".join([self.session.receive(f"{line}\r\n".encode()) for line in lines])

    def turn(self) -> bytes:
        """What comes in the next turn of the loop."""
        self.session.endpoint.deliver()
        if self._resumes:
            self._resumes = False
            self.heard += self.session.receive(b"")
        heard, self.heard = self.heard, b""
        return heard

    def send(self, data: bytes) -> None:
        self.heard += data

    def resume(self) -> None:
        self._resumes = True

    def disconnect(self) -> None:
        self.is_gone = True


def an_endpoint(password: str = "", acl_file: str = "") -> Endpoint:
    return Endpoint(Cache(), REGISTRY, Settings(password=password, acl_file=acl_file))


def the_admin(endpoint: Endpoint | None = None) -> Client:
    """A client that may do everything."""
    return Client(endpoint or an_endpoint())


def logged_in(admin: Client, *rules: str) -> Client:
    """A client of a new user `ann` with these rules."""
    assert admin.ask("ACL SETUSER ann reset on nopass " + " ".join(rules)) == b"+OK\r\n"
    client = Client(admin.session.endpoint)
    assert client.ask("AUTH ann x") == b"+OK\r\n"
    return client
