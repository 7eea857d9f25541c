"""Other processes that ask for a shared cache, and what tells who owns it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
NAME = "local://shared"


def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def asked(cache: Any) -> int:
    """The process id of the owner that answers."""
    text: bytes = cache._wire.send("INFO", "server")
    facts = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    return int(facts["process_id"])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # one that nobody has waited for
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


PROGRAM = """
import json, sys
from cachestorm import connect

for line in sys.stdin:
    url, method, *args = json.loads(line)
    cache = connect(url)
    print(json.dumps(getattr(cache, method)(*args)), flush=True)
    cache.close()
"""


class Worker:
    """Another process of this user."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def say(self, *call: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()

    def reply(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())
