"""What the references did in an earlier run: they do the same each time, so once is enough.

Called by the judge. One file in build/benchmarks, which may be deleted at any time.

1. What is remembered holds for the sources that make traces and references; when one of them
   changes, all of it is forgotten.
2. Only what draws no random numbers is remembered: references and the optimum.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from tests.benchmarks.builds import ROOT

FOUND: Final = ROOT / "build" / "benchmarks" / "hit-ratio-references.json"
HERE: Final = "tests/benchmarks/hit_ratio"
SOURCES: Final = (
    f"{HERE}/references/*.py",
    f"{HERE}/contestants.py",
    f"{HERE}/conditions.py",
    f"{HERE}/traces.py",
    "cachestorm/replay.py",
)
# as a worker answers: [requests, early hits, hits] by capacity
Answer = dict[str, list[int]]


class Remembered:
    """Answers by task; read once, written by `save`."""

    def __init__(self, path: Path = FOUND) -> None:
        self._path = path
        self._digest = _digest()
        self._answers: dict[str, Answer] = {}
        if path.exists():
            stored = json.loads(path.read_text("utf-8"))
            if stored["digest"] == self._digest:
                self._answers = stored["answers"]

    def get(self, name: str, trace: str, length: int | None) -> Answer | None:
        """What a reference answered for this trace, or None."""
        return self._answers.get(f"{name} / {trace} / {length}")

    def put(self, name: str, trace: str, length: int | None, answer: Answer) -> None:
        self._answers[f"{name} / {trace} / {length}"] = answer

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"digest": self._digest, "answers": self._answers})
        self._path.write_text(text, "utf-8")


def _digest() -> str:
    """Of the sources that decide what a reference does."""
    found = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            found.update(path.read_bytes())
    return found.hexdigest()
