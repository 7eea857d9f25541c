"""Checking: whether the files of a data directory, or a snapshot, are what they should be.

Called by the command line (`cachestorm check`). Reads every frame, and replays it into a store
of its own that is dropped: what can be loaded is sound.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

from cachestorm.clock import Clock
from cachestorm.durability.directory import locked, may_be_torn, segment_files
from cachestorm.durability.snapshot import Loading
from cachestorm.errors import CodecError, DamagedFileError, DurabilityError
from cachestorm.keyspace.store import Store

KEPT: Final = ".damaged"


def check(path: str, repair: bool) -> tuple[list[str], bool]:
    """Checks a data directory or a file.

    Args:
        repair: whether to cut off what is damaged. What is cut, and the files behind it, are
            kept beside with the suffix KEPT.

    Returns:
        What was found, a line each; and whether all is sound now.

    Raises:
        DurabilityError: if it cannot be read, or a cache has it open.
    """
    if not os.path.exists(path):
        raise DurabilityError(f"{path} does not exist")
    if not os.path.isdir(path):
        return _check([path], repair)
    lock = locked(path)
    try:
        _, current, _ = segment_files(path)
        return _check(current, repair)
    finally:
        os.close(lock)


def _check(paths: list[str], repair: bool) -> tuple[list[str], bool]:
    lines: list[str] = []
    sizes = {os.path.basename(path): os.path.getsize(path) for path in paths}
    open_ended = may_be_torn(paths, sizes)
    loading = Loading(Store(Clock(), 0, 0, "adaptive", 5, False), None)
    for place, path in enumerate(paths):
        before = loading.frames
        try:
            segment = loading.read(path, path in open_ended)
            if path.endswith("base") and not loading.is_complete:
                raise segment.damaged("it ends before the snapshot does")
        except DamagedFileError as error:
            lines.append(str(error))
            if repair:
                lines += _cut(error, paths[place + 1 :])
            return lines, repair
        except DurabilityError as error:
            if not isinstance(error.__cause__, CodecError):
                raise
            lines.append(f"{error}")
            return lines, False
        lines.append(f"{path}: {loading.frames - before} frames")
        if segment.tail is not None:
            lines.append(
                f"{path}: a torn write of {segment.tail.lost} bytes at its end, offset "
                f"{segment.tail.offset}, which the next start cuts off"
            )
    lines.append("sound")
    return lines, True


def _cut(error: DamagedFileError, later: list[str]) -> list[str]:
    """Cuts a file at its damage; what comes after it would not fit any more."""
    shutil.copyfile(error.path, error.path + KEPT)
    os.truncate(error.path, error.offset)
    lines = [f"{error.path}: cut at {error.offset}; as it was, it is {error.path}{KEPT}"]
    for path in later:
        os.rename(path, path + KEPT)
        lines.append(f"{path}: not used any more; it is {path}{KEPT}")
    return lines
