"""What runs, in a line; imports nothing heavy."""

from __future__ import annotations

import platform

from cachestorm import COMPILED, __version__


def version_line() -> str:
    """What runs: version, build, Python."""
    mode = "compiled" if COMPILED else "pure"
    return f"cachestorm {__version__} ({mode}, Python {platform.python_version()})"
