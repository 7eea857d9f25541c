"""The two builds of CacheStorm, and the environment in which a process imports one of them."""

from __future__ import annotations

import enum
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Build(enum.Enum):
    """Which of the two trees a process imports."""

    COMPILED = "compiled"
    PURE = "pure"

    @property
    def subject(self) -> str:
        """What tables call it."""
        return f"CacheStorm {self.value}"

    @property
    def is_there(self) -> bool:
        """Whether it can be imported: the compiled tree has to be built first."""
        return self is Build.PURE or (ROOT / "build" / "compiled" / "cachestorm").is_dir()

    def environment(self) -> dict[str, str]:
        """Environment variables for a process of this build.

        The current directory stays off the path, or the source would hide the compiled tree.
        """
        path = [str(ROOT)]
        if self is Build.COMPILED:
            path.insert(0, str(ROOT / "build" / "compiled"))
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONSAFEPATH": "1",
            "CACHESTORM_EXPECT": self.value,
        }


def builds() -> list[Build]:
    """The builds that can be measured here."""
    return [build for build in Build if build.is_there]
