"""The recovery: what a server that could not be reached has missed, until it has been told.

One a connected cache and namespace; called by its wires, for every step that fails and before
the next one.

1. A write that failed is kept as a DEL of its key: whether it was done is not known, and to do
   it again could undo what others have written since. INVALIDATE and NAMESPACEDEL are kept as
   they are, a flush takes the place of all else.
2. What only adds (`SET NX`) leaves nothing that is out of date. Nor does what waits for others.
3. Beyond a limit a flush of the namespace takes the place of all that was kept.
4. The next command tells the server first, in a cluster the next that what waits may concern.
   A thread tries meanwhile, so that the others do not read for long what is out of date. One
   tries at a time, for all who wait.
5. With the key goes what is beside it: what a load that began before has found is not kept
   either.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis

from cachestorm.codec import bytes_of, text_of
from cachestorm.remote.absence import is_ignorable
from cachestorm.remote.arguments import Words
from cachestorm.remote.commands import keys_of, written_by
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.leases import is_beside
from cachestorm.remote.refusals import is_away, refusal

logger = logging.getLogger("cachestorm.remote")

LIMIT: Final = 100_000
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
# keys in one command
_SLICE: Final = 500
_FLUSHES: Final = ("FLUSHDB", "FLUSHALL")
_AS_THEY_ARE: Final = ("INVALIDATE", "NAMESPACEDEL")
_ONLY_ADD: Final = ("SETNX", "MSETNX")


class Recovery:
    """What one namespace of a server has missed.

    Args:
        send: sends commands, and gives their replies, errors among them.
        shown: the address of the server, for the log.
        limit: how many keys, tags and namespaces are kept; 0 for none at all.
        keeps_refused: whether that is done as well for what the server has refused, because
            it is full or the like: nobody else is told.

    Attributes:
        is_waiting: whether there is anything to tell.
        applied: how many keys, tags and namespaces the server was told of.
        flushes: how often there were too many.
    """

    def __init__(
        self,
        send: Callable[[list[Words]], list[Any]],
        shown: str,
        limit: int,
        keeps_refused: bool,
    ) -> None:
        self._send: Final = send
        self._shown: Final = shown
        self._limit: Final = limit
        self._keeps_refused: Final = keeps_refused
        # what removes that; who knows its names says it
        self.beside: Callable[[Iterable[bytes]], Words] = lambda keys: ["DEL", *keys]
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        # in order; each with the number of the failure that it is of
        self._keys: dict[str, int] = {}
        self._commands: dict[tuple[Any, ...], int] = {}
        self._flush: tuple[str, int] | None = None
        self._failures = 0
        self._tries = 0
        self._error: redis.RedisError | None = None
        self._is_running = False
        self.is_waiting = False
        self.applied = 0
        self.flushes = 0
        tell_of_forks(self)

    def __len__(self) -> int:
        """How many keys, tags and namespaces wait."""
        return len(self._keys) + len(self._commands) + (self._flush is not None)

    # -- what failed

    def failed(self, commands: Iterable[Words], error: BaseException) -> None:
        """Keeps what commands have written, or have not, if nobody knows which."""
        is_unknown = isinstance(error, (redis.ConnectionError, redis.TimeoutError))
        if self._keeps_refused and isinstance(error, redis.ResponseError):
            is_unknown = is_ignorable(refusal(error, self._shown))
        # a task that was cancelled, a thread that was interrupted
        if is_unknown or not isinstance(error, Exception):
            self.keep(commands)

    def keep(self, commands: Iterable[Words]) -> None:
        """Keeps commands, as what is to be told of them."""
        if self._limit == 0:
            return
        with self._lock:
            for words in commands:
                self._keep(_as_bytes(words))
            if len(self) > self._limit:
                self.flushes += 1
                logger.warning(
                    "%s: more than %d keys and tags wait for it to be back: it will be emptied",
                    self._shown,
                    self._limit,
                )
                self._replace_by(_FLUSHES[0])
            self.is_waiting = len(self) > 0
        if self.is_waiting:
            self._begin()

    def _keep(self, words: Words) -> None:
        name = text_of(words[0])
        self._failures += 1
        if name in _FLUSHES:
            is_wider = self._flush is None or name == _FLUSHES[1]
            self._replace_by(name if is_wider or self._flush is None else self._flush[0])
        elif name in _AS_THEY_ARE:
            if b"DRYRUN" not in words and self._flush is None:
                # the dialect knows it by its name as text
                self._commands[name, *words[1:]] = self._failures
        elif not _only_adds(name, words):
            is_write, keys = written_by(words)
            if is_write and self._flush is None:
                for key in keys or ():
                    if not is_beside(key):
                        self._keys[key] = self._failures

    def _replace_by(self, flush: str) -> None:
        self._flush = (flush, self._failures)
        self._keys.clear()
        self._commands.clear()

    # -- when it is back

    def holds_back(self, commands: Iterable[Words]) -> bool:
        """Whether commands must not be sent to a cluster before it was told what it has missed.

        A node may be away for long, and the others are asked meanwhile: for keys none of which
        is to be deleted, while no tag and no flush waits that could take them along.
        """
        if not self.is_waiting:
            return False
        with self._lock:
            if self._flush is not None or self._commands:
                return True
            for words in commands:
                keys = keys_of(_as_bytes(words))
                if not keys or any(key in self._keys or is_beside(key) for key in keys):
                    return True
        return False

    def apply(self) -> None:
        """Tells the server what it has missed.

        Raises:
            redis.RedisError: if it cannot be reached, or do anything, even now.
        """
        before = self._tries
        with self._trying:
            if not self.is_waiting:
                return
            if self._tries != before and self._error is not None:
                # somebody else has tried while this one waited
                raise type(self._error)(*self._error.args) from self._error
            self._tries += 1
            self._error = None
            try:
                self._tell()
            except redis.RedisError as error:
                self._error = error
                self._begin()
                raise

    def _tell(self) -> None:
        with self._lock:
            keys, commands, flush = dict(self._keys), dict(self._commands), self._flush
        words: list[Words] = []
        if flush is not None:
            words.append([flush[0]])
        names = [bytes_of(key) for key in keys]
        for start in range(0, len(names), _SLICE):
            part = names[start : start + _SLICE]
            # first: a load must not land between the two
            words += [self.beside(part), ["DEL", *part]]
        words += [list(each) for each in commands]
        for reply in self._send(words):
            if isinstance(reply, redis.RedisError):
                self._refused(reply)
        with self._lock:
            _leave(self._keys, keys)
            _leave(self._commands, commands)
            if self._flush == flush:
                self._flush = None
            self.applied += len(keys) + len(commands) + (flush is not None)
            self.is_waiting = len(self) > 0
        logger.info("%s: is back, and was told of what it has missed", self._shown)

    def _refused(self, error: redis.RedisError) -> None:
        """What the server says no to is not asked again, unless it will say yes later."""
        if is_away(refusal(error, self._shown)):
            raise error
        logger.warning("%s: refused what it has missed: %s", self._shown, error)

    # -- in a thread

    def _begin(self) -> None:
        with self._lock:
            if self._is_running:
                return
            self._is_running = True
        try:
            threading.Thread(
                target=_try_on,
                args=(weakref.ref(self),),
                name="cachestorm-recovery",
                daemon=True,
            ).start()
        except RuntimeError:
            # no more threads, or the interpreter is about to end: the next command does it
            self._is_running = False

    def ended(self) -> bool:
        """Whether there is nothing left to do in the thread, which ends then."""
        with self._lock:
            if self.is_waiting:
                return False
            self._is_running = False
            return True

    def forked(self) -> None:
        """In the child of a fork, where the thread is not; what waits is told twice."""
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._is_running = False


class AsyncRecovery:
    """The same for tasks: the telling is done in a thread, for all tasks of a loop at once."""

    def __init__(self, recovery: Recovery) -> None:
        self._recovery: Final = recovery
        self._tries: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, asyncio.Future[None]
        ] = weakref.WeakKeyDictionary()

    async def apply(self) -> None:
        """See `Recovery.apply`."""
        loop = asyncio.get_running_loop()
        attempt = self._tries.get(loop)
        if attempt is None or attempt.done():
            attempt = asyncio.ensure_future(asyncio.to_thread(self._recovery.apply))
            self._tries[loop] = attempt
        await asyncio.shield(attempt)


def _as_bytes(words: Words) -> Words:
    return [bytes_of(word) if isinstance(word, str) else word for word in words]


def _only_adds(name: str, words: Words) -> bool:
    if name != "SET":
        return name in _ONLY_ADD
    # behind TAGS there are names
    until = words.index(b"TAGS", 3) if b"TAGS" in words[3:] else len(words)
    return b"NX" in words[3:until]


def _leave(waiting: dict[Any, int], told: dict[Any, int]) -> None:
    """Forgets what was told, unless it has failed again meanwhile."""
    for each, failure in told.items():
        if waiting.get(each) == failure:
            del waiting[each]


def _try_on(mine: weakref.ref[Recovery]) -> None:
    pause = threading.Event()
    pause_s = _FIRST_PAUSE_S
    while True:
        pause.wait(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        recovery = mine()
        if recovery is None or recovery.ended():
            return
        try:
            recovery.apply()
        except Exception:
            # not yet; or closed in the middle, which redis-py tells by errors of many classes
            pass
        del recovery
