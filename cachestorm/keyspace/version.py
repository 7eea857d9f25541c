"""A version: what tells whether a key or its tags have changed since a moment.

Given out by `Cache.version`, handed back to `Cache.set`. The class that can tell is
`cachestorm/loading/versions.py`, as the log of what happens is kept there.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.keyspace.keyspace import Keyspace

CURRENT: Final = "current"
OUTDATED: Final = "outdated"
UNKNOWN: Final = "unknown"


@mypyc_attr(allow_interpreted_subclasses=True)
class Version:
    """A moment in the life of a namespace.

    It is good for any number of keys and threads, for one write to each key, and can
    neither be copied nor pickled. While it is referred to, writes are noted for it.
    """

    def judge(self, space: Keyspace, key: str, tags: list[str]) -> str:
        """Says what has become of a key since. The caller holds the latch, and keeps it.

        Args:
            tags: those that the key is to have, beside those of the version.

        Returns:
            CURRENT, OUTDATED, or UNKNOWN: to be asked again, in another visit.

        Raises:
            ArgumentError: for a keyspace of which it is not.
        """
        raise NotImplementedError
