"""Live names: keys and tags that a server has now, for completion.

Asked by the prompt and by the completion of shells. Somebody waits for the answer: a walk
over a large server is given up early, and an error is an empty answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client

MOST_SHOWN: Final = 100
_WAIT_S: Final = 0.3
_PAGE: Final = b"1000"
_MOST_PAGES: Final = 100
_GLOB: Final = b"*?[]\\^"


class LiveNames:
    """The names of one server."""

    def __init__(self, client: Client) -> None:
        self._client: Final = client

    def keys(self, prefix: str) -> list[str]:
        """Keys that begin so, sorted; at most `MOST_SHOWN`."""
        return self._walk([b"SCAN"], prefix)

    def tags(self, prefix: str) -> list[str]:
        """Tags that begin so, likewise; none where the server knows no tags."""
        return self._walk([b"TAGSCAN"], prefix)

    def _walk(self, command: Sequence[bytes], prefix: str) -> list[str]:
        raw = prefix.encode("utf-8", "surrogateescape")
        pattern = b"".join(
            b"\\" + raw[at : at + 1] if raw[at] in _GLOB else raw[at : at + 1]
            for at in range(len(raw))
        )
        found: set[str] = set()
        cursor = b"0"
        ends_at = time.monotonic() + _WAIT_S
        for _ in range(_MOST_PAGES):
            argv = [*command, cursor, b"MATCH", pattern + b"*", b"COUNT", _PAGE]
            try:
                reply = self._client.ask(argv)
            except CacheStormError:
                return []
            if not isinstance(reply, list) or len(reply) != 2:
                break
            cursor, names = reply
            if not isinstance(names, list):
                break
            for name in names:
                # a name that no shell and no terminal can show is not offered
                if isinstance(name, bytes) and name.isascii() and name.decode().isprintable():
                    found.add(name.decode())
                elif isinstance(name, bytes):
                    text = name.decode("utf-8", "replace")
                    if text.isprintable() and "\ufffd" not in text:
                        found.add(text)
            is_last = cursor in (b"0", 0)
            cursor = cursor if isinstance(cursor, bytes) else str(cursor).encode()
            if is_last or len(found) >= MOST_SHOWN or time.monotonic() > ends_at:
                break
        return sorted(found)[:MOST_SHOWN]
