"""The state files: what a node knows of its cluster, on disk.

Called by the membership whenever something has changed, before it is spoken of, and once at the
start.

    cluster.json    the state, replaced as a whole
    cluster.log     what was added since: a line each, the first one says to which state

1. What comes often and one by one, links between tags and operations that some node has not
   done, is appended: it would take longer and longer to write all of them each time.
2. A log of another state than the one beside it is older than that: it is not read. A last line
   without an end was not answered for.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final, cast

from cachestorm.errors import CacheStormError
from cachestorm_server.replaced_file import replace_file

FILE_NAME: Final = "cluster.json"
LOG_NAME: Final = "cluster.log"
# the state is replaced once so much was added
MOST_LINES: Final = 10_000


class ClusterStateError(CacheStormError):
    """The state of the cluster cannot be read or written."""

    exit_code = 2


class StateFile:
    """The state of one node.

    Args:
        folder: the data directory; it is made where it is missing.

    Attributes:
        lines: how many were added to the state.
    """

    def __init__(self, folder: str) -> None:
        self.path: Final = Path(folder, FILE_NAME)
        self.lines = 0
        self._log: Final = Path(folder, LOG_NAME)
        self._number = 0

    def load(self) -> dict[str, object] | None:
        """What was saved last, with all that was added; None if nothing ever was.

        What was added under a name is at the end of the list of that name.

        Raises:
            ClusterStateError: for a file that cannot be read. It is never written over.
        """
        path = self.path
        try:
            kept = json.loads(path.read_bytes())
            path = self._log
            added = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
            lines = [json.loads(line) for line in added]
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ClusterStateError(f"{path} cannot be read: {error}") from error
        if not isinstance(kept, dict):
            raise ClusterStateError(f"{self.path} holds no state of a node")
        self._number = kept.get("number", 0)
        if lines and lines[0] == self._number:
            for name, value in lines[1:]:
                kept[name].append(value)
        return cast("dict[str, object]", kept)

    def save(self, state: dict[str, object]) -> None:
        """Replaces what is on disk, in one step.

        Raises:
            ClusterStateError: if it cannot be written; what was there is there.
        """
        number = self._number + 1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**state, "number": number}, separators=(",", ":"))
            replace_file(self.path, text.encode("ascii"))
        except OSError as error:
            raise ClusterStateError(f"{self.path} cannot be written: {error}") from error
        self._number, self.lines = number, 0
        with suppress(OSError):
            self._log.unlink(missing_ok=True)

    def append(self, added: list[tuple[str, object]]) -> None:
        """Adds to lists of the state that is on disk.

        Raises:
            ClusterStateError: if it cannot be written; what was there is there.
        """
        lines: list[object] = [] if self.lines else [self._number]
        lines += added
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        try:
            data = text.encode("ascii")
            with self._log.open("ab" if self.lines else "wb", buffering=0) as file:
                size = file.tell()
                try:
                    if file.write(data) != len(data):
                        raise OSError(ENOSPC, os.strerror(ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    # half a line would end what can be read
                    os.truncate(self._log, size)
                    raise
        except OSError as error:
            raise ClusterStateError(f"{self._log} cannot be written: {error}") from error
        self.lines += len(added)
