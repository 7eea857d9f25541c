"""Mass insertion, `cachestorm cli --pipe`: sends what is piped in and counts the replies.

Called by the command `cli`. A thread sends while the replies are read, so that neither side
waits for the other's buffers. A PING of our own at the end tells the last reply.

Source: https://redis.io/docs/latest/develop/clients/patterns/bulk-loading/
"""

from __future__ import annotations

import secrets
import sys
import threading
from typing import BinaryIO, Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.client import RespClient, ServerError, spell

_CHUNK: Final = 256 * 1024


def insert(client: RespClient, source: BinaryIO) -> int:
    """Sends all of a stream. Returns an exit code: 1 when any reply was an error.

    Raises:
        CacheStormError: when the server is not there, or goes away.
    """
    client.send(b"")
    mark = secrets.token_hex(16).encode()
    failures: list[CacheStormError] = []

    def send() -> None:
        try:
            while chunk := source.read(_CHUNK):
                client.send(chunk)
            # an inline command that is not ended would swallow what follows
            client.send(b"\r\n" + spell([b"ECHO", mark]))
        except CacheStormError as error:
            failures.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    errors = replies = 0
    try:
        while (reply := client.read()) != mark:
            replies += 1
            if isinstance(reply, ServerError):
                errors += 1
                print(reply, file=sys.stderr)
    except CacheStormError:
        print(f"errors: {errors}, replies: {replies}")
        raise
    sender.join()
    print(f"errors: {errors}, replies: {replies}")
    if failures:
        raise failures[0]
    return 1 if errors else 0
