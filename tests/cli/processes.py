"""CacheStorm's command line as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", START]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if "CACHESTORM_" not in name}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables


def run(*arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(**variables),
    )


class Running:
    """A `cachestorm serve` on free ports."""

    def __init__(self, *arguments: str, command: list[str] = COMMAND, **variables: str) -> None:
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**variables),
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r"RESP on \S+ port (\d+)(?:, HTTP on \S+ port (\d+))?;", line)
            if found:
                self.port, self.http_port = found.groups()
                return
        raise AssertionError("".join(self.lines))

    def cli(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run("cli", "-p", self.port, *arguments, **more)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        # not `communicate`, which knows nothing of what was read ahead of the last line
        assert self.process.stdout is not None
        self.lines.append(self.process.stdout.read())
        return self.process.wait(timeout=60)
