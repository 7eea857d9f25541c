"""A huey application; the tests start a consumer of it. See test_task_queues.py."""

from __future__ import annotations

import os

from huey import RedisHuey

huey = RedisHuey("tests", url=os.environ["BROKER"])


@huey.task()
def add(x: int, y: int) -> int:
    return x + y


@huey.task()
def fail() -> None:
    raise KeyError("gone")


@huey.task()
@huey.lock_task("one-at-a-time")
def locked() -> str:
    return "done"
