"""The bulk: what may be so large that freeing it in one step would stall others.

The base of containers and of the indexes of a keyspace; asked for its parts by lazy freeing.
"""

from __future__ import annotations

from mypy_extensions import i64


class Bulk:
    """What can be taken apart."""

    def bulk(self) -> i64:
        """About how many objects it holds. O(1)."""
        raise NotImplementedError

    def take_apart(self) -> list[object]:
        """Empties it, and gives what held it all: lists, dicts, and other bulks. O(1) each.

        A caller that still refers to it finds it empty, not half gone.
        """
        raise NotImplementedError
