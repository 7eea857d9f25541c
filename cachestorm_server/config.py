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

import os
import re
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast, get_type_hints

from cachestorm.errors import ConfigError, PluginError
from cachestorm_server.config_checks import check_whole
from cachestorm_server.config_file import Written, read_yaml
from cachestorm_server.config_sections import (
    ALIASES,
    ENABLED,
    NAMESPACES,
    PATH,
    PLUGINS,
    Config,
    Dotted,
    NamespaceConfig,
    PluginConfig,
    keys,
    leaves,
)
from cachestorm_server.config_spec import Spec
from cachestorm_server.config_values import Given

FILES: Final = ("cachestorm.yaml", "/etc/cachestorm/cachestorm.yaml")

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
        self._given: Final = Given()
        self._specs: Final[dict[Dotted, Spec]] = dict(keys())
        # which of file, environment and flags a value is of, and the name it was given by
        self._layers: Final[dict[Dotted, int]] = {}
        self._layer = 0
        # plugins that cannot be imported, of which nothing more is to be said
        self._ignored: Final[set[str]] = set()

    def read_file(self, name: str) -> None:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            self._given.problems.append(f"{name}: cannot be read: {reason}")
            return
        values, problems = read_yaml(text)
        self._find_plugins(values, name)
        self._given.problems.extend(
            f"{name}:{problem.line}: {problem.text}" for problem in problems
        )
        for written in values:
            self.take(written.path, written.value, f"{name}:{written.line}")

    def _find_plugins(self, values: list[Written], file: str) -> None:
        """Learns the settings of the plugins that the file names."""
        known = {path[1] for path in keys() if path[0] == PLUGINS}
        sections: dict[str, list[Written]] = {}
        for written in values:
            if written.path[0] == PLUGINS and len(written.path) > 1:
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
                    self._given.refuse(f"{file}:{line}: {PLUGINS}.{name}", f"{error}{near}")
                continue
            self._given.plugins[name] = plugin
            for setting, spec in plugin.specs.items():
                self._specs[PLUGINS, name, setting] = spec

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
                self._given.refuse(name, f"no such setting{_nearest(name, paths)}")
                continue
            if name in _PASSWORDS and not value:
                self._given.refuse(name, "is empty: give a password, or leave it out")
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
        if path[0] == PLUGINS and len(path) > 1 and path[1] in self._ignored:
            return
        dotted = ".".join(given)
        table = self._specs.get(path[:-1])
        if table is not None and table.kind.item is not None:
            # a row of a table
            path, value = path[:-1], {path[-1]: value}
        spec = self._spec(path)
        if spec is None:
            if value not in (None, {}) or not self._is_section(path):
                self._given.refuse(f"{origin}: {dotted}", self._why_unknown(path))
            return
        shown = "this value" if spec.kind.secret else repr(value)
        default = self._given.default(path)
        if value is None and not default:
            # null: none, which is the default
            return
        try:
            read = spec.kind.read(value)
        except (ValueError, TypeError):
            self._given.refuse(
                f"{origin}: {dotted}", f"{shown} is refused: {spec.kind.expects}"
            )
            return
        if spec.awaits and read != default:
            self._given.refuse(
                f"{origin}: {dotted}",
                f"{shown} is refused: {spec.awaits} is not there yet; leave it out",
            )
            return
        known = self._given.names.get(path, dotted)
        if self._layers.get(path) == self._layer and known != dotted:
            if spec.kind.item is not None:
                read = {
                    **cast("dict[str, object]", self._given.values[path]),
                    **cast("dict[str, object]", read),
                }
            elif read != self._given.values[path]:
                self._given.refuse(
                    f"{origin}: {dotted}", f"is another name of {known}, which says otherwise"
                )
        self._given.values[path] = read
        self._given.origins[given if path == given[:-1] else path] = origin
        self._layers[path] = self._layer
        self._given.names[path] = dotted

    def finish(self, file: str) -> Config:
        """The configuration.

        Raises:
            ConfigError: if anything was refused, or does not fit together.
        """
        self._read_secrets()
        check_whole(self._given)
        extensions = self._make_plugins()
        if self._given.problems:
            many = len(self._given.problems)
            title = "1 setting is refused" if many == 1 else f"{many} settings are refused"
            raise ConfigError("\n  ".join([f"{title}:", *self._given.problems]))
        names = {path[1] for path in self._given.values if path[0] == NAMESPACES}
        namespaces = {
            name: cast(NamespaceConfig, self._build(NamespaceConfig, (NAMESPACES, name)))
            for name in sorted(names)
        }
        whole = cast(Config, self._build(Config, ()))
        return replace(
            whole,
            namespaces=MappingProxyType(namespaces),
            extensions=MappingProxyType(extensions),
            file=file,
            origins=MappingProxyType(self._given.origins),
        )

    def _make_plugins(self) -> dict[str, PluginConfig]:
        """The plugins with their settings, in the order of the file."""
        made = {}
        for name, plugin in self._given.plugins.items():
            from cachestorm_server.plugin_settings import with_settings

            section = {
                path: value
                for path, value in self._given.values.items()
                if path[1:2] == (name,)
            }
            values = {path[2]: value for path, value in section.items() if path[0] == PLUGINS}
            try:
                made[name] = with_settings(plugin, values)
            except PluginError as error:
                origin = next(
                    (
                        self._given.origins[path]
                        for path in section
                        if path in self._given.origins
                    ),
                    "",
                )
                self._given.refuse(f"{origin or 'file'}: {PLUGINS}.{name}", str(error))
        return made

    def _build(self, section: type, path: Dotted) -> object:
        values: dict[str, object] = {}
        for name, hint in get_type_hints(section).items():
            inner = (*path, name)
            if is_dataclass(hint):
                values[name] = self._build(cast(type, hint), inner)
            elif inner in self._given.values:
                values[name] = self._given.values[inner]
        return section(**values)

    def _spec(self, path: Dotted) -> Spec | None:
        if path[0] == NAMESPACES and len(path) == 3:
            return dict(leaves(NamespaceConfig, ())).get(path[2:])
        return self._specs.get(path)

    def _is_section(self, path: Dotted) -> bool:
        if path[0] == NAMESPACES:
            return len(path) < 3
        return any(key[: len(path)] == path for key in self._specs)

    def _why_unknown(self, path: Dotted) -> str:
        if self._is_section(path):
            return "is a section, not a value"
        if path[0] == NAMESPACES:
            return "no such setting: a namespace has default_ttl and max_memory"
        known = [".".join(key) for key in (*self._specs, *ALIASES)]
        return f"no such setting{_nearest('.'.join(path), known)}"

    def _read_secrets(self) -> None:
        """Takes each secret that is in a file of its own from there."""
        for path, spec in self._specs.items():
            place = (*path[:-1], f"{path[-1]}_file")
            name = self._given.values.get(place)
            if not spec.kind.secret or not name:
                continue
            layer, of_file = self._layers.get(path, -1), self._layers[place]
            where = self._given.where(".".join(place))
            if layer > of_file:
                continue
            if layer == of_file and self._given.values[path]:
                self._given.refuse(
                    where, f"{'.'.join(path)} is given too: leave one of them out"
                )
                continue
            try:
                secret = (
                    Path(str(name)).read_text("utf-8").removesuffix("\n").removesuffix("\r")
                )
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                self._given.refuse(where, f"{name!r} cannot be read: {reason}")
                continue
            if not secret:
                self._given.refuse(where, f"{name!r} is empty")
            self._given.values[path] = secret
            self._given.origins[path] = self._given.origins[place]


def _nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    from difflib import get_close_matches

    last = name.rpartition(".")[2]
    same = [each for each in known if each.rpartition(".")[2] == last]
    found = get_close_matches(name, same or list(known), 1, 0.0 if same else 0.7)
    return f"; did you mean {found[0]}?" if found else ""
