"""Groups: the tools of the command line, and every command of the server behind them.

Called by Typer; asks `calls`, which is imported only when a name is no tool's.

1. A tool wins over a command of the same name; `cachestorm cli NAME` always sends it.
2. A group of tools also takes the subcommands of the command of its name: `config get`.
3. Help lists the tools; completion knows the commands too.
4. A tool is made when it is run: Typer reads the annotations of each, which takes longer than
   all else that help does.
"""

from __future__ import annotations

from inspect import getdoc
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.models import CommandInfo

# where the words of a command are kept until it runs
_NAME = "words"


class CommandGroup(TyperGroup):
    """Tools, and commands of the server for every other name.

    Attributes:
        late: of each tool that is made when it is asked for, what it is made of.
    """

    late: ClassVar[dict[str, CommandInfo]] = {}

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unmade = dict(self.late)
        # without options and arguments, for lists
        listed = {name: _listed(name, info) for name, info in self.late.items()}
        self.commands = {**listed, **self.commands}

    @property
    def _prefix(self) -> str:
        """Of what container the commands are; empty at the top."""
        return "" if self.name in (None, "cachestorm") else f"{self.name} "

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A tool, else the command of that name, else None."""
        unmade = self._unmade.pop(cmd_name, None)
        if unmade is not None:
            self.commands[cmd_name] = _made(unmade)
        tool = super().get_command(ctx, cmd_name)
        if tool is not None:
            return tool
        from cachestorm_cli.calls import is_command

        name = self._prefix + cmd_name
        return command_named(name) if is_command(name) else None

    def list_commands(self, ctx: Any) -> list[str]:
        """The tools; when a shell asks, the commands too."""
        tools = super().list_commands(ctx)
        if not ctx.resilient_parsing:
            return tools
        from cachestorm_cli.calls import names, subcommands_of

        others = subcommands_of(self._prefix.strip()) if self._prefix else names()
        return [*tools, *(name for name in others if name not in tools)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """What a line calls. A name that nothing has is refused, with those near it."""
        name = args[0]
        is_wrong = name[:1] != "-" and not ctx.resilient_parsing
        if is_wrong and self.get_command(ctx, name) is None:
            from difflib import get_close_matches

            from cachestorm_cli.calls import names, subcommands_of

            others = subcommands_of(self._prefix.strip()) if self._prefix else names()
            near = get_close_matches(name, dict.fromkeys([*self.commands, *others]))
            listed = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            ctx.fail(f"No such command {name!r}.{listed}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Lists the tools for help."""
        unmade, self._unmade = self._unmade, {}
        super().format_commands(ctx, formatter)
        self._unmade = unmade


def make_late(app: typer.Typer) -> None:
    """Has what is declared to an app by now made when it is asked for."""
    late = {info.name or _name_of(info): info for info in app.registered_commands}
    app.info.cls = type("LateGroup", (CommandGroup,), {"late": late})
    app.registered_commands = []


def tools_of(app: typer.Typer) -> dict[str, Any]:
    """All tools of an app by name, made."""
    group = get_command(app)
    assert isinstance(group, CommandGroup)
    context = typer.Context(group)
    return {name: group.get_command(context, name) for name in group.commands}


def _name_of(info: CommandInfo) -> str:
    assert info.callback is not None
    return info.callback.__name__.replace("_", "-")


def _listed(name: str, info: CommandInfo) -> TyperCommand:
    return TyperCommand(name, help=info.help or getdoc(info.callback))


def _made(info: CommandInfo) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.registered_commands.append(info)
    return get_command(app)


class _Call(TyperCommand):
    """A command of the server; reads its words itself."""

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a word may be completed to; options too, which are not Typer's."""
        return self.params[0].shell_complete(ctx, incomplete)


def command_named(name: str) -> TyperCommand:
    """A subcommand that sends the command of this name."""
    from cachestorm_cli.calls import complete, run, summary_of

    def suggest(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        return complete(name, ctx.params.get(_NAME) or [], incomplete)

    # not in an annotation, which Typer evaluates where `suggest` is not known
    argument = typer.Argument(None, metavar="[ARG]...", autocompletion=suggest)

    def call(words: list[str] | None = argument) -> None:
        raise typer.Exit(run(name, words or []))

    made = typer.Typer(add_completion=False, rich_markup_mode=None)
    made.command(
        name.rpartition(" ")[2],
        cls=_Call,
        help=summary_of(name),
        add_help_option=False,
        context_settings={
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
        },
    )(call)
    command = get_command(made)
    assert isinstance(command, TyperCommand)
    return command
