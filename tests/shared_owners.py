"""The owners of `local://` in tests: each run has a folder of its own for their sockets."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cachestorm.remote.owners import peer_of


@contextmanager
def owners_folder() -> Iterator[Path]:
    """A folder for sockets, of a short path as theirs must be; owners are ended with it."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            for path in Path(folder).glob("cachestorm/*.sock"):
                kill_owner(path)


def kill_owner(path: Path) -> int | None:
    """Ends the owner that listens there, at once. Returns its process id."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
        pid, _ = peer_of(probe)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with suppress(ConnectionResetError):
            # until it has ended
            while probe.recv(1):
                pass
        return pid
