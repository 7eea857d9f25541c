"""The lock on a server: as `cachestorm.locks.Lock`, among all processes that use the key there.

Its key holds the token as plain bytes, as redis-py's `Lock` has it: its holders exclude each
other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cachestorm.declare.kinds import Lifetime
from cachestorm.errors import WatchError
from cachestorm.loading.leading import Course, Run
from cachestorm.locks.lock import Lock
from cachestorm.remote.arguments import Words
from cachestorm.remote.steps import Ask, Watch
from cachestorm.remote.steps import Course as Steps

if TYPE_CHECKING:
    from cachestorm.remote.connected import ConnectedCache


class ConnectedLock(Lock):
    """A lock that is a key on a server; `async with` awaits it."""

    def __init__(self, cache: ConnectedCache, key: str, ttl: object, reentrant: bool) -> None:
        far: Any = cache
        super().__init__(far, key, ttl, reentrant)
        self._far: Final = cache

    def _step(self, course: Steps, blocks: bool) -> Run:
        runner: Any = self._far._run if blocks else self._far.aio._run
        return Run(lambda: runner(course))

    def _take(self, token: str, blocks: bool) -> Course:
        courses = self._far._courses
        taking = courses.set(self.key, token.encode(), self._ttl, nx=True)
        return (yield self._step(taking, blocks))

    def _is_owned(self, blocks: bool) -> Course:
        if self._token is None:
            return False
        found = yield self._step(self._far._courses.get(self.key), blocks)
        # digits alone come back as a number
        return found == self._token.encode() or str(found) == self._token

    def _prolong(self, span: Lifetime, blocks: bool) -> Course:
        return (yield self._step(self._if_held(["PEXPIRE", self.key, span.ms]), blocks))

    def _give_back(self, blocks: bool) -> Course:
        return (yield self._step(self._if_held(["DEL", self.key]), blocks))

    def _if_held(self, words: Words) -> Steps:
        """A command, if the key holds the token. Returns whether it did."""
        token = None if self._token is None else self._token.encode()
        while True:
            # by the time that the server is back, another may hold it
            (held,) = yield Watch([self.key], [["GET", self.key]], is_kept=False)
            if token is None or held != token:
                return False
            try:
                yield Ask([words], atomic=True, is_kept=False)
            except WatchError:
                continue
            return True
