"""Output of the tools: rows for people, for programs, as JSON or as CSV.

Called by every tool; calls rich on a terminal. Without a terminal rows are lines of fields
separated by tabs, which `cut` and `awk` read. Nothing is said by colour alone.
"""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from cachestorm_cli.printing import CSV, JSON, PEOPLE, RAW

if TYPE_CHECKING:
    from rich.console import Console

Cell = str | int | float | None
# columns below which rows are paragraphs
_NARROW: Final = 40
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def form_of(json: bool = False, csv: bool = False) -> str:
    """The format that options ask for; without any, by where the output goes."""
    if json:
        return JSON
    if csv:
        return CSV
    return PEOPLE if sys.stdout.isatty() else RAW


def console() -> Console:
    """The terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def show_rows(
    titles: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    form: str,
    shown: Sequence[Sequence[str]] | None = None,
) -> None:
    """Prints rows.

    Args:
        titles: of the columns; names in JSON, the first line of CSV.
        rows: what programs get.
        shown: the same for people, where numbers have units.
    """
    if form == JSON:
        documents = [dict(zip(titles, row)) for row in rows]
        print(json.dumps(documents, ensure_ascii=True))
    elif form == CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(titles)
        writer.writerows(rows)
    elif form == RAW:
        for row in rows:
            print("\t".join(_plain(cell) for cell in row))
    else:
        _show_table(titles, rows, shown)


def _show_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    shown: Sequence[Sequence[str]] | None,
) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    if screen.width < _NARROW:
        _show_narrow(titles, shown if shown is not None else _texts(rows), screen.width)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_edge=False)
    for index, title in enumerate(titles):
        is_number = all(isinstance(row[index], (int, float)) for row in rows) and bool(rows)
        table.add_column(
            Text(title),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number and screen.width >= 60,
        )
    for row in shown if shown is not None else _texts(rows):
        table.add_row(*(Text(printable(cell)) for cell in row))
    screen.print(table)


def _texts(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    return [[_plain(cell) for cell in row] for row in rows]


def _show_narrow(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """A row is a paragraph, where columns have no room."""
    for row in rows:
        named = [f"{title} {cell}".strip() for title, cell in zip(titles, row)]
        for line in named:
            print("\n".join(textwrap.wrap(printable(line), width, subsequent_indent=" ")))


def show_facts(facts: Mapping[str, Cell], form: str, shown: Mapping[str, str]) -> None:
    """Prints facts, a line each; JSON is one object.

    Args:
        facts: what programs get.
        shown: for people: texts by names of their own.
    """
    if form == JSON:
        print(json.dumps(dict(facts), ensure_ascii=True))
    elif form == PEOPLE:
        show_rows(["", ""], list(shown.items()), form)
    else:
        show_rows(["name", "value"], list(facts.items()), form)


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    return printable(str(cell))


def printable(text: str) -> str:
    r"""Text without what could do something to a terminal.

    Examples:
        >>> printable("a\x1b[31mb\n")
        'a\\x1b[31mb\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def bytes_shown(size: float) -> str:
    """A size for people.

    Examples:
        >>> bytes_shown(1536)
        '1.5 KiB'
    """
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def seconds_shown(seconds: float) -> str:
    """A span for people.

    Examples:
        >>> seconds_shown(93784)
        '1 d 02:03:04'
    """
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def count_shown(number: float) -> str:
    """A count for people: digits in groups.

    Examples:
        >>> count_shown(12345.6)
        '12,346'
    """
    return f"{number:,.0f}"


def micros_shown(micros: float) -> str:
    """A short time for people.

    Examples:
        >>> micros_shown(1500)
        '1.50 ms'
    """
    return f"{micros / 1000:.2f} ms" if micros >= 1000 else f"{micros:.0f} µs"


def percent_shown(share: float | None) -> str:
    """A share for people; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def bar(share: float, width: int) -> str:
    """A share as a bar of characters.

    Examples:
        >>> bar(0.5, 4)
        '##..'
    """
    filled = round(max(0.0, min(1.0, share)) * width)
    return "#" * filled + "." * (width - filled)
