"""Task queues, with workers in processes of their own, as their documentation starts them.

What calls the tasks is a process too: each queue has packages of its own, which the tests'
interpreter does not see.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import environment, installed, running

FOLDER = Path(__file__).parent


def called(code: str, variables: dict[str, str]) -> str:
    """What a program prints; its errors come with it."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


# -- huey


@pytest.fixture(scope="module")
def huey(port: int) -> Iterator[dict[str, str]]:
    """The environment of a program that calls tasks, while a consumer runs them."""
    packages = installed("huey")
    broker = f"redis://127.0.0.1:{port}/1"
    variables = environment(packages, FOLDER, BROKER=broker)
    consumer = [str(packages / "bin" / "huey_consumer"), "huey_tasks.huey", "-w", "2"]
    with running([sys.executable, *consumer], variables) as output:
        output.wait_for("consumer started")
        yield variables


def test_huey_runs_tasks_and_keeps_their_results(huey: dict[str, str]) -> None:
    code = """if True:
        from huey_tasks import add
        print([add(n, 1).get(blocking=True, timeout=30) for n in range(20)])
    """
    assert called(code, huey) == str(list(range(1, 21)))


def test_huey_hands_the_result_of_a_task_to_the_next(huey: dict[str, str]) -> None:
    code = """if True:
        from huey_tasks import add, huey
        results = huey.enqueue(add.s(1, 2).then(add, 10))
        print(results.get(blocking=True, timeout=30))
    """
    assert called(code, huey) == "[3, 13]"


def test_huey_tells_of_a_task_that_failed(huey: dict[str, str]) -> None:
    code = """if True:
        from huey.exceptions import TaskException
        from huey_tasks import fail
        try:
            fail().get(blocking=True, timeout=30)
        except TaskException as error:
            print(error)
    """
    assert called(code, huey) == "KeyError('gone')"


def test_a_task_of_huey_can_be_locked_and_revoked(huey: dict[str, str]) -> None:
    code = """if True:
        from huey_tasks import huey, locked
        print(locked().get(blocking=True, timeout=30), huey.pending_count())
        locked.revoke()
        print(locked.is_revoked(), locked.restore(), locked.is_revoked())
    """
    assert called(code, huey) == "done 0\nTrue True False"


def test_huey_runs_a_task_later(huey: dict[str, str]) -> None:
    code = """if True:
        from huey_tasks import add
        print(add.schedule((1, 2), delay=1).get(blocking=True, timeout=60))
    """
    assert called(code, huey) == "3"


# -- Celery


@pytest.fixture(scope="module")
def celery(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a program that calls tasks, while a worker runs them.

    The broker is a folder: the results are ours.
    """
    variables = environment(
        installed("celery"),
        FOLDER,
        BROKER="filesystem://",
        BACKEND=f"redis://127.0.0.1:{port}/2",
        QUEUE_FOLDER=str(tmp_path_factory.mktemp("queue")),
    )
    with running(worker(), variables) as output:
        output.wait_for(r"celery@\S+ ready")
        yield variables


def worker() -> list[str]:
    """The command that starts a worker of Celery."""
    return [
        *[sys.executable, "-m", "celery", "-A", "celery_tasks", "worker"],
        *["--loglevel=INFO", "--concurrency=1"],
    ]


def test_celery_keeps_results(celery: dict[str, str]) -> None:
    code = """if True:
        from celery_tasks import add
        result = add.delay(4, 4)
        print(result.get(timeout=30), result.state, result.ready())
        result.forget()
        print(result.state)
    """
    assert called(code, celery) == "8 SUCCESS True\nPENDING"


def test_celery_keeps_what_a_task_raised(celery: dict[str, str]) -> None:
    code = """if True:
        from celery_tasks import fail
        try:
            fail.delay().get(timeout=30)
        except KeyError as error:
            print("KeyError:", error)
    """
    assert called(code, celery) == "KeyError: 'gone'"


def test_celery_waits_for_groups_chains_and_what_is_tried_again(celery: dict[str, str]) -> None:
    code = """if True:
        from celery import chain, group
        from celery_tasks import add, try_again
        print(group(add.s(n, n) for n in range(5))().get(timeout=30))
        print(chain(add.s(1, 2), add.s(3))().get(timeout=30))
        print(try_again.delay().get(timeout=30))
    """
    assert called(code, celery) == "[0, 2, 4, 6, 8]\n6\n1"


def test_celery_calls_a_task_after_a_group(celery: dict[str, str]) -> None:
    code = """if True:
        from celery import chord
        from celery_tasks import add, total
        print(chord([add.s(1, 1), add.s(2, 2)])(total.s()).get(timeout=60))
    """
    assert called(code, celery) == "6"


def test_celery_has_its_messages_brought_by_the_server(port: int) -> None:
    broker = f"redis://127.0.0.1:{port}/3"
    variables = environment(installed("celery"), FOLDER, BROKER=broker, BACKEND=broker)
    with running(worker(), variables) as output:
        output.wait_for(r"celery@\S+ ready")
        code = "from celery_tasks import add; print(add.delay(1, 2).get(timeout=30))"
        assert called(code, variables) == "3"


# -- RQ


@pytest.fixture(scope="module")
def rq(port: int) -> Iterator[dict[str, str]]:
    """The environment of a program that enqueues jobs, while a worker runs them."""
    packages = installed("rq")
    broker = f"redis://127.0.0.1:{port}/4"
    variables = environment(packages, FOLDER, BROKER=broker)
    worker = [str(packages / "bin" / "rq"), "worker", "--url", broker, "--with-scheduler"]
    with running([sys.executable, *worker], variables) as output:
        output.wait_for("Listening on default")
        yield variables


RQ = """if True:
    import os, time
    from datetime import timedelta
    from redis import Redis
    from rq import Queue
    import rq_tasks
    queue = Queue(connection=Redis.from_url(os.environ["BROKER"]))
    def ended(job):  # a job that ended is in a registry after its result is kept
        ends = queue.finished_job_registry, queue.failed_job_registry
        while not any(job.id in registry for registry in ends):
            time.sleep(0.01)
        job.refresh()
        return job
"""


def test_rq_runs_jobs_and_keeps_their_results(rq: dict[str, str]) -> None:
    code = RQ + (
        "    jobs = [queue.enqueue(rq_tasks.add, n, 1) for n in range(3)]\n"
        "    print([ended(job).result for job in jobs], len(queue))\n"
        "    job = queue.enqueue(rq_tasks.fail)\n"
        "    print(ended(job).exc_info.splitlines()[-1])\n"
        "    print(job.id in queue.failed_job_registry)\n"
    )
    assert called(code, rq) == "[1, 2, 3] 0\nKeyError: 'gone'\nTrue"


def test_a_job_of_rq_waits_for_another_and_for_its_time(rq: dict[str, str]) -> None:
    code = RQ + (
        "    first = queue.enqueue(rq_tasks.add, 1, 2)\n"
        "    job = queue.enqueue(rq_tasks.after, depends_on=first)\n"
        "    print(ended(job).result)\n"
        "    late = queue.enqueue_in(timedelta(milliseconds=1), rq_tasks.add, 3, 4)\n"
        "    print(ended(late).result)\n"
    )
    assert called(code, rq) == "after 3\n7"
