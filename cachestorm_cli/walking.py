"""Walking over the keys of a server, a page at a time, for tools that look at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client, ServerError


def pages(
    client: Client, match: str | None = None, count: int = 1000, cursor: bytes = b"0"
) -> Iterator[tuple[bytes, list[bytes]]]:
    """The keys, by pages: the cursor behind each, and its keys.

    A key may come twice. The last page has the cursor `0`.

    Raises:
        CacheStormError: when the server is not there, or refuses.
    """
    while True:
        argv = [b"SCAN", cursor, b"COUNT", b"%d" % count]
        if match is not None:
            argv += [b"MATCH", match.encode("utf-8", "surrogateescape")]
        reply = answered(client.ask(argv))
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise CacheStormError("the server's answer to SCAN is none")
        cursor = reply[0] if isinstance(reply[0], bytes) else str(reply[0]).encode()
        yield cursor, [name for name in reply[1] if isinstance(name, bytes)]
        if cursor == b"0":
            return


def answered(reply: object) -> object:
    """A reply that is no refusal.

    Raises:
        ServerError: when it is one.
    """
    if isinstance(reply, ServerError):
        raise reply
    return reply


def ask_all(client: Client, commands: Sequence[Sequence[bytes]]) -> list[object]:
    """Replies to many commands, none of which may be refused.

    Raises:
        ServerError: for the first that is.
    """
    return [answered(reply) for reply in client.ask_many(commands)]
