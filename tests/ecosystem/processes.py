"""Processes that a test starts: they are ready when they say so, and end with the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_servers import stop

READY_WITHIN_S = 60.0
PACKAGES = Path(
    os.environ.get(
        "ECOSYSTEM_PACKAGES", Path(__file__).resolve().parents[2] / "build" / "ecosystem"
    )
)


def installed(name: str) -> Path:
    """Where `make test-ecosystem` installed a package; without it, the test is skipped."""
    folder = PACKAGES / name
    if not (folder / ".installed").exists():
        pytest.skip(f"{folder} is not there: `make test-ecosystem` installs it, given npm")
    return folder


def make_importable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a test import a package that has others of its own.

    They are found after those of this process: the redis-py of a package would take the place
    of the one that a cache makes its clients of.
    """
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed(name))])


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The environment of a process.

    Args:
        folders: where it finds modules first.
        variables: besides those of this process.
    """
    kept = {name: text for name, text in os.environ.items() if "CACHESTORM_" not in name}
    path = [*map(str, folders), *sys.path]
    return kept | {"PYTHONPATH": os.pathsep.join(path)} | variables


class Output:
    """What a process has printed so far, read by a thread so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.text = ""
        self._process = process
        self._grown = threading.Condition()
        self._is_ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._grown:
                self.text += line
                self._grown.notify_all()
        with self._grown:
            self._is_ended = True
            self._grown.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of a pattern.

        Raises:
            AssertionError: when the process ends without one, or takes too long.
        """
        with self._grown:
            self._grown.wait_for(
                lambda: self._is_ended or re.search(pattern, self.text), READY_WITHIN_S
            )
            found = re.search(pattern, self.text)
        assert found is not None, f"{self._process.args} printed no {pattern!r}:\n{self.text}"
        return found


@contextmanager
def running(command: Sequence[str], environment: dict[str, str]) -> Iterator[Output]:
    """A process for as long as the block lasts; whoever needs it waits for its output."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        yield Output(process)
    finally:
        stop(process)
