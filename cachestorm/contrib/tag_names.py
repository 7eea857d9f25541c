"""The tags that a view is cached with: names in which its arguments are filled in.

Called by the backends of frameworks, which say what an argument is called there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final, cast

from cachestorm.errors import CacheStormError
from cachestorm.operations.names import checked_tags

_log: Final = logging.getLogger("cachestorm.contrib")


def filled_in(names: Iterable[str], arguments: Mapping[str, object], what: str) -> list[str]:
    """Tags, with `{pk}` replaced by the argument `pk`.

    Args:
        what: has the arguments: "the view".

    Raises:
        TypeError: for a name in braces that is none of the arguments.

    Examples:
        >>> filled_in(["posts", "post:{pk}"], {"pk": 7}, "the view")
        ['posts', 'post:7']
    """
    made = []
    for name in names:
        try:
            made.append(name.format_map(arguments))
        except LookupError as error:
            there = ", ".join(arguments) or "no arguments"
            raise TypeError(
                f"the tag {name!r} names {error}, which is no argument of {what}: "
                f"it has {there}"
            ) from None
    return made


def usable(found: object, what: str) -> list[str] | None:
    """The tags of one call, as a list; None, which is logged, if they are none.

    Then nothing is to be cached: a page can be served without a cache, but one that nobody can
    invalidate would stay.

    Args:
        found: what a function has returned, or was filled in.
        what: is not cached: "the page /posts/7".
    """
    try:
        return checked_tags(cast("Iterable[object]", found))
    except (CacheStormError, TypeError) as error:
        _log.error("%s is not cached: its tags are %r: %s", what, found, error)
        return None
