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

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cachestorm.errors import OutOfMemoryError, WatchError, WrongTypeError
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.shadows import HEADER_BYTES, Shadow, packed, unpacked
from cachestorm.remote.steps import Ask, Course, Watch
from cachestorm.remote.tag_script import SPACES

if TYPE_CHECKING:
    from cachestorm.envelope import Envelope
    from cachestorm.remote.arguments import Words
    from cachestorm.remote.courses import Courses

LEASE_S: Final = 5.0
LEASES: Final = b"cachestorm:lease:"
SHADOWS: Final = b"cachestorm:stale:"
_OURS: Final = (LEASES.decode(), SHADOWS.decode())
_HIDDEN: Final = (*_OURS, SPACES.decode())
# who holds the lease of a key whose source has failed, and is not to be asked for a while
FAILED: Final = b"failed"


def is_beside(key: str) -> bool:
    """Whether a key is the lease or the shadow of another."""
    return key.startswith(_OURS)


def is_hidden(key: str) -> bool:
    """Whether a key is none of the caller's: beside another, or of a namespace by name."""
    return key.startswith(_HIDDEN)


class Asked(NamedTuple):
    """What a server says to a caller that wants a lease.

    Attributes:
        is_taken: by the caller, just now.
        holder: the token of whoever has it; None for nobody.
        raw: what the key holds; None for nothing.
        shadow: what is kept of its last load, if that was asked for.
    """

    is_taken: bool
    holder: bytes | None
    raw: bytes | None
    shadow: Shadow | None = None


def ask_lease(
    courses: Courses,
    key: str,
    token: bytes,
    tags: Iterable[str],
    takes_over: bool,
    envelope: Envelope | None = None,
) -> Course:
    """Takes the lease of a key, if nobody has it; with `takes_over` in any case.

    Args:
        envelope: to open the shadow, if it is asked for.
    """
    name = courses.lease_key(key)
    tail = ["PX", round(LEASE_S * 1000), *([] if takes_over else ["NX"])]
    taking = yield from courses.tagged_set(["SET", name, token, *tail], name, tags)
    asking: list[Words] = [taking]
    asking += [["GET", name], ["GET", key]]
    if envelope is not None:
        asking += [["GET", courses.shadow_key(key)], ["PTTL", courses.shadow_key(key)]]
    replies = yield Ask(asking, atomic=True)
    shadow = None if envelope is None else unpacked(replies[3], replies[4], envelope)
    return Asked(replies[1] == token, replies[1], replies[2], shadow)


def look(courses: Courses, key: str) -> Course:
    """What a key holds, how many milliseconds it has left, and its shadow without its value."""
    shadow = courses.shadow_key(key)
    commands: list[Words] = [
        ["GET", key],
        ["PTTL", key],
        ["GETRANGE", shadow, 0, HEADER_BYTES],
        ["PTTL", shadow],
    ]
    raw, left_ms, header, shadow_left_ms = yield Ask(commands)
    return raw, left_ms, unpacked(header, shadow_left_ms, None)


def give_back(
    courses: Courses,
    key: str,
    token: bytes,
    throttle_ms: int = 0,
    tags: Iterable[str] = (),
) -> Course:
    """Ends a lease, if it is still that of the token.

    Args:
        throttle_ms: for how long nobody is to have it, as the source has failed.
        tags: of the load.
    """
    name = courses.lease_key(key)
    ending: Words = ["DEL", name]
    if throttle_ms:
        words: Words = ["SET", name, FAILED, "PX", throttle_ms]
        ending = yield from courses.tagged_set(words, name, tags)
    while True:
        (holder,) = yield Watch([name], [["GET", name]])
        if holder != token:
            return False
        try:
            yield Ask([ending], atomic=True)
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
    shadow: Shadow | None = None,
) -> Course:
    """Writes what was loaded and ends the lease, unless something has outdated it.

    Args:
        before: what the key held when the load began.
        shadow: to be kept beside it.
    """
    name = courses.lease_key(key)
    writing = yield from courses.set_words(key, value, ttl, tags)
    if shadow is not None:
        beside_it = courses.shadow_key(key)
        body = packed(shadow, writing[0][2])
        plain: Words = ["SET", beside_it, body, "PX", shadow.ttl_ms + shadow.span_ms]
        writing.append((yield from courses.tagged_set(plain, beside_it, tags)))
    while True:
        try:
            holder, raw = yield Watch([key, name], [["GET", name], ["GET", key]], False)
        except WrongTypeError:
            # somebody has made it a list, or a hash, which it stays
            yield from give_back(courses, key, token)
            return False
        if holder != token:
            return False
        is_outdated = raw != before
        try:
            # if it fails, the lease ends by itself, and what is there is no older than it was
            words: list[Words] = [*([] if is_outdated else writing), ["DEL", name]]
            yield Ask(words, atomic=True, is_kept=False)
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
        tell_of_forks(self)

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
