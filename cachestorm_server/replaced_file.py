"""A file that is replaced: the new one takes the place of the old one in one step.

Called by CONFIG REWRITE and ACL SAVE; calls the system. Whoever reads the file sees the old or
the new one, and never a part, also after a power cut or on a full disk.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp


def replace_file(path: Path, data: bytes) -> None:
    """Puts a new file in the place of one, with its owner and permissions.

    A link is followed, and stays one. Where there is no file yet, the new one is for its owner
    alone.

    Raises:
        OSError: if it cannot be written; the old one is as it was.
    """
    path = path.resolve()
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, name)
            known = path.stat()
            with suppress(OSError, AttributeError):
                # only root may give a file away
                os.chown(name, known.st_uid, known.st_gid)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    with suppress(OSError):
        # so that the name, too, survives a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
