"""What the tests of loading share: threads that report, loaders that stop where a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from cachestorm import Cache
from cachestorm.loading.engine import Loading, loading_of

PATIENCE_S = 60.0


def until(holds: Callable[[], object]) -> None:
    """Lets other threads run until something holds."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < gives_up_at, "it never came to be"
        time.sleep(0.0005)


class Caller:
    """A call in a thread of its own, whose outcome is looked at later."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._value: Any = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """What the call gave; raises what it raised."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the call never came back"
        if self._error is not None:
            raise self._error
        return self._value

    def error(self) -> BaseException | None:
        """What the call raised."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the call never came back"
        return self._error


class Source:
    """A loader that stops in the middle until it is let go, and counts its calls."""

    def __init__(self, *outcomes: Any, is_open: bool = False) -> None:
        self._outcomes = list(outcomes)
        self.calls = 0
        self.began = threading.Event()
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self) -> Any:
        self.calls += 1
        outcome = self._outcomes[min(self.calls, len(self._outcomes)) - 1]
        self.began.set()
        assert self.gate.wait(PATIENCE_S)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def has_begun(self) -> None:
        """Waits until it has been called."""
        assert self.began.wait(PATIENCE_S)

    def let_go(self) -> None:
        """Lets it come to its end."""
        self.gate.set()


def waiting(cache: Cache, key: str) -> int:
    """How many wait for the flight of a key."""
    flight = loading_of(cache).flights.get(key)
    return 0 if flight is None else len(flight.waiters)


def settled(cache: Cache) -> Loading:
    """The loads of a cache, once none is under way and nothing is left of one."""
    loading = loading_of(cache)
    until(lambda: not loading.flights and not loading.log.all_open())
    loading._check()
    cache._check()
    if not len(loading.notes):
        until(lambda: not loading.log.is_listening)
        assert cache._store.effects.taps == []
    return loading
