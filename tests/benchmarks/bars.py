"""Bars: one figure of several subjects, a panel for each figure, as SVG.

Called by the cases. It draws by itself, so that a page of benchmarks needs no plotting
library. Every panel has a scale of its own, from zero on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tests.benchmarks.page import number

WIDTH, BAR, ROW = 440, 16, 22  # of a panel, of a bar, and from one bar to the next
LEFT, RIGHT, TOP, BOTTOM = 130, 60, 30, 14  # margins inside of a panel
INK, PLAIN, STRONG = "#222222", "#88aacc", "#cc2222"


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure: its title, and what it is for each subject."""

    title: str
    bars: Mapping[str, float]


def draw(panels: Sequence[Panel], strong: Collection[str], columns: int) -> str:
    """The whole picture.

    Args:
        panels: from left to right, row by row.
        strong: the subjects to look at.
        columns: how many panels stand in a row.
    """
    tall = TOP + ROW * max((len(panel.bars) for panel in panels), default=0) + BOTTOM
    width, height = columns * WIDTH, math.ceil(len(panels) / columns) * tall
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11" '
        f'fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for place, panel in enumerate(panels):
        x, y = place % columns * WIDTH, place // columns * tall
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, strong), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, strong: Collection[str]) -> list[str]:
    longest = max(panel.bars.values(), default=0.0) or 1.0
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>']
    for place, (name, value) in enumerate(panel.bars.items()):
        y = TOP + ROW * place
        width = (WIDTH - LEFT - RIGHT) * value / longest
        colour = STRONG if name in strong else PLAIN
        parts += [
            f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LEFT + width + 5:.1f}" y="{y + 12}">{number(value)}</text>',
        ]
    return parts
