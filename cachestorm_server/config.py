"""The configuration: all that an operator decides, from a file, the environment and flags.

Called by the command line, which hands the result to the application; calls the reader of
YAML and the kinds of settings. A setting is one annotated attribute below: its name is its
key in the file, its default is the default, its `Spec` says how it is read.

1. A flag beats the environment, which beats the file, which beats the default.
2. Everything that is wrong is found before anything is started, and all of it is said at once:
   where it is, which setting it is, what would be valid.
3. A setting whose feature is not built yet may be given at its default, so that a file
   written for later still works; anything else is refused, never ignored.
4. In the environment a setting is `CACHESTORM_`, the prefix of its section, its name:

    server, memory, plugins.*    CACHESTORM_PORT, _MAX_MEMORY, _AUTH_PASSWORD, _METRICS_PORT
    logging                      CACHESTORM_LOG_LEVEL
    cluster, persistence, http   CACHESTORM_CLUSTER_SEEDS, _PERSISTENCE_DATA_DIR, _HTTP_ENABLED
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, cast, get_args, get_type_hints

from cachestorm.cache import DEFAULT_POLICY, Cache
from cachestorm.errors import CacheStormError, ConfigError
from cachestorm.eviction.sampled import SAMPLE_SIZE
from cachestorm_server.config_file import read_yaml
from cachestorm_server.setting_kinds import (
    ADDRESSES,
    COUNT,
    DURATION_MS,
    DURATION_S,
    FILE,
    LIMIT,
    MODE,
    NAME,
    PATH,
    PERCENT,
    POLICY,
    PORT,
    SAMPLES,
    SECRET,
    SIZE,
    SWITCH,
    TEXT,
    WORDS,
    Kind,
    one_of,
)
from cachestorm_server.settings import CLIENT_AUTH, DEFAULT_PORT, HTTP_PATHS

DEFAULT_HTTP_PORT: Final = 9090
FILES: Final = ("cachestorm.yaml", "/etc/cachestorm/cachestorm.yaml")
LEVELS: Final = ("debug", "info", "warn", "warning", "error")
FORMATS: Final = ("console", "json")
STREAMS: Final = ("stdout", "stderr")

Dotted = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """How a setting is read.

    Attributes:
        kind: what it may be.
        awaits: what is missing before it may be anything but its default; or empty.
    """

    kind: Kind
    awaits: str = ""


_KEEPALIVE: Final = "choosing the interval of TCP keep-alive"
_BUFFERS: Final = "choosing the size of buffers"
_PRESSURE: Final = "eviction by memory pressure"
_STATS: Final = "switching the counters off"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The RESP endpoint."""

    bind: Annotated[tuple[str, ...], Spec(ADDRESSES)] = ("127.0.0.1",)
    port: Annotated[int, Spec(PORT)] = DEFAULT_PORT
    # the path of a socket of Unix to listen on as well, and who may open it
    unixsocket: Annotated[str, Spec(FILE)] = ""
    unixsocketperm: Annotated[str, Spec(MODE)] = "0700"
    max_connections: Annotated[int, Spec(COUNT)] = 10_000
    # without a password, only clients of this host are let in
    protected_mode: Annotated[bool, Spec(SWITCH)] = True
    # a client idle for longer is disconnected; 0: never
    read_timeout: Annotated[int, Spec(DURATION_S)] = 0
    write_timeout: Annotated[int, Spec(DURATION_S, "a limit on the time of a reply")] = 0
    tcp_keepalive: Annotated[int, Spec(DURATION_S, _KEEPALIVE)] = 300
    read_buffer_size: Annotated[int, Spec(SIZE, _BUFFERS)] = 4096
    write_buffer_size: Annotated[int, Spec(SIZE, _BUFFERS)] = 4096


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS: for RESP on a port of its own, for HTTP instead of what can be overheard.

    Attributes:
        port: of RESP over TLS; 0: none.
        http: the HTTP endpoint speaks HTTPS.
        cert_file, key_file, ca_file, client_auth: see `tls.TlsFiles`.
    """

    port: Annotated[int, Spec(PORT)] = 0
    http: Annotated[bool, Spec(SWITCH)] = False
    cert_file: Annotated[str, Spec(FILE)] = ""
    key_file: Annotated[str, Spec(FILE)] = ""
    ca_file: Annotated[str, Spec(FILE)] = ""
    client_auth: Annotated[str, Spec(one_of(CLIENT_AUTH))] = "none"


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """The limits of the whole cache; 0: none."""

    max_memory: Annotated[int, Spec(SIZE)] = 0
    max_entries: Annotated[int, Spec(LIMIT)] = 0
    # what one reply may hold; 0: as much as max_memory, or 1gb
    max_reply: Annotated[int, Spec(SIZE)] = 0
    eviction_policy: Annotated[str, Spec(POLICY)] = DEFAULT_POLICY
    pressure_warning: Annotated[int, Spec(PERCENT, _PRESSURE)] = 70
    pressure_critical: Annotated[int, Spec(PERCENT, _PRESSURE)] = 85
    eviction_sample_size: Annotated[int, Spec(SAMPLES)] = SAMPLE_SIZE


@dataclass(frozen=True, slots=True)
class NamespaceConfig:
    """One namespace; 0: no time to live, no quota."""

    default_ttl: Annotated[int, Spec(DURATION_MS)] = 0
    max_memory: Annotated[int, Spec(SIZE)] = 0


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """The HTTP endpoint; its port is that of `plugins.metrics`, as in CacheStorm in Go.

    Attributes:
        bind: empty: where the RESP endpoint listens.
        hosts: names other than localhost that the endpoint may be called by without a password.
    """

    enabled: Annotated[bool, Spec(SWITCH)] = True
    bind: Annotated[tuple[str, ...], Spec(WORDS)] = ()
    max_body: Annotated[int, Spec(SIZE)] = 16 * 1024 * 1024
    hosts: Annotated[tuple[str, ...], Spec(WORDS)] = ()


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Many nodes. Read and checked; nothing of it has an effect while it is off."""

    enabled: Annotated[bool, Spec(SWITCH, "the cluster")] = False
    node_name: Annotated[str, Spec(TEXT)] = ""
    bind_addr: Annotated[str, Spec(TEXT)] = "0.0.0.0"
    bind_port: Annotated[int, Spec(PORT)] = 7946
    advertise_addr: Annotated[str, Spec(TEXT)] = ""
    advertise_port: Annotated[int, Spec(PORT)] = 0
    seeds: Annotated[tuple[str, ...], Spec(WORDS)] = ()
    replicas: Annotated[int, Spec(LIMIT)] = 1
    replication_backlog: Annotated[int, Spec(LIMIT)] = 10_000
    migration_batch_size: Annotated[int, Spec(COUNT)] = 100
    gossip_interval: Annotated[int, Spec(DURATION_MS)] = 200
    probe_interval: Annotated[int, Spec(DURATION_MS)] = 1000
    probe_timeout: Annotated[int, Spec(DURATION_MS)] = 500
    suspicion_mult: Annotated[int, Spec(COUNT)] = 4


