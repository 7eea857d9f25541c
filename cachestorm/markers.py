"""Two markers that no value can be mistaken for: MISSING and UNSET.

Members of an enum, so that they are singletons through copy and pickle and that a type
checker can narrow `object | Missing`.
"""

from __future__ import annotations

import enum
from typing import Final


class Missing(enum.Enum):
    """The type of MISSING: there is no such key."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


class Unset(enum.Enum):
    """The type of UNSET: the argument was not given."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


MISSING: Final = Missing.MISSING
UNSET: Final = Unset.UNSET
