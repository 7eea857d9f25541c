"""A Celery application whose workers share a cache. See test_shared_by_workers.py."""

from __future__ import annotations

import os

from celery import Celery

from cachestorm import connect

app = Celery("shared", broker=os.environ["BROKER"])
folder = os.environ["QUEUE_FOLDER"]
app.conf.broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": folder,
}

cache = connect("local://site", near=True)
# used before the pool forks
cache.incr("imports")
cache.get("imports")


@app.task
def visit() -> None:
    cache.sadd("processes", os.getpid())
    cache.incr("requests")
