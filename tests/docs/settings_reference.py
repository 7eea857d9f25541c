"""The references of the settings and of the parameters: written by `make docs`, by nobody else.

The former is in `docs/operating.md`, and drawn from the settings, as `cachestorm config init`
and `config schema` are; the latter, in `docs/parameters.md`, from what CONFIG knows.
`test_settings_reference.py` asserts that the pages have them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.config import variable_of
from cachestorm_server.config_output import value_text
from cachestorm_server.config_sections import (
    ALIASES,
    Config,
    NamespaceConfig,
    keys,
    leaves,
    value_at,
)
from cachestorm_server.configuration import FOREVER, PARAMETERS, SETTINGS_OF
from cachestorm_server.described import resp_settings
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.idle_parameters import DEFAULTS

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = ROOT / "docs" / "operating.md"
PARAMETERS_PAGE: Final = ROOT / "docs" / "parameters.md"
BEGIN: Final = "<!-- settings: written by `make docs` -->\n"
END: Final = "<!-- end of settings -->\n"


def reference() -> str:
    """A table of all settings, and what else there is to know of them."""
    lines = [
        "| Setting | In the environment | Default | Meaning | Reload |",
        "|---|---|---|---|---|",
    ]
    for path, spec in keys().items():
        if spec.kind.item is not None:
            continue
        default = value_text(spec, value_at(Config(), path))
        shown = f"`{default}`" if default not in ('""', "[]") else "none"
        live = "yes" if spec.live else ""
        name = f"`{'.'.join(path)}`"
        lines.append(f"| {name} | `{variable_of(path)}` | {shown} | {spec.meaning} | {live} |")
    for path, spec in leaves(NamespaceConfig, ("namespaces", "NAME")):
        lines.append(f"| `{'.'.join(path)}` | | `0` | {spec.meaning} | yes |")
    meaning = keys()[("parameters",)].meaning
    lines.append(f"| `parameters.NAME` | | | {meaning} | yes |")
    for alias, path in ALIASES.items():
        name = f"another name of `{'.'.join(path)}`"
        lines.append(f"| `{'.'.join(alias)}` | `{variable_of(alias)}` | | {name} | |")
    return "\n".join(lines) + "\n"


def parameters_reference() -> str:
    """A table of all parameters, in the order of their names."""
    endpoint = Endpoint(Cache(), REGISTRY, resp_settings(Config()))
    lines = ["| Parameter | Default | `CONFIG SET` |", "|---|---|---|"]
    for name in sorted((*PARAMETERS, *DEFAULTS)):
        if name == "dir":
            value = "the data directory, or that of the process"
        elif name in DEFAULTS:
            value = f"`{DEFAULTS[name]}`"
        else:
            value = f"`{PARAMETERS[name][0](endpoint)}`"
        lines.append(f"| `{name}` | {value.replace('``', '')} | {_effect(endpoint, name)} |")
    return "\n".join(lines) + "\n"


def _effect(endpoint: Endpoint, name: str) -> str:
    """What CONFIG SET of a parameter does."""
    if name in DEFAULTS:
        return "accepted, no effect"
    if name in FOREVER:
        return "fixed"
    if PARAMETERS[name][1] is None:
        return "refused"
    if name not in SETTINGS_OF:
        return "yes"
    text = PARAMETERS[name][0](endpoint) or "secret"
    paths = [".".join(path) for path in SETTINGS_OF[name](text)]
    return f"yes; in the file: `{paths[-1]}`"


def with_reference(page: str, table: str) -> str:
    """The page with a reference as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


def written() -> dict[Path, str]:
    """The pages as they are to be."""
    return {
        page: with_reference(page.read_text("utf-8"), table)
        for page, table in ((PAGE, reference()), (PARAMETERS_PAGE, parameters_reference()))
    }


if __name__ == "__main__":
    for page, text in written().items():
        page.write_text(text, encoding="utf-8")
