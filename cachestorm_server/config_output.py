"""The configuration as text: a table, a commented file, a schema for editors.

Called by the command line; drawn from the settings, so that nothing here knows one of them.
`tests/docs/settings_reference.py` draws the reference from the same.

1. No secret is printed, wherever it came from.
2. What is printed as a file is a file that is read: its values are the defaults.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Final, cast, get_type_hints

from cachestorm_server.config_sections import (
    ALIASES,
    Config,
    Dotted,
    NamespaceConfig,
    keys,
    leaves,
    value_at,
)
from cachestorm_server.config_spec import Spec

HIDDEN: Final = "(hidden)"
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_WIDTH: Final = 96
# a link is of no use outside of the documentation
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
# what YAML reads as a text without quotes: words, paths, addresses, quantities
_PLAIN: Final = re.compile(r"[A-Za-z/][\w./*+-]*|\d+\.\d+\.\d+\.\d+|\d+[a-z]+")
# what YAML would read as something else
_WORDS_OF_YAML: Final = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def value_text(spec: Spec, value: object) -> str:
    """A value on one line, as YAML; never a secret."""
    if spec.kind.secret and value:
        return HIDDEN
    return in_yaml(spec.kind.spell(value))


def in_yaml(value: object) -> str:
    """A value on one line of a YAML file."""
    is_plain = isinstance(value, str) and _PLAIN.fullmatch(value)
    if is_plain and str(value).lower() not in _WORDS_OF_YAML:
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(in_yaml(one) for one in value)}]"
    if isinstance(value, Mapping):
        return (
            f"{{{', '.join(f'{in_yaml(key)}: {in_yaml(one)}' for key, one in value.items())}}}"
        )
    return json.dumps(value, ensure_ascii=False)


def rows(config: Config) -> Iterator[tuple[str, str, str]]:
    """Every setting: its path, its value, and where that came from."""
    for path, spec in keys().items():
        value = value_at(config, path)
        if spec.kind.item is None:
            yield _row(config, path, spec, value)
            continue
        for name, one in cast("Mapping[str, object]", value).items():
            yield _row(config, (*path, name), Spec(spec.kind.item, ""), one)
    for name, limits in config.namespaces.items():
        for path, spec in leaves(NamespaceConfig, ()):
            yield _row(config, ("namespaces", name, *path), spec, value_at(limits, path))

    for plugin in config.extensions.values():
        for name, spec in plugin.specs.items():
            yield _row(config, ("plugins", plugin.name, name), spec, plugin.value(name))


def _row(config: Config, path: Dotted, spec: Spec, value: object) -> tuple[str, str, str]:
    return ".".join(path), value_text(spec, value), config.origins.get(path, "default")


def table(config: Config) -> str:
    """All settings, a line each, aligned."""
    lines = list(rows(config))
    widths = [max(len(line[at]) for line in lines) for at in (0, 1)]
    widths[1] = min(widths[1], 40)
    return "\n".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in lines
    )


def plain_text(meaning: str) -> str:
    """What a setting is for, without the links of the documentation."""
    return _LINK.sub(r"\1", meaning)


def commented_file() -> str:
    """A file in which every setting stands at its default, commented out."""
    lines = [
        "# The configuration of CacheStorm. What is commented out is the default.",
        "# Flags take precedence over the environment, the environment over this file.",
        "# Check it: cachestorm config check FILE",
    ]
    for name, hint in get_type_hints(Config).items():
        if is_dataclass(hint):
            body = list(_commented(cast(type, hint), (name,), "  "))
            if body:
                lines += ["", f"# {_first_line(hint)}", f"{name}:", *body]
    namespace = ", ".join(
        f"{path[-1]}: {in_yaml(spec.kind.spell(value_at(NamespaceConfig(), path)))}"
        for path, spec in leaves(NamespaceConfig, ())
    )
    lines += [
        "",
        "# Limits of namespaces, by name.",
        "namespaces:",
        f"  # default: {{{namespace}}}",
        "",
        *_comment(f"{keys()[('parameters',)].meaning}, by name", ""),
        "parameters:",
        "  # latency-monitor-threshold: 100",
    ]
    return "\n".join(lines) + "\n"


def _commented(section: type, path: Dotted, indent: str) -> Iterator[str]:
    """The settings of a section; none of what is not built yet."""
    specs = dict(leaves(section, ()))
    switch = specs.get(("enabled",))
    if switch is not None and switch.awaits:
        return
    for name, hint in get_type_hints(section).items():
        inner = (*path, name)
        if is_dataclass(hint):
            yield f"{indent}# {_first_line(hint)}"
            yield f"{indent}{name}:"
            yield from _commented(cast(type, hint), inner, indent + "  ")
            continue
        spec = specs[(name,)]
        if not spec.awaits:
            yield from _comment(spec.meaning, indent)
            value = in_yaml(spec.kind.spell(value_at(Config(), inner)))
            yield f"{indent}# {name}: {value}"


def _comment(meaning: str, indent: str) -> Iterator[str]:
    text = plain_text(meaning)
    for line in textwrap.wrap(f"{text[0].upper()}{text[1:]}.", _WIDTH - len(indent) - 2):
        yield f"{indent}# {line}"


def _first_line(section: object) -> str:
    return str(section.__doc__).partition("\n")[0]


def schema() -> dict[str, object]:
    """What a file may hold, in JSON Schema, for editors that complete and check YAML."""
    whole = _object(_properties(Config, ()), "The configuration of CacheStorm.")
    members = cast("dict[str, object]", whole["properties"])
    members["namespaces"] = {
        "description": "Limits of namespaces, by name.",
        "type": ["object", "null"],
        "additionalProperties": _object(
            _properties(NamespaceConfig, ()), _first_line(NamespaceConfig)
        ),
    }
    plugins = cast("dict[str, object]", members["plugins"])
    plugins["additionalProperties"] = {
        "description": "A plugin of somebody's own, with its settings.",
        "type": ["object", "null"],
    }
    for alias, path in ALIASES.items():
        spec = keys()[path]
        entry = _setting(spec, value_at(Config(), path))
        entry["description"] = f"Another name of {'.'.join(path)}."
        _members(whole, alias[:-1])[alias[-1]] = entry
    return {"$schema": DRAFT, "title": "CacheStorm", **whole}


def _properties(section: type, path: Dotted) -> dict[str, object]:
    found: dict[str, object] = {}
    specs = dict(leaves(section, ()))
    defaults = section()
    hints = get_type_hints(section)
    for each in fields(section):
        hint = hints[each.name]
        if is_dataclass(hint):
            inner = _properties(cast(type, hint), (*path, each.name))
            found[each.name] = _object(inner, _first_line(hint))
        elif (each.name,) in specs:
            found[each.name] = _setting(specs[(each.name,)], getattr(defaults, each.name))
    return found


def _object(properties: dict[str, object], description: str) -> dict[str, object]:
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }


def _setting(spec: Spec, default: object) -> dict[str, object]:
    text = plain_text(spec.meaning)
    entry = dict(spec.kind.schema)
    if not default:
        entry = {"anyOf": [entry, {"type": "null"}]}
    entry["description"] = f"{text[0].upper()}{text[1:]}."
    entry["default"] = spec.kind.spell(default)
    return entry


def _members(schema: dict[str, object], path: Dotted) -> dict[str, object]:
    """The properties of a section of a schema."""
    for name in path:
        schema = cast(
            "dict[str, object]", cast("dict[str, object]", schema["properties"])[name]
        )
    return cast("dict[str, object]", schema["properties"])
