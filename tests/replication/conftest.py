"""What the tests of durability and of commands share is used here too."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
for folder in ("cli", "commands", "durability"):
    sys.path.append(str(TESTS / folder))
