"""Tracking: which keys clients have read and keep, and telling them when these change.

One belongs to an endpoint. Sessions say what they are about to read; the store tells what has
changed, in the thread that changed it, and the sessions that know the key are posted an
invalidation. CLIENT TRACKING switches it; see `tracking_commands.py`.

1. A key is noted before it is read. What changes it from then on is posted, and what is
   posted while a client is answered comes after the reply: so no client keeps what is stale.
2. A key is told of once, and noted again when it is read again. A broadcasting client is told
   of all keys with its prefixes, and nothing is noted for it.
3. A key leaves with a tag in one step: the tags of a noted key are noted too. A broadcasting
   client has no keys here: when a tag is softened, which removes none, it drops all.
4. No lock is held: a finalizer may write in the midst of it. One thread notes, that of the
   event loop; one at a time tells. Each step is one operation of a dict or a set, in an order
   in which the other sees too much rather than too little.

Source: https://redis.io/docs/latest/develop/reference/client-side-caching/, and `tracking.c`
of Redis 7.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of, text_of
from cachestorm.declare.facts import flags_of, key_range_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.events import (
    CHANGED,
    EXPIRY,
    FLUSHED,
    PUT,
    REMOVED,
    REPLACED,
    SPACE,
    TAG_EVENTS,
    TAGS,
    WITH_EFFECT,
    Effect,
    is_invalidation,
)
from cachestorm.keyspace.effects import Listening
from cachestorm_server.replies import Push, write_bulk, write_reply

if TYPE_CHECKING:
    from cachestorm_server.endpoint import Endpoint
    from cachestorm_server.session import Session

MOST_KEYS: Final = 1_000_000
# how many keys are noted before it is looked whether there are too many
_LOOK: Final = 1024
_CHANNEL: Final = b"__redis__:invalidate"
_OF_ONE_KEY: Final = b">2\r\n$10\r\ninvalidate\r\n*1\r\n"
_INTEREST: Final = (
    PUT | CHANGED | EXPIRY | TAGS | TAG_EVENTS | SPACE | (REMOVED ^ FLUSHED ^ REPLACED)
)


class Tracked:
    """How one client is told of what changes.

    Attributes:
        redirect: the client that is told instead; 0 for none.
        broadcasts: it is told of all keys with its prefixes.
        opt_in, opt_out: it notes only, or all but, what CLIENT CACHING announces.
        no_loop: it is not told of what it has changed itself.
        is_announced: CLIENT CACHING was said for the next command.
        is_broken: the client that was to be told instead has gone.
        flush_posted: it is going to be told that all has changed.
    """

    def __init__(
        self,
        session_id: int,
        redirect: int,
        prefixes: list[str] | None,
        opt_in: bool,
        opt_out: bool,
        no_loop: bool,
    ) -> None:
        self.session_id: Final = session_id
        self.redirect: Final = redirect
        self.broadcasts: Final = prefixes is not None
        self.prefixes: Final = prefixes or []
        self.opt_in: Final = opt_in
        self.opt_out: Final = opt_out
        self.no_loop: Final = no_loop
        self.is_announced = False
        self.is_broken = False
        self.flush_posted = False
        # what a key has that this client alone has read
        self.alone: Final[tuple[int, ...]] = (session_id,)
        # by prefix: what a broadcasting client is told next
        self.batches: Final[dict[str, Invalidation]] = {}

    def notes(self) -> bool:
        """Whether the keys that are read now are to be noted."""
        if self.broadcasts:
            return False
        if self.opt_in or self.opt_out:
            return self.is_announced == self.opt_in
        return True

    def flags(self) -> list[str]:
        """As CLIENT TRACKINGINFO shows them."""
        announced = "caching-yes" if self.opt_in else "caching-no"
        states = {
            "on": True,
            "bcast": self.broadcasts,
            "optin": self.opt_in,
            "optout": self.opt_out,
            announced: self.is_announced,
            "noloop": self.no_loop,
            "broken_redirect": self.is_broken,
        }
        return [flag for flag, holds in states.items() if holds]


class Invalidation:
    """What is posted to a session: keys that its client must not use any longer.

    Attributes:
        key: the only one of them, if there is never another.
        keys: in the order of the changes; None for all that it has, or if there is `key`.
        is_redirected: they are those of another client.
        is_taken: it is about to be sent, and no further key can be added.
    """

    def __init__(
        self, tracked: Tracked, key: str | None, keys: dict[str, None] | None = None
    ) -> None:
        self.tracked: Final = tracked
        self.key: Final = key
        self.keys: Final = keys
        self.is_redirected: Final = tracked.redirect != 0
        self.is_taken = False

    def encoded(self, resp3: bool, is_subscribed: bool) -> bytes:
        """The message in RESP; empty for a client that would take it for a reply."""
        self.is_taken = True
        out = BytesWriter()
        if self.key is not None and resp3:
            out.write(_OF_ONE_KEY)
            write_bulk(out, bytes_of(self.key))
            return out.getvalue()
        keys: object = None
        if self.key is not None:
            keys = [self.key]
        elif self.keys is None:
            self.tracked.flush_posted = False
        else:
            # a batch of a broadcasting client comes as Redis sends it
            keys = sorted(self.keys)
        if resp3:
            write_reply(out, Push([b"invalidate", keys]), True)
        elif self.is_redirected and is_subscribed:
            write_reply(out, Push([b"message", _CHANNEL, keys]), False)
        return out.getvalue()


class Tracking:
    """Who keeps which keys.

    Attributes:
        clients: those that track, by id.
        most_keys: so many are noted; beyond that the oldest are told of, and forgotten.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.clients: Final[dict[int, Tracked]] = {}
        self.most_keys = MOST_KEYS
        self._endpoint: Final = endpoint
        self._store: Final = endpoint.cache._store
        self._broadcasting: list[Tracked] = []
        # by namespace and key: the ids of the clients that have read it
        self._readers: Final[dict[str, dict[str, tuple[int, ...]]]] = {}
        # by namespace: the noted keys of a tag, and the tags of a noted key
        self._keys_of: Final[dict[str, dict[str, set[str]]]] = {}
        self._tags_of: Final[dict[str, dict[str, list[str]]]] = {}
        self._until_look: i64 = 0
        # whether a command reads keys, and where they are if that is always the same
        self._ranges: Final[dict[Plan, tuple[int, int, int]]] = {}
        self._listening: Listening | None = None

    # -- clients

    def choose(self, session: Session, tracked: Tracked | None) -> None:
        """Tells a client of what changes from now on in this way, or no longer."""
        session.tracked = tracked
        if tracked is not None:
            self.clients[session.id] = tracked
        elif self.clients.pop(session.id, None) is None:
            return
        self._hear()
        session.watch_over()

    def _hear(self) -> None:
        """Hears of changes as long as there is a client."""
        self._broadcasting = [one for one in self.clients.values() if one.broadcasts]
        listening = self._listening
        store = self._store
        if self.clients and listening is None:
            self._listening = listening = Listening(self, _INTEREST, None, WITH_EFFECT)
            store.enter()
            try:
                store.listen(listening)
            finally:
                store.leave()
        elif not self.clients and listening is not None:
            self._listening = None
            store.enter()
            try:
                store.unlisten(listening)
            finally:
                store.leave()
            for table in (self._readers, self._keys_of, self._tags_of):
                table.clear()

    def counts(self) -> tuple[int, int, int]:
        """How many keys are noted, how many times, and how many prefixes there are."""
        readers = [ids for keys in list(self._readers.values()) for ids in list(keys.values())]
        prefixes = {prefix for one in self._broadcasting for prefix in one.prefixes}
        return len(readers), sum([len(ids) for ids in readers]), len(prefixes)

    # -- what a client asks

    def begin(self, tracked: Tracked, cache: Cache, plan: Plan, argv: list[object]) -> bool:
        """Notes what a request is about to read.

        Returns:
            Whether `end` is to be called after it: what it changes is put down to the client.
        """
        if tracked.notes():
            for key in self._read_keys(plan, argv):
                self._note(tracked, cache, key)
        declaration = plan.declaration
        # one that waits must not hold the others
        if not tracked.no_loop or not declaration.writes or "blocking" in declaration.flags:
            return False
        self._store.begin()
        self._store.origin = tracked.session_id
        return True

    def end(self) -> None:
        """Ends what `begin` began."""
        self._store.origin = 0
        self._store.end()

    def _read_keys(self, plan: Plan, argv: list[object]) -> list[str]:
        found = self._ranges.get(plan)
        if found is None:
            flags = flags_of(plan.declaration)
            found = (-1, 0, 0)
            if "readonly" in flags:
                found = (0, 0, 0) if "movablekeys" in flags else key_range_of(plan.declaration)
            self._ranges[plan] = found
        first, last, step = found
        if first < 0:
            return []
        if first == 0:
            try:
                return [key for key, _ in plan.keys(argv)]
            except CacheStormError:
                return []
        end = last + 1 if last >= 0 else len(argv) + last + 1
        return [text_of(arg) for arg in argv[first:end:step] if isinstance(arg, bytes)]

    def _note(self, tracked: Tracked, cache: Cache, key: str) -> None:
        name = cache.name
        readers = self._readers.get(name)
        if readers is None:
            readers = self._readers[name] = {}
        ids = readers.get(key)
        if ids is None:
            readers[key] = tracked.alone
        elif tracked.session_id not in ids:
            readers[key] = (*ids, tracked.session_id)
        tags = cache.tags(key)
        if tags:
            keys_of = self._keys_of.setdefault(name, {})
            for tag in tags:
                keys_of.setdefault(tag, set()).add(key)
            self._tags_of.setdefault(name, {})[key] = tags
        self._until_look -= 1
        if self._until_look <= 0:
            self.look()

    def look(self) -> None:
        """Forgets the oldest keys when there are too many, and tells of them."""
        tables = list(self._readers.items())
        surplus = sum([len(readers) for _, readers in tables]) - self.most_keys
        self._until_look = min(max(-surplus, 1), _LOOK)
        for name, readers in tables:
            while surplus > 0 and readers:
                self._told(name, next(iter(readers)), 0)
                surplus -= 1

    # -- what happens

    def __call__(self, effect: Effect) -> None:
        """Tells of what has happened. Called by whichever thread has written."""
        kind = effect.interest
        if kind & SPACE:
            if effect.event != "settings":
                self._flushed(effect)
        elif kind & TAG_EVENTS:
            if is_invalidation(effect):
                self._left_with(effect)
        else:
            self._told(effect.namespace, effect.key, effect.origin)
            for tracked in self._broadcasting:
                if _is_own(tracked, effect.origin):
                    continue
                for prefix in tracked.prefixes:
                    if effect.key.startswith(prefix):
                        self._add(tracked, prefix, effect.key)

    def _flushed(self, effect: Effect) -> None:
        # the key of a swap is the other namespace
        for name in (effect.namespace, effect.key):
            for table in (self._readers, self._keys_of, self._tags_of):
                table.pop(name, None)
        for tracked in list(self.clients.values()):
            self._drop_all(tracked)

    def _drop_all(self, tracked: Tracked) -> None:
        if not tracked.flush_posted:
            tracked.flush_posted = True
            self._send(tracked, Invalidation(tracked, None))

    def _left_with(self, effect: Effect) -> None:
        """The keys of a tag have gone, or are stale."""
        keys_of = self._keys_of.get(effect.namespace)
        if keys_of is not None:
            for key in list(keys_of.pop(effect.key, ())):
                self._told(effect.namespace, key, effect.origin)
        if effect.event == "softened":
            for tracked in self._broadcasting:
                self._drop_all(tracked)

    def _told(self, name: str, key: str, origin: i64) -> None:
        """Tells those who have read a key, which is forgotten."""
        readers = self._readers.get(name)
        ids = None if readers is None else readers.pop(key, None)
        if ids is None:
            return
        tags_of = self._tags_of.get(name)
        tags = None if tags_of is None else tags_of.pop(key, None)
        if tags is not None:
            keys_of = self._keys_of.get(name, {})
            for tag in tags:
                keys = keys_of.get(tag)
                if keys is not None:
                    keys.discard(key)
                    if not keys:
                        keys_of.pop(tag, None)
        for session_id in ids:
            tracked = self.clients.get(session_id)
            if tracked is None or tracked.broadcasts or _is_own(tracked, origin):
                continue
            self._send(tracked, Invalidation(tracked, key))

    def _add(self, tracked: Tracked, prefix: str, key: str) -> None:
        """Adds a key to what a broadcasting client is told next."""
        batch = tracked.batches.get(prefix)
        if batch is not None and batch.keys is not None and not batch.is_taken:
            batch.keys[key] = None
            # taken meanwhile, it may have been sent without this key
            if not batch.is_taken:
                return
        batch = tracked.batches[prefix] = Invalidation(tracked, None, {key: None})
        self._send(tracked, batch)

    def _send(self, tracked: Tracked, invalidation: Invalidation) -> None:
        endpoint = self._endpoint
        target = tracked.redirect or tracked.session_id
        if target in endpoint.sessions:
            endpoint.post(target, invalidation)
            return
        tracked.is_broken = True
        endpoint.post(
            tracked.session_id, Push([b"tracking-redir-broken", int(tracked.redirect)])
        )


def _is_own(tracked: Tracked, origin: i64) -> bool:
    return tracked.no_loop and origin == tracked.session_id
