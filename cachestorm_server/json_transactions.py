"""Transactions as JSON: many commands in one step, if what was watched is untouched. Sans-IO.

Called by the HTTP endpoint, whose clients have no connection that could be watched for: what
begins to watch is given a token, and the transaction comes with it.

    {"commands": [...], "atomic": true}
    {"commands": [...], "watch": ["k"]}     -> {"results": [...], "watch": "<token>"}
    {"commands": [...], "atomic": true, "watch": "<token>"}

1. A transaction is refused as a whole if one of its commands could not be queued by MULTI
   (EXECABORT), or if a watched key was touched (WATCH). A command that fails when it runs
   fails alone.
2. A token is good for one transaction, whether it runs or not, and for `WATCH_S`. One that is
   not known is as one whose key was touched: whoever comes with it begins anew.
3. So many keys are watched at most, by all clients together, because one that went away ends
   nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachestorm.cache import Cache
from cachestorm.codec import text_of
from cachestorm.commands.watch_list import WatchList
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError, WatchError
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.fetching import check_here
from cachestorm_server.json_commands import BadJsonError, JsonCommands, value_of
from cachestorm_server.transaction import ExecAbortError

WATCH_S: Final = 60.0
MOST_WATCHED_KEYS: Final = 100_000

_MEMBERS: Final = ("commands", "atomic", "watch", "namespace")


class TooManyWatchedError(CacheStormError):
    """All clients together watch as many keys as they may."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__(
            f"{MOST_WATCHED_KEYS} keys are watched over HTTP: try again in {WATCH_S:g} seconds"
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """A document of many commands.

    Attributes:
        namespace: where they run that do not say so themselves; None for the default one.
        is_atomic: whether they run in one step.
        keys: to be watched from now on.
        token: of the keys that have been watched; empty for none.
    """

    commands: list[object]
    namespace: str | None
    is_atomic: bool
    keys: list[str]
    token: str


@dataclass(frozen=True, slots=True)
class _Watched:
    watch_list: WatchList
    count: int
    ends_at: float


def read_batch(document: dict[str, object], namespace: str | None) -> Batch:
    """A document with a member `commands`.

    Raises:
        BadJsonError: if it is not of the shape that is shown above.
    """
    for member in document:
        if member not in _MEMBERS:
            raise BadJsonError(f"no member is called '{member}': {', '.join(_MEMBERS)}")
    commands = document["commands"]
    if not isinstance(commands, list):
        raise BadJsonError('"commands" is a list of commands')
    atomic = document.get("atomic", False)
    if not isinstance(atomic, bool):
        raise BadJsonError('"atomic" is true or false')
    where = document.get("namespace", namespace)
    if where is not None and not isinstance(where, str):
        raise BadJsonError('"namespace" is the name of one')
    watch = document.get("watch", [])
    if isinstance(watch, str):
        if not atomic:
            raise BadJsonError('the token in "watch" is for a transaction: "atomic" is true')
        return Batch(commands, where, atomic, [], watch)
    if not isinstance(watch, list):
        raise BadJsonError('"watch" is a list of keys, or the token that one was answered with')
    return Batch(commands, where, atomic, [_key_of(key) for key in watch], "")


def _key_of(key: object) -> str:
    name = value_of(key)
    if isinstance(name, str):
        return name
    if isinstance(name, bytes):
        return text_of(name)
    raise BadJsonError('a key in "watch" is text, or {"base64": "..."}')


