"""CacheStorm: a cache that you import, and a server for every Redis client."""

import logging
from collections.abc import MutableMapping

from cachestorm.cache import Cache
from cachestorm.cache_like import AsyncCacheLike, CacheLike
from cachestorm.clock import Clock, ManualClock
from cachestorm.connecting import connect
from cachestorm.errors import CacheStormError
from cachestorm.events import Cause, Effect, Interest
from cachestorm.keyspace.latch import COMPILED
from cachestorm.markers import MISSING, UNSET

# where the program configures no logging, nothing is said
logging.getLogger("cachestorm").addHandler(logging.NullHandler())

# all of its methods are there; equality and hash are those of an object
MutableMapping.register(Cache)
CacheLike.register(Cache)

__version__ = "0.1.0"

__all__ = [
    "COMPILED",
    "MISSING",
    "UNSET",
    "AsyncCacheLike",
    "Cache",
    "CacheLike",
    "CacheStormError",
    "Cause",
    "Clock",
    "Effect",
    "Interest",
    "ManualClock",
    "__version__",
    "connect",
]
