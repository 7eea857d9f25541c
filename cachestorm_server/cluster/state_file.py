"""The state file: what a node knows of its cluster, on disk.

Called by the cluster whenever something has changed, before it is spoken of, and once at the
start.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, cast

from cachestorm.errors import CacheStormError
from cachestorm_server.replaced_file import replace_file

FILE_NAME: Final = "cluster.json"


class ClusterStateError(CacheStormError):
    """The state of the cluster cannot be read or written."""

    exit_code = 2


class StateFile:
    """The state of one node.

    Args:
        folder: the data directory; it is made where it is missing.
    """

    def __init__(self, folder: str) -> None:
        self.path: Final = Path(folder, FILE_NAME)

    def load(self) -> dict[str, object] | None:
        """What was saved last; None if nothing ever was.

        Raises:
            ClusterStateError: for a file that cannot be read. It is never written over.
        """
        try:
            kept = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ClusterStateError(f"{self.path} cannot be read: {error}") from error
        if not isinstance(kept, dict):
            raise ClusterStateError(f"{self.path} holds no state of a node")
        return cast("dict[str, object]", kept)

    def save(self, state: dict[str, object]) -> None:
        """Replaces what is on disk, in one step.

        Raises:
            ClusterStateError: if it cannot be written; what was there is there.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, json.dumps(state, separators=(",", ":")).encode("ascii"))
        except OSError as error:
            raise ClusterStateError(f"{self.path} cannot be written: {error}") from error