@dataclass(frozen=True, slots=True)
class PersistenceConfig:
    """Snapshot and journal."""

    enabled: Annotated[bool, Spec(SWITCH)] = False
    aof: Annotated[bool, Spec(SWITCH, "a snapshot without a journal")] = True
    aof_sync: Annotated[str, Spec(one_of(("always", "everysec", "no")))] = "everysec"
    snapshot_interval: Annotated[int, Spec(DURATION_MS)] = 300_000
    data_dir: Annotated[str, Spec(NAME)] = "/var/lib/cachestorm"
    max_aof_size: Annotated[int, Spec(SIZE)] = 1 << 30


@dataclass(frozen=True, slots=True)
class StatsConfig:
    """Counters of hits, misses and the like."""

    enabled: Annotated[bool, Spec(SWITCH, _STATS)] = True


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """What Prometheus reads, and the port of the HTTP endpoint."""

    enabled: Annotated[bool, Spec(SWITCH)] = True
    port: Annotated[int, Spec(PORT)] = DEFAULT_HTTP_PORT
    path: Annotated[str, Spec(PATH)] = "/metrics"


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The password that every endpoint asks for when enabled."""

    enabled: Annotated[bool, Spec(SWITCH)] = False
    password: Annotated[str, Spec(SECRET)] = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SlowlogConfig:
    """The log of slow commands."""

    enabled: Annotated[bool, Spec(SWITCH)] = True
    threshold: Annotated[int, Spec(DURATION_MS)] = 10
    max_entries: Annotated[int, Spec(COUNT)] = 1000


@dataclass(frozen=True, slots=True)
class PluginsConfig:
    """The parts that can be switched on and off."""

    stats: StatsConfig = field(default_factory=StatsConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    slowlog: SlowlogConfig = field(default_factory=SlowlogConfig)


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """The server's log; `output` is stdout, stderr or the path of a file."""

    level: Annotated[str, Spec(one_of(LEVELS))] = "info"
    format: Annotated[str, Spec(one_of(FORMATS))] = "console"
    output: Annotated[str, Spec(NAME)] = "stdout"


