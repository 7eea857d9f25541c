"""What a server says about itself: INFO, read once for all tools.

Asked by `stats`, `top` and `doctor`, of CacheStorm, Redis or Valkey. What a server does not
say is 0 or empty.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cachestorm.codec import text_of
from cachestorm.declare.wire_values import Verbatim
from cachestorm_cli.client import Client, ServerError

_COMMAND: Final = "cmdstat_"
_PERCENTILES: Final = "latency_percentiles_usec_"


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """One command, since the server's start.

    Attributes:
        time_us: of all calls.
        p50_us, p99_us: of one call.
    """

    name: str
    calls: int
    time_us: float
    failed: int
    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The fields of INFO, at one time.

    Attributes:
        fields: all of them, by name.
        at_s: when it was asked, by a clock that only goes forward.
    """

    fields: Mapping[str, str]
    at_s: float

    def number(self, name: str) -> float:
        """A field that is a number."""
        try:
            return float(self.fields.get(name, "0"))
        except ValueError:
            return 0.0

    def text(self, name: str) -> str:
        """A field as it stands."""
        return self.fields.get(name, "")

    @property
    def is_cachestorm(self) -> bool:
        """Whether it is one of ours."""
        return "cachestorm_version" in self.fields

    @property
    def product(self) -> str:
        """Its name and version."""
        if self.is_cachestorm:
            build = "compiled" if self.number("compiled") else "pure"
            return f"CacheStorm {self.text('cachestorm_version')} ({build})"
        if self.text("valkey_version"):
            return f"Valkey {self.text('valkey_version')}"
        return f"Redis {self.text('redis_version')}"

    @property
    def keys(self) -> int:
        """In all namespaces or databases."""
        if self.is_cachestorm:
            return int(self.number("keys"))
        total = 0
        for name, text in self.fields.items():
            if name.startswith("db") and name[2:].isdigit():
                facts = dict(part.partition("=")[::2] for part in text.split(","))
                total += int(facts.get("keys", "0"))
        return total

    @property
    def hit_ratio(self) -> float | None:
        """Of all reads since the start; None before the first."""
        hits, misses = self.number("keyspace_hits"), self.number("keyspace_misses")
        return hits / (hits + misses) if hits + misses else None

    @property
    def commands(self) -> list[CommandFacts]:
        """Of each command that was called."""
        found: list[CommandFacts] = []
        for name, text in self.fields.items():
            if not name.startswith(_COMMAND):
                continue
            facts = dict(part.partition("=")[::2] for part in text.split(","))
            command = name.removeprefix(_COMMAND)
            shares = dict(
                part.partition("=")[::2]
                for part in self.fields.get(_PERCENTILES + command, "").split(",")
            )
            found.append(
                CommandFacts(
                    command.replace("|", " "),
                    int(facts.get("calls", "0")),
                    float(facts.get("usec", "0")),
                    int(facts.get("failed_calls", "0")),
                    float(shares.get("p50", "0") or 0),
                    float(shares.get("p99", "0") or 0),
                )
            )
        return found


def ask_facts(client: Client) -> ServerFacts:
    """Asks a server.

    Raises:
        ServerError: when it does not answer INFO.
        ConnectError: when it is not there.
    """
    reply = client.ask([b"INFO", b"everything"])
    at_s = time.monotonic()
    if isinstance(reply, ServerError):
        raise reply
    text = reply.text if isinstance(reply, Verbatim) else ""
    if isinstance(reply, bytes):
        text = text_of(reply)
    return ServerFacts(fields_of(text), at_s)


def fields_of(text: str) -> dict[str, str]:
    r"""The fields of a text in the format of INFO.

    Examples:
        >>> fields_of("# Memory\r\nused_memory:12\r\n")
        {'used_memory': '12'}
    """
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}
