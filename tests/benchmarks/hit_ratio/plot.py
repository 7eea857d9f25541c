"""The plot: hit ratio against capacity, a panel for each trace, as SVG.

Called by the judge and by the notebook with the scoreboard's cells. It draws text and lines by
itself, so that a page of benchmarks needs no plotting library.

1. Capacities lie on a logarithmic axis and are labelled where they were measured.
2. A contestant has the same colour and dashes in every panel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tests.benchmarks.hit_ratio.contestants import OPTIMUM
from tests.benchmarks.hit_ratio.scoreboard import Cell

COLUMNS: Final = 3
WIDTH, HEIGHT = 300, 210  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 24, 24  # margins inside of it
LEGEND_CELL, LEGEND_ROW = 140, 18
INK, FAINT = "#222222", "#dddddd"
# distinguishable in print and by most who see few colours, after P. Tol's "muted" scheme
COLOURS: Final = (
    "#332288",
    "#44aa99",
    "#117733",
    "#88ccee",
    "#999933",
    "#ddaa33",
    "#aa4499",
    "#882255",
)
DASHES: Final = ("", "6 2", "2 2")
STRONG: Final = "#cc2222"


@dataclass(frozen=True, slots=True)
class Stroke:
    """How the line of one contestant looks."""

    colour: str
    width: float = 1.2
    dashes: str = ""


def strokes(names: Sequence[str], strong: str) -> dict[str, Stroke]:
    """A stroke for each contestant: the strong one thick and red, the optimum grey."""
    found = {}
    turn = 0
    for name in names:
        if name == strong:
            found[name] = Stroke(STRONG, 2.6)
        elif name == OPTIMUM:
            found[name] = Stroke("#888888", 1.2, "1 3")
        else:
            dashes = DASHES[turn // len(COLOURS) % len(DASHES)]
            found[name] = Stroke(COLOURS[turn % len(COLOURS)], 1.2, dashes)
            turn += 1
    return found


def draw(cells: Iterable[Cell], names: Sequence[str], strong: str) -> str:
    """The whole picture.

    Args:
        cells: of any number of traces; drawn in the order in which the traces come.
        names: contestants to draw, in the order of the legend; those without outcomes are
            left out of a panel.
        strong: the one to look at.
    """
    panels: dict[str, list[Cell]] = {}
    for cell in cells:
        panels.setdefault(cell.trace, []).append(cell)
    looks = strokes(names, strong)
    columns = min(COLUMNS, len(panels))
    width = columns * WIDTH
    legend_columns = max(1, width // LEGEND_CELL)
    legend_height = math.ceil(len(names) / legend_columns) * LEGEND_ROW + 10
    height = legend_height + math.ceil(len(panels) / columns) * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="10" '
        f'fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for place, name in enumerate(names):
        x = place % legend_columns * LEGEND_CELL + 10
        y = place // legend_columns * LEGEND_ROW + 14
        parts.append(_line([(x, y), (x + 24, y)], looks[name]))
        parts.append(_text(x + 30, y + 3, name))
    for place, (trace, measured) in enumerate(panels.items()):
        x, y = place % columns * WIDTH, legend_height + place // columns * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(trace, measured, names, looks)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    trace: str, cells: list[Cell], names: Sequence[str], looks: dict[str, Stroke]
) -> list[str]:
    """One trace: axes, grid, labels and a line for each contestant."""
    ratios = [
        ratio for cell in cells for name in names if (ratio := cell.ratio(name)) is not None
    ]
    low, high = math.floor(min(ratios) / 10) * 10, math.ceil(max(ratios) / 10) * 10
    high = max(high, low + 10)
    first = math.log(cells[0].capacity)
    span = math.log(cells[-1].capacity) - first or 1.0

    def x_of(capacity: int) -> float:
        return LEFT + (math.log(capacity) - first) / span * (WIDTH - LEFT - RIGHT)

    def y_of(ratio: float) -> float:
        return TOP + (high - ratio) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, 14, trace, weight="bold")]
    step = 10 if high - low <= 50 else 20
    for level in range(low, high + 1, step):
        y = y_of(level)
        parts.append(_line([(LEFT, y), (WIDTH - RIGHT, y)], Stroke(FAINT, 1)))
        parts.append(_text(LEFT - 4, y + 3, f"{level} %", anchor="end"))
    free_from = 0.0
    for cell in cells:
        x = x_of(cell.capacity)
        if x >= free_from:  # two labels do not lie upon each other
            parts.append(_text(x, HEIGHT - 8, f"{cell.capacity:,}", anchor="middle"))
            free_from = x + 34
    # what is thick comes last and lies on top
    for name in sorted(names, key=lambda name: looks[name].width):
        points = [
            (x_of(cell.capacity), y_of(ratio))
            for cell in cells
            if (ratio := cell.ratio(name)) is not None
        ]
        if points:
            parts.append(_line(points, looks[name], title=name))
    return parts


def _line(points: list[tuple[float, float]], stroke: Stroke, title: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{stroke.dashes}"' if stroke.dashes else ""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{stroke.colour}" '
        f'stroke-width="{stroke.width}"{dashes}>{inside}</polyline>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
