"""The reference of the settings in `docs/operating.md`: written by `make docs`, by nobody else.

Drawn from the settings, as `cachestorm config init` and `config schema` are.
`test_settings_reference.py` asserts that the page has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

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

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = ROOT / "docs" / "operating.md"
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
        meaning = spec.meaning + (" (not built yet)" if spec.awaits else "")
        default = value_text(spec, value_at(Config(), path))
        shown = f"`{default}`" if default not in ('""', "[]") else "none"
        live = "yes" if spec.live else ""
        name = f"`{'.'.join(path)}`"
        lines.append(f"| {name} | `{variable_of(path)}` | {shown} | {meaning} | {live} |")
    for path, spec in leaves(NamespaceConfig, ("namespaces", "NAME")):
        lines.append(f"| `{'.'.join(path)}` | | `0` | {spec.meaning} | yes |")
    meaning = keys()[("parameters",)].meaning
    lines.append(f"| `parameters.NAME` | | | {meaning} | yes |")
    for alias, path in ALIASES.items():
        name = f"another name of `{'.'.join(path)}`"
        lines.append(f"| `{'.'.join(alias)}` | `{variable_of(alias)}` | | {name} | |")
    return "\n".join(lines) + "\n"


def with_reference(page: str) -> str:
    """The page with the reference as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + reference() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text("utf-8")), encoding="utf-8")
