"""What a cache owes where the interpreter has no global lock: everything takes the latch.

The lock is there in most interpreters that run these tests, so they say that it is not, in a
process of their own, before anything is imported. On a free-threaded interpreter the whole
suite is the test.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from cachestorm import Cache
from cachestorm.keyspace import latch

BEGIN = """
import sys
sys._is_gil_enabled = lambda: False
from cachestorm import Cache
from cachestorm.errors import ReentrancyError
from cachestorm.keyspace import latch
cache = Cache()
cache.mset({"k": 1, "volatile": 1})
cache.expire("volatile", 1000)
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_taken_for_one_step() -> None:
    assert run("print(latch.STEPS_ARE_ATOMIC, latch.NOTHING_INTERRUPTS)") == "False False"


@pytest.mark.parametrize(
    "call",
    [
        "cache.get('k')",
        "cache.get('volatile')",
        "cache.get('none')",
        "cache.set('k', 2)",
        "cache.set('new', 2)",
        "cache.set('k', 2, ttl=5)",
        "cache.set('volatile', 2, ttl=5)",
        "cache.incr('k')",
        "cache.exists('k')",
        "cache.mget('k')",
    ],
)
def test_reads_and_plain_writes_take_the_latch(call: str) -> None:
    program = f"""
    cache._store.latch.acquire()
    try:
        {call}
        print("went without it")
    except ReentrancyError:
        print("took it")
    """
    assert run(program) == "took it"


def test_threads_lose_nothing() -> None:
    program = """
    import threading
    def work():
        for turn in range(3000):
            cache.incr("k")
            cache.set(f"k{turn % 50}", turn)
            cache.set(f"k{turn % 50}", turn, ttl=0.001)
            cache.get(f"k{turn % 60}")
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    cache._check()
    print(cache.get("k"))
    """
    assert run(program) == "12001"


@pytest.mark.skipif(latch.STEPS_ARE_ATOMIC, reason="compiled, and with the global lock")
def test_this_build_takes_the_latch_too() -> None:
    cache = Cache()
    cache._store.latch.acquire()
    try:
        with pytest.raises(latch.ReentrancyError):
            cache.get("k")
    finally:
        cache._store.latch.release()


@pytest.mark.skipif(
    getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is a global lock here"
)
def test_a_free_threaded_interpreter_runs_the_source() -> None:
    assert not latch.COMPILED
    assert not latch.STEPS_ARE_ATOMIC
