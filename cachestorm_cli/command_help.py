"""The help of a command, from the text of COMMAND DOCS, for `cachestorm get --help`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import Final

from cachestorm_cli.command_options import Option
from cachestorm_cli.syntax import Syntax, known

_NARROWEST: Final = 20
_WIDEST: Final = 88


def help_of(syntax: Syntax, options: Sequence[Option], width: int | None = None) -> str:
    """What a command does and takes.

    Args:
        width: of the lines; left out, that of the terminal.
    """
    columns = shutil.get_terminal_size().columns if width is None else width
    columns = max(_NARROWEST, min(_WIDEST, columns))
    lines = [*_wrapped(f"Usage: cachestorm {_usage(syntax, options)}", columns, "  "), ""]
    lines += _wrapped(syntax.summary, columns)
    if syntax.subcommands:
        children = known()
        rows = [
            (name.lower(), children[f"{syntax.name} {name}"].summary)
            for name in syntax.subcommands
        ]
        lines += ["", "Subcommands:", *_rows(rows, columns)]
    if options:
        lines += ["", "Options:", *_rows([_row(option) for option in options], columns)]
    from cachestorm_cli.calls import FORMAT_HELP, PLACES, SHORT

    short = {flag: f"{letter}, " for letter, flag in SHORT.items()}
    every = [(f"{short.get(flag, '')}{flag} VALUE", text) for flag, text in PLACES.items()]
    every += FORMAT_HELP.items()
    lines += ["", *_wrapped("Options of every command:", columns), *_rows(every, columns)]
    if not syntax.subcommands:
        lines += ["", *_wrapped(f"In Redis' notation: {syntax.usage}", columns, "  ")]
        lines += _wrapped(f"Complexity: {syntax.complexity}", columns, "  ")
    return "\n".join(lines)


def _usage(syntax: Syntax, options: Sequence[Option]) -> str:
    from cachestorm_cli.syntax import written

    words = [syntax.name.lower()]
    if syntax.subcommands and not syntax.arguments:
        return f"{words[0]} SUBCOMMAND [ARG]... [OPTION]..."
    said = {id(option.node) for option in options}
    for node in syntax.arguments:
        if id(node) in said and node.optional:
            continue
        if node.optional and node.children and all(id(one) in said for one in node.children):
            continue
        words.append(written(node))
    return " ".join([*words, "[OPTION]..."])


def _row(option: Option) -> tuple[str, str]:
    values = " ".join(value.upper() for value in option.values)
    left = f"{option.flag} {values}".rstrip()
    return left, "may be given several times" if option.multiple else ""


def _rows(rows: Sequence[tuple[str, str]], columns: int) -> list[str]:
    """Two columns where they have room, else the second below the first."""
    left = min(max(len(row[0]) for row in rows), columns // 2) + 4
    lines: list[str] = []
    for name, text in rows:
        head = f"  {name}"
        if not text:
            lines += _wrapped(head, columns, "    ")
        elif left + 20 > columns or len(head) + 2 > left:
            lines += _wrapped(head, columns, "    ")
            lines += _wrapped(f"    {text}", columns, "    ")
        else:
            lines += _wrapped(f"{head:<{left}}{text}", columns, " " * left)
    return lines


def _wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        subsequent_indent=indent,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]
