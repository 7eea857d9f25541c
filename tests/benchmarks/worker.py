"""A worker: one process that measures one subject, and the handle by which a case asks it.

Made by the cases, which alternate between many of them. A worker imports the module of its case
and makes its `Measurer`; a request is one line of JSON on its standard input, the keyword
arguments of `Measurer.measure`, and the answer is one line of JSON on its standard output.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any

from tests.benchmarks.builds import ROOT, Build


class WorkerError(RuntimeError):
    """A worker ended early; the text is the last line it wrote to its standard error."""


class Worker:
    """The handle of a worker process; a context manager that ends it.

    Args:
        case: name of a module of this package that defines `Measurer`.
        build: which CacheStorm it imports, where it imports any.
        arguments: keyword arguments for `Measurer`.
    """

    def __init__(self, case: str, build: Build = Build.PURE, **arguments: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", case, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=build.environment(),
            cwd=ROOT,
            text=True,
        )

    def measure(self, **request: Any) -> Any:
        """One measurement.

        Raises:
            WorkerError: when the subject cannot be imported or fails.
        """
        self.ask(**request)
        return self.answer()

    def ask(self, **request: Any) -> None:
        """Begins a measurement, or what comes before one, and does not wait for it."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            # that it has ended is told with the answer
            pass

    def answer(self) -> Any:
        """The result of what was asked.

        Raises:
            WorkerError: as `measure`.
        """
        process = self._process
        assert process.stdout and process.stderr
        answer = process.stdout.readline()
        if not answer:
            complaints = process.stderr.read().strip().splitlines()
            raise WorkerError(complaints[-1] if complaints else "no answer")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_build() -> None:
    """Refuses to measure another build than the one that the tables will name.

    Raises:
        SystemExit: when the other one was imported.
    """
    import cachestorm

    expected = os.environ.get("CACHESTORM_EXPECT", "pure")
    actual = "compiled" if cachestorm.COMPILED else "pure"
    if expected != actual:
        raise SystemExit(f"{expected} was to be measured, {actual} was imported")


def serve(case: str, arguments: str) -> None:
    """Answers requests until the standard input ends."""
    module = importlib.import_module(f"tests.benchmarks.{case}")
    measurer = module.Measurer(**json.loads(arguments))
    for line in sys.stdin:
        print(json.dumps(measurer.measure(**json.loads(line))), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
