"""The notebook form: objects as HTML, for the `_repr_html_` that notebooks ask for.

Called by the cache, its handles, its views and its statistics. Everything is escaped: keys and
values are whatever users and clients wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

# how many rows a table shows, and how many characters a cell
MOST_ROWS = 20
MOST_CHARACTERS = 200


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """A table of facts by name."""
    return table(title, ("", ""), [(name, str(fact)) for name, fact in facts.items()])


def content_table(title: str, content: object) -> str:
    """A table of what a key holds: fields and values, or elements."""
    rows: Iterable[tuple[str, ...]] = [(repr(content),)]
    count = 1
    if isinstance(content, Mapping):
        count = len(content)
        rows = ((repr(name), repr(value)) for name, value in content.items())
    elif isinstance(content, list):
        count = len(content)
        rows = ((repr(value),) for value in content)
    shown = list(islice(rows, MOST_ROWS))
    return table(title, ("",) * len(shown[0]) if shown else (), shown, count - len(shown))


def table(
    title: str, header: Iterable[str], rows: Iterable[Iterable[str]], left_out: int = 0
) -> str:
    """A table of texts.

    Args:
        left_out: how many rows it does not show.
    """
    from html import escape

    parts = ["<table>", f"<caption>{escape(title)}</caption>"]
    names = list(header)
    if any(names):
        parts.append(f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr>")
    for row in rows:
        cells = "".join(f"<td>{escape(_short(cell))}</td>" for cell in row)
        parts.append(f"<tr>{cells}</tr>")
    if left_out:
        parts.append(f'<tr><td colspan="{len(names)}">and {left_out} more</td></tr>')
    parts.append("</table>")
    return "".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
