"""A page of docs/benchmarks: tables and verdicts as data, and how they are drawn in Markdown.

Filled by the cases, kept in results.json, drawn by `__main__`. It measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.sample import Sample

# a cell of a table that has no number
NOTHING = "-"


@dataclass(slots=True)
class Table:
    """Rows of cells under a header; the first column names the subject."""

    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""

    def add(self, *cells: str) -> None:
        """Appends a row."""
        self.rows.append(list(cells))


@dataclass(slots=True)
class Verdict:
    """One goal and what came of it."""

    goal: str
    measured: str
    reached: bool

    @property
    def word(self) -> str:
        return "reached" if self.reached else "**short**"


@dataclass(slots=True)
class Page:
    """What one case has to tell.

    Attributes:
        name: of the file, without suffix.
        title: the heading.
        method: how it was measured; paragraphs of Markdown.
        missing: what could not be measured here, and why.
        plots: pictures, SVG by the name of the file beside the page.
    """

    name: str
    title: str
    method: str
    verdicts: list[Verdict] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The page as plain dicts and lists, without its plots."""
        data = asdict(self)
        del data["plots"]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Page:
        """The page of such dicts and lists."""
        return cls(
            name=data["name"],
            title=data["title"],
            method=data["method"],
            verdicts=[Verdict(**verdict) for verdict in data["verdicts"]],
            tables=[Table(**table) for table in data["tables"]],
            missing=data["missing"],
        )


def number(value: float) -> str:
    """A number with three digits that matter, and thousands parted.

    Examples:
        >>> [number(value) for value in (0.1234, 35.26, 1234.5, 1500000.0)]
        ['0.123', '35.3', '1,234', '1,500,000']
    """
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def counted(tags: int) -> str:
    """So many tags, in words that fit into a sentence."""
    return "no tag" if tags == 0 else "1 tag" if tags == 1 else f"{tags} tags"


def spread(sample: Sample | None) -> str:
    """Median and, in brackets, the smallest and the largest round; a dash for None."""
    if sample is None:
        return NOTHING
    if len(sample.rounds) == 1:
        return number(sample.median)
    return f"{number(sample.median)} ({number(sample.low)}..{number(sample.high)})"


def draw_table(table: Table) -> str:
    """The table in Markdown: first column to the left, the others to the right."""
    lines = [f"**{table.title}**\n"] if table.title else []
    lines += [_row(table.header), _row(["---", *["---:"] * (len(table.header) - 1)])]
    lines += [_row(row) for row in table.rows]
    return "\n".join(lines)


def draw_verdicts(verdicts: Iterable[Verdict]) -> str:
    """The verdicts in Markdown."""
    lines = [_row(["goal", "measured", "verdict"]), _row(["---"] * 3)]
    lines += [_row([verdict.goal, verdict.measured, verdict.word]) for verdict in verdicts]
    return "\n".join(lines)


def draw_page(page: Page, facts: dict[str, str]) -> str:
    """The whole page in Markdown.

    Args:
        page: the case's results.
        facts: of the machine and the run, by name.
    """
    parts = [f"# {page.title}", page.method.strip()]
    if page.verdicts:
        parts += ["## Goals", draw_verdicts(page.verdicts)]
    parts.append("## Measured")
    parts += [f"![{page.title}]({name})" for name in page.plots]
    parts += [draw_table(table) for table in page.tables]
    if page.missing:
        parts += ["## Not measured", "\n".join(f"* {what}" for what in page.missing)]
    parts += ["## The run", "\n".join(f"* {name}: {fact}" for name, fact in facts.items())]
    return "\n\n".join(parts) + "\n"


def draw_index(pages: Iterable[Page]) -> str:
    """The page that lists the verdicts of all others."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`; each page says how it was measured, on what machine, at "
        "which commit and beside which peers. Medians of rounds; the smallest and the largest "
        "round stand in brackets.",
    ]
    for page in pages:
        parts.append(f"## [{page.title}]({page.name}.md)")
        if page.verdicts:
            parts.append(draw_verdicts(page.verdicts))
    return "\n\n".join(parts) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
