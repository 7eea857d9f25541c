"""Leases: who loads a key on a server, of all processes that want it.

A lease is a key beside the one that is loaded, with the token of the loader. Called by
`RemoteLoading`, as steps.

1. It bears the tags of the load that are known. So whatever makes the load worthless removes
   it: INVALIDATE of a tag, a flush, and DEL by a connected cache (`Courses.call`). What is
   loaded is written only while the lease is there and the key holds what it held before.
2. It lasts LEASE_S, and is prolonged while its loader lives (`Renewals`): others wait no longer
   for one that is gone.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cachestorm.errors import OutOfMemoryError, WatchError, WrongTypeError
from cachestorm.remote.steps import Ask, Course, Watch

if TYPE_CHECKING:
    from cachestorm.remote.courses import Courses

LEASE_S: Final = 5.0
LEASES: Final = b"cachestorm:lease:"


class Asked(NamedTuple):
    """What a server says to a caller that wants a lease.

    Attributes:
        is_taken: by the caller, just now.
        holder: the token of whoever has it; None for nobody.
        raw: what the key holds; None for nothing.
    """

    is_taken: bool
    holder: bytes | None
    raw: bytes | None


def ask_lease(
    courses: Courses, key: str, token: bytes, tags: Iterable[str], takes_over: bool
) -> Course:
    """Takes the lease of a key, if nobody has it; with `takes_over` in any case."""
    name = courses.lease_key(key)
    tail = ["PX", round(LEASE_S * 1000), *([] if takes_over else ["NX"])]
    taking = yield from courses.tagged_set(["SET", name, token, *tail], name, tags)
    replies = yield Ask([taking, ["GET", name], ["GET", key]], atomic=True)
    return Asked(replies[1] == token, replies[1], replies[2])


def give_back(courses: Courses, key: str, token: bytes) -> Course:
    """Ends a lease, if it is still that of the token."""
    name = courses.lease_key(key)
    while True:
        (holder,) = yield Watch([name], [["GET", name]])
        if holder != token:
            return False
        try:
            yield Ask([["DEL", name]], atomic=True)
        except WatchError:
            continue
        return True


def land(
    courses: Courses,
    key: str,
    token: bytes,
    before: bytes | None,
    value: Any,
    ttl: object,
    tags: list[str],
) -> Course:
    """Writes what was loaded and ends the lease, unless something has outdated it.

    Args:
        before: what the key held when the load began.
    """
    name = courses.lease_key(key)
    writing = yield from courses.set_words(key, value, ttl, tags)
    while True:
        try:
            holder, raw = yield Watch([key, name], [["GET", name], ["GET", key]])
        except WrongTypeError:
            # somebody has made it a list, or a hash, which it stays
            yield from give_back(courses, key, token)
            return False
        if holder != token:
            return False
        is_outdated = raw != before
        try:
            yield Ask([*([] if is_outdated else writing), ["DEL", name]], atomic=True)
        except WatchError:
            continue
        except OutOfMemoryError:
            # there is no room to keep it, and that is all
            yield from give_back(courses, key, token)
            return False
        return not is_outdated


class Renewals:
    """Prolongs the leases of one cache, by a thread that lives while there are any.

    Args:
        send: sends a command, and gives the reply.
    """

    def __init__(self, send: Any) -> None:
        self._send: Final = send
        self._lock = threading.Lock()
        self._held: dict[bytes, bytes] = {}
        self._is_running = False
        _ALL.add(self)

    def begin(self, name: bytes, token: bytes) -> None:
        """Prolongs a lease, given by its own key, from now on."""
        with self._lock:
            self._held[token] = name
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="cachestorm-leases", daemon=True).start()

    def end(self, token: bytes) -> None:
        """Does so no more."""
        with self._lock:
            self._held.pop(token, None)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(LEASE_S / 3)
            with self._lock:
                names = list(self._held.values())
                if not names:
                    self._is_running = False
                    return
            for name in names:
                try:
                    # that of another lives a little longer, should it be another's by now
                    self._send("PEXPIRE", name, round(LEASE_S * 1000))
                except Exception:
                    # lost, or closed in the middle, which redis-py tells by errors of many
                    # classes: the loads go on, and find at their end that it was lost
                    break

    def forked(self) -> None:
        """In the child of a fork, which leads none of them."""
        self._lock = threading.Lock()
        self._held = {}
        self._is_running = False


_ALL: Final[weakref.WeakSet[Renewals]] = weakref.WeakSet()


def _forked() -> None:
    for each in list(_ALL):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
