"""Writing records to a server, many at a time.

Called by import. What a batch needs is sent in one piece, and its replies are read together:
those to strings just before the next batch is sent: the server works while that is read.

1. Without `replace`, a key that is there stays as it is and is counted as kept.
2. A string with its deadline and tags is one command, all others are one MULTI each: nobody
   sees half of a key. While others write the same keys, a container may meet one that was
   not there when it was asked for; then its elements are added.
3. A key whose deadline has passed is not written.
4. A server without tags gets the keys without them, and that is counted.
5. Every refusal is counted, and the first few are kept with their reasons.
6. A dry run asks the server about each key with a command that changes nothing: it is told of
   keys that may not be written and payloads that cannot be read. How much fits is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from cachestorm.codec import format_float
from cachestorm.declare.wire_values import OK
from cachestorm_cli.client import RespClient, ServerError, spell
from cachestorm_cli.transfer.records import STRING, Item, Link, Record

MOST_REASONS: Final = 10
_ADDING: Final = {"hash": b"HSET", "list": b"RPUSH", "set": b"SADD", "zset": b"ZADD"}
# elements a command: a longer one would hold up the server's other clients
_ELEMENTS: Final = 1000
_MULTI: Final = spell([b"MULTI"])
_EXEC: Final = spell([b"EXEC"])


@dataclass(slots=True)
class Tally:
    """What became of the records.

    Attributes:
        kept: keys that were there already.
        late: keys whose deadline had passed.
        untagged: keys whose tags the server does not know.
    """

    written: int = 0
    kept: int = 0
    late: int = 0
    refused: int = 0
    untagged: int = 0
    links: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def keys(self) -> int:
        """All that were looked at."""
        return self.written + self.kept + self.late + self.refused

    def refuse(self, key: bytes, reason: object) -> None:
        """Counts a refusal."""
        self.refused += 1
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append(f"{key.decode('utf-8', 'backslashreplace')}: {reason}")


class Target:
    """A server that records are written to.

    Args:
        replace: whether keys that are there are overwritten.
        dry_run: whether only to count what would be written.
    """

    def __init__(self, client: RespClient, replace: bool, dry_run: bool = False) -> None:
        self._client: Final = client
        self._replace: Final = replace
        self._dry_run: Final = dry_run
        self.tally: Final = Tally()
        # strings that were sent and whose replies are yet to be read
        self._unanswered: Sequence[Record] = ()
        refusal = client.ask([b"TAGCOUNT", b"x"])
        self._has_tags: Final = not isinstance(refusal, ServerError)

    def write(self, items: Sequence[Item], now_ms: int) -> None:
        """Writes records. Those of the call before are acknowledged when it returns.

        Raises:
            ConnectError: when the server goes away; what it answered until then is counted.
        """
        strings: list[Record] = []
        others: list[Record] = []
        links: list[Link] = []
        for item in items:
            if isinstance(item, Link):
                links.append(item)
            elif item.expires_at_ms is not None and item.expires_at_ms <= now_ms:
                self.tally.late += 1
            elif item.kind == STRING:
                strings.append(item)
            else:
                others.append(item)
            if isinstance(item, Record) and item.tags and not self._has_tags:
                self.tally.untagged += 1
        if self._dry_run:
            self._count_only(strings + others, links)
            return
        raw = self._spelled(strings)
        self.settle()
        if strings:
            self._client.send(raw)
            self._unanswered = strings
        if others or links:
            self.settle()
        if others:
            self._write_others(others)
        if links and self._has_tags:
            self._write_links(links)

    def settle(self) -> None:
        """Waits until all that was written is acknowledged.

        Raises:
            ConnectError: as `write`.
        """
        # none of them any more, whatever happens: a new connection has no replies to them
        sent, self._unanswered = self._unanswered, ()
        if not sent:
            return
        tally = self.tally
        for record, reply in zip(sent, self._client.read_many(len(sent))):
            if reply is OK:
                tally.written += 1
            elif reply is None:
                tally.kept += 1
            else:
                tally.refuse(record.key, reply)

    def _count_only(self, records: Sequence[Record], links: Sequence[Link]) -> None:
        self.tally.links += len(links) if self._has_tags else 0
        due = self._due(records)
        replies = self._client.ask_many([_probe(record) for record in due])
        for record, reply in zip(due, replies):
            if record.field_deadlines and self._field_refusal is not None:
                self.tally.refuse(record.key, self._field_refusal)
            elif isinstance(reply, ServerError) and not _is_of_probe(str(reply)):
                self._refuse(record, reply)
            else:
                self.tally.written += 1

    @cached_property
    def _field_refusal(self) -> ServerError | None:
        """What the server says of fields with deadlines, if it knows none."""
        reply = self._client.ask([b"HPEXPIREAT"])
        if isinstance(reply, ServerError) and "unknown command" in str(reply):
            return reply
        return None

    def _due(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that are to be written; the others are counted as kept."""
        if self._replace:
            return records
        due = [record for record, there in zip(records, self._are_there(records)) if not there]
        self.tally.kept += len(records) - len(due)
        return due

    def _are_there(self, records: Sequence[Record]) -> list[bool]:
        replies = self._client.ask_many([[b"EXISTS", record.key] for record in records])
        return [reply == 1 for reply in replies]

    def _spelled(self, records: Sequence[Record]) -> bytes:
        """The commands that write strings."""
        keeps = not self._replace
        has_tags = self._has_tags
        parts: list[bytes] = []
        for record in records:
            key, value = record.key, record.value
            if record.expires_at_ms is None and not record.tags:
                # most keys: spelled here, as a call for each argument takes longer
                parts.append(
                    b"*%d\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b"
                    % (
                        4 if keeps else 3,
                        len(key),
                        key,
                        len(value),
                        value,
                        b"$2\r\nNX\r\n" if keeps else b"",
                    )
                )
                continue
            argv = [b"SET", key, value]
            if keeps:
                argv.append(b"NX")
            if record.expires_at_ms is not None:
                argv += [b"PXAT", b"%d" % record.expires_at_ms]
            if record.tags and has_tags:
                argv += [b"TAGS", *record.tags]
            parts.append(spell(argv))
        return b"".join(parts)

    def _write_others(self, records: Sequence[Record]) -> None:
        due = self._due(records)
        commands = [self._commands(record) for record in due]
        raw = [b"".join([_MULTI, *(spell(argv) for argv in row), _EXEC]) for row in commands]
        client = self._client
        client.send(b"".join(raw))
        for record, row in zip(due, commands):
            # MULTI, QUEUED for each, and what EXEC says
            self._count(record, client.read_many(len(row) + 2))

    def _count(self, record: Record, replies: list[object]) -> None:
        refused = [reply for reply in replies[:-1] if isinstance(reply, ServerError)]
        done = replies[-1]
        if isinstance(done, list):
            refused += [reply for reply in done if isinstance(reply, ServerError)]
        elif not refused:
            refused.append(
                done if isinstance(done, ServerError) else ServerError("ERR not run")
            )
        if not refused:
            self.tally.written += 1
        elif str(refused[0]).startswith("BUSYKEY"):
            self.tally.kept += 1
        else:
            self._refuse(record, refused[0])

    def _refuse(self, record: Record, error: ServerError) -> None:
        if record.kind != "dump":
            self.tally.refuse(record.key, error)
            return
        # such as a stream, which only Redis has
        reason = f"the server cannot read a key of this type ({error})"
        self.tally.refuse(record.key, reason)

    def _commands(self, record: Record) -> list[list[bytes]]:
        key = record.key
        if record.kind == "dump":
            ttl = b"%d" % (record.expires_at_ms or 0)
            argv = [b"RESTORE", key, ttl, record.value]
            if record.expires_at_ms is not None:
                argv.append(b"ABSTTL")
            commands = [[*argv, b"REPLACE"] if self._replace else argv]
        else:
            commands = [[b"DEL", key]] if self._replace else []
            flat = _flat(record)
            step = _ELEMENTS * (2 if record.kind in ("hash", "zset") else 1)
            for at in range(0, len(flat), step):
                commands.append([_ADDING[record.kind], key, *flat[at : at + step]])
            if record.expires_at_ms is not None:
                commands.append([b"PEXPIREAT", key, b"%d" % record.expires_at_ms])
        if record.tags and self._has_tags:
            commands.append([b"ADDTAG", key, *record.tags])
        for name, at_ms in record.field_deadlines:
            commands.append([b"HPEXPIREAT", key, b"%d" % at_ms, b"FIELDS", b"1", name])
        return commands

    def _write_links(self, links: Sequence[Link]) -> None:
        commands = [[b"TAGLINK", link.parent, link.child] for link in links]
        for link, reply in zip(links, self._client.ask_many(commands)):
            if isinstance(reply, ServerError):
                self.tally.refuse(link.parent + b" > " + link.child, reply)
            else:
                self.tally.links += 1


def _probe(record: Record) -> list[bytes]:
    """What the server refuses as it would refuse a record, and what changes nothing."""
    if record.kind == "dump":
        # read, and not made, as its deadline has passed
        return [b"RESTORE", record.key, b"1", record.value, b"ABSTTL"]
    return [b"SETRANGE", record.key, b"0", b""]


def _is_of_probe(refusal: str) -> bool:
    """Whether a refusal says nothing of a record: that its key is there, or of the command."""
    return refusal.startswith(("BUSYKEY", "WRONGTYPE")) or " to run the '" in refusal


def _flat(record: Record) -> list[bytes]:
    value: Any = record.value
    if record.kind == "hash":
        return [part for pair in value for part in pair]
    if record.kind == "zset":
        return [part for member, score in value for part in (_score(score), member)]
    return list(value)


def _score(score: float) -> bytes:
    return format_float(score)
