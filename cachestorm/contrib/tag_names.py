"""The tags that a view is cached with: names in which its arguments are filled in.

Called by the backends of frameworks, which say what an argument is called there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