@dataclass(frozen=True, slots=True)
class Config:
    """All of it.

    Attributes:
        namespaces: by name.
        file: where it was read from; empty without a file.
    """

    server: ServerConfig = field(default_factory=ServerConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    persistence: PersistenceConfig = field(default_factory=PersistenceConfig)
    plugins: PluginsConfig = field(default_factory=PluginsConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    namespaces: Mapping[str, NamespaceConfig] = field(
        default_factory=lambda: MappingProxyType({})
    )
    file: str = ""

    @property
    def password(self) -> str:
        """What clients have to give; empty when nothing is asked."""
        return self.plugins.auth.password if self.plugins.auth.enabled else ""


_NAMESPACES: Final = "namespaces"
_ENV: Final = "CACHESTORM_"
_ENV_PREFIXES: Final = {"server": "", "memory": "", "plugins": "", "logging": "LOG_"}
# variables that are not settings: the file's name, where a client finds the server, and what
# the build and its tests read
_OTHER_VARIABLES: Final = frozenset(
    f"{_ENV}{name}"
    for name in ("CONFIG", "URL", "PURE", "COMPILE", "EXPECT", "NIGHTLY", "SEED", "TRACES")
)
# Kubernetes and Docker describe a service called "cachestorm" by variables of its name
_SERVICE_LINK: Final = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP|SCTP)")
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")


@cache
def keys() -> Mapping[Dotted, Spec]:
    """Every setting but those of namespaces, by path."""
    return MappingProxyType(dict(_leaves(Config, ())))


def _leaves(section: type, path: Dotted) -> Iterator[tuple[Dotted, Spec]]:
    for name, hint in get_type_hints(section, include_extras=True).items():
        inner = (*path, name)
        if is_dataclass(hint):
            yield from _leaves(cast(type, hint), inner)
        else:
            # of Annotated: the type, then what was said about it
            for said in get_args(hint)[1:]:
                if isinstance(said, Spec):
                    yield inner, said


def variable_of(path: Dotted) -> str:
    """The name of a setting in the environment."""
    prefix = _ENV_PREFIXES.get(path[0], path[0] + "_")
    return (_ENV + prefix + "_".join(path[1:])).upper()


def load(
    file: str | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, tuple[str, object]] | None = None,
) -> Config:
    """Reads the configuration.

    Args:
        file: path of a YAML file; None: what CACHESTORM_CONFIG names, else the first of
            `FILES` that exists, else none.
        environment: variables; None: those of this process.
        flags: dotted path of a setting -> (the flag's name, the value).

    Raises:
        ConfigError: naming everything that is refused.
    """
    variables = os.environ if environment is None else environment
    loading = _Loading()
    chosen = file or variables.get(f"{_ENV}CONFIG") or _find_file()
    if chosen:
        loading.read_file(chosen)
    loading.read_environment(variables)
    for dotted, (flag, value) in (flags or {}).items():
        loading.take(tuple(dotted.split(".")), value, flag)
    return loading.finish(chosen or "")


