"""Checking: whether the files of a data directory, or a snapshot, are what they should be.

Called by the command line (`cachestorm check`). Reads every frame, and replays it into a store
of its own that is dropped: what can be loaded is sound. Without a repair nothing is written.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Final

from cachestorm.clock import Clock
from cachestorm.durability.folder import JOURNAL, Folder, Found, refuse_gap
from cachestorm.durability.frames import HEADER, frame_of
from cachestorm.durability.recording import COMPLETE, Record, Visit
from cachestorm.durability.segments import Segment
from cachestorm.durability.snapshot import Loading
from cachestorm.errors import DamagedFileError, DurabilityError
from cachestorm.keyspace.store import Store
from cachestorm.values.forms import Forms

KEPT: Final = ".damaged"


def check(path: str, repair: bool) -> tuple[list[str], bool]:
    """Checks a data directory or a file.

    Args:
        repair: whether to cut off what is damaged. What is cut, and the files behind it, are
            kept beside with the suffix KEPT, and a number if that is taken.

    Returns:
        What was found, a line each; and whether all is sound now.

    Raises:
        DurabilityError: if it cannot be read, or a cache has it open.
    """
    if not os.path.exists(path):
        raise DurabilityError(f"{path} does not exist")
    try:
        if not os.path.isdir(path):
            return _check([path], [path] if path.endswith(JOURNAL) else [], repair)
        folder = Folder(path)
        folder.lock(to_write=repair)
        try:
            found = folder.found()
            if not found.current:
                return [f"{path}: no file of CacheStorm is there"], False
            if found.gap:
                return _without_beginning(found, repair)
            return _check(found.current, found.torn, repair)
        finally:
            folder.give_back()
    except OSError as error:
        raise DurabilityError(f"{path} cannot be checked: {error.strerror}") from error


def _check(paths: list[str], torn: list[str], repair: bool) -> tuple[list[str], bool]:
    lines: list[str] = []
    # with any codec: what one has made is not opened, whichever it was
    forms = Forms("pickle", False, None, None, False)
    loading = Loading(Store(Clock(), 0, 0, "adaptive", 5, False), forms)
    for place, path in enumerate(paths):
        before, frames = loading.number, loading.frames
        try:
            segment = loading.read(path, path in torn)
        except DamagedFileError as error:
            lines.append(str(error))
            # a file whose first byte is wrong is no file of ours
            if not repair or (error.offset == 0 and not torn):
                return lines, False
            return lines + _cut(error, before, paths[place + 1 :]), True
        lines.append(f"{path}: {loading.frames - frames} frames")
        if segment.tail is not None:
            lines.append(
                f"{path}: a torn write of {segment.tail.lost} bytes at its end, offset "
                f"{segment.tail.offset}, which the next start cuts off"
            )
    lines.append("sound")
    return lines, True


def _without_beginning(found: Found, repair: bool) -> tuple[list[str], bool]:
    """What there is to say, and to do, where the first file goes on from a missing one."""
    try:
        refuse_gap(found)
    except DurabilityError as error:
        return [str(error), *(_set_aside(found.current) if repair else ())], repair
    return [], True


def _cut(error: DamagedFileError, before: int, later: list[str]) -> list[str]:
    """Cuts a file at its damage; what comes after it would not fit any more.

    What is left of a snapshot is said to be all of it, as it could not be loaded otherwise.

    Args:
        before: the number of the last frame of the file before it.
    """
    path, kept = error.path, _kept_name(error.path)
    # with its permissions: what is in it is as secret as before
    shutil.copy(path, kept)
    os.truncate(path, error.offset)
    lines = [f"{path}: cut at {error.offset}; as it was, it is {kept}"]
    if not path.endswith(JOURNAL):
        _complete(path, before)
        lines.append(f"{path}: what is left of the snapshot is loaded, and is not all of it")
    return lines + _set_aside(later)


def _set_aside(paths: list[str]) -> list[str]:
    lines = []
    for each in paths:
        kept = _kept_name(each)
        os.rename(each, kept)
        lines.append(f"{each}: not used any more; it is {kept}")
    return lines


def _complete(path: str, before: int) -> None:
    """Has a snapshot that was cut end as a whole one does."""
    segment = Segment(path, before, may_be_torn=True)
    for _ in segment.bodies():
        pass
    visit = Visit(time.time_ns() // 1_000_000, [Record(COMPLETE, "", "")])
    with open(path, "r+b") as file:
        if segment.offset == 0:
            file.write(HEADER)
        file.seek(0, os.SEEK_END)
        file.write(frame_of(segment.number + 1, segment.number, visit, []))
        file.flush()
        os.fsync(file.fileno())


def _kept_name(path: str) -> str:
    """Where a file is kept beside: what was cut off before stays, too."""
    name, number = path + KEPT, 1
    while os.path.exists(name):
        number += 1
        name = f"{path}{KEPT}.{number}"
    return name
