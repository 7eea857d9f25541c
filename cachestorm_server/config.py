"""The configuration: all that an operator decides, from a file, the environment and flags.

Called by the command line, which hands the result to the application; calls the reader of
YAML and the kinds of settings. `config_sections` has the settings.

1. A flag beats the environment, which beats the file, which beats the default.
2. Everything that is wrong is found before anything is started, and all of it is said at once:
   where it is, which setting it is, what would be valid.
3. In the environment a setting is `CACHESTORM_`, the prefix of its section, its name:

    server, memory, plugins.*    CACHESTORM_PORT, _MAX_MEMORY, _AUTH_PASSWORD, _METRICS_PORT
    logging                      CACHESTORM_LOG_LEVEL
    cluster, persistence, http   CACHESTORM_CLUSTER_SEEDS, _PERSISTENCE_DATA_DIR, _HTTP_ENABLED

4. A setting has one value, by whatever name: an alias beside its setting may say the same only.
   So may a secret not be given beside the file that holds it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast, get_type_hints
from urllib.parse import urlsplit

from cachestorm.cache import Cache
from cachestorm.errors import CacheStormError, ConfigError, PluginError
from cachestorm_server.config_file import Written, read_yaml
from cachestorm_server.config_sections import (
    ALIASES,
    ENABLED,
    PATH,
    STREAMS,
    Config,
    Dotted,
    NamespaceConfig,
    PluginConfig,
    keys,
    leaves,
    value_at,
)
from cachestorm_server.config_spec import Spec
from cachestorm_server.settings import HTTP_PATHS

FILES: Final = ("cachestorm.yaml", "/etc/cachestorm/cachestorm.yaml")

_NAMESPACES: Final = "namespaces"
WILDCARDS: Final = ("0.0.0.0", "::", "*")
# shorter ones are lost whenever a machine is busy
LEAST_LEASE_MS: Final = 1000
_PLUGINS: Final = "plugins"
_ENV: Final = "CACHESTORM_"
_PASSWORDS: Final = (f"{_ENV}AUTH_PASSWORD", f"{_ENV}AUTH_PASSWORD_FILE")
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
    loading.read_flags(flags or {})
    return loading.finish(chosen or "")


def _find_file() -> str | None:
    return next((name for name in FILES if Path(name).is_file()), None)


class _Loading:
    """Collects values and all that is wrong with them."""

    def __init__(self) -> None:
        self._specs: Final[dict[Dotted, Spec]] = dict(keys())
        self._values: Final[dict[Dotted, object]] = {}
        self._origins: Final[dict[Dotted, str]] = {}
        # which of file, environment and flags a value is of, and the name it was given by
        self._layers: Final[dict[Dotted, int]] = {}
        self._names: Final[dict[Dotted, str]] = {}
        self._layer = 0
        self._problems: Final[list[str]] = []
        self._plugins: Final[dict[str, PluginConfig]] = {}
        # plugins that cannot be imported, of which nothing more is to be said
        self._ignored: Final[set[str]] = set()
        self._defaults: Final = Config()

    def read_file(self, name: str) -> None:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self._problems.append(f"{name}: cannot be read: {reason}")
            return
        values, problems = read_yaml(text)
        self._find_plugins(values, name)
        self._problems.extend(f"{name}:{problem.line}: {problem.text}" for problem in problems)
        for written in values:
            self.take(written.path, written.value, f"{name}:{written.line}")

    def _find_plugins(self, values: list[Written], file: str) -> None:
        """Learns the settings of the plugins that the file names."""
        known = {path[1] for path in keys() if path[0] == _PLUGINS}
        sections: dict[str, list[Written]] = {}
        for written in values:
            if written.path[0] == _PLUGINS and len(written.path) > 1:
                sections.setdefault(written.path[1], []).append(written)
        for name in [name for name in sections if name not in known]:
            # few have plugins, and to look for them takes a while
            from cachestorm_server.plugin_settings import found

            given = {each.path[2]: each.value for each in sections[name] if len(each.path) == 3}
            try:
                plugin = found(name, str(given.get(PATH) or ""))
            except PluginError as error:
                self._ignored.add(name)
                if given.get(ENABLED) is not False:
                    line = sections[name][0].line
                    near = _nearest(name, sorted(known))
                    self._refuse(f"{file}:{line}: {_PLUGINS}.{name}", f"{error}{near}")
                continue
            self._plugins[name] = plugin
            for setting, spec in plugin.specs.items():
                self._specs[_PLUGINS, name, setting] = spec

    def read_environment(self, variables: Mapping[str, str]) -> None:
        self._layer += 1
        paths = {variable_of(path): path for path in (*self._specs, *ALIASES)}
        for name in sorted(variables):
            if not name.startswith(_ENV) or name in _OTHER_VARIABLES:
                continue
            value = variables[name]
            if _SERVICE_LINK.search(name) or _LINK_VALUE.match(value):
                continue
            if name not in paths:
                self._refuse(name, f"no such setting{_nearest(name, paths)}")
                continue
            if name in _PASSWORDS and not value:
                self._refuse(name, "is empty: give a password, or leave it out")
                continue
            self.take(paths[name], value, name)
            if name in _PASSWORDS and f"{_ENV}AUTH_ENABLED" not in variables:
                # a password that is set in this way is meant to be required
                self.take(("plugins", "auth", "enabled"), True, name)

    def read_flags(self, flags: Mapping[str, tuple[str, object]]) -> None:
        self._layer += 1
        for dotted, (flag, value) in flags.items():
            self.take(tuple(dotted.split(".")), value, flag)

    def take(self, given: Dotted, value: object, origin: str) -> None:
        """Checks one value and keeps it, over what came before."""
        path = ALIASES.get(given, given)
        if path[0] == _PLUGINS and len(path) > 1 and path[1] in self._ignored:
            return
        dotted = ".".join(given)
        table = self._specs.get(path[:-1])
        if table is not None and table.kind.item is not None:
            # a row of a table
            path, value = path[:-1], {path[-1]: value}
        spec = self._spec(path)
        if spec is None:
            if value not in (None, {}) or not self._is_section(path):
                self._refuse(f"{origin}: {dotted}", self._why_unknown(path))
            return
        shown = "this value" if spec.kind.secret else repr(value)
        default = self._default(path)
        if value is None and not default:
            # null: none, which is the default
            return
        try:
            read = spec.kind.read(value)
        except (ValueError, TypeError):
            self._refuse(f"{origin}: {dotted}", f"{shown} is refused: {spec.kind.expects}")
            return
        if spec.awaits and read != default:
            self._refuse(
                f"{origin}: {dotted}",
                f"{shown} is refused: {spec.awaits} is not there yet; leave it out",
            )
            return
        known = self._names.get(path, dotted)
        if self._layers.get(path) == self._layer and known != dotted:
            if spec.kind.item is not None:
                read = {
                    **cast("dict[str, object]", self._values[path]),
                    **cast("dict[str, object]", read),
                }
            elif read != self._values[path]:
                self._refuse(
                    f"{origin}: {dotted}", f"is another name of {known}, which says otherwise"
                )
        self._values[path] = read
        self._origins[given if path == given[:-1] else path] = origin
        self._layers[path] = self._layer
        self._names[path] = dotted

    def finish(self, file: str) -> Config:
        """The configuration.

        Raises:
            ConfigError: if anything was refused, or does not fit together.
        """
        self._read_secrets()
        self._check_whole()
        extensions = self._make_plugins()
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
        return replace(
            whole,
            namespaces=MappingProxyType(namespaces),
            extensions=MappingProxyType(extensions),
            file=file,
            origins=MappingProxyType(self._origins),
        )

    def _make_plugins(self) -> dict[str, PluginConfig]:
        """The plugins with their settings, in the order of the file."""
        made = {}
        for name, plugin in self._plugins.items():
            from cachestorm_server.plugin_settings import with_settings

            section = {
                path: value for path, value in self._values.items() if path[1:2] == (name,)
            }
            values = {path[2]: value for path, value in section.items() if path[0] == _PLUGINS}
            try:
                made[name] = with_settings(plugin, values)
            except PluginError as error:
                origin = next(
                    (self._origins[path] for path in section if path in self._origins), ""
                )
                self._refuse(f"{origin or 'file'}: {_PLUGINS}.{name}", str(error))
        return made

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
            return dict(leaves(NamespaceConfig, ())).get(path[2:])
        return self._specs.get(path)

    def _is_section(self, path: Dotted) -> bool:
        if path[0] == _NAMESPACES:
            return len(path) < 3
        return any(key[: len(path)] == path for key in self._specs)

    def _default(self, path: Dotted) -> object:
        if path[0] == _NAMESPACES:
            return value_at(NamespaceConfig(), path[2:])
        if path[0] == _PLUGINS and path[1] in self._plugins:
            from cachestorm_server.plugin_settings import default_of

            return default_of(self._plugins[path[1]], path[2])
        return value_at(self._defaults, path)

    def _value(self, dotted: str) -> object:
        path = tuple(dotted.split("."))
        return self._values.get(path, self._default(path))

    def _why_unknown(self, path: Dotted) -> str:
        if self._is_section(path):
            return "is a section, not a value"
        if path[0] == _NAMESPACES:
            return "no such setting: a namespace has default_ttl and max_memory"
        known = [".".join(key) for key in (*self._specs, *ALIASES)]
        return f"no such setting{_nearest('.'.join(path), known)}"

    def _refuse(self, where: str, why: str) -> None:
        self._problems.append(f"{where}: {why}")

    def _where(self, dotted: str) -> str:
        path = tuple(dotted.split("."))
        return f"{self._origins.get(path, 'default')}: {self._names.get(path, dotted)}"

    def _read_secrets(self) -> None:
        """Takes each secret that is in a file of its own from there."""
        for path, spec in self._specs.items():
            place = (*path[:-1], f"{path[-1]}_file")
            name = self._values.get(place)
            if not spec.kind.secret or not name:
                continue
            layer, of_file = self._layers.get(path, -1), self._layers[place]
            where = self._where(".".join(place))
            if layer > of_file:
                continue
            if layer == of_file and self._values[path]:
                self._refuse(where, f"{'.'.join(path)} is given too: leave one of them out")
                continue
            try:
                secret = (
                    Path(str(name)).read_text("utf-8").removesuffix("\n").removesuffix("\r")
                )
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                self._refuse(where, f"{name!r} cannot be read: {reason}")
                continue
            if not secret:
                self._refuse(where, f"{name!r} is empty")
            self._values[path] = secret
            self._origins[path] = self._origins[place]

    def _check_whole(self) -> None:
        """What two settings say to each other."""
        if self._value("plugins.auth.enabled") and not self._value("plugins.auth.password"):
            self._refuse(
                self._where("plugins.auth.enabled"), "needs plugins.auth.password, or a file"
            )
        port = self._value("http.port")
        taken = port == self._value("server.port") and port != 0
        if taken and self._value("http.enabled"):
            self._refuse(
                self._where("http.port"),
                f"{port} is the port of RESP: choose another, or http.enabled: false",
            )
        warning = cast(int, self._value("memory.pressure_warning"))
        critical = cast(int, self._value("memory.pressure_critical"))
        if warning >= critical:
            given = ("memory", "pressure_warning") in self._origins
            self._refuse(
                self._where(f"memory.pressure_{'warning' if given else 'critical'}"),
                f"the warning, at {warning}, comes before what is critical, at {critical}",
            )
        self._check_tls()
        self._check_cluster()
        self._check_disabled()
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
        self._check_parameters()
        scratch = Cache()
        for dotted, origin in self._origins.items():
            if dotted[0] == _NAMESPACES:
                try:
                    scratch.namespace(dotted[1])
                except CacheStormError as error:
                    self._refuse(f"{origin}: {_NAMESPACES}.{dotted[1]}", str(error))

    def _check_disabled(self) -> None:
        names = cast(tuple[str, ...], self._value("acl.disabled_commands"))
        if not names:
            return
        from cachestorm.declare.declaration import DECLARATIONS
        from cachestorm_server import bound_commands as bound_commands

        for name in DECLARATIONS.unknown(names):
            self._refuse(
                self._where("acl.disabled_commands"), f"there is no command {name!r} anyway"
            )

    def _check_cluster(self) -> None:
        if not self._value("cluster.enabled"):
            return
        if self._value("replication.replica_of"):
            self._refuse(
                self._where("replication.replica_of"), "a node of a cluster follows no server"
            )
        bind = cast(str, self._value("cluster.bind_addr"))
        advertised = cast(str, self._value("cluster.advertise_addr"))
        if bind in WILDCARDS and advertised in ("", *WILDCARDS):
            self._refuse(
                self._where("cluster.bind_addr"),
                f"{bind!r} is no address that other nodes could reach: give "
                "cluster.advertise_addr",
            )
        if not _is_loopback(bind) and not self._value("cluster.secret"):
            self._refuse(
                self._where("cluster.bind_addr"),
                f"{bind!r} is reached from elsewhere, so cluster.secret is needed",
            )
        port = self._value("cluster.bind_port")
        for other in ("server.port", "http.port"):
            if port and port == self._value(other):
                self._refuse(self._where("cluster.bind_port"), f"{port} is taken by {other}")
        self._check_authority()
        for seed in cast(tuple[str, ...], self._value("cluster.seeds")):
            _, _, digits = seed.rpartition(":")
            if ":" in seed and not (digits.isdecimal() and 0 < int(digits) < 65536):
                self._refuse(
                    self._where("cluster.seeds"), f"{seed!r} is refused: write host:port"
                )

    def _check_authority(self) -> None:
        authority = self._value("cluster.authority")
        if authority == "static":
            return
        ttl_ms = cast(int, self._value("cluster.lease_ttl"))
        margin_ms = cast(int, self._value("cluster.lease_margin"))
        if ttl_ms < LEAST_LEASE_MS:
            self._refuse(
                self._where("cluster.lease_ttl"), f"is too short: {LEAST_LEASE_MS} ms or more"
            )
        if not 0 < margin_ms <= ttl_ms // 2:
            self._refuse(
                self._where("cluster.lease_margin"),
                f"more than 0, and at most half of cluster.lease_ttl: {ttl_ms // 2} ms",
            )
        if authority != "etcd":
            return
        endpoints = cast(tuple[str, ...], self._value("cluster.etcd.endpoints"))
        where = self._where("cluster.etcd.endpoints")
        if not endpoints:
            self._refuse(where, "name a member at least: http://127.0.0.1:2379")
        for endpoint in endpoints:
            if not _is_endpoint(endpoint):
                self._refuse(
                    where, f"{endpoint!r} is refused: write http://host:port, or https"
                )
        for name in ("ca_file", "cert_file", "key_file"):
            file = cast(str, self._value(f"cluster.etcd.{name}"))
            if file and not Path(file).is_file():
                self._refuse(self._where(f"cluster.etcd.{name}"), f"there is no file {file!r}")
        pairs = (("cert_file", "key_file"), ("user", "password"))
        for one, other in (*pairs, *(pair[::-1] for pair in pairs)):
            if self._value(f"cluster.etcd.{one}") and not self._value(f"cluster.etcd.{other}"):
                self._refuse(self._where(f"cluster.etcd.{one}"), f"needs cluster.etcd.{other}")

    def _check_tls(self) -> None:
        port = self._value("tls.port")
        is_between_nodes = self._value("cluster.enabled") and self._value("cluster.tls")
        if not (port or self._value("tls.http") or is_between_nodes):
            return
        for other in ("server.port", "http.port"):
            if port and port == self._value(other):
                self._refuse(self._where("tls.port"), f"{port} is taken by {other}")
        from cachestorm_server.tls import TlsFiles

        files = TlsFiles(
            *[
                cast(str, self._value(f"tls.{name}"))
                for name in ("cert_file", "key_file", "ca_file", "client_auth")
            ]
        )
        if is_between_nodes:
            # nodes show each other certificates
            files = replace(files, client_auth="required")
        for attribute, why in files.problems():
            self._refuse(self._where(f"tls.{attribute}"), why)

    def _check_parameters(self) -> None:
        texts = cast("Mapping[str, str]", self._value("parameters"))
        if texts:
            # which imports the server
            from cachestorm_server.configuration import why_not_set

            for name, text in texts.items():
                reason = why_not_set(name, text)
                if reason:
                    self._refuse(self._where(f"parameters.{name}"), reason)


def _is_endpoint(text: str) -> bool:
    """Whether a text is the URL of a server, and of nothing on it."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    named = (url.path in ("", "/"), not url.query, not url.username, port != 0)
    return url.scheme in ("http", "https") and bool(url.hostname) and all(named)


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
    same = [each for each in known if each.rpartition(".")[2] == last]
    found = get_close_matches(name, same or list(known), 1, 0.0 if same else 0.7)
    return f"; did you mean {found[0]}?" if found else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
