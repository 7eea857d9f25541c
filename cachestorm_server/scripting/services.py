"""The services: what `redis` has in Lua beside requests, and needs no session for.

Called by whoever runs a script or loads a library.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Final

from cachestorm_server.scripting.sandbox import Answer

_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.INFO, logging.WARNING)

_log = logging.getLogger("cachestorm.scripts")


def serve(request: tuple[Any, ...]) -> Answer:
    """`sha1hex` and `log`, by the name at index 1."""
    if request[1] == b"sha1hex":
        digest = hashlib.sha1(request[2], usedforsecurity=False).hexdigest()
        return True, digest.encode("ascii")
    assert request[1] == b"log", request[1]
    _log.log(_LEVELS[int(request[2])], "%s", request[3].decode("utf-8", "replace"))
    return True, None
