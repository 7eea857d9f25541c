"""The kept place: how much of its primary's stream a replica had as it was stopped, on disk.

Called by the application: at the start, once the data directory is loaded, and at the end, once
all is in it. So a replica that is started again gets what it has missed, and no copy.

1. The file is there only while the server is not: one that is killed begins with a copy.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final, NamedTuple

from cachestorm_server.replaced_file import replace_file
from cachestorm_server.replication.link import ID_LETTERS

FILE_NAME: Final = "replica.json"

_log = logging.getLogger("cachestorm")


class Place(NamedTuple):
    """A history, and an offset in it."""

    history: str
    offset: int


def take_place(folder: str) -> Place | None:
    """What was kept, which is not there any more; None for nothing that is of use."""
    path = Path(folder, FILE_NAME)
    try:
        kept = json.loads(path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("%s is of no use: all keys are copied: %s", path, error)
        return None
    history, offset = kept if isinstance(kept, list) and len(kept) == 2 else ("", 0)
    if not isinstance(history, str) or len(history) != ID_LETTERS or type(offset) is not int:
        return None
    return Place(history, offset)


def keep_place(folder: str, place: Place) -> None:
    """Keeps a place; if that cannot be, a copy is taken at the next start."""
    path = Path(folder, FILE_NAME)
    try:
        replace_file(path, json.dumps(place).encode("ascii"))
    except OSError as error:
        _log.warning("%s cannot be written: %s", path, error)
