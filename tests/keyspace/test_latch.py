"""The latch, where it is waited for a time only."""

from __future__ import annotations

import threading

from cachestorm.keyspace.latch import Latch


def held_elsewhere(latch: Latch, until: threading.Event) -> threading.Thread:
    """A thread that holds a latch until it is told."""
    held = threading.Event()

    def hold() -> None:
        latch.acquire()
        held.set()
        until.wait(60)
        latch.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    return thread


def test_a_latch_that_becomes_free_in_time_is_taken() -> None:
    latch = Latch()
    until = threading.Event()
    thread = held_elsewhere(latch, until)
    threading.Timer(0.05, until.set).start()
    assert latch.try_acquire(60.0)
    assert latch.is_mine()
    thread.join(60)
    latch.release()
    assert not latch.locked()


def test_a_latch_that_does_not_become_free_in_time_is_nobodys_afterwards() -> None:
    latch = Latch()
    until = threading.Event()
    thread = held_elsewhere(latch, until)
    assert not latch.try_acquire(0.01)
    assert not latch.try_acquire()
    until.set()
    thread.join(60)
    # whoever waited for us has given it back, or will
    assert latch.try_acquire(60.0)
    latch.release()
