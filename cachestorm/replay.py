"""The replay: a real access trace through a tagged, memory-bounded cache in this process.

Called by `python -m cachestorm`; calls a `Cache` as an application would: ask for a page,
and where it is missing make it and keep it with its tags. Half way one tag is invalidated.

1. Only asking, making and keeping are timed; reading the trace and drawing progress are not.
2. Pages are made from their number alone, so two runs of a trace do the same.
"""

from __future__ import annotations

import lzma
import sys
from array import array
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Final

from cachestorm.cache import Cache
from cachestorm.errors import ArgumentError, OutOfMemoryError

SECTIONS: Final = 16
KEY_BYTES: Final = 4
# as many requests as are made between two looks at the clock
STRIDE: Final = 2000
# how long a stretch before and after the invalidation is compared
WINDOW: Final = 5000

SMALLEST_PAGE: Final = 200
PAGE_SPREAD: Final = 1600

EVERY_PAGE: Final = "pages"
Progress = Callable[[int], None]


class Outcome:
    """What a replay found.

    Attributes:
        requests, hits, evicted, refused: counts; refused are pages that found no room.
        seconds: that the requests took.
        tag: what was invalidated half way.
        deleted: keys that went with it.
        invalidation_s: seconds that took.
        hits_before, hits_after: of the `window` requests before and after it.
        asked_again: keys that went with the tag and were made anew.
    """

    def __init__(self, requests: int, tag: str) -> None:
        self.requests: Final = requests
        self.tag: Final = tag
        self.window: Final = min(WINDOW, requests // 2)
        self.hits = 0
        self.evicted = 0
        self.refused = 0
        self.seconds = 0.0
        self.deleted = 0
        self.invalidation_s = 0.0
        self.hits_before = 0
        self.hits_after = 0
        self.asked_again = 0

    def report(self) -> str:
        """The findings, a line each."""
        rows = [
            ("requests", f"{self.requests:,}"),
            ("hit ratio", f"{_percent(self.hits, self.requests)}"),
            ("speed", f"{self.requests / self.seconds:,.0f} requests a second, one thread"),
            ("evictions", f"{self.evicted:,}"),
            (
                f"INVALIDATE {self.tag}",
                f"{self.deleted:,} keys in {self.invalidation_s * 1000:.2f} ms; "
                f"{self.asked_again:,} of them were asked for again",
            ),
            (
                "hit ratio around it",
                f"{_percent(self.hits_before, self.window)} of the {self.window:,} requests "
                f"before, {_percent(self.hits_after, self.window)} of those after",
            ),
        ]
        if self.refused:
            rows.insert(4, ("refused", f"{self.refused:,} pages, for want of memory"))
        width = max([len(name) for name, _ in rows])
        return "\n".join([f"{name.ljust(width)}  {text}" for name, text in rows])


def read_trace(path: str, limit: int | None = None) -> list[int]:
    """The keys of a trace, in order of the requests.

    Args:
        path: an array of big-endian 32-bit unsigned integers, in an .xz file or bare.
        limit: of the requests, the first so many at most; None for all.

    Raises:
        ArgumentError: for a file that is none, or cannot be read.
    """
    size = -1 if limit is None else limit * KEY_BYTES
    try:
        if path.endswith(".xz"):
            with lzma.open(path, "rb") as packed:
                raw = packed.read(size)
        else:
            with open(path, "rb") as plain:
                raw = plain.read(size)
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise ArgumentError(f"{path}: cannot be read: {error}") from error
    keys = array("I")
    if len(raw) < 2 * STRIDE * KEY_BYTES or len(raw) % KEY_BYTES:
        raise ArgumentError(f"{path}: no trace of 32-bit keys, {2 * STRIDE:,} at least")
    keys.frombytes(raw)
    if sys.byteorder == "little":
        keys.byteswap()
    return keys.tolist()


def zipf_trace(requests: int, keys: int, seed: int = 1, skew: float = 0.9) -> list[int]:
    """Requests for keys of which a few are asked for often and most seldom; 0 the most often.

    Args:
        skew: the exponent. Published web traces lie between 0.6 and 1.1.

    Source: Zipf's law; L. Breslau et al., "Web Caching and Zipf-like Distributions", 1999.
    """
    total = 0.0
    sums: list[float] = []
    for rank in range(1, keys + 1):
        total += rank**-skew
        sums.append(total)
    return Random(seed).choices(range(keys), cum_weights=sums, k=requests)


def replay(trace: list[int], cache: Cache, progress: Progress) -> Outcome:
    """Runs a trace through a cache.

    Args:
        trace: at least two strides long.
        cache: empty; its limits and its policy are those under test.
        progress: told how many requests are done.
    """
    size = len(trace)
    middle = size // 2
    outcome = Outcome(size, "section:0")
    payload = bytes(SMALLEST_PAGE + PAGE_SPREAD)
    gone: set[str] = set()
    start = 0
    while start < size:
        # a stretch ends where something is to be done or counted
        end = min(start + STRIDE, size)
        for edge in (middle - outcome.window, middle, middle + outcome.window):
            if start < edge < end:
                end = edge
        if start == middle:
            gone = set(cache.tagkeys(outcome.tag))
            began = perf_counter()
            outcome.deleted = cache.invalidate(outcome.tag)
            outcome.invalidation_s = perf_counter() - began
        began = perf_counter()
        hits = 0
        for number in trace[start:end]:
            key = f"page:{number}"
            if cache.get(key) is not None:
                hits += 1
            else:
                page = payload[: SMALLEST_PAGE + number * 7919 % PAGE_SPREAD]
                section = f"section:{number * 31 % SECTIONS}"
                try:
                    cache.set(key, page, tags=(section, EVERY_PAGE))
                except OutOfMemoryError:
                    outcome.refused += 1
                if key in gone:
                    gone.remove(key)
                    outcome.asked_again += 1
        outcome.seconds += perf_counter() - began
        outcome.hits += hits
        if middle - outcome.window <= start < middle:
            outcome.hits_before += hits
        elif middle <= start < middle + outcome.window:
            outcome.hits_after += hits
        start = end
        progress(start)
    outcome.evicted = cache.store_stats().evicted
    return outcome


def _percent(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.1f} %" if whole else "none"
