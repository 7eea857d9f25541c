"""Reading a server: its keys as records, a page of SCAN at a time.

Called by export, and by import when its source is a server. Two round trips a page: types,
deadlines and tags first, then the values.

1. What goes between the two is left out; what is changed between them is read as it is then.
2. A server without tags (Redis, Valkey) is noticed once, and not asked for any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.codec import text_of
from cachestorm.declare.wire_values import Members, Pairs
from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client, ServerError
from cachestorm_cli.printing import for_programs
from cachestorm_cli.server_facts import ask_facts
from cachestorm_cli.transfer.records import STRING, Item, Link, Record
from cachestorm_cli.walking import answered, pages

_MOST_NAMED: Final = 10
_PLAIN: Final = {
    b"hash": (b"HGETALL",),
    b"list": (b"LRANGE", b"0", b"-1"),
    b"set": (b"SMEMBERS",),
    b"zset": (b"ZRANGE", b"0", b"-1", b"WITHSCORES"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the cursor that goes on behind them; b"0" at the end."""

    items: Sequence[Item]
    cursor: bytes


class Source:
    """A server whose keys are read.

    Args:
        match: a glob pattern of keys; None: all.
        count: keys a page.
    """

    def __init__(self, client: Client, match: str | None = None, count: int = 500) -> None:
        self._client: Final = client
        self._match: Final = match
        self._count: Final = count
        self._has_tags = True
        self._has_field_deadlines = True

    def size(self) -> int:
        """How many keys there are, of which a pattern may leave out some.

        Raises:
            CacheStormError: when the server is not there, or refuses.
        """
        return int(str(answered(self._client.ask([b"DBSIZE"]))))

    def left_out(self) -> list[str]:
        """What of the server is not read, though nobody chose a part of it; nothing by HTTP.

        Raises:
            CacheStormError: when the server is not there.
        """
        address = self._client.address
        if address.is_http:
            return []
        try:
            facts = ask_facts(self._client)
        except ServerError:  # a user who may not ask is told nothing
            return []
        found = []
        if facts.number("cluster_enabled"):
            found.append("the other nodes of the cluster have keys of their own: read each")
        if address.namespace or address.database:
            return found
        if facts.is_cachestorm:
            reply = self._client.ask([b"NAMESPACES"])
            names = _blobs(reply) if isinstance(reply, list) else []
            others = [text_of(name) for name in names if name != b"default"]
        else:
            databases = [name for name in facts.fields if re.fullmatch(r"db\d+", name)]
            others = [name for name in databases if name != "db0"]
        if others:
            listed = ", ".join(others[:_MOST_NAMED]) + ", ..." * (len(others) > _MOST_NAMED)
            found.append(f"not read: {listed}; read each by the path of its address")
        return found

    def links(self) -> list[Link]:
        """The links between tags; none where the server knows no tags."""
        reply = self._client.ask([b"TAGLINKS"])
        rows = reply if isinstance(reply, list) else []
        return [Link(row[0], row[1]) for row in rows if isinstance(row, list)]

    def pages(self, cursor: bytes = b"0") -> Iterator[Page]:
        """All keys.

        Args:
            cursor: of a page that was had before.

        Raises:
            CacheStormError: when the server is not there, or refuses.
        """
        seen: set[bytes] = set()
        for behind, names in pages(self._client, self._match, self._count, cursor):
            fresh = [name for name in dict.fromkeys(names) if name not in seen]
            # a walk may come by a key twice, on neighbouring pages
            seen = set(names)
            yield Page(self._records(fresh), behind)

    def _records(self, names: Sequence[bytes]) -> list[Item]:
        if not names:
            return []
        asked: list[list[bytes]] = []
        for name in names:
            asked += [[b"TYPE", name], [b"PEXPIRETIME", name]]
            if self._has_tags:
                asked.append([b"TAGS", name])
        replies = self._client.ask_many(asked)
        if self._has_tags and isinstance(replies[2], ServerError):
            if not str(replies[2]).startswith("ERR unknown command"):
                raise replies[2]
            self._has_tags = False
            replies = [reply for at, reply in enumerate(replies) if at % 3 != 2]
        step = 3 if self._has_tags else 2
        records: list[Record] = []
        for at, name in enumerate(names):
            kind = for_programs(answered(replies[at * step]))
            if kind == b"none":
                continue
            deadline = answered(replies[at * step + 1])
            tags = answered(replies[at * step + 2]) if self._has_tags else []
            records.append(
                Record(
                    name,
                    kind.decode(),
                    None,
                    deadline if isinstance(deadline, int) and deadline > 0 else None,
                    _blobs(tags),
                )
            )
        return self._with_values(records)

    def _with_values(self, records: list[Record]) -> list[Item]:
        values = self._client.ask_many([_question(record) for record in records])
        found: list[Item] = []
        hashes: list[Record] = []
        for record, value in zip(records, values):
            if isinstance(value, ServerError):
                if str(value).startswith("WRONGTYPE"):
                    # another type since: read anew, alone
                    found += self._records([record.key])
                    continue
                raise value
            if value is None or (value in ([], b"") and record.kind != STRING):
                continue  # it has gone since
            if record.kind not in ("string", "hash", "list", "set", "zset"):
                record.kind = "dump"
            record.value = _value_of(record.kind, value)
            if not record.value and record.kind != STRING:
                continue
            if record.kind == "hash":
                hashes.append(record)
            found.append(record)
        if hashes and self._has_field_deadlines:
            self._add_field_deadlines(hashes)
        return found

    def _add_field_deadlines(self, hashes: Sequence[Record]) -> None:
        asked = []
        for record in hashes:
            names = [name for name, _ in record.value]
            count = b"%d" % len(names)
            asked.append([b"HPEXPIRETIME", record.key, b"FIELDS", count, *names])
        for record, reply in zip(hashes, self._client.ask_many(asked)):
            if isinstance(reply, ServerError):
                # before Redis 7.4 fields have no deadlines
                self._has_field_deadlines = False
                return
            names = [name for name, _ in record.value]
            record.field_deadlines = [
                (name, at_ms)
                for name, at_ms in zip(names, reply if isinstance(reply, list) else [])
                if isinstance(at_ms, int) and at_ms > 0
            ]


def _question(record: Record) -> list[bytes]:
    kind = record.kind.encode()
    if kind == b"string":
        return [b"GET", record.key]
    words = _PLAIN.get(kind)
    if words is None:
        return [b"DUMP", record.key]
    return [words[0], record.key, *words[1:]]


def _value_of(kind: str, value: object) -> Any:
    if kind in (STRING, "dump"):
        return value
    if isinstance(value, Pairs):
        pairs = [(for_programs(name), for_programs(each)) for name, each in value.items]
    elif isinstance(value, list) and value and isinstance(value[0], list):
        pairs = [(for_programs(row[0]), for_programs(row[1])) for row in value]
    else:
        flat = _blobs(value)
        if kind in ("list", "set"):
            return flat
        pairs = list(zip(flat[::2], flat[1::2]))
    if kind == "zset":
        return [(member, float(score)) for member, score in pairs]
    return pairs


def _blobs(value: object) -> list[bytes]:
    items = value.items if isinstance(value, Members) else value
    if not isinstance(items, list):
        raise CacheStormError("the server's answer is no list")
    return [for_programs(item) for item in items]
