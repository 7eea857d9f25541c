"""`cachestorm import`: keys from a file, or straight from another server.

Called by the command `import`; calls `records` or `reading`, and `writing`.

1. What is in the file is read in batches; a batch is acknowledged before the state says so,
   so that `--resume` repeats at most one, whose keys are kept as they are.
2. A file that is damaged is imported up to there, and the error says where that is.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.addresses import Address, with_scheme
from cachestorm_cli.client import RespClient
from cachestorm_cli.connecting import client_for
from cachestorm_cli.printing import JSON
from cachestorm_cli.transfer.progress import Progress, State
from cachestorm_cli.transfer.reading import Source
from cachestorm_cli.transfer.records import (
    JSON_LINES,
    format_named,
    read_batches,
)
from cachestorm_cli.transfer.writing import Tally, Target

STDIN: Final = "-"
_PLACE: Final = re.compile(r"[\w.-]+:\d+|localhost|[\d.]+|\[[0-9a-f:]+\](:\d+)?")


def import_file(
    client: RespClient,
    path: str,
    form: str | None,
    replace: bool,
    resume: bool,
    dry_run: bool,
    output: str,
) -> int:
    """Writes the records of a file to a server. Returns an exit code.

    Raises:
        CacheStormError: when the server is not there or goes away, and for a file that
            cannot be read, or has something else than records; what was before it is there.
    """
    format_name = format_named(form, path)
    is_file = path != STDIN
    state = State(path) if is_file and not dry_run else None
    offset = 0
    if resume:
        if state is None:
            raise CacheStormError("--resume needs a file")
        offset = int(str(state.read().get("offset", 0)))
    target = Target(client, replace, dry_run)
    with _opened(path) as stream:
        if offset:
            stream.seek(offset)
        size = os.fstat(stream.fileno()).st_size - offset if is_file else 0
        progress = Progress(size)
        sent_to = done_to = offset
        try:
            for batch, behind in read_batches(stream, format_name):
                target.write(batch, _now_ms())
                # all before this batch is acknowledged
                progress.add(sent_to - done_to)
                done_to = sent_to
                if state is not None and done_to > offset:
                    state.write(offset=done_to)
                sent_to = offset + behind
            target.settle()
            progress.add(sent_to - done_to)
        except (CacheStormError, KeyboardInterrupt) as error:
            _settle(target)
            progress.end()
            why = str(error) or "interrupted"
            hint = "; --resume goes on from there" if state is not None else ""
            counted = f"{target.tally.keys} keys before that"
            where = f"{path}: " if format_name == JSON_LINES and is_file else ""
            raise CacheStormError(f"{where}{why}; {counted}{hint}") from error
    progress.end()
    if state is not None:
        state.remove()
    return report(target.tally, dry_run, output)


def import_server(
    client: RespClient,
    source_address: Address,
    match: str | None,
    replace: bool,
    dry_run: bool,
    output: str,
) -> int:
    """Copies the keys of one server to another. Returns an exit code.

    Raises:
        CacheStormError: when either is not there, goes away or refuses.
    """
    other = client_for(source_address)
    try:
        source = Source(other, match)
        for note in source.left_out():
            print(f"cachestorm: {note}", file=sys.stderr)
        target = Target(client, replace, dry_run)
        progress = Progress(source.size())
        target.write(source.links(), _now_ms())
        try:
            for page in source.pages():
                target.write(page.items, _now_ms())
                progress.add(len(page.items))
            target.settle()
        except (CacheStormError, KeyboardInterrupt) as error:
            _settle(target)
            progress.end()
            why = str(error) or "interrupted"
            raise CacheStormError(
                f"{why}; {target.tally.keys} keys before that. Again, the same command keeps "
                "those as they are"
            ) from error
        progress.end()
    finally:
        other.close()
    return report(target.tally, dry_run, output)


def _settle(target: Target) -> None:
    """Has what was sent before an error counted, if the server is there to say what it did."""
    with suppress(CacheStormError):
        target.settle()


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with open(path, "rb") as stream:
            yield stream
    except OSError as error:
        is_place = isinstance(error, FileNotFoundError) and _PLACE.fullmatch(path)
        hint = f"; a server is given as {with_scheme(path)}" if is_place else ""
        raise CacheStormError(f"{path}: {error.strerror}{hint}") from error


def _now_ms() -> int:
    return int(time.time() * 1000)


def report(tally: Tally, dry_run: bool, output: str) -> int:
    """Prints what became of the records. Returns 1 if any was refused."""
    if output == JSON:
        facts = {
            "written": tally.written,
            "kept": tally.kept,
            "expired": tally.late,
            "refused": tally.refused,
            "without_tags": tally.untagged,
            "links": tally.links,
            "reasons": tally.reasons,
            "dry_run": dry_run,
        }
        print(json.dumps(facts))
        return 1 if tally.refused else 0
    verb = "would be written" if dry_run else "written"
    print(f"{tally.written} {'key' if tally.written == 1 else 'keys'} {verb}")
    for count, text in (
        (tally.kept, "already there, and kept; --replace overwrites"),
        (tally.late, "expired before"),
        (tally.untagged, "without tags, which the server does not know"),
        (tally.refused, "refused"),
    ):
        if count:
            print(f"{count} {text}")
    if tally.links:
        print(f"{tally.links} {'link' if tally.links == 1 else 'links'} between tags")
    for reason in tally.reasons:
        print(f"  {reason}", file=sys.stderr)
    return 1 if tally.refused else 0
