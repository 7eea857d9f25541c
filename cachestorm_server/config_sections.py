"""The sections of the configuration: every setting, once.

Read by the configuration, which fills them; by the commands that print a file, a table or a
schema; and by the parts of the server that go by them. A setting is one annotated attribute
below: its name is its key in the file, its default is the default, its `Spec` says the rest.

1. A setting whose feature is not built yet may be given at its default, so that a file
   written for later still works; anything else is refused, never ignored.
2. Whatever a user of CacheStorm in Go may have in a file is here, or in `ALIASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Final, cast, get_args, get_type_hints

from cachestorm.cache import DEFAULT_POLICY
from cachestorm.errors import PluginError
from cachestorm.eviction.sampled import SAMPLE_SIZE
from cachestorm_server.acl.logins import MOST_FAILURES
from cachestorm_server.config_cluster import ClusterConfig
from cachestorm_server.config_spec import Spec
from cachestorm_server.config_tiers import TiersConfig
from cachestorm_server.replication.limits import BACKLOG_BYTES, BACKLOG_TTL_S, TIMEOUT_S
from cachestorm_server.setting_kinds import (
    ADDRESS,
    ADDRESSES,
    COUNT,
    DURATION_MS,
    DURATION_S,
    DURATION_US,
    FILE,
    LIMIT,
    MODE,
    NAME,
    PERCENT,
    POLICY,
    PORT,
    SAMPLES,
    SECRET,
    SIZE,
    SWITCH,
    TEXT,
    URL_PATH,
    WORD,
    WORDS,
    Kind,
    one_of,
    table_of,
    whole,
)
from cachestorm_server.settings import (
    CLIENT_AUTH,
    DEBUG_COMMAND,
    DEFAULT_PORT,
    HTTP_HEADER_TIMEOUT_S,
    HTTP_KEEPALIVE_TIMEOUT_S,
    MAX_HTTP_CLIENTS,
)

DEFAULT_HTTP_PORT: Final = 9090
LEVELS: Final = ("debug", "info", "warn", "warning", "error")
FORMATS: Final = ("console", "json")
STREAMS: Final = ("stdout", "stderr")

# sections whose rows the file names
NAMESPACES: Final = "namespaces"
PLUGINS: Final = "plugins"

# what every plugin has that does not come with the server, beside settings of its own
ENABLED: Final = "enabled"
PATH: Final = "path"

Dotted = tuple[str, ...]


def _live(kind: Kind, meaning: str) -> Spec:
    return Spec(kind, meaning, live=True)


_BUFFERS: Final = "choosing the size of buffers, which is up to the event loop,"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The RESP endpoint."""

    bind: Annotated[tuple[str, ...], Spec(ADDRESSES, "addresses to listen on")] = ("127.0.0.1",)
    port: Annotated[int, Spec(PORT, "the port of RESP; 0: any free one")] = DEFAULT_PORT
    unixsocket: Annotated[str, Spec(FILE, "path of a Unix socket to listen on as well")] = ""
    unixsocketperm: Annotated[
        str, Spec(MODE, "permissions of the Unix socket, as for `chmod`, in quotes")
    ] = "0700"
    max_connections: Annotated[int, _live(COUNT, "limit of RESP clients")] = 10_000
    protected_mode: Annotated[
        bool, _live(SWITCH, "without a password, let in only clients of this host")
    ] = True
    enable_debug_command: Annotated[
        str, Spec(one_of(DEBUG_COMMAND), "who may use DEBUG: no, local (this host) or yes")
    ] = DEBUG_COMMAND[0]
    timeout: Annotated[
        int, _live(DURATION_S, "a client idle for longer is disconnected; 0: never")
    ] = 0
    write_timeout: Annotated[
        int,
        _live(
            DURATION_S,
            "a client that does not read its replies for longer is disconnected; 0: never",
        ),
    ] = 0
    tcp_keepalive: Annotated[
        int, _live(DURATION_S, "how often the system probes a silent client; 0: never")
    ] = 300
    read_buffer_size: Annotated[
        int, Spec(SIZE, "of CacheStorm in Go; without effect", _BUFFERS)
    ] = 4096
    write_buffer_size: Annotated[
        int, Spec(SIZE, "of CacheStorm in Go; without effect", _BUFFERS)
    ] = 4096


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS: for RESP on a port of its own, for HTTP in place of plain HTTP."""

    bind: Annotated[
        tuple[str, ...], Spec(WORDS, "addresses for RESP over TLS; empty: those of RESP")
    ] = ()
    port: Annotated[int, Spec(PORT, "the port of RESP over TLS; 0: none")] = 0
    http: Annotated[bool, Spec(SWITCH, "the HTTP endpoint speaks HTTPS")] = False
    cert_file: Annotated[str, _live(FILE, "the certificate with its chain, in PEM")] = ""
    key_file: Annotated[str, _live(FILE, "its private key, in PEM, without a password")] = ""
    ca_file: Annotated[str, _live(FILE, "the CA of client certificates, in PEM")] = ""
    client_auth: Annotated[
        str,
        _live(
            one_of(CLIENT_AUTH),
            "client certificates: `none`, `optional` (checked if shown) or `required`",
        ),
    ] = "none"


@dataclass(frozen=True, slots=True)
class AclConfig:
    """Users, and commands that none of them may use."""

    file: Annotated[
        str, Spec(FILE, "users, as lines of `ACL LIST`: [security](security.md)")
    ] = ""
    max_failures: Annotated[
        int,
        _live(LIMIT, "wrong passwords in a row from one address; 0: no limit"),
    ] = MOST_FAILURES
    disabled_commands: Annotated[
        tuple[str, ...],
        Spec(WORDS, "commands that nobody may use, such as `flushall, debug`"),
    ] = ()


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """The limits of the whole cache; 0: none."""

    max_memory: Annotated[int, _live(SIZE, "memory limit of the whole cache; 0: none")] = 0
    max_entries: Annotated[int, _live(LIMIT, "limit of the number of keys; 0: none")] = 0
    max_reply: Annotated[
        int,
        _live(
            SIZE,
            "size limit of a reply that repeats values; 0: as much as `max_memory` (at least "
            "64 MiB), or 1 GiB without it",
        ),
    ] = 0
    eviction_policy: Annotated[
        str, _live(POLICY, "what is evicted at a limit: see [eviction](eviction.md)")
    ] = DEFAULT_POLICY
    pressure_warning: Annotated[
        int, _live(PERCENT, "percentage of `max_memory` at which the log warns")
    ] = 70
    pressure_critical: Annotated[
        int, _live(PERCENT, "percentage of `max_memory` at which the log warns again")
    ] = 85
    eviction_sample_size: Annotated[
        int, _live(SAMPLES, "how many entries a sampling policy draws to evict one")
    ] = SAMPLE_SIZE


@dataclass(frozen=True, slots=True)
class NamespaceConfig:
    """One namespace; 0: no time to live, no quota."""

    default_ttl: Annotated[
        int,
        _live(DURATION_MS, "time to live of keys written without one; 0: none"),
    ] = 0
    max_memory: Annotated[int, _live(SIZE, "memory quota of the namespace; 0: none")] = 0


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """The HTTP endpoint."""

    enabled: Annotated[bool, Spec(SWITCH, "opens the HTTP endpoint")] = True
    port: Annotated[int, Spec(PORT, "the port of HTTP; 0: any free one")] = DEFAULT_HTTP_PORT
    bind: Annotated[
        tuple[str, ...], Spec(WORDS, "addresses for HTTP; empty: those of RESP")
    ] = ()
    max_connections: Annotated[int, _live(COUNT, "limit of HTTP clients")] = MAX_HTTP_CLIENTS
    header_timeout: Annotated[
        int,
        _live(
            DURATION_S,
            "a client whose request header takes longer is disconnected; 0: never",
        ),
    ] = HTTP_HEADER_TIMEOUT_S
    keepalive_timeout: Annotated[
        int,
        _live(
            DURATION_S,
            "a client that sends no further request for longer is disconnected; 0: never",
        ),
    ] = HTTP_KEEPALIVE_TIMEOUT_S
    max_body: Annotated[int, Spec(SIZE, "limit of a request body; 0: none")] = 16 * 1024 * 1024
    hosts: Annotated[
        tuple[str, ...], Spec(WORDS, "host names that are accepted when there is no password")
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...], Spec(WORDS, "origins that get CORS permission")
    ] = ()


@dataclass(frozen=True, slots=True)
class PersistenceConfig:
    """Snapshots and the journal."""

    enabled: Annotated[bool, Spec(SWITCH, "keeps the data across restarts")] = False
    aof: Annotated[bool, Spec(SWITCH, "keeps a journal of writes")] = True
    aof_sync: Annotated[
        str,
        _live(
            one_of(("always", "everysec", "no")),
            "when writes are forced to the disk: `always`, `everysec` or `no`",
        ),
    ] = "everysec"
    snapshot_interval: Annotated[int, _live(DURATION_MS, "time between snapshots; 0: none")] = (
        300_000
    )
    data_dir: Annotated[str, Spec(NAME, "directory of the files")] = "/var/lib/cachestorm"
    max_aof_size: Annotated[
        int, _live(SIZE, "growth of the journal that starts a snapshot")
    ] = 1 << 30


@dataclass(frozen=True, slots=True)
class ReplicationConfig:
    """A replica, which copies another server: see [replication](replication.md)."""

    replica_of: Annotated[
        str, Spec(ADDRESS, "the primary, as `host:port`; empty: this server is a primary")
    ] = ""
    primary_user: Annotated[str, _live(TEXT, "user name at the primary; empty: `default`")] = ""
    primary_password: Annotated[str, _live(SECRET, "password there; empty: none")] = field(
        default="", repr=False
    )
    tls: Annotated[
        bool,
        Spec(SWITCH, "TLS to the primary, whose certificate `tls.ca_file` has signed"),
    ] = False
    backlog_size: Annotated[
        int, _live(SIZE, "how much is kept for a replica that was disconnected")
    ] = BACKLOG_BYTES
    backlog_ttl: Annotated[
        int, _live(DURATION_S, "how long it is kept without any replica; 0: for ever")
    ] = BACKLOG_TTL_S
    timeout: Annotated[
        int, _live(DURATION_S, "a replica or primary that is silent for longer is disconnected")
    ] = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class StatsConfig:
    """The counters and times of commands."""

    enabled: Annotated[
        bool, _live(SWITCH, "counts and times commands, for INFO and LATENCY")
    ] = True


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """What Prometheus reads from the HTTP endpoint."""

    enabled: Annotated[bool, Spec(SWITCH, "serves metrics for Prometheus")] = True
    path: Annotated[str, Spec(URL_PATH, "path of the metrics")] = "/metrics"
    namespaces: Annotated[
        int, Spec(LIMIT, "how many of the largest namespaces have series of their own")
    ] = 100
    hot_keys: Annotated[int, Spec(LIMIT, "how many hot keys have a series; 0: none")] = 10


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The password that every endpoint requires when enabled."""

    enabled: Annotated[
        bool,
        _live(SWITCH, "requires the password; on by default if the environment sets one"),
    ] = False
    password: Annotated[str, _live(SECRET, "password of `default`")] = field(
        default="", repr=False
    )
    password_file: Annotated[
        str, _live(TEXT, "a file that holds it instead, such as a Docker secret")
    ] = ""


