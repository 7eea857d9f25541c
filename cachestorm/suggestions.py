"""Suggestions: what somebody may have meant by a name that nothing has.

Called wherever unknown settings and options are refused.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(given: Iterable[str], known: Iterable[str]) -> str:
    """The end of a refusal; empty where no name is near.

    Examples:
        >>> did_you_mean(["neer", "max_memory"], ["near", "on_error"])
        '; did you mean near?'
    """
    # takes a while to import, and few make mistakes
    from difflib import get_close_matches

    names = list(known)
    near = [match for name in given for match in get_close_matches(name, names, 1)]
    return f"; did you mean {', '.join(near)}?" if near else ""
