"""The address of a server: a URL, checked before anything connects."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from cachestorm.cache import Cache
from cachestorm.errors import ConfigError
from cachestorm.suggestions import did_you_mean

SCHEMES = ("redis", "rediss", "unix")
MEMORY = "memory"
LOCAL = "local"
CLUSTER = "cluster"
# redis-py 8 refuses callers beyond a hundred at once, where 5 to 7 made connections for all
MANY: Final = {"max_connections": 2**31}
# options of redis-py that cannot be had: what is read are bytes, by several connections
_OF_TEXT = frozenset(
    {"decode_responses", "encoding", "encoding_errors", "single_connection_client"}
)
# by what the command line calls them in an address
_FILES = {"ca": "ssl_ca_certs", "cert": "ssl_certfile", "key": "ssl_keyfile"}
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_ADVICE = (
    "memory:// for this process, local://name for what the processes of this machine share, "
    "redis://host:6380/0, rediss:// for TLS, unix:///path/to/socket, or "
    "cluster://host:6379,host:6379"
)
# what is text even where it looks like a number
_SECRETS = frozenset({"username", "password"})
# options of `connect` itself
OWN = frozenset({"codec", "max_pending", "near", "on_error", "typed"})


@dataclass(frozen=True)
class Address:
    """Where a server listens, and how to log in there.

    Attributes:
        url: as it was given, with the password in it.
        shown: the same without user name and password, for messages.
        options: further arguments of redis-py's client, such as `socket_timeout`.
        threaded, awaited: more of them, for a client of threads and for one of tasks.
        nodes: of a cluster, those that are asked first; others are found by them.
        gone: errors after which a command is sent again.
        is_typed: the server is to keep values as what they are.
    """

    url: str = field(repr=False)
    shown: str
    options: dict[str, Any] = field(repr=False)
    threaded: dict[str, Any] = field(repr=False, default_factory=dict)
    awaited: dict[str, Any] = field(repr=False, default_factory=dict)
    nodes: tuple[tuple[str, int], ...] = ()
    gone: tuple[type[Exception], ...] = ()
    is_typed: bool = False

    @classmethod
    def read(cls, url: str, options: Mapping[str, Any] | None = None) -> Address:
        """The address of a server, or of what the processes of a machine share.

        Args:
            url: also `local://name`.
            options: as in `parse`; for `local://` as in `local_address`.

        Raises:
            ConfigError: for what is wrong with them.
        """
        scheme = url.partition("://")[0]
        if scheme == CLUSTER:
            return cls._cluster(url, options or {})
        if scheme != LOCAL:
            return cls.parse(url, options)
        connection_options()  # which says what is to be installed
        from cachestorm.remote.local import local_address

        return local_address(url, options or {})

    def client(self, **options: Any) -> Any:
        """A client of redis-py for threads, which has not connected yet.

        Args:
            options: more than the address has.
        """
        import redis

        settings = {**MANY, **self.options, **self.threaded, **options}
        return redis.Redis.from_url(self.url, **settings)

    def async_client(self, **options: Any) -> Any:
        """The same for tasks of asyncio."""
        import redis.asyncio

        settings = {**MANY, **self.options, **self.awaited, **options}
        if not self.awaited:
            return redis.asyncio.Redis.from_url(self.url, **settings)
        # from_url has the class of connections from the URL
        pool: Any = redis.asyncio.ConnectionPool(**settings)
        return redis.asyncio.Redis.from_pool(pool)

    def typed(self) -> Address:
        """The same with connections that say what their values are.

        Raises:
            ConfigError: for a cluster.
        """
        if self.nodes:
            raise ConfigError(f"{self.shown}: typed=True is for one server, not for a cluster")
        return replace(self, is_typed=True)

    def cluster_client(self, **options: Any) -> Any:
        """A client of redis-py for the threads that use a cluster; it connects at once."""
        from redis.cluster import ClusterNode, RedisCluster

        node: Any = ClusterNode
        nodes = [node(host, port) for host, port in self.nodes]

        class Client(RedisCluster):
            def __del__(self) -> None:
                # its own takes a lock, which in the child of a fork nobody may ever give back;
                # connections that are used up close themselves
                pass

        return Client(startup_nodes=nodes, **{**self.options, **options})

    def async_cluster_client(self, **options: Any) -> Any:
        """The same for tasks of asyncio; it connects when it is first used."""
        from redis.asyncio.cluster import ClusterNode, RedisCluster

        nodes = [ClusterNode(host, port) for host, port in self.nodes]
        return RedisCluster(startup_nodes=nodes, **{**self.options, **options})

    @classmethod
    def _cluster(cls, url: str, options: Mapping[str, Any]) -> Address:
        shown = _shown(url)
        login, _, place = url.partition("://")[2].rpartition("@")
        nodes = []
        for node in place.strip("/").split(","):
            host, colon, port = node.rpartition(":")
            is_port = port.isascii() and port.isdecimal() and 0 < int(port) < 65536
            if not (colon and host and is_port):
                raise ConfigError(
                    f"{shown}: {node!r} is no node: use cluster://host:6379,host:6379"
                )
            nodes.append((host.strip("[]"), int(port)))
        given = dict(options)
        unknown = sorted(given.keys() - _cluster_options())
        if unknown:
            raise ConfigError(
                f"{', '.join(unknown)}: not an option of a connection to {shown}; use those of "
                "redis.cluster.RedisCluster, such as socket_timeout"
                f"{did_you_mean(unknown, _cluster_options() | OWN)}"
            )
        if login:
            user, _, password = login.partition(":")
            if user:
                given["username"] = unquote(user)
            if password:
                given["password"] = unquote(password)
        return cls(url, shown, given, nodes=tuple(nodes))

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any] | None = None) -> Address:
        """Checks a URL and the options for its connections.

        Raises:
            ConfigError: for a scheme, a port or a database that is wrong, and for an option
                that redis-py's client does not have.
        """
        if "://" not in url:
            raise ConfigError(_without_scheme(url))
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ConfigError(f"cannot connect to a {parts.scheme}:// address: use {_ADVICE}")
        shown = _shown(url)
        try:
            parts.port  # noqa: B018
        except ValueError:
            raise ConfigError(f"{shown}: the port must be a number from 1 to 65535") from None
        database = unquote(parts.path).strip("/")
        if parts.scheme == "unix":
            if not database or parts.hostname:
                raise ConfigError("a unix:// address needs a path: unix:///path/to/socket")
        elif database and not (database.isascii() and database.isdecimal()):
            raise ConfigError(f"{shown}: the database must be a number, as in redis://host/0")
        given = dict(options or {})
        named = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        unknown = sorted((given.keys() - connection_options()) | (named & _OF_TEXT))
        if unknown:
            raise ConfigError(
                f"{', '.join(unknown)}: not an option of a connection to {shown}; use "
                "those of redis.Redis, such as socket_timeout or max_connections"
                f"{did_you_mean(unknown, connection_options() | OWN)}"
            )
        _try_options(url, shown, given)
        return cls(url, shown, given)


def options_in(url: object) -> tuple[str, dict[str, Any]]:
    """An address without the options behind its question mark, and these.

    Those of redis-py stay in the address of a server, which redis-py reads itself.

    Raises:
        ConfigError: for what is no text.
    """
    if not isinstance(url, str):
        raise ConfigError(
            f"an address is text, such as redis://host:6380, not {type(url).__name__}"
        )
    scheme, separator, rest = url.partition("://")
    url = f"{scheme.lower()}{separator}{rest}"
    place, mark, query = url.partition("?")
    if not mark:
        return url, {}
    pairs = parse_qsl(query, keep_blank_values=True)
    is_ours = scheme.lower() in (MEMORY, LOCAL, CLUSTER)
    found = {
        name: text if name in _SECRETS else _value(text)
        for name, text in pairs
        if is_ours or name in OWN
    }
    if not found and not is_ours:
        return url, {}
    left = [] if is_ours else [pair for pair in pairs if pair[0] not in OWN]
    return f"{place}?{urlencode(left)}" if left else place, found


def _value(text: str) -> bool | int | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isascii() and text.isdecimal() else text


def _shown(url: str) -> str:
    """An address without user name and password."""
    scheme, _, rest = url.partition("://")
    login, _, place = rest.rpartition("@")
    if any(mark in login for mark in "/?#"):
        # a password that is not percent-encoded, or one in the query: what is what?
        return f"{scheme}://..."
    return f"{scheme}://{place.partition('?')[0].partition('#')[0]}"


def _try_options(url: str, shown: str, options: dict[str, Any]) -> None:
    import redis

    try:
        # makes a connection without connecting
        made = redis.Redis.from_url(url, **options).connection_pool.make_connection()
    except (TypeError, ValueError, redis.RedisError) as error:
        unexpected = _UNEXPECTED.search(str(error))
        reason = _why_unknown(unexpected[1]) if unexpected else str(error)
        raise ConfigError(f"{shown}: {reason}") from None
    for name in _FILES.values():
        path = getattr(made, name.removeprefix("ssl_"), None) or getattr(made, name, None)
        if path and not os.path.isfile(path):
            raise ConfigError(f"{shown}: {name}: there is no file {path!r}")


def _why_unknown(name: str) -> str:
    if name in _FILES:
        return f"?{name}= is of the command line; here it is {_FILES[name]}"
    return f"?{name}= means nothing{did_you_mean([name], connection_options() | OWN)}"


def _without_scheme(url: str) -> str:
    """What is wrong with what is no address, and what it may have been meant to be."""
    place = url.rpartition("@")[2]
    scheme, colon, rest = place.partition(":")
    known = (MEMORY, LOCAL, CLUSTER, *SCHEMES)
    meant = (
        f"{scheme}://{rest.lstrip('/')}" if colon and scheme in known else f"redis://{place}"
    )
    hint = f"; did you mean {meant}?" if place else ""
    return f"{place!r} is no address: use {_ADVICE}{hint}"


def connection_options() -> frozenset[str]:
    """What redis-py's clients can be given beside what a URL says.

    Raises:
        ConfigError: if redis-py is not installed.
    """
    try:
        import redis
        import redis.asyncio
    except ImportError:
        raise ConfigError(
            "a cache on a server needs redis-py: pip install 'cachestorm[remote]'"
        ) from None

    kinds: tuple[Any, Any] = (redis.Redis, redis.asyncio.Redis)
    sync, aio = (set(inspect.signature(kind.__init__).parameters) for kind in kinds)
    of_url = {"self", "host", "port", "db", "unix_socket_path", "connection_pool"}
    return frozenset((sync & aio) - of_url - _OF_TEXT)


def _cluster_options() -> frozenset[str]:
    """Of these, what its clients of a cluster can be given."""
    known = connection_options()
    from redis.asyncio.cluster import RedisCluster

    return known & set(inspect.signature(RedisCluster.__init__).parameters)


@lru_cache(maxsize=1)
def cache_settings() -> frozenset[str]:
    """The parameters of `Cache`."""
    # of the class: a compiled constructor takes anything, as far as it says itself
    return frozenset(inspect.signature(Cache).parameters)
