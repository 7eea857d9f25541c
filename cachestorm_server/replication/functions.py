"""The functions: what a replica has of the libraries of its primary.

Called by the stream and by who follows; calls the engine of the endpoint, if there is one.

1. All libraries travel together, whatever has changed: what a replica has is what its primary
   has, and nothing of its own.
2. A library that cannot be loaded here is left out with the others, and the log says so: keys
   are worth more than functions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cachestorm.errors import CacheStormError
from cachestorm.payload.libraries import dump_libraries, read_libraries
from cachestorm_server.scripting.engine import Engine

if TYPE_CHECKING:
    from cachestorm_server.endpoint import Endpoint

_log = logging.getLogger("cachestorm")


def dumped_libraries(endpoint: Endpoint) -> bytes:
    """All libraries of an endpoint, as FUNCTION DUMP has them."""
    engine = endpoint.engine
    found = engine.libraries.all() if isinstance(engine, Engine) else []
    return dump_libraries([each.code for each in found])


def take_libraries(endpoint: Endpoint, dumped: bytes) -> None:
    """Has the libraries of the primary, and no others. Replicas of this one are told."""
    engine = endpoint.engine
    if not isinstance(engine, Engine):
        engine = endpoint.engine = Engine()
    try:
        codes = read_libraries(dumped)
        # a script that runs has the lock of the store
        with endpoint.cache.transaction():
            if codes:
                engine.libraries.load(codes, replace=True, flush=True)
            else:
                engine.libraries.flush()
    except CacheStormError as error:
        _log.error("the functions of the primary cannot be loaded here: %s", error)
    if endpoint.replication is not None:
        endpoint.replication.stream.tell_libraries()
