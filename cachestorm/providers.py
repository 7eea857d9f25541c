"""The providers: what needs more than the core has, found when it is first asked for.

Called by methods of `Cache` whose work is done by a package above the core, which the core must
not import. A distribution names such functions as entry points of the group
`cachestorm.providers`; our own names those of `cachestorm_server`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cachestorm.errors import MissingExtraError

GROUP: Final = "cachestorm.providers"


def provider(name: str, asked_for: str) -> Callable[..., Any]:
    """What an entry point of the group names.

    Args:
        name: of the entry point.
        asked_for: what the caller wrote, for the error.

    Raises:
        MissingExtraError: if there is none, or what it needs is not installed.
    """
    # it takes a while, and most programs never ask
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=GROUP, name=name):
        try:
            found: Callable[..., Any] = entry_point.load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(asked_for, error.name or "") from error
        return found
    raise MissingExtraError(asked_for, "")
