"""The functions that RQ's worker calls; see test_task_queues.py."""

from __future__ import annotations


def add(x: int, y: int) -> int:
    return x + y


def fail() -> None:
    raise KeyError("gone")


def after() -> str:
    from rq import get_current_job

    return f"after {get_current_job().dependency.result}"
