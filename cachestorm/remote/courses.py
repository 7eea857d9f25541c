"""The courses: what each method of a connected cache does, whoever runs it.

Called by `ConnectedCache` and `AsyncConnectedCache`, which send the steps.

1. A declared command is one step, made from its declaration. What follows here by name is what
   Python has beside commands, and what takes more than one.
2. A method writes in one step, or under WATCH until nobody comes between.
3. A value that is text or an object is kept in an envelope, of whose bytes no command must
   work on a part. Reads of a part are worked out here, writes to one are refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of
from cachestorm.envelope import MARK, Envelope
from cachestorm.errors import (
    ArgumentError,
    ArityError,
    WatchError,
    WrongTypeError,
)
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.names import checked_tags, exact_key, key_values, keys_of
from cachestorm.remote.arguments import Words, lifetime_ms
from cachestorm.remote.cluster_dialect import ClusterDialect
from cachestorm.remote.commands import Call, Commands
from cachestorm.remote.leases import is_hidden
from cachestorm.remote.refusals import UnsupportedError
from cachestorm.remote.server_facts import ServerFacts
from cachestorm.remote.spaces import Space
from cachestorm.remote.steps import Ask, Await, Course, Watch

_LOOK: Final = len(MARK) - 1
# methods that read or write a part of a value, or its length
_READ_PARTS: Final = frozenset({"bitcount", "bitpos", "getbit", "getrange", "strlen"})
_WRITE_PARTS: Final = frozenset({"append", "bitfield", "setbit", "setrange"})
# commands of keys alone, which end the loads of these keys
_REMOVALS: Final = frozenset({"delete", "getdel"})
# commands whose reply is keys, or a cursor and keys
_LISTS_KEYS: Final = frozenset({"keys", "scan", "tagkeys"})
# how often a key at random may be a lease
_TRIES: Final = 16
_OF_A_PROCESS: Final = "it belongs to a cache in this process"


class Courses(ServerFacts):
    """The methods of a cache, as steps for a server.

    Args:
        envelope: for values.
        shown, cluster, space: see `ServerFacts`.
    """

    def __init__(
        self,
        envelope: Envelope,
        shown: str,
        cluster: ClusterDialect | None = None,
        space: Space | None = None,
    ) -> None:
        super().__init__(shown, cluster, space)
        self._envelope: Final = envelope
        self.commands: Final = Commands(envelope)

    # -- declared commands

    def call(self, method: str, *args: Any, **options: Any) -> Course:
        """A declared command, by its method."""
        command = self.commands[method]
        try:
            call = command.prepared(args, options)
        except ArityError:
            # nothing to delete, to push, to ask for: what is that, in process?
            return getattr(Cache(), method)(*args, **options)
        if method in _READ_PARTS:
            return (yield from self._read_part(method, call, args, options))
        if method in _WRITE_PARTS:
            return (yield from self._write_part(method, call, args, options))
        words = [call.words]
        if method in _REMOVALS:
            # first: a load must not land between the two
            words.insert(0, self.beside(call.words[1:]))
        try:
            replies = yield Ask(
                words,
                blocks=command.blocks,
                is_kept=not command.blocks,
                removes=method == "delete",
            )
        except UnsupportedError as error:
            raise self.unsupported(method, str(error)) from error
        found = call.read(replies[-1])
        return _without_ours(found) if method in _LISTS_KEYS else found

    def _read_part(
        self, method: str, call: Call, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Course:
        key = exact_key(args[0] if args else options["key"])
        begin, reply = yield Ask([["GETRANGE", key, 0, _LOOK], call.words], atomic=True)
        if begin != MARK:
            return call.read(reply)
        value = yield from self.get(key, MISSING)
        scratch: Cache = Cache()
        if value is not MISSING:
            scratch[key] = value
        return getattr(scratch, method)(*args, **options)

    def _write_part(
        self, method: str, call: Call, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Course:
        key = exact_key(args[0] if args else options["key"])
        while True:
            (begin,) = yield Watch([key], [["GETRANGE", key, 0, _LOOK]])
            if begin == MARK:
                raise WrongTypeError(
                    f"{method}() works on bytes and numbers: {self._shown} keeps text and "
                    "objects in an envelope. Set the key to bytes first"
                )
            try:
                (reply,) = yield Ask([call.words], atomic=True)
            except WatchError:
                continue
            return call.read(reply)

    # -- values

    def get(self, key: str, default: Any = None) -> Course:
        """See `Cache.get`."""
        (reply,) = yield Ask([["GET", exact_key(key)]])
        return default if reply is None else self._envelope.loads(reply)

    def set(
        self,
        key: str,
        value: Any,
        ttl: object = UNSET,
        *,
        tags: Iterable[str] = (),
        idle: object = None,
        ttl_jitter: object = None,
        if_unchanged: object = None,
        **options: Any,
    ) -> Course:
        """See `Cache.set`; an idle time, a jitter and a version belong to one process."""
        for name, given in (("idle", idle), ("ttl_jitter", ttl_jitter)):
            if given is not None:
                raise self.unsupported(f"set({name}=...)", _OF_A_PROCESS)
        if if_unchanged is not None:
            raise self.unsupported("set(if_unchanged=...)", "versions belong to one process")
        names = checked_tags(tags)
        if names:
            yield from self.needs_tags("set(tags=...)")
        if not options:
            # nearly every call: what follows says the same, and reads the declaration for it
            plain: Words = ["SET", bytes_of(exact_key(key)), self._envelope.dumps(value)]
            if ttl is not UNSET and ttl is not None:
                plain += ["PX", lifetime_ms(ttl, "set")]
            if names:
                plain += ["TAGS", *map(bytes_of, names)]
            if ttl is not None or not self.may_have_default_ttl():
                yield Ask([plain])
                return True
        if names:
            options["tags"] = names
        call = self.commands["set"].prepared((key, value, ttl), options)
        words = [call.words]
        if ttl is None and not options.get("keepttl") and self.may_have_default_ttl():
            # a time to live that is left out is the namespace's default
            words.append(["PERSIST", exact_key(key)])
        reply = (yield Ask(words, atomic=len(words) > 1))[0]
        return call.read(reply)

    def set_words(self, key: str, value: Any, ttl: object, tags: list[str]) -> Course:
        """The commands that set a key, for a transaction."""
        if tags:
            yield from self.needs_tags("tags")
        options = {"tags": tags} if tags else {}
        words = [self.commands["set"].prepared((key, value, ttl), options).words]
        if ttl is None and self.may_have_default_ttl():
            words.append(["PERSIST", exact_key(key)])
        return words

    def tagged_set(self, words: Words, key: bytes, tags: Iterable[str]) -> Course:
        """A SET with tags, if there are any."""
        names = list(tags)
        if names:
            yield from self.needs_tags("tags")
        return [*words, "TAGS", *map(bytes_of, names)] if names else words

    def known_tags(self, key: str) -> Course:
        """The tags of a key; none where nobody knows tags."""
        if not (yield from self.asked()).tags:
            return []
        return (yield from self.call("tags", key))

    def add(
        self, key: str, value: Any, ttl: object = UNSET, *, tags: Iterable[str] = ()
    ) -> Course:
        """See `Cache.add`."""
        # PERSIST behind a SET that did nothing would change what is there
        if ttl is None and (yield from self.asked()).namespaces_apart:
            return (yield from self._add_forever(key, value, tags))
        return (yield from self.set(key, value, ttl, nx=True, tags=tags))

    def _add_forever(self, key: str, value: Any, tags: Iterable[str]) -> Course:
        key = exact_key(key)
        while True:
            (found,) = yield Watch([key], [["EXISTS", key]])
            if found:
                return False
            names = checked_tags(tags)
            call = self.commands["set"].prepared((key, value), {"tags": names} if names else {})
            try:
                yield Ask([call.words, ["PERSIST", key]], atomic=True)
            except WatchError:
                continue
            return True

    def setdefault(
        self, key: str, default: Any = None, ttl: object = UNSET, *, tags: Iterable[str] = ()
    ) -> Course:
        """See `Cache.setdefault`."""
        names = checked_tags(tags)
        if names:
            yield from self.needs_tags("setdefault(tags=...)")
        if ttl is None and (yield from self.asked()).namespaces_apart:
            is_new = yield from self._add_forever(key, default, names)
            return default if is_new else (yield from self.get(key, default))
        options = {"nx": True, "get": True, **({"tags": names} if names else {})}
        call = self.commands["set"].prepared((key, default, ttl), options)
        (reply,) = yield Ask([call.words])
        return default if reply is None else self._envelope.loads(reply)

    def pop(self, key: str, default: Any = MISSING) -> Course:
        """See `Cache.pop`."""
        value = yield from self.call("getdel", key, MISSING)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def randomkey(self) -> Course:
        """See `Cache.randomkey`."""
        for _ in range(_TRIES):
            key = yield from self.call("randomkey")
            if key is None or not is_hidden(key):
                return key
        # nearly all of them are leases, or of namespaces
        return next(iter((yield from self.call("keys"))), None)

    def popitem(self) -> Course:
        """See `Cache.popitem`."""
        while True:
            key = yield from self.randomkey()
            if key is None:
                raise KeyError("the cache is empty")
            value = yield from self.call("getdel", key, MISSING)
            if value is not MISSING:
                return key, value

    def get_many(self, keys: Iterable[str]) -> Course:
        """See `Cache.get_many`."""
        names = keys_of(keys)
        if not names:
            return {}
        values = yield from self.call("mget", *names, default=MISSING)
        return {name: value for name, value in zip(names, values) if value is not MISSING}

    def set_many(
        self,
        mapping: Mapping[str, Any] | Iterable[tuple[str, Any]],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] = (),
    ) -> Course:
        """See `Cache.set_many`."""
        names = checked_tags(tags)
        if names:
            yield from self.needs_tags("set_many(tags=...)")
        options = {"tags": names} if names else {}
        words = []
        for key, value in key_values(mapping):
            words.append(self.commands["set"].prepared((key, value, ttl), options).words)
            if ttl is None and self.may_have_default_ttl():
                words.append(["PERSIST", key])
        if words:
            yield Ask(words, atomic=True)
        return True

    def update(
        self, mapping: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **values: Any
    ) -> Course:
        """See `Cache.update`."""
        yield from self.set_many({**dict(key_values(mapping)), **values})

    def delete(self, *keys: Any) -> Course:
        """See `Cache.delete`."""
        if not keys or any(type(key) is not str for key in keys):
            return (yield from self.call("delete", *keys))
        # nearly every call: the same, without reading the declaration for it
        words: Words = ["DEL", *[bytes_of(exact_key(key)) for key in keys]]
        return (yield Ask([self.beside(words[1:]), words], removes=True))[1]

    def delete_many(self, keys: Iterable[str]) -> Course:
        """See `Cache.delete_many`."""
        names = keys_of(keys)
        return (yield from self.delete(*names)) if names else 0

    def clear(self) -> Course:
        """See `Cache.clear`."""
        yield from self.call("flushdb")

    def compare_and_set(
        self,
        key: str,
        expected: object,
        value: Any,
        ttl: object = UNSET,
        *,
        tags: Iterable[str] | None = None,
    ) -> Course:
        """See `Cache.compare_and_set`."""
        if expected is MISSING:
            return (yield from self.add(key, value, ttl, tags=tags or ()))
        while True:
            found = yield from self.watched(key, tags)
            if found.value is MISSING or found.value != expected:
                return False
            try:
                yield from self.write(key, value, ttl, found)
            except WatchError:
                continue
            return True

    def watched(self, key: str, tags: Iterable[str] | None) -> Course:
        """What a key holds, which is watched from here on."""
        key = exact_key(key)
        knows_tags = (yield from self.asked()).tags
        if tags and not knows_tags:
            yield from self.needs_tags("tags")
        looks = [["GET", key]]
        if knows_tags and tags is None:
            looks.append(["TAGS", key])
        replies = yield Watch([key], looks)
        raw = replies[0]
        names = checked_tags(replies[1] if len(replies) > 1 else tags or ())
        return Found(MISSING if raw is None else self._envelope.loads(raw), names)

    def write(self, key: str, value: Any, ttl: object, found: Found) -> Course:
        """Sets a key that was watched; the time to live stays where none is given."""
        options: dict[str, Any] = {"tags": found.tags} if found.tags else {}
        if ttl is UNSET and found.value is not MISSING:
            options["keepttl"] = True
        words = [self.commands["set"].prepared((key, value, ttl), options).words]
        if ttl is None and self.may_have_default_ttl():
            words.append(["PERSIST", exact_key(key)])
        yield Ask(words, atomic=True)

    def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        ttl: object = UNSET,
        tags: Any = UNSET,
    ) -> Course:
        """See `Cache.modify`."""
        while True:
            found = yield from self.watched(key, None if tags is UNSET else tags)
            value = function(None if found.value is MISSING else found.value)
            if inspect.isawaitable(value):
                (value,) = yield Await(value)
            try:
                yield from self.write(key, value, ttl, found)
            except WatchError:
                continue
            return value

    # -- times to live

    def ttl(self, key: str, default: Any = None) -> Course:
        """See `Cache.ttl`."""
        left = yield from self.call("pttl", key, default)
        return left / 1000 if type(left) is int else left

    def expiretime(self, key: str, default: Any = None) -> Course:
        """See `Cache.expiretime`."""
        when = yield from self.call("pexpiretime", key, default)
        return when / 1000 if type(when) is int else when

    # -- tags

    def invalidate(
        self,
        tag: str | Iterable[str],
        *tags: str,
        cascade: bool = False,
        soft: bool = False,
        dry_run: bool = False,
    ) -> Course:
        """See `Cache.invalidate`; several tags are one step, too."""
        yield from self.needs_tags("invalidate()")
        names = checked_tags([tag, *tags] if isinstance(tag, str) else [*tag, *tags])
        if dry_run and not soft and len(names) > 1:
            if cascade:
                raise ArgumentError("dry_run and cascade take one tag at a time from a server")
            # a key with two of the tags counts once
            replies = yield Ask([["TAGKEYS", name] for name in names], atomic=True)
            return len(set().union(*replies))
        options = [("CASCADE", cascade), ("SOFT", soft), ("DRYRUN", dry_run)]
        tail = [word for word, wanted in options if wanted]
        words = [["INVALIDATE", name, *tail] for name in names]
        replies = yield Ask(words, atomic=len(words) > 1)
        return sum(map(int, replies))

    # -- hashes

    def hstrlen(self, key: str, field: object) -> Course:
        """See `Cache.hstrlen`; the length of the value without its envelope."""
        value = yield from self.call("hget", key, field, MISSING)
        scratch: Cache = Cache()
        if value is not MISSING:
            scratch.hset("h", "f", value)
        return scratch.hstrlen("h", "f")


class Found:
    """A watched key: its value, MISSING for none, and the tags that it is to have."""

    __slots__ = ("tags", "value")

    def __init__(self, value: Any, tags: list[str]) -> None:
        self.value = value
        self.tags = tags


def _without_ours(found: Any) -> Any:
    """Keys, or a cursor and keys, without what `leases.py` keeps beside them."""
    if isinstance(found, tuple):
        cursor, keys = found
        return cursor, _without_ours(keys)
    return type(found)(key for key in found if not is_hidden(key))
