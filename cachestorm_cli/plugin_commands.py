"""The command about plugins: which there are, and which a server would use.

Called by Typer as `cachestorm plugins list`; the server's package finds them.
"""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(name="plugins", help="Show the plugins.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Show the plugins."""


@app.command("list", context_settings={"ignore_unknown_options": True})
def list_(
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLAG]...", help="As `cachestorm serve` takes them."),
    ] = None,
) -> None:
    """List the plugins that are installed or named by the configuration.

    Of each: whether it is on, its version, its hooks, and where it is from.
    """
    from cachestorm_cli.config_commands import config_of
    from cachestorm_server.plugin_listing import table

    print(table(config_of(flags)))