@dataclass(frozen=True, slots=True)
class SlowlogConfig:
    """The log of slow commands."""

    enabled: Annotated[bool, _live(SWITCH, "records slow calls for `SLOWLOG GET`")] = True
    threshold: Annotated[
        int, _live(DURATION_US, "how long a slow call takes; 0: all calls")
    ] = 10_000
    max_entries: Annotated[int, _live(whole(0, 2**31 - 1), "how many calls are kept")] = 1000


@dataclass(frozen=True, slots=True)
class PluginsConfig:
    """The plugins that come with the server; others bring their own settings."""

    stats: StatsConfig = field(default_factory=StatsConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    slowlog: SlowlogConfig = field(default_factory=SlowlogConfig)


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """The server's log."""

    level: Annotated[str, _live(one_of(LEVELS), "`debug`, `info`, `warn` or `error`")] = "info"
    format: Annotated[str, _live(one_of(FORMATS), "`console`, or `json`: an object a line")] = (
        "console"
    )
    output: Annotated[
        str,
        _live(
            NAME,
            "stdout, stderr, or the path of a file, which may be moved away (logrotate) and is "
            "then made anew",
        ),
    ] = "stdout"


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """A plugin that the file names.

    Attributes:
        name: of its section.
        factory: its class; called with the settings, if it has some.
        specs: of its settings, by name.
        values: those that were given.
        settings: an object of its `Settings`; None if it has none.
        version: of the distribution that it is part of; or empty.
        source: where it was found.
    """

    name: str
    factory: Callable[..., object] = field(compare=False, repr=False)
    specs: Mapping[str, Spec] = field(compare=False, repr=False)
    values: Mapping[str, object]
    settings: object = field(default=None, compare=False, repr=False)
    version: str = ""
    source: str = ""

    @property
    def enabled(self) -> bool:
        return bool(self.values.get(ENABLED, True))

    def value(self, name: str) -> object:
        """A setting, also one that was left out."""
        if name in (ENABLED, PATH):
            return self.values.get(name, name == ENABLED or "")
        return getattr(self.settings, name, self.values.get(name))

    def made(self) -> object:
        """The plugin.

        Raises:
            PluginError: if it cannot be made.
        """
        try:
            return self.factory() if self.settings is None else self.factory(self.settings)
        except Exception as error:
            raise PluginError(
                f"the plugin {self.name} cannot be made: {type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class Config:
    """All of it.

    Attributes:
        namespaces: by name.
        parameters: of CONFIG SET that have no setting of their own, by name.
        extensions: the plugins that do not come with the server, by name.
        file: where it was read from; empty without a file.
        origins: where each setting that was given came from.
    """

    server: ServerConfig = field(default_factory=ServerConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    acl: AclConfig = field(default_factory=AclConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    persistence: PersistenceConfig = field(default_factory=PersistenceConfig)
    replication: ReplicationConfig = field(default_factory=ReplicationConfig)
    tiers: TiersConfig = field(default_factory=TiersConfig)
    plugins: PluginsConfig = field(default_factory=PluginsConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    parameters: Annotated[
        Mapping[str, str],
        _live(table_of(WORD), "parameters of CONFIG SET that have no setting of their own"),
    ] = field(default_factory=lambda: MappingProxyType({}))
    namespaces: Mapping[str, NamespaceConfig] = field(
        default_factory=lambda: MappingProxyType({})
    )
    extensions: Mapping[str, PluginConfig] = field(default_factory=lambda: MappingProxyType({}))
    file: str = ""
    origins: Mapping[Dotted, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    @property
    def password(self) -> str:
        """What clients have to give; empty when nothing is asked."""
        return self.plugins.auth.password if self.plugins.auth.enabled else ""


# Another name of a setting, and the setting.
ALIASES: Final[Mapping[Dotted, Dotted]] = MappingProxyType(
    {
        ("server", "read_timeout"): ("server", "timeout"),
        ("plugins", "metrics", "port"): ("http", "port"),
    }
)


@cache
def keys() -> Mapping[Dotted, Spec]:
    """Every setting but those of namespaces, by path."""
    return MappingProxyType(dict(leaves(Config, ())))


def leaves(section: type, path: Dotted) -> Iterator[tuple[Dotted, Spec]]:
    """The settings of a section, and of those within it."""
    for name, hint in get_type_hints(section, include_extras=True).items():
        inner = (*path, name)
        if is_dataclass(hint):
            yield from leaves(cast(type, hint), inner)
        else:
            # of Annotated: the type, then what was said about it
            for said in get_args(hint)[1:]:
                if isinstance(said, Spec):
                    yield inner, said


def value_at(config: object, path: Dotted) -> object:
    """The value of a setting."""
    value = config
    for name in path:
        value = getattr(value, name)
    return value