class JsonTransactions:
    """Runs transactions, and keeps what is watched until they come.

    Args:
        cache: the default namespace.
        commands: reads the commands, and counts them.
        clock: seconds, as `time.monotonic` counts them.
    """

    def __init__(
        self, cache: Cache, commands: JsonCommands, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache: Final = cache
        self._commands: Final = commands
        self._clock: Final = clock
        # by token, in the order in which they end
        self._watched: dict[str, _Watched] = {}
        self._watched_keys = 0

    def watch(self, batch: Batch, visitor: Visitor | None = None) -> str:
        """Begins to watch. Returns the token; empty if there is nothing to watch.

        Raises:
            TooManyWatchedError: if too many keys are watched.
            InvalidKeyError: for a key that has no bytes.
            NoPermissionError: for what the visitor may not do.
        """
        if not batch.keys:
            return ""
        self._commands.check_watch(visitor, batch.keys, batch.namespace)
        self.end_due()
        if self._watched_keys + len(batch.keys) > MOST_WATCHED_KEYS:
            raise TooManyWatchedError()
        watch_list = WatchList()
        watch_list.add(self._space(batch), batch.keys)
        token = os.urandom(16).hex()
        ends_at = self._clock() + WATCH_S
        self._watched[token] = _Watched(watch_list, len(batch.keys), ends_at)
        self._watched_keys += len(batch.keys)
        return token

    def _space(self, batch: Batch) -> Cache:
        return (
            self._cache if batch.namespace is None else self._cache.namespace(batch.namespace)
        )

    def run(self, batch: Batch, visitor: Visitor | None = None) -> list[dict[str, object]]:
        """Runs the commands in one step.

        Returns:
            Their answers.

        Raises:
            ExecAbortError: if one of them could not be queued; none was run.
            WatchError: if a watched key was touched; none was run.
            Held: while one of them is held back; the watches go on.
            Away: where values are in a colder tier, and have not been read ahead.
        """
        try:
            requests = self._queued(batch, visitor)
        except CacheStormError:
            self._is_touched(batch.token)
            raise
        for _, plan, _ in requests:
            self._commands.check_held(plan)
        check_here(requests)
        try:
            user = "" if visitor is None else visitor.user.name
            calls = [self._commands.ask(*request, user) for request in requests]
        except CacheStormError as error:
            self._is_touched(batch.token)
            raise ExecAbortError(f": {error}") from error
        self._check_here(batch, requests)
        answers: list[dict[str, object]] = []
        times_ns: list[int] = []
        with self._cache.transaction():
            if self._is_touched(batch.token):
                raise WatchError()
            for cache, plan, argv in requests:
                began_ns = time.perf_counter_ns()
                answers.append(self._commands.answer_queued(cache, plan, argv))
                times_ns.append(time.perf_counter_ns() - began_ns)
        for call, answer, time_ns in zip(calls, answers, times_ns, strict=True):
            self._commands.tell_of(call, answer, time_ns)
        return answers

    def _check_here(
        self, batch: Batch, requests: list[tuple[Cache, Plan, list[object]]]
    ) -> None:
        """Refuses a transaction whose keys another node of a cluster has.

        Raises:
            CacheStormError: with Redis' text; none was run.
        """
        router = self._commands.router
        if router is not None:
            try:
                router.check_visitors(requests)
            except CacheStormError:
                self._is_touched(batch.token)
                raise

    def _queued(
        self, batch: Batch, visitor: Visitor | None
    ) -> list[tuple[Cache, Plan, list[object]]]:
        requests = []
        for number, command in enumerate(batch.commands, 1):
            try:
                requests.append(self._commands.read(command, batch.namespace, visitor))
            except CacheStormError as error:
                raise ExecAbortError(f" command {number}: {error}") from error
        return requests

    def _is_touched(self, token: str) -> bool:
        """Ends what a token watches. Returns whether a key was touched."""
        if not token:
            return False
        self.end_due()
        return token not in self._watched or self._end(token)

    def end_due(self) -> None:
        """Ends what has been watched for too long."""
        now = self._clock()
        while self._watched:
            token = next(iter(self._watched))
            if self._watched[token].ends_at > now:
                return
            self._end(token)

    def end_all(self) -> None:
        """Ends all that is watched."""
        for token in list(self._watched):
            self._end(token)

    def _end(self, token: str) -> bool:
        watched = self._watched.pop(token)
        self._watched_keys -= watched.count
        return watched.watch_list.end()
