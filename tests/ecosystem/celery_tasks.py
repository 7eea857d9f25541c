"""A Celery application; the tests start a worker of it. See test_task_queues.py."""

from __future__ import annotations

import os

from celery import Celery, Task

app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
# where the broker is a folder, the worker and whoever calls it find each other there
if "QUEUE_FOLDER" in os.environ:
    folder = os.environ["QUEUE_FOLDER"]
    app.conf.broker_transport_options = {
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": folder,
    }


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def fail() -> None:
    raise KeyError("gone")


@app.task(bind=True, max_retries=2, default_retry_delay=0.01)
def try_again(self: Task) -> int:
    if self.request.retries == 0:
        raise self.retry()
    return int(self.request.retries)
