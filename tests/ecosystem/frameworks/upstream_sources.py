"""Source distributions of frameworks, whose own test suites run on our backends."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from processes import PACKAGES


def sources(distribution: str) -> Path:
    """The unpacked sdist of a package, at the version that is installed.

    Downloaded by pip, once; the wheel has no tests.
    """
    kept = PACKAGES / "sources" / f"{distribution}-{version(distribution)}"
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        wanted = f"{distribution}=={version(distribution)}"
        options = ["-q", "--no-deps", "--no-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", *options, "-d", folder, wanted]
        subprocess.run(command, check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        (unpacked,) = (path for path in Path(folder).iterdir() if path.is_dir())
        try:
            unpacked.rename(kept)
        except OSError:
            # another worker was quicker
            assert kept.exists()
    return kept
