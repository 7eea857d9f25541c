"""The commands about the configuration: check it, show it, begin one, describe it to editors.

Called by Typer as `cachestorm config ...`; the server's package knows the settings.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cachestorm_cli.groups import make_late, tools_of

if TYPE_CHECKING:
    from cachestorm_server.config_sections import Config

# also takes the subcommands of the server's CONFIG: `config get maxmemory`
app = typer.Typer(
    name="config",
    help="Check, show or begin a configuration.",
    no_args_is_help=True,
)


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Configuration file, in YAML.")],
) -> None:
    """Check a file as a start would, with the environment; print all that is wrong."""
    # these declare the commands that rules of users may name
    from cachestorm_server import bound_commands as bound_commands
    from cachestorm_server.config import load
    from cachestorm_server.described import check_files

    check_files(load(file))
    print(f"{file} is valid")


@app.command(context_settings={"ignore_unknown_options": True})
def show(
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLAG]...", help="As `cachestorm serve` takes them."),
    ] = None,
) -> None:
    """Show every setting: its value, and where it came from. Secrets are hidden."""
    from cachestorm_server.config_output import table

    print(table(config_of(flags)))


def config_of(flags: list[str] | None) -> Config:
    """The configuration that `serve` would have with flags.

    Raises:
        ConfigError: for all that is wrong with it.
    """
    from cachestorm_cli import commands
    from cachestorm_server.config import load

    serve = tools_of(commands.app)["serve"]
    params = serve.make_context("serve", list(flags or [])).params
    return load(params["config"], flags=commands.flags_given(params))


@app.command()
def init(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="What to write; standard output if left out."),
    ] = None,
) -> None:
    """Write a file with every setting at its default, each with what it is for."""
    from cachestorm_server.config_output import commented_file

    text = commented_file()
    if file is None:
        print(text, end="")
        return
    try:
        # not over a file that is there
        with open(file, "x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        # the library takes a while to import, and --help needs nothing of it
        from cachestorm.errors import ConfigError

        reason = os.strerror(error.errno or 0)

        raise ConfigError(f"{file} cannot be written: {reason}") from error


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors that complete and check YAML."""
    from cachestorm_server.config_output import schema as schema_of_file

    print(json.dumps(schema_of_file(), indent=2, ensure_ascii=False))


make_late(app)
