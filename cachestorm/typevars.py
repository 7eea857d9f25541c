"""The types that stand for others in signatures: V, of a cache's values, and D, of a default.

Not compiled: that V is `Any` where nobody says what it is (PEP 696) is for type checkers, and
`typing` knows of it from Python 3.13 on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    V = TypeVar("V")

D = TypeVar("D")
