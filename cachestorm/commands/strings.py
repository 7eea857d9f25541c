"""The string family: scalars, and any Python object, written and read as a whole.

1. A write (`set`, `mset`, `getset` and so on) replaces value, time to live and tags.
2. Values come in and go out by reference. What the wire writes arrives as `bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Generic, Literal, cast, overload

from mypy_extensions import i64, mypyc_attr, u8

from cachestorm.commands.edge import Edge, enter, enter_for
from cachestorm.declare.bound import Bound
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import STRING, kind_of
from cachestorm.errors import ExcludingOptionsError
from cachestorm.events import Cause
from cachestorm.keyspace.latch import FINALIZERS_INTERRUPT, NOTHING_INTERRUPTS, STEPS_ARE_ATOMIC
from cachestorm.keyspace.tiering import Demoted
from cachestorm.keyspace.version import CURRENT, OUTDATED, Version
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.lifetimes import Lasting, deadline_of, plain_ttl
from cachestorm.operations.names import checked_tags, exact_key
from cachestorm.operations.string_values import whole
from cachestorm.typevars import D, V
from cachestorm.values.weights import is_shared

command: Final = partial(Declaration, group="string")

# how often a version that cannot say is asked again, before the write is refused
JUDGING_TRIES: Final = 200

_UNSET: Final = UNSET
_MISSING: Final = MISSING
_NO_TAGS: Final[tuple[str, ...]] = ()
_DELETED: Final = Cause.DELETED
_EXPIRED: Final = Cause.EXPIRED


def _access_of_set(bound: Bound) -> str:
    return "rw-access-update" if bound.given("get") else "ow-update"


# No trait but the one concrete base of Cache: its attributes have fixed offsets here, and
# GET and SET are what a cache does most.
@mypyc_attr(allow_interpreted_subclasses=True)
class Strings(Edge, Generic[V]):
    """GET, SET and what else works on a value as a whole."""

    @overload
    def get(self, key: str) -> V | None: ...
    @overload
    def get(self, key: str, default: D) -> V | D: ...
    @command(
        "GET key",
        complexity="O(1)",
        fast=True,
        reply="stored",
        summary="Return the value of a key.",
    )
    def get(self, key: str, default: object = None) -> object:
        """The value of a key.

        Args:
            default: what to give for a missing key; MISSING tells it from a stored None.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        if type(key) is not str:
            return self._get_locked(exact_key(key), default)
        store = self._store
        if store.guarded or (FINALIZERS_INTERRUPT and store.latch.is_noted()):
            return self._get_locked(key, default)
        return self._space.read(key, default)

    def _get_locked(self, key: str, default: object) -> object:
        store = self._store
        wanted: list[Demoted] = []
        if store.tiering is not None and not store.in_transaction():
            # a disk is read without the latch
            space = enter(self)
            try:
                wanted = space.wanted(key, True)
            finally:
                self._leave()
            if wanted:
                store.tiering.read_ahead(wanted)
        store.enter()
        try:
            value = self._space.read_and_tell(key, _MISSING)
        finally:
            store.leave()
            if wanted and store.tiering is not None:
                store.tiering.forget(wanted)
        return default if value is _MISSING else self._give(value, _MISSING)

    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[False] = False,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
        if_unchanged: Version | None = None,
    ) -> bool: ...
    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[True],
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | None: ...
    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | bool | None: ...
    @command(
        "SET key:rw-access-update-variable_flags value [NX | XX] [GET] [EX ttl:seconds | PX "
        "ttl:milliseconds | "
        "EXAT ttl:unix-seconds | PXAT ttl:unix-milliseconds | KEEPTTL] "
        "[TAGS tags:tag [tag ...]]",
        complexity="O(1); O(N) in the tags where there are any",
        grows=True,
        reply="set",
        fetches="_set_fetching",
        narrowed=_access_of_set,
        note="RW and ACCESS due to the optional `GET` argument",
        summary="Set the value of a key, its time to live and its tags.",
    )
    def set(
        self,
        key: str,
        value: object,
        ttl: object = _UNSET,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        tags: Iterable[str] = (),
        idle: object = None,
        ttl_jitter: object = None,
        if_unchanged: object = None,
    ) -> object:
        """Sets a key: value, time to live and tags in one step.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; None for never; left out, the
                namespace's default.
            nx: only if the key is missing.
            xx: only if the key is there.
            get: give back the former value; `getset` tells a stored None from no key.
            keepttl: keep the time to live that the key has.
            tags: what the key can be invalidated by.
            idle: how long the key outlives its last hit, spelled as `ttl`, which stays
                the latest end; None for no such end.
            ttl_jitter: up to this share of the time to live is taken off, at random, so
                that keys which are written together do not fall due together.
            if_unchanged: what `version` gave; only if since then nobody has written or
                deleted the key, invalidated one of its tags, or flushed the namespace.

        Returns:
            Whether it was set; with `get`, the former value, None for a missing key.

        Raises:
            WrongTypeError: with `get`, if the key holds a container.
            InvalidTtlError: if the time to live or the idle time is not positive.
            ArgumentError: for a jitter below 0, or of 1 and more.
            OutOfMemoryError: if there is no room and nothing to evict.
        """
        if type(key) is not str:
            # once more, since a parameter that is assigned to costs the usual call more
            return cast(Any, self).set(
                exact_key(key),
                value,
                ttl,
                nx=nx,
                xx=xx,
                keepttl=keepttl,
                get=get,
                tags=tags,
                idle=idle,
                ttl_jitter=ttl_jitter,
                if_unchanged=if_unchanged,
            )
        if idle is not None or ttl_jitter is not None or if_unchanged is not None:
            lasting = Lasting(ttl, idle, ttl_jitter)
            if if_unchanged is not None:
                return self._set_unchanged(
                    key, value, lasting, nx, xx, get, keepttl, tags, if_unchanged
                )
            return self._set_with(key, value, lasting, nx, xx, get, keepttl, tags, None)
        kind = kind_of(value)
        if nx or xx or get or keepttl or tags is not _NO_TAGS:
            lasting = Lasting(ttl)
            return self._set_with(key, value, lasting, nx, xx, get, keepttl, tags, None)
        if kind != STRING and not is_shared(value):
            value = self._box(value)
        store = self._store
        space = self._space
        now: i64 = 0
        deadline: i64 = 0
        is_timed = ttl is not _UNSET or space.default_ttl_ms != 0
        if is_timed:
            now = store.time_ms()
            deadline = deadline_of(ttl, "set", space, now)
        if (
            # filing a deadline may make a dict, which the garbage collector tracks
            (NOTHING_INTERRUPTS or (STEPS_ARE_ATOMIC and not is_timed))
            and not store.latch.is_noted()
        ):
            # as `put_plain` does, and a call less
            entry = space.entries.get(key)
            if entry is None:
                if space.put_new(key, value, kind, deadline, now, False):
                    return True
            elif space.overwrite(entry, value, kind, deadline, now, False):
                return True
        store.enter_step()
        try:
            if not space.put_plain(key, value, kind, deadline, now, True):
                space.put(key, value, kind, deadline)
            return True
        finally:
            store.leave()

    def _set_fetching(
        self,
        default: object,
        key: str,
        value: object,
        ttl: object = _UNSET,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = True,
        tags: Iterable[str] = _NO_TAGS,
    ) -> object:
        """`set` with `get` for a plan, which tells a stored None from a missing key.

        `set` has no `default`, as its usual call would pay for one more parameter.
        """
        key = exact_key(key)
        return self._set_with(key, value, Lasting(ttl), nx, xx, get, keepttl, tags, default)

    def _set_with(
        self,
        key: str,
        value: object,
        lasting: Lasting,
        nx: bool,
        xx: bool,
        get: bool,
        keepttl: bool,
        tags: Iterable[str],
        default: object,
    ) -> object:
        kind = kind_of(value)
        held = value if kind == STRING else self._box(value)
        names = None if tags is _NO_TAGS else checked_tags(tags)
        space = enter_for(self, key) if get else enter(self)
        try:
            if nx or xx or get or keepttl:
                found = self._set_if(
                    key, held, kind, lasting, nx, xx, get, keepttl, names, default
                )
            else:
                lasting.begin("set", space, space.shared.now_ms())
                space.put(key, held, kind, lasting.deadline_ms, names, lasting.idle)
                found = True
        finally:
            space.leave()
        return self._give(found, default) if get else found

    def _set_unchanged(
        self,
        key: str,
        value: object,
        lasting: Lasting,
        nx: bool,
        xx: bool,
        get: bool,
        keepttl: bool,
        tags: Iterable[str],
        version: object,
    ) -> bool:
        if not isinstance(version, Version):
            raise TypeError(f"if_unchanged is what version() has given, not {version!r}")
        if get:
            raise ExcludingOptionsError("get=True and if_unchanged exclude each other")
        kind = kind_of(value)
        held = value if kind == STRING else self._box(value)
        names = checked_tags(tags)
        for _ in range(JUDGING_TRIES):
            space = enter(self)
            try:
                verdict = version.judge(space, key, names)
                if verdict == CURRENT:
                    done = self._set_if(
                        key, held, kind, lasting, nx, xx, get, keepttl, names, None
                    )
                    return done is True
                if verdict == OUTDATED:
                    return False
            finally:
                space.leave()
        return False

    def _set_if(
        self,
        key: str,
        held: object,
        kind: u8,
        lasting: Lasting,
        nx: bool,
        xx: bool,
        get: bool,
        keepttl: bool,
        names: list[str] | None,
        default: object,
    ) -> object:
        if nx and xx:
            raise ExcludingOptionsError("nx=True and xx=True exclude each other")
        if keepttl and not lasting.is_default:
            raise ExcludingOptionsError("keepttl=True and a time to live exclude each other")
        space = self._space
        lasting.begin("set", space, space.shared.now_ms())
        entry = space.find(key) if get else space.peek(key)
        former = default
        if get and entry is not None:
            former = whole(space, entry)
        done = not (nx and entry is not None) and not (xx and entry is None)
        if done:
            if keepttl and entry is not None:
                idle = space.idle_of(entry)
                space.put(key, held, kind, entry.expires_at_ms, names, idle, "set", "")
            else:
                space.put(key, held, kind, lasting.deadline_ms, names, lasting.idle)
        return former if get else done

    @command(
        "SETNX key:ow-insert value",
        complexity="O(1)",
        grows=True,
        fast=True,
        deprecated="2.6.12",
        instead="`SET` with the `NX` argument",
        summary="Set the value of a key only when the key doesn't exist.",
    )
    def setnx(self, key: str, value: V) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return bool(self._store_whole(key, value, _UNSET, "setnx", True))

    @command(
        "SETEX key:ow-update ttl:seconds value",
        complexity="O(1)",
        grows=True,
        reply="ok",
        deprecated="2.6.12",
        instead="`SET` with the `EX` argument",
        summary="Set the value and the time to live of a key in seconds.",
    )
    def setex(self, key: str, ttl: object, value: V) -> bool:
        """Sets a key with a time to live."""
        return self._store_whole(key, value, ttl, "setex", False)

    def _store_whole(
        self, key: str, value: object, ttl: object, name: str, only_new: bool
    ) -> bool:
        key = exact_key(key)
        kind = kind_of(value)
        held = self._box(value)
        ttl = plain_ttl(ttl)
        space = enter(self)
        try:
            deadline = deadline_of(ttl, name, space, space.shared.now_ms())
            if only_new and space.peek(key) is not None:
                return False
            space.put(key, held, kind, deadline)
            return True
        finally:
            space.leave()

    @overload
    def getset(self, key: str, value: V) -> V | None: ...
    @overload
    def getset(self, key: str, value: V, default: D) -> V | D: ...
    @command(
        "GETSET key:rw-access-update value",
        complexity="O(1)",
        grows=True,
        fast=True,
        reply="stored",
        deprecated="6.2.0",
        instead="`SET` with the `!GET` argument",
        summary="Return the former value of a key after setting it to a new one.",
    )
    def getset(self, key: str, value: object, default: object = None) -> object:
        """Sets a key and gives back its former value.

        Args:
            default: what to give for a missing key; MISSING tells it from a stored None.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        key = exact_key(key)
        kind = kind_of(value)
        held = self._box(value)
        enter_for(self, key)
        try:
            lasting = Lasting(_UNSET)
            found = self._set_if(
                key, held, kind, lasting, False, False, True, False, None, default
            )
        finally:
            self._leave()
        return self._give(found, default)


@command(
    "PSETEX key:ow-update ttl:milliseconds value",
    complexity="O(1)",
    grows=True,
    reply="ok",
    deprecated="2.6.12",
    instead="`SET` with the `PX` argument",
    summary="Set the value and the time to live of a key in milliseconds.",
)
def psetex(cache: Strings, key: str, ttl: object, value: object) -> bool:
    """Sets a key with a time to live."""
    return cache._store_whole(key, value, ttl, "psetex", False)
