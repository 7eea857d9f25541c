r"""Manual pages, in the language of man, drawn from what help is drawn from.

Called by the command `man`: `cachestorm man | man -l -`, or `cachestorm man --to DIR` for
files that a package or a MANPATH can have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer
from typer.main import get_command

from cachestorm.errors import CacheStormError
from cachestorm_cli.groups import tools_of
from cachestorm_cli.version import version_line

_NAME: Final = "cachestorm"
_ENVIRONMENT: Final = (
    ("CACHESTORM_URL", "Address of the server, for all tools and commands."),
    ("CACHESTORM_AUTH_PASSWORD", "Password of the server, where no other user can see it."),
    ("CACHESTORM_CONFIG", "Configuration file of 'cachestorm serve'."),
    ("NO_COLOR", "Print without colours. Nothing is said by colour alone in any case."),
)
_EXITS: Final = (
    ("0", "It was done."),
    ("1", "The server refused, is not there, or something was found to be wrong."),
    ("2", "The arguments or the configuration are wrong."),
    ("130", "Ctrl-C."),
)


def show_manual(app: typer.Typer, page: str | None, folder: str | None) -> int:
    """Prints a page, or writes all of them. Returns an exit code.

    Raises:
        CacheStormError: for a tool that there is not, and for a folder that cannot be written.
    """
    pages = dict(manual_pages(app))
    if folder is not None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for name, text in pages.items():
                Path(folder, f"{name}.1").write_text(text, encoding="utf-8")
        except OSError as error:
            raise CacheStormError(f"{folder}: {error.strerror}") from error
        print(f"{len(pages)} pages are in {folder}")
        return 0
    name = _NAME if page is None else f"{_NAME}-{page}"
    if name not in pages:
        known = ", ".join(sorted(one.partition("-")[2] for one in pages if "-" in one))
        raise CacheStormError(f"there is no page of {page!r}; there are {known}")
    sys.stdout.write(pages[name])
    return 0


def manual_pages(app: typer.Typer) -> Iterator[tuple[str, str]]:
    """Every page by name: that of the program, and one a tool."""
    program = get_command(app)
    tools = tools_of(app)
    yield _NAME, _page(_NAME, program, tools)
    for name, tool in tools.items():
        yield f"{_NAME}-{name}", _page(f"{_NAME} {name}", tool, getattr(tool, "commands", {}))


def _page(name: str, command: Any, tools: dict[str, Any]) -> str:
    context = command.context_class(command, info_name=name)
    help_text = (command.help or "").strip()
    lines = [
        f'.TH "{name.replace(" ", "-").upper()}" "1" "" "{_escaped(version_line())}" '
        '"CacheStorm"',
        ".SH NAME",
        f"{_escaped(name.replace(' ', '-'))} \\- {_escaped(_first_sentence(help_text))}",
        ".SH SYNOPSIS",
        f"\\fB{_escaped(name)}\\fR {_escaped(' '.join(command.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *_paragraphs(help_text),
    ]
    records = [one.get_help_record(context) for one in command.get_params(context)]
    rows = [record for record in records if record is not None]
    if rows:
        lines.append(".SH OPTIONS")
        lines += [line for left, right in rows for line in _row(left, right)]
    if tools:
        lines.append(".SH TOOLS")
        for tool, one in tools.items():
            lines += _row(tool, _first_sentence((one.help or "").strip()))
    lines.append(".SH EXIT STATUS")
    lines += [line for left, right in _EXITS for line in _row(left, right)]
    lines.append(".SH ENVIRONMENT")
    lines += [line for left, right in _ENVIRONMENT for line in _row(left, right)]
    return "\n".join(lines) + "\n"


def _row(left: str, right: str) -> list[str]:
    return [".TP", f"\\fB{_escaped(left)}\\fR", _escaped(" ".join(right.split()))]


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines += [".PP", _escaped(" ".join(paragraph.split()))]
    return lines


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    return re.split(r"[.:;] ", flat + " ")[0].rstrip(".")


def _escaped(text: str) -> str:
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    # a line that begins with a dot or an apostrophe is a request
    return f"\\&{safe}" if safe[:1] in (".", "'") else safe
