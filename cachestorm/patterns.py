"""Glob patterns as Redis matches them, on bytes.

Called by KEYS, SCAN and other commands with patterns. `*` any run, `?` any byte, `[abc]`,
`[a-z]`, `[^a]`, and a backslash that takes the next byte literally.

1. Time is O(pattern x text) at worst: only the last star is ever retried, which is
   enough, because an earlier one matched as little as it could.

Source: `stringmatchlen` of Redis, whose corner cases (an unclosed class, a range turned
around) are kept.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

STAR: Final = 42
QUESTION: Final = 63
OPEN: Final = 91
CLOSE: Final = 93
CARET: Final = 94
DASH: Final = 45
BACKSLASH: Final = 92


def matches(pattern: bytes, text: bytes) -> bool:
    """Whether all of the text fits the pattern.

    Examples:
        >>> matches(b"user:[0-9]*", b"user:7f"), matches(b"h?llo", b"hllo")
        (True, False)
    """
    place: i64 = 0
    at: i64 = 0
    star: i64 = -1
    retry: i64 = 0
    length: i64 = len(pattern)
    size: i64 = len(text)
    while True:
        if place < length and pattern[place] == STAR:
            star = place
            retry = at
            place += 1
            continue
        if at == size:
            return place == length
        after: i64 = -1
        if place < length:
            after = _after(pattern, place, text[at])
        if after >= 0:
            place = after
            at += 1
            continue
        if star < 0:
            return False
        retry += 1
        at = retry
        place = star + 1


def _after(pattern: bytes, place: i64, byte: i64) -> i64:
    """Where the pattern goes on after one byte, or -1 if the byte does not fit."""
    length: i64 = len(pattern)
    sign: i64 = pattern[place]
    if sign == QUESTION:
        return place + 1
    if sign == BACKSLASH and place + 1 < length:
        return place + 2 if pattern[place + 1] == byte else -1
    if sign == OPEN:
        return _after_class(pattern, place + 1, byte)
    return place + 1 if sign == byte else -1


def _after_class(pattern: bytes, place: i64, byte: i64) -> i64:
    length: i64 = len(pattern)
    negated = place < length and pattern[place] == CARET
    if negated:
        place += 1
    fits = False
    while place < length:
        sign: i64 = pattern[place]
        if sign == BACKSLASH and place + 1 < length:
            place += 1
            fits = fits or pattern[place] == byte
        elif sign == CLOSE:
            break
        elif place + 2 < length and pattern[place + 1] == DASH:
            low = sign
            high: i64 = pattern[place + 2]
            if low > high:
                low, high = high, low
            place += 2
            fits = fits or low <= byte <= high
        else:
            fits = fits or sign == byte
        place += 1
    # an unclosed class ends with the pattern
    after = place + 1 if place < length else length
    return after if fits != negated else -1
