"""Loading: reads the data directory while clients are told that it is being read.

Called by the application, once its endpoints are open. Calls the data directory, a slice of a
few milliseconds at a time; the clients are served between the slices.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cachestorm.cache import Cache
from cachestorm.durability import snapshot
from cachestorm.durability.directory import DataDirectory
from cachestorm.durability.recovery import Progress
from cachestorm.durability.redis_files import parts_of, reading
from cachestorm.durability.segments import is_snapshot
from cachestorm.errors import DurabilityError
from cachestorm_server.config_sections import LoggingConfig

# The log is told after so long, and a bar is drawn for what takes a while.
TELL_EVERY_S: Final = 5.0
LARGE_BYTES: Final = 16 << 20

_log = logging.getLogger("cachestorm")

Show = Callable[[Progress], object]
Fill = Callable[[], Iterator[None]]


async def load(
    directory: DataDirectory, logging_config: LoggingConfig, fill: Fill | None = None
) -> None:
    """Loads a directory, and shows how far it is.

    Args:
        fill: puts more into the cache than was kept there.

    Raises:
        DurabilityError: if it is damaged or cannot be read.
    """
    began_s = told_s = time.monotonic()
    with _shown(logging_config) as show:
        for progress in directory.loading(fill):
            now_s = time.monotonic()
            show(progress)
            if now_s - told_s >= TELL_EVERY_S:
                told_s = now_s
                _log.info("%s: %s", directory.folder.path, spell(progress, now_s - began_s))
            await asyncio.sleep(0)


async def fill_by(fill: Fill) -> None:
    """Puts something into a cache that no directory keeps, while clients are served."""
    for _ in fill():
        await asyncio.sleep(0)


def importing(cache: Cache, path: str) -> Iterator[None]:
    """Reads a snapshot, or a file of Redis, into a cache that is empty, a slice at a time.

    Raises:
        DurabilityError: if the file is damaged or none of these, or the cache holds keys.
    """
    if cache.store_stats().keys:
        raise DurabilityError(
            f"the data directory holds keys already, and {path} is not imported: start without "
            f"--import, or with another directory"
        )
    parts = parts_of(path)
    began_s = time.monotonic()
    if parts is not None:
        yield from reading(cache, parts)
    elif is_snapshot(path):
        yield from snapshot.reading(cache._store, cache._forms, path)
    else:
        raise DurabilityError(
            f"{path} is no file of Redis, neither an RDB file nor an AOF, and no snapshot of "
            "CacheStorm"
        )
    keys = cache.store_stats().keys
    _log.info("%s: %d keys imported in %.1f s", path, keys, time.monotonic() - began_s)


def spell(progress: Progress, spent_s: float) -> str:
    """How far a load is.

    Examples:
        >>> spell(Progress(30 << 20, 40 << 20, 200_000), 0.4)
        '75% of 40 MB loaded, 200000 keys (500000 a second)'
    """
    share = 100 * progress.done // max(progress.total, 1)
    rate = round(progress.keys / max(spent_s, 0.001))
    return (
        f"{share}% of {progress.total >> 20} MB loaded, {progress.keys} keys ({rate} a second)"
    )


@contextmanager
def _shown(logging_config: LoggingConfig) -> Iterator[Show]:
    """A bar on the terminal that the log goes to; nothing where it goes elsewhere."""
    stream = {"stdout": sys.stdout, "stderr": sys.stderr}.get(logging_config.output)
    if stream is None or logging_config.format != "console" or not stream.isatty():
        yield lambda progress: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        yield lambda progress: None
        return
    columns = (
        TextColumn("loading"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[keys]} keys"),
        TimeRemainingColumn(),
    )
    # what is small is there before a bar could be seen
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("loading", total=None, keys=0, visible=False)

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                keys=progress.keys,
                visible=progress.total >= LARGE_BYTES,
            )

        yield show
