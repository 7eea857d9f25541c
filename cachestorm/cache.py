"""The cache: the endpoint in process, and what every other endpoint calls.

Put together from the families of commands; adds what concerns a cache as a whole:
making one, its namespaces, transactions, and `execute`, which runs any declared command by
its name through the plan that the wire uses.

1. A `Cache` is a view of one namespace. Views of one store share its lock, its memory
   limit and its listeners, and cost nothing to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, cast

from mypy_extensions import i64, mypyc_attr

from cachestorm.clock import Clock
from cachestorm.commands.bitmaps import Bitmaps
from cachestorm.commands.blocking import Blocking
from cachestorm.commands.deadlines import Deadlines
from cachestorm.commands.dumping import Dumping
from cachestorm.commands.edge import enter
from cachestorm.commands.fetching import Fetching
from cachestorm.commands.geo import Geo
from cachestorm.commands.hashes import Hashes
from cachestorm.commands.hyperloglog import HyperLogLogs
from cachestorm.commands.insight import Insight
from cachestorm.commands.keys import Keys
from cachestorm.commands.lists import Lists
from cachestorm.commands.many_strings import ManyStrings
from cachestorm.commands.memory import Memory
from cachestorm.commands.messages import Messages
from cachestorm.commands.namespaces import Namespaces
from cachestorm.commands.objects import Objects
from cachestorm.commands.scalars import Scalars
from cachestorm.commands.sets import Sets
from cachestorm.commands.sorted_sets import SortedSets
from cachestorm.commands.sorting import Sorting
from cachestorm.commands.strings import Strings
from cachestorm.commands.tags import Tags
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ArgumentError, ConfigError, InvalidKeyError
from cachestorm.eviction.policies import policy_named
from cachestorm.eviction.sampled import SAMPLE_SIZE
from cachestorm.face import Face
from cachestorm.keyspace.forks import guard
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import DEFAULT, NamespaceReference, Store, database_name
from cachestorm.listeners import Listeners
from cachestorm.mapping import WholeMapping
from cachestorm.markers import MISSING
from cachestorm.operations.names import exact_namespace
from cachestorm.persistence import EVERYSEC, Persistence
from cachestorm.settings import (
    NAMESPACE_SETTINGS,
    Settings,
    default_ttl_ms_of,
    limit_bytes,
    limit_entries,
    sample_size_of,
)
from cachestorm.sizes import human_bytes
from cachestorm.tiered import Tiered
from cachestorm.transaction import Transaction
from cachestorm.typevars import V
from cachestorm.values.forms import forms_of

if TYPE_CHECKING:
    from cachestorm.reaper import Reaper

DEFAULT_POLICY: Final = "adaptive"


@mypyc_attr(allow_interpreted_subclasses=True)
class Cache(
    # the families of the commonest commands first: who calls a method from outside compiled
    # code has its class looked for among all of them, one after the other
    Strings[V],
    Scalars,
    Hashes,
    Lists,
    Sets,
    SortedSets,
    ManyStrings[V],
    Keys,
    Fetching[V],
    Deadlines,
    Objects,
    Dumping,
    Memory,
    Blocking,
    Geo,
    Sorting,
    Bitmaps,
    HyperLogLogs,
    Tags,
    Namespaces,
    Insight,
    Messages,
    Listeners,
    Settings,
    Persistence,
    Tiered,
    Face[V],
    WholeMapping[V],
    Generic[V],
):
    """A typed, tag-aware, memory-bounded store inside this process.

    Args:
        max_memory: limit in bytes, or a size like `"256mb"`; None for none.
        max_entries: limit in keys; None for none.
        policy: what is evicted at a limit: `adaptive`, or by Redis' names, such as
            `allkeys-lru`, `volatile-ttl`, or `noeviction`, which refuses the write instead.
        sample_size: how many entries a policy that samples draws for a victim.
        default_ttl: time to live of keys written without one; None for none.
        max_reply: what one answer may hold, in bytes or as a size; None for as much as
            `max_memory`, and 64 MiB at least, or 1 GiB where that is not set.
        hot_keys: whether hits are counted for `hotkeys`.
        namespaces: namespaces that there are from the start, each with what `namespace` takes,
            as in `{"sessions": {"default_ttl": "30m", "max_memory": "8mb"}, "pages": {}}`.
        codec: as what objects are stored, `"json"`, `"msgpack"`, `"pickle"`, or by an object
            with `encode` and `decode`; None for the objects themselves, which are JSON on
            the wire. Nothing that comes from the wire is ever decoded.
        copy: whether objects are copied as they come and as they go, so that nobody shares one
            with the cache; or the function that does it.
        decode: an encoding by which values that are bytes are given as `str`; None: as bytes.
        weigher: gives what an object is charged at, in bytes, instead of an estimate.
        detect_mutation: raise a MutatedValueError when an object is read that was changed
            after it was stored; `"log"` to log a warning. To find mistakes, as it is slow.
        clock: where deadlines are measured; a test gives a `ManualClock`.
        data_dir: where the cache is kept on disk, so that it survives a restart; None: nowhere.
        aof_sync: when what was written is forced to the disk, `"always"`, before a write
            returns, `"everysec"`, once a second, or `"no"`, when the system likes.
        aof: whether each change is written to a journal; without it the directory gets what
            `save` and `close` write.
        warm: where values go that do not fit into `max_memory`, instead of being evicted: the
            path of a directory on an SSD, or a dict of `path`, `max_size` (a size; None for
            what the disk has) and `engine` (`"rocksdb"` or `"sqlite"`; None for the former
            where it is installed). What is there ends with the cache.
        cold: where values go that do not fit there either, or into memory where there is no
            `warm`: the URL of an object store, such as `"s3://bucket/prefix"`, or a dict of
            `url` and other settings. What is there ends with the cache.
        plugins: objects whose hooks `on_evict`, `on_expire` and `on_tag_invalidate` are called,
            in this order; see `cachestorm.plugins`.

    Raises:
        DurabilityError: if the directory cannot be used, or what is there is damaged.
        ConfigError: for an invalid size, limit, policy, sample, codec or other setting.
        TypeError: for a setting of the wrong type, such as a clock that is not a `Clock`.

    Examples:
        >>> cache = Cache(max_memory="64mb")
        >>> cache.set("user:1", {"name": "Ada"}, ttl=60, tags=["users"])
        True
        >>> cache.get("user:1")
        {'name': 'Ada'}
        >>> cache.invalidate("users")
        1
        >>> cache.get("user:1", "gone")
        'gone'
    """

    def __init__(
        self,
        max_memory: int | str | None = None,
        max_entries: int | None = None,
        *,
        policy: str = DEFAULT_POLICY,
        sample_size: int = SAMPLE_SIZE,
        default_ttl: object = None,
        max_reply: int | str | None = None,
        hot_keys: bool = True,
        namespaces: Mapping[str, Mapping[str, object]] | None = None,
        codec: object = None,
        copy: bool | Callable[[Any], Any] = False,
        decode: str | None = None,
        weigher: Callable[[Any], int] | None = None,
        detect_mutation: bool | Literal["log"] = False,
        clock: Clock | None = None,
        data_dir: str | PathLike[str] | None = None,
        aof_sync: str = EVERYSEC,
        aof: bool = True,
        warm: str | PathLike[str] | Mapping[str, object] | None = None,
        cold: str | Mapping[str, object] | None = None,
        plugins: Sequence[object] = (),
    ) -> None:
        forms = forms_of(codec, copy, decode, weigher, detect_mutation)
        self._store = Store(
            _clock_of(clock),
            limit_bytes(max_memory),
            limit_entries(max_entries),
            policy_named(policy),
            sample_size_of(sample_size),
            hot_keys,
        )
        self._space = self._store.space(DEFAULT)
        self._reference = self._store.reference(self._space)
        self._serves_others = False
        self._awaits = False
        self._forms = forms
        if forms is not None and forms.is_opening:
            self._store.open_values()
        default_ttl_ms = default_ttl_ms_of(default_ttl)
        self._store.max_reply_bytes = limit_bytes(max_reply)
        guard(self._store)
        if warm is not None or cold is not None:
            from cachestorm.tiers.settings import open_tiers

            self._store.tiering = open_tiers(self._store, forms, warm, cold)
        if data_dir is not None:
            # here, as few caches need any of it
            from cachestorm.durability.directory import DataDirectory

            try:
                directory = DataDirectory(self._store, forms, fspath(data_dir), aof_sync, aof)
                directory.load()
            except BaseException:
                self.close()
                raise
            self._store.directory = directory
        if default_ttl_ms != 0:
            self._set_default_ttl(default_ttl_ms)
        if namespaces is not None:
            self._make_namespaces(namespaces)
        if plugins:
            # which needs pluggy
            from cachestorm.plugins.store_hooks import attach_all

            attach_all(cast("Cache", self), plugins)

    def _make_namespaces(self, namespaces: Mapping[str, Mapping[str, object]]) -> None:
        if not isinstance(namespaces, Mapping):
            raise TypeError(f"namespaces are settings by name, not {namespaces!r}")
        for name, settings in cast("Mapping[object, object]", namespaces).items():
            if not isinstance(name, str):
                raise TypeError(f"the name of a namespace is a str, not {name!r}")
            if not isinstance(settings, Mapping):
                raise TypeError(f"namespace {name!r} takes a dict, not {settings!r}")
            unknown = [each for each in settings if each not in NAMESPACE_SETTINGS]
            if unknown:
                known = " and ".join(NAMESPACE_SETTINGS)
                raise ConfigError(f"namespace {name!r} takes {known}, not {unknown[0]!r}")
            view = self.namespace(
                name,
                default_ttl=settings.get("default_ttl"),
                max_memory=cast("int | str | None", settings.get("max_memory")),
            )
            # it lasts as long as the cache, also while it holds nothing
            self._store.kept.append(view._reference)

    def _set_default_ttl(self, default_ttl_ms: i64) -> None:
        enter(self)
        try:
            self._space.configure(default_ttl_ms, self._space.max_bytes)
        finally:
            self._leave()

    # -- namespaces

    @property
    def name(self) -> str:
        """The namespace that this cache is a view of."""
        return self._space.name

    def namespace(
        self, name: str, *, default_ttl: object = None, max_memory: int | str | None = None
    ) -> Self:
        """A view of another namespace, which is created on demand.

        It lasts while it holds something or has a default or a quota, or a view is alive.
        A view of a subclass is one of that class, with what it has in its `__dict__`.

        Args:
            default_ttl: if given, the time to live of keys written without one; 0 for none.
            max_memory: if given, the quota of the namespace; 0 for none.

        Raises:
            NamespaceError: for a name that is not 1 to 128 printable characters without
                spaces, or beyond 10,000 of them.
        """
        ttl_ms = 0
        if type(default_ttl) is not int or default_ttl != 0:
            ttl_ms = default_ttl_ms_of(default_ttl)
        quota = limit_bytes(max_memory)
        name = exact_namespace(name)
        enter(self)
        try:
            space = self._store.space(name)
            reference = self._store.reference(space)
            space.listed = True
            space.configure(
                space.default_ttl_ms if default_ttl is None else ttl_ms,
                space.max_bytes if max_memory is None else quota,
            )
        finally:
            self._leave()
        return self._view(space, reference, self._serves_others)

    def _view(
        self, space: Keyspace, reference: NamespaceReference, serves_others: bool
    ) -> Self:
        view = Cache.__new__(type(self))
        # what a subclass adds; its `__init__` would make another store
        added = getattr(self, "__dict__", None)
        if added is not None:
            vars(view).update(added)
        view._store = self._store
        view._space = space
        view._reference = reference
        view._serves_others = serves_others
        view._awaits = False
        view._forms = self._forms
        return view

    def serving_others(self) -> Self:
        """A view of the same namespace for an event loop that must not be held.

        A command that works in slices does the first one there and raises `Unfinished`, whose
        long_command the caller goes on with. Values come from it as they are stored: `to_wire`
        knows what bytes stand for them.
        """
        view = self._view(self._space, self._reference, True)
        view._forms = None
        return view

    def database(self, number: int) -> Self:
        """The namespace that SELECT calls by a number: 0 is `default`, n is `db<n>`.

        Raises:
            ArgumentError: for a number that is not a database.
            TypeError: for anything that is not an `int`.
        """
        return self.namespace(database_name(number))

    @classmethod
    def load(cls, path: str | PathLike[str], **settings: Any) -> Cache[V]:
        """A cache with all that `save` has written into a file, or that a Redis has.

        Args:
            path: of the file; it is read once, and not written to. Of Redis 2.6 to 8 or of
                Valkey: an RDB file, an AOF, or the directory of one.
            settings: what the constructor takes, but for `data_dir`.

        Raises:
            DurabilityError: if the file is damaged, incomplete or cannot be read.

        Examples:
            >>> import tempfile
            >>> cache = Cache()
            >>> cache.set("k", "v", tags=["t"])
            True
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     cache.save(folder + "/cache.snapshot")
            ...     copy = Cache.load(folder + "/cache.snapshot")
            >>> copy.get("k"), copy.tags("k")
            ('v', ['t'])
        """
        from cachestorm.durability.redis_files import load_into
        from cachestorm.durability.snapshot import load

        if settings.get("data_dir") is not None:
            raise ConfigError("load makes a cache without a data directory")
        cache = cls(**settings)
        if not load_into(cache, fspath(path)):
            load(cache._store, cache._forms, fspath(path))
        return cache

    # -- many commands in one step

    def transaction(self, *keys: str) -> Transaction:
        """Holds the lock for many commands, so that nobody sees half of them.

        Args:
            keys: whose values are brought to memory before, where they are in a colder tier:
                others would wait while the transaction reads them.

        Examples:
            >>> cache = Cache()
            >>> with cache.transaction():
            ...     cache.set("balance:a", 90)
            ...     cache.set("balance:b", 110)
            True
            True
        """
        return Transaction(self, keys)

    def execute(self, *argv: object) -> object:
        """Runs a declared command by its name, as a client would.

        Args:
            argv: the name (and subcommand), then arguments by position and token.

        Returns:
            What the method of that command returns.

        Raises:
            CacheStormError: whatever the command refuses, in Redis' words.
            NeedsConnectionError: for a command of a connection, such as `CLIENT ID`.

        Examples:
            >>> Cache().execute("SET", "k", "v", "EX", 60)
            True
        """
        if not argv:
            raise ArgumentError("a command has a name")
        arguments = list(argv)
        plan = REGISTRY.resolve(arguments)
        plan.refuse_connection()
        return plan.call(self, arguments)

    def reap(self) -> int:
        """One bounded step of freeing what is due or has left. Returns how much it met.

        Writes do this by themselves, a little at a time; a server, or what `reaper` makes,
        calls it until it returns 0.
        """
        return int(self._store.let_go())

    def reaper(self, every: float = 0.1) -> Reaper:
        """What reaps this cache in the background: a thread, or a task of asyncio.

        Args:
            every: seconds between two turns.

        Examples:
            >>> cache = Cache()
            >>> with cache.reaper() as reaper:
            ...     reaper.is_running
            True

            `async with cache.reaper():` starts a task instead, and
            `cache.reaper().start()` a thread that ends with the cache.
        """
        from cachestorm.reaper import Reaper

        return Reaper(self._store, every)

    # -- as a mapping of keys (special methods of a trait would fill no slot when compiled)

    def __getitem__(self, key: str) -> V:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: V) -> None:
        self.set(key, value)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            return self.exists(key) == 1
        except InvalidKeyError:
            # no key that there could be
            return False

    def __delitem__(self, key: str) -> None:
        if self.delete(key) == 0:
            raise KeyError(key)

    def __len__(self) -> int:
        tags = self._space.tags
        if tags.stale == 0 and not tags.uncounted:
            return len(self._space.dense)
        return self.namespace_stats()["keys"]

    def __bool__(self) -> bool:
        # an empty cache is still a cache: `cache or default` must not replace it
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __reduce__(self) -> str:
        raise TypeError("a cache lives in one process: it cannot be pickled or copied")

    def __repr__(self) -> str:
        used = human_bytes(self._space.used_bytes)
        limit = self._space.max_bytes or self._store.max_bytes
        within = f" of {human_bytes(limit)}" if limit else ""
        return f"<Cache {self.name!r}: {len(self)} keys, {used}{within}>"

    def _repr_html_(self) -> str:
        from cachestorm.notebooks import facts_table

        facts: dict[str, object] = {"policy": self.policy, "max_entries": self.max_entries}
        facts.update(self.stats()._facts())
        return facts_table(repr(self).strip("<>"), facts)

    def _check(self) -> None:
        """Asserts all invariants of the whole store. O(everything)."""
        enter(self)
        try:
            self._store._check()
        finally:
            self._leave()


def _clock_of(clock: object) -> Clock:
    if clock is None:
        return Clock()
    if not isinstance(clock, Clock):
        raise TypeError(f"a clock is a Clock, not {clock!r}")
    return clock
