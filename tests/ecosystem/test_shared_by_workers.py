"""The workers of servers and of a task queue share what `local://` holds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from processes import READY_WITHIN_S, Output, environment, installed, running

from cachestorm import connect

FOLDER = Path(__file__).parent
REQUESTS = 40


@pytest.fixture
def site(local: str) -> Any:
    """What the workers share, which is empty; its owner is there before them."""
    with connect("local://site") as cache:
        cache.clear()
        yield cache


def until(is_so: Callable[[], bool], output: Output) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline, output.text
        time.sleep(0.05)


def visited(port: int) -> tuple[int, int] | None:
    """How many requests there have been, and which process says so; None if none does."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN_S)
    try:
        connection.request("GET", "/")
        number, process = connection.getresponse().read().split()
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return int(number), int(process)


def check_requests(site: Any, port: int, output: Output) -> None:
    """Asserts that requests are counted together, also when a worker is killed meanwhile."""
    until(lambda: visited(port) is not None, output)
    site.delete("requests")
    first = [visited(port) for _ in range(REQUESTS)]
    assert [each[0] for each in first if each] == list(range(1, REQUESTS + 1))
    assert first[-1] is not None
    os.kill(first[-1][1], signal.SIGKILL)
    counted = int(site.get("requests"))
    until(lambda: visited(port) is not None, output)
    assert site.get("requests") > counted


def test_workers_of_uvicorn_share_a_cache(site: Any) -> None:
    command = [sys.executable, "-m", "uvicorn", "shared_site:tasks", "--workers", "2"]
    with running([*command, "--port", "0"], environment(FOLDER)) as output:
        port = int(output.wait_for(r"running on http://127.0.0.1:(\d+)")[1])
        until(lambda: int(site.get("imports") or 0) >= 2, output)
        check_requests(site, port, output)


@pytest.mark.parametrize("preload", [False, True], ids=["after the fork", "before the fork"])
def test_workers_of_gunicorn_share_a_cache(site: Any, preload: bool) -> None:
    command = [sys.executable, "-m", "gunicorn", "shared_site:threads", "--workers", "3"]
    options = ["--bind", "127.0.0.1:0", *(["--preload"] if preload else [])]
    variables = environment(installed("gunicorn"), FOLDER)
    with running([*command, *options], variables) as output:
        port = int(output.wait_for(r"Listening at: http://127.0.0.1:(\d+)")[1])
        until(lambda: len(re.findall("Booting worker", output.text)) >= 3, output)
        check_requests(site, port, output)
        if preload:
            # once, in the process that forks
            assert site.get("imports") == 1


def test_workers_of_celery_share_a_cache(site: Any, tmp_path: Path) -> None:
    variables = environment(
        installed("celery"), FOLDER, BROKER="filesystem://", QUEUE_FOLDER=str(tmp_path)
    )
    command = [sys.executable, "-m", "celery", "-A", "shared_tasks", "worker"]
    with running([*command, "--loglevel=INFO", "--concurrency=3"], variables) as output:
        output.wait_for(r"celery@\S+ ready")
        code = f"from shared_tasks import visit\nfor _ in range({REQUESTS}): visit.delay()"
        subprocess.run([sys.executable, "-c", code], env=variables, check=True)
        until(lambda: site.get("requests") == REQUESTS, output)
        # the workers, not the process that has forked them
        assert 1 <= site.scard("processes") <= 3
