"""What kinds of parameters CONFIG has: how one is read, checked and set.

Used where parameters are declared, in `configuration.py` and beside what they are about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachestorm.errors import ArgumentError
from cachestorm_server.endpoint import Endpoint

INT32_MOST: Final = 2**31 - 1
INT64_MOST: Final = 2**63 - 1

Read = Callable[[Endpoint], str]
# checks the text and sets the value, unless told to check only
Write = Callable[[Endpoint, str, bool], None]


def whole_number(text: str, least: int, most: int) -> int:
    """A whole number between two others.

    Raises:
        ArgumentError: for anything else.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise ArgumentError("argument couldn't be parsed into an integer")
    found = int(text)
    if not least <= found <= most:
        raise ArgumentError(f"argument must be between {least} and {most} inclusive")
    return found


def whole(least: int, most: int, take: Callable[[Endpoint, int], None]) -> Write:
    """A whole number between two others, and what to do with it."""

    def write(endpoint: Endpoint, text: str, check_only: bool) -> None:
        found = whole_number(text, least, most)
        if not check_only:
            take(endpoint, found)

    return write


def setting(name: str, most: int) -> Write:
    """A setting that is a whole number."""
    return whole(0, most, lambda endpoint, found: setattr(endpoint.settings, name, found))
