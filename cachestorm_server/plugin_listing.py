"""The plugins as a table, for the command line: those that are used, and that could be."""

from __future__ import annotations

from cachestorm import __version__
from cachestorm.errors import PluginError
from cachestorm.plugins.specs import PROJECT, Specs
from cachestorm_server.config_sections import Config, PluginsConfig
from cachestorm_server.plugin_settings import found, installed

_SPECS = [name for name in vars(Specs) if not name.startswith("_")]


def table(config: Config) -> str:
    """All plugins, a line each: name, state, version, hooks, source."""
    lines = [("NAME", "STATE", "VERSION", "HOOKS", "SOURCE")]
    for name in PluginsConfig.__dataclass_fields__:
        is_on = bool(getattr(config.plugins, name).enabled)
        lines.append((name, _state(is_on), __version__, "", "cachestorm_server"))
    for name, plugin in config.extensions.items():
        hooks = " ".join(hooks_of(plugin.factory))
        lines.append((name, _state(plugin.enabled), plugin.version, hooks, plugin.source))
    for name, point in installed().items():
        if name in config.extensions:
            continue
        try:
            plugin = found(name, "")
        except PluginError as error:
            lines.append((name, "broken", "", str(error), point.value))
        else:
            hooks = " ".join(hooks_of(plugin.factory))
            lines.append((name, "not used", plugin.version, hooks, plugin.source))
    widths = [max(len(line[at]) for line in lines) for at in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]])
        for line in lines
    )


def hooks_of(factory: object) -> list[str]:
    """The hooks of a class, by the mark that `hookimpl` leaves."""
    return [name for name in _SPECS if hasattr(getattr(factory, name, None), f"{PROJECT}_impl")]


def _state(is_on: bool) -> str:
    return "on" if is_on else "off"