def _find_file() -> str | None:
    return next((name for name in FILES if Path(name).is_file()), None)


class _Loading:
    """Collects values and all that is wrong with them."""

    def __init__(self) -> None:
        self._values: Final[dict[Dotted, object]] = {}
        self._origins: Final[dict[Dotted, str]] = {}
        self._problems: Final[list[str]] = []
        self._defaults: Final = Config()

    def read_file(self, name: str) -> None:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self._problems.append(f"{name}: cannot be read: {reason}")
            return
        values, problems = read_yaml(text)
        self._problems.extend(f"{name}:{problem.line}: {problem.text}" for problem in problems)
        for written in values:
            self.take(written.path, written.value, f"{name}:{written.line}")

    def read_environment(self, variables: Mapping[str, str]) -> None:
        paths = {variable_of(path): path for path in keys()}
        for name in sorted(variables):
            if not name.startswith(_ENV) or name in _OTHER_VARIABLES:
                continue
            value = variables[name]
            if _SERVICE_LINK.search(name) or _LINK_VALUE.match(value):
                continue
            if name not in paths:
                self._refuse(name, f"no such setting{_nearest(name, paths)}")
                continue
            if name == f"{_ENV}AUTH_PASSWORD" and not value:
                self._refuse(name, "is empty: give a password, or leave it out")
                continue
            self.take(paths[name], value, name)
            if name == f"{_ENV}AUTH_PASSWORD" and f"{_ENV}AUTH_ENABLED" not in variables:
                # a password that is set in this way is meant to be required
                self.take(("plugins", "auth", "enabled"), True, name)

    def take(self, path: Dotted, value: object, origin: str) -> None:
        """Checks one value and keeps it, over what came before."""
        dotted = ".".join(path)
        spec = self._spec(path)
        if spec is None:
            if value is not None or not self._is_section(path):
                self._refuse(f"{origin}: {dotted}", self._why_unknown(path))
            return
        shown = "this value" if spec.kind.secret else repr(value)
        try:
            read = spec.kind.read(value)
        except (ValueError, TypeError):
            self._refuse(f"{origin}: {dotted}", f"{shown} is refused: {spec.kind.expects}")
            return
        if spec.awaits and read != self._default(path):
            self._refuse(
                f"{origin}: {dotted}",
                f"{shown} is refused: {spec.awaits} is not there yet; leave it out",
            )
            return
        self._values[path] = read
        self._origins[path] = origin

    def finish(self, file: str) -> Config:
        """The configuration.

        Raises:
            ConfigError: if anything was refused, or does not fit together.
        """
        self._check_whole()
        if self._problems:
            many = len(self._problems)
            title = "1 setting is refused" if many == 1 else f"{many} settings are refused"
            raise ConfigError("\n  ".join([f"{title}:", *self._problems]))
        names = {path[1] for path in self._values if path[0] == _NAMESPACES}
        namespaces = {
            name: cast(NamespaceConfig, self._build(NamespaceConfig, (_NAMESPACES, name)))
            for name in sorted(names)
        }
        whole = cast(Config, self._build(Config, ()))
        return replace(whole, namespaces=MappingProxyType(namespaces), file=file)

    def _build(self, section: type, path: Dotted) -> object:
        values: dict[str, object] = {}
        for name, hint in get_type_hints(section).items():
            inner = (*path, name)
            if is_dataclass(hint):
                values[name] = self._build(cast(type, hint), inner)
            elif inner in self._values:
                values[name] = self._values[inner]
        return section(**values)

    def _spec(self, path: Dotted) -> Spec | None:
        if path[0] == _NAMESPACES and len(path) == 3:
            return dict(_leaves(NamespaceConfig, ())).get(path[2:])
        return keys().get(path)

    def _is_section(self, path: Dotted) -> bool:
        if path[0] == _NAMESPACES:
            return len(path) < 3
        return any(key[: len(path)] == path for key in keys())

    def _default(self, path: Dotted) -> object:
        value: object = self._defaults
        for name in path:
            value = getattr(value, name)
        return value

    def _value(self, dotted: str) -> object:
        path = tuple(dotted.split("."))
        return self._values.get(path, self._default(path))

    def _why_unknown(self, path: Dotted) -> str:
        if self._is_section(path):
            return "is a section, not a value"
        if path[0] == _NAMESPACES:
            return "no such setting: a namespace has default_ttl and max_memory"
        return f"no such setting{_nearest('.'.join(path), ['.'.join(key) for key in keys()])}"

    def _refuse(self, where: str, why: str) -> None:
        self._problems.append(f"{where}: {why}")

    def _where(self, dotted: str) -> str:
        origin = self._origins.get(tuple(dotted.split(".")), "default")
        return f"{origin}: {dotted}"

    def _check_whole(self) -> None:
        """What two settings say to each other."""
        if self._value("plugins.auth.enabled") and not self._value("plugins.auth.password"):
            self._refuse(self._where("plugins.auth.enabled"), "needs plugins.auth.password")
        port = self._value("plugins.metrics.port")
        taken = port == self._value("server.port") and port != 0
        if taken and self._value("http.enabled"):
            self._refuse(
                self._where("plugins.metrics.port"),
                f"{port} is the port of RESP: choose another, or http.enabled: false",
            )
        self._check_tls()
        path = self._value("plugins.metrics.path")
        if path in HTTP_PATHS:
            self._refuse(
                self._where("plugins.metrics.path"),
                f"{path!r} is refused: the HTTP endpoint has it for itself; choose another",
            )
        output = cast(str, self._value("logging.output"))
        reason = "" if output in STREAMS else _why_not_written(Path(output))
        if reason:
            self._refuse(
                self._where("logging.output"),
                f"{output!r} is refused: {reason}; name a file that can be written, "
                f"or {' or '.join(STREAMS)}",
            )
        scratch = Cache()
        for dotted, origin in self._origins.items():
            if dotted[0] == _NAMESPACES:
                try:
                    scratch.namespace(dotted[1])
                except CacheStormError as error:
                    self._refuse(f"{origin}: {_NAMESPACES}.{dotted[1]}", str(error))

    def _check_tls(self) -> None:
        port = self._value("tls.port")
        if not port and not self._value("tls.http"):
            return
        for other in ("server.port", "plugins.metrics.port"):
            if port and port == self._value(other):
                self._refuse(self._where("tls.port"), f"{port} is taken by {other}")
        from cachestorm_server.tls import TlsFiles

        files = TlsFiles(
            *[
                cast(str, self._value(f"tls.{name}"))
                for name in ("cert_file", "key_file", "ca_file", "client_auth")
            ]
        )
        for attribute, why in files.problems():
            self._refuse(self._where(f"tls.{attribute}"), why)


def _why_not_written(file: Path) -> str:
    """Why a file cannot be appended to; empty if it can. Makes none: it may not be wanted."""
    if file.is_dir():
        return os.strerror(errno.EISDIR)
    if not file.parent.is_dir():
        return os.strerror(errno.ENOENT)
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return os.strerror(errno.EACCES)
    return ""


def _nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    from difflib import get_close_matches

    last = name.rpartition(".")[2]
    found = [each for each in known if each.rpartition(".")[2] == last]
    found = found or get_close_matches(name, list(known), 1, 0.7)
    return f"; did you mean {found[0]}?" if found else ""
