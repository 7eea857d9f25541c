"""The values of a configuration while it is read, where each was given, and what is wrong.

Filled by `config.py`, looked at by `config_checks.py`.
"""

from __future__ import annotations

from typing import Final

from cachestorm_server.config_sections import (
    NAMESPACES,
    PLUGINS,
    Config,
    Dotted,
    NamespaceConfig,
    PluginConfig,
    value_at,
)


class Given:
    """What was given.

    Attributes:
        values: by setting.
        origins: by setting, where its value is of: a line of a file, a variable, a flag.
        names: by setting, the name it was given by.
        problems: all that is wrong, as lines.
        plugins: those that the file names.
    """

    def __init__(self) -> None:
        self.values: Final[dict[Dotted, object]] = {}
        self.origins: Final[dict[Dotted, str]] = {}
        self.names: Final[dict[Dotted, str]] = {}
        self.problems: Final[list[str]] = []
        self.plugins: Final[dict[str, PluginConfig]] = {}
        self._defaults: Final = Config()

    def default(self, path: Dotted) -> object:
        """What a setting is if nobody gives it."""
        if path[0] == NAMESPACES:
            return value_at(NamespaceConfig(), path[2:])
        if path[0] == PLUGINS and path[1] in self.plugins:
            from cachestorm_server.plugin_settings import default_of

            return default_of(self.plugins[path[1]], path[2])
        return value_at(self._defaults, path)

    def value(self, dotted: str) -> object:
        """A setting as it was given, or its default."""
        path = tuple(dotted.split("."))
        return self.values.get(path, self.default(path))

    def refuse(self, where: str, why: str) -> None:
        """Adds to what is wrong."""
        self.problems.append(f"{where}: {why}")

    def where(self, dotted: str) -> str:
        """Where a setting was given, and by which name, as a message shows it."""
        path = tuple(dotted.split("."))
        return f"{self.origins.get(path, 'default')}: {self.names.get(path, dotted)}"
