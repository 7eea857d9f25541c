"""The traces: requests in order, real and made up, and the capacities they are run with.

Called by the judge, by the notebook and by tests; reads files with the reader of
`python -m cachestorm`.

1. A trace has a name, and the name and a length make the same requests on every machine.
2. The two web traces lie in tests/data. The two long ones are looked for where the environment
   variable CACHESTORM_TRACES says; who has none runs without them, and the page says so.
3. Of a long trace the first requests are taken, to bound the time.

Sources: the real traces are those of the cache2k benchmark project, © Jens Wilke, headissue
GmbH, licensed under CC BY 4.0 (tests/data/README.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from cachestorm.replay import read_trace, zipf_trace

DATA: Final = Path(__file__).resolve().parents[2] / "data"
VARIABLE: Final = "CACHESTORM_TRACES"
SHARES: Final = (0.005, 0.01, 0.05, 0.10, 0.25)  # of the distinct keys
SMALLEST: Final = 20
KEYS: Final = 20_000  # of made-up traces
LONGEST: Final = 500_000  # of real ones


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests under a name."""

    name: str
    keys: list[int]

    def capacities(self) -> list[int]:
        """Shares of the distinct keys, ascending; equal ones once."""
        distinct = len(set(self.keys))
        return sorted({max(SMALLEST, round(distinct * share)) for share in SHARES})


def web(name: str) -> Callable[[int], list[int]]:
    """A trace of tests/data."""
    return lambda length: read_trace(str(DATA / f"{name}.trace.xz"), length)


def zipf(skew: float) -> Callable[[int], list[int]]:
    """A few keys are asked for often and most seldom, and that stays so."""
    return lambda length: zipf_trace(length, KEYS, skew=skew)


def scan(length: int) -> list[int]:
    """Every other request is for a key that is asked for only once."""
    popular = zipf_trace(length, KEYS)
    once = count(KEYS)
    return [key if place % 2 else next(once) for place, key in enumerate(popular)]


def loop(length: int) -> list[int]:
    """The same keys in the same order, over and over."""
    around = KEYS // 2
    return [place % around for place in range(length)]


def loops(length: int) -> list[int]:
    """Loops of four sizes, each for a while, like the passes of joins over tables."""
    random = Random(2)
    keys: list[int] = []
    while len(keys) < length:
        size = random.choice((KEYS // 100, KEYS // 40, KEYS // 10, KEYS // 4))
        keys += list(range(size * 4, size * 5)) * random.randint(2, 6)
    return keys[:length]


def shifting(length: int) -> list[int]:
    """What is popular changes, all the time a little."""
    popular = zipf_trace(length, KEYS, seed=3)
    return [(key + place * KEYS // (4 * length)) % KEYS for place, key in enumerate(popular)]


def bursts(length: int) -> list[int]:
    """Popular keys, and now and then a run through keys that nobody asked for before."""
    keys = zipf_trace(length, KEYS, seed=4)
    once = count(KEYS)
    period = length // 20
    for start in range(period, length - period // 4, period):
        for place in range(start, start + period // 4):
            keys[place] = next(once)
    return keys


def phases(length: int) -> list[int]:
    """By turns: popular keys, a loop, and keys that were asked for shortly before."""
    phase = length // 9 + 1
    popular = zipf_trace(length, KEYS, seed=5)
    fresh = news(length)
    parts = (popular, [2 * KEYS + place % (KEYS // 8) for place in range(length)], fresh)
    return [parts[place // phase % 3][place] for place in range(length)]


def news(length: int) -> list[int]:
    """New keys come all the time, are asked for at once and then less and less."""
    random = Random(6)
    keys = []
    newest = KEYS
    for _ in range(length):
        if random.random() < 0.1:
            newest += 1
        age = int(2 ** (random.random() * 14)) - 1
        keys.append(max(0, newest - age) + 3 * KEYS)
    return keys


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a trace is had, and what a reader is told of it."""

    make: Callable[[int], list[int]]
    about: str
    length: int = 200_000


RECIPES: Final[dict[str, Recipe]] = {
    "web07": Recipe(web("web07"), "product pages of a web shop, a day in summer", LONGEST),
    "web12": Recipe(web("web12"), "the same shop, a day in December", LONGEST),
    "zipf 0.7": Recipe(zipf(0.7), "Zipf's law, exponent 0.7"),
    "zipf 0.8": Recipe(zipf(0.8), "Zipf's law, exponent 0.8"),
    "zipf 0.9": Recipe(zipf(0.9), "Zipf's law, exponent 0.9"),
    "zipf 1.0": Recipe(zipf(1.0), "Zipf's law, exponent 1.0"),
    "zipf 1.1": Recipe(zipf(1.1), "Zipf's law, exponent 1.1"),
    "scan": Recipe(scan, "zipf 0.9, every other request for a key that comes only once"),
    "loop": Recipe(loop, "the same keys in the same order"),
    "loops": Recipe(loops, "loops of four sizes by turns"),
    "shifting": Recipe(shifting, "zipf 0.9, what is popular changes slowly"),
    "bursts": Recipe(bursts, "zipf 0.9 with runs through new keys"),
    "phases": Recipe(phases, "zipf 0.9, a loop and news by turns"),
    "news": Recipe(news, "keys are new, popular and forgotten"),
}
# what CACHESTORM_TRACES may add
LONG: Final[dict[str, str]] = {
    "orm-busy": "object-relational mapper of a web application, busy hours",
    "orm-night": "the same, at night",
}


def recipes() -> dict[str, Recipe]:
    """All traces that can be had here, the long ones included where they lie."""
    found = dict(RECIPES)
    for name, about in LONG.items():
        path = long_path(name)
        if path is not None:
            found[name] = Recipe(_reader(path), about, LONGEST)
    return found


def long_path(name: str) -> Path | None:
    """Where a long trace lies, or None."""
    folder = os.environ.get(VARIABLE)
    path = Path(folder, f"{name}.trace.xz") if folder else None
    return path if path is not None and path.is_file() else None


def trace(name: str, length: int | None = None) -> Trace:
    """A trace by its name.

    Args:
        length: requests at most; None for the length of the recipe.
    """
    recipe = recipes()[name]
    wanted = recipe.length if length is None else min(length, recipe.length)
    return Trace(name, recipe.make(wanted))


def _reader(path: Path) -> Callable[[int], list[int]]:
    return lambda length: read_trace(str(path), length)
