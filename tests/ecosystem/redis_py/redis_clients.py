"""Clients of redis-py that differ in their parser and in the version of RESP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis import _parsers as parsers

PARSERS = {
    ("sync", "python", 2): parsers._RESP2Parser,
    ("sync", "python", 3): parsers._RESP3Parser,
    ("async", "python", 2): parsers._AsyncRESP2Parser,
    ("async", "python", 3): parsers._AsyncRESP3Parser,
}
HIREDIS = {"sync": parsers._HiredisParser, "async": parsers._AsyncHiredisParser}


@dataclass(frozen=True)
class Clients:
    """Makes clients that all speak the same version of RESP, by the same parser."""

    port: int
    protocol: int
    parser: str

    def __call__(self, **options: Any) -> redis.Redis:
        """A client with a pool of its own."""
        pool = redis.ConnectionPool(**self._options("sync"), **options)
        return redis.Redis.from_pool(pool)

    def awaitable(self, **options: Any) -> redis.asyncio.Redis:
        """The same for asyncio."""
        pool = redis.asyncio.ConnectionPool(**self._options("async"), **options)
        return redis.asyncio.Redis.from_pool(pool)

    def _options(self, kind: str) -> dict[str, Any]:
        parser = PARSERS.get((kind, self.parser, self.protocol), HIREDIS[kind])
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": self.protocol,
            "parser_class": parser,
            "socket_timeout": 60,
        }
