"""Settings of plugins: where a plugin is found, and what its section of the file may hold.

Called by the configuration while it is read. A plugin is an entry point of the group
`cachestorm.plugins`, or a class that the file names by `path: package.module:Class`.

1. A plugin that is not named in the file is not loaded, also if it is installed.
2. Its settings are the fields of its dataclass `Settings`, read by the kinds of the
   server's own. A type stands for a kind; `Annotated[int, SIZE]` chooses one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from types import UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from cachestorm.errors import PluginError
from cachestorm_server.config_sections import ENABLED, PATH, PluginConfig
from cachestorm_server.config_spec import Spec
from cachestorm_server.setting_kinds import (
    FILE,
    INTEGER,
    NUMBER,
    SWITCH,
    TEXT,
    WORDS,
    Kind,
    one_of,
    table_of,
)

GROUP: Final = "cachestorm.plugins"

# named like those that are installed, and imported only if the file has a section for them
SHIPPED: Final = {
    name: EntryPoint(name, path, GROUP)
    for name, path in (
        ("audit", "cachestorm_server.audit:Audit"),
        ("opentelemetry", "cachestorm_server.telemetry:Telemetry"),
    )
}

_OF_ALL: Final = {
    ENABLED: Spec(SWITCH, "whether the plugin is used"),
    PATH: Spec(FILE, "its class, as package.module:Class, if it is not installed as a plugin"),
}
_KINDS: Final[dict[object, Kind]] = {
    bool: SWITCH,
    int: INTEGER,
    float: NUMBER,
    str: TEXT,
    tuple[str, ...]: WORDS,
}


def installed() -> dict[str, EntryPoint]:
    """The plugins that are installed, by name; those that come with the server first."""
    return SHIPPED | {each.name: each for each in entry_points(group=GROUP)}


def found(name: str, path: str) -> PluginConfig:
    """A plugin without its settings.

    Raises:
        PluginError: if there is none, it cannot be imported, or has hooks that are none.
    """
    module, _, attribute = path.replace(":", ".").rpartition(".")
    if path:
        point: EntryPoint | None = EntryPoint(name, f"{module}:{attribute}", GROUP)
    else:
        point = installed().get(name)
    if point is None:
        raise PluginError(
            "no plugin of this name is installed; one that is not is named by its class, "
            "path: package.module:Class"
        )
    try:
        factory = point.load()
    except Exception as error:  # whatever the module does as it is imported
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"{point.value} cannot be imported: {reason}") from error
    if not callable(factory):
        raise PluginError(f"{point.value} is not a class")
    # few have plugins, and pluggy takes a while to import
    from cachestorm.plugins.checking import check_hooks

    check_hooks(factory)
    version = str(getattr(factory, "version", "") or (point.dist.version if point.dist else ""))
    return PluginConfig(name, factory, specs_of(factory), {}, None, version, point.value)


def specs_of(factory: object) -> dict[str, Spec]:
    """The settings of a plugin, by name.

    Raises:
        PluginError: for `Settings` that are no dataclass, or a type that no file can hold.
    """
    declared = getattr(factory, "Settings", None)
    if declared is None:
        return dict(_OF_ALL)
    if not is_dataclass(declared):
        raise PluginError("its Settings are not a dataclass")
    hints = get_type_hints(declared, include_extras=True)
    specs = dict(_OF_ALL)
    for each in fields(declared):
        if each.name in _OF_ALL:
            raise PluginError(f"its setting {each.name} has a name that every plugin has")
        meaning = str(each.metadata.get("help", "")) or f"a setting of {each.name}"
        spec = _spec_of(hints[each.name], meaning)
        if spec is None:
            raise PluginError(f"its setting {each.name} has a type that no file can hold")
        specs[each.name] = spec
    return specs


def _spec_of(hint: object, meaning: str) -> Spec | None:
    for said in getattr(hint, "__metadata__", ()):
        if isinstance(said, Spec):
            return said
    kind = _kind_of(hint)
    return None if kind is None else Spec(kind, meaning)


def _kind_of(hint: Any) -> Kind | None:
    if hasattr(hint, "__metadata__"):
        named = [said for said in hint.__metadata__ if isinstance(said, Kind)]
        return named[0] if named else _kind_of(hint.__origin__)
    if hint in _KINDS:
        return _KINDS[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return one_of(str(each) for each in inner)
    if origin in (dict, Mapping) and inner[0] is str:
        item = _kind_of(inner[1])
        return None if item is None else table_of(item)
    if origin in (Union, UnionType) and type(None) in inner and len(inner) == 2:
        return _kind_of(next(each for each in inner if each is not type(None)))
    return None


def with_settings(plugin: PluginConfig, values: Mapping[str, object]) -> PluginConfig:
    """A plugin with the values of the file.

    Raises:
        PluginError: for one that is missing, and for what the plugin itself refuses.
    """
    declared = getattr(plugin.factory, "Settings", None)
    settings = None
    if declared is not None:
        given = {name: value for name, value in values.items() if name not in _OF_ALL}
        missing = _missing(declared, given)
        if missing:
            raise PluginError(f"needs {', '.join(missing)}")
        try:
            settings = cast("Callable[..., object]", declared)(**given)
        except (ValueError, TypeError) as error:
            raise PluginError(f"is refused by the plugin: {error}") from error
    return PluginConfig(
        plugin.name,
        plugin.factory,
        plugin.specs,
        dict(values),
        settings,
        plugin.version,
        plugin.source,
    )


def _missing(declared: Any, given: Iterable[str]) -> list[str]:
    return [
        each.name
        for each in fields(declared)
        if each.default is MISSING
        and each.default_factory is MISSING
        and each.name not in given
    ]


def default_of(plugin: PluginConfig, name: str) -> object:
    """What a setting is if it is left out; None if it has to be given."""
    if name in _OF_ALL:
        return name == ENABLED or ""
    declared = cast(Any, plugin.factory).Settings
    for each in fields(declared):
        if each.name == name and each.default is not MISSING:
            return each.default
        if each.name == name and each.default_factory is not MISSING:
            return each.default_factory()
    return None
