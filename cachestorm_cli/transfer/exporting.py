"""`cachestorm export`: the keys of a namespace as a file.

Called by the command `export`; calls `reading` and `records`.

1. The file grows a page at a time, and the state beside it says where a page ended: a run
   that was interrupted goes on there with `--resume`, on the same server process.
2. A file that is there is not overwritten unless that is asked for.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client
from cachestorm_cli.server_facts import ask_facts
from cachestorm_cli.transfer.progress import Progress, State
from cachestorm_cli.transfer.reading import Source
from cachestorm_cli.transfer.records import Encoder, Record, format_named

STDOUT: Final = "-"
_NO_RUN: Final = "none"


def export(
    client: Client,
    path: str,
    form: str | None,
    match: str | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
) -> int:
    """Writes the keys of a server to a file. Returns an exit code.

    Raises:
        CacheStormError: when the server is not there, goes away or refuses, and for a file
            that is there or cannot be written.
    """
    source = Source(client, match)
    encoder = Encoder(format_named(form, path))
    total = source.size()
    for note in source.left_out():
        print(f"cachestorm: {note}", file=sys.stderr)
    if dry_run:
        return _count(source, encoder, total)
    is_file = path != STDOUT
    state = State(path) if is_file else None
    run = _run_of(client)
    cursor, offset = b"0", 0
    if resume:
        cursor, offset = _where_to_go_on(state, run)
    elif is_file and Path(path).exists() and not overwrite:
        raise CacheStormError(
            f"{path} is there already: choose another name, or give --overwrite; --resume "
            "goes on with one that was interrupted"
        )
    progress = Progress(total)
    done = 0
    with _opened(path, offset) as stream:
        if not offset:
            stream.write(encoder.head(client.address.url, int(time.time() * 1000)))
            for link in source.links():
                stream.write(encoder.encode(link))
        try:
            for page in source.pages(cursor):
                stream.write(b"".join(map(encoder.encode, page.items)))
                done += len(page.items)
                progress.add(len(page.items))
                if state is not None and page.cursor != b"0":
                    stream.flush()
                    at = stream.tell()
                    state.write(cursor=page.cursor.decode(), offset=at, run=run)
        except (CacheStormError, KeyboardInterrupt) as error:
            progress.end()
            if state is None:
                raise
            why = str(error) or "interrupted"
            raise CacheStormError(
                f"{why}; {done} keys are in {path}, --resume goes on from there"
            ) from error
        stream.flush()
    progress.end()
    if state is not None:
        state.remove()
        print(f"{done} keys exported to {path}, {progress.rate:.0f} a second", file=sys.stderr)
    return 0


def _count(source: Source, encoder: Encoder, total: int) -> int:
    kinds: Counter[str] = Counter()
    size = 0
    progress = Progress(total)
    for page in source.pages():
        for item in page.items:
            size += len(encoder.encode(item))
            if isinstance(item, Record):
                kinds[item.kind] += 1
        progress.add(len(page.items))
    progress.end()
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"{sum(kinds.values())} keys ({listed or 'none'}), {size} bytes; nothing was written")
    return 0


def _run_of(client: Client) -> str:
    """What tells one process of a server from the next: a cursor is good for one only."""
    if client.address.is_http:
        return _NO_RUN
    return ask_facts(client).text("run_id")


def _where_to_go_on(state: State | None, run: str) -> tuple[bytes, int]:
    if state is None:
        raise CacheStormError("--resume needs a file, not the standard output")
    kept = state.read()
    if kept.get("run") != run or run == _NO_RUN:
        raise CacheStormError(
            f"the server was restarted, or is another one, since {state.path} was written: "
            "begin anew with --overwrite"
        )
    return str(kept.get("cursor", "0")).encode(), int(str(kept.get("offset", 0)))


@contextmanager
def _opened(path: str, offset: int) -> Iterator[BinaryIO]:
    """The file, cut off where it is to be gone on with."""
    if path == STDOUT:
        yield sys.stdout.buffer
        return
    try:
        with open(path, "r+b" if offset else "wb") as stream:
            if offset:
                stream.truncate(offset)
                stream.seek(offset)
            yield stream
    except OSError as error:
        raise CacheStormError(f"{path}: {error.strerror}") from error
