"""Keeping: what tiers do for a data directory, whose files name the values that are there.

Made by `tiers.py`, and asked by it in the name of the directory. Calls the levels.

1. A file names a value only if it was on the disk before: `sync`, then up to `synced_until`.
   So what any file names was there, however early the process was killed.
2. What a file may name is not deleted, whatever becomes of its key: it is held until files are
   complete that were begun afterwards. So each state that the files may lead to has its values.
3. Coming back to memory is no change of a key, and nothing is written for it: after a restart
   the value is in the tier again.
4. When files were read, what they name and no key has any more goes, and so does what former
   runs have left that no file names; the latter by a thread, which looks at places only.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Sequence
from typing import Final

from cachestorm.errors import DurabilityError
from cachestorm.keyspace.tiering import TIER_BITS
from cachestorm.tiers.level import ALL, Level

# So much may be held, or half of what is somebody's, before files are begun anew for it.
HELD_BYTES: Final = 64 << 20

_log = logging.getLogger("cachestorm")


class Keeping:
    """The part that a data directory has in tiers.

    Args:
        levels: of the tiers.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels: Final = levels
        # what was held as files were begun, of each level
        self._going: list[dict[int, int]] = []
        self._discarding: threading.Thread | None = None
        self._is_over = False

    def end_load(self) -> None:
        """All files have been read. The caller holds the latch."""
        adopted: list[tuple[Level, Sequence[int]]] = []
        for level in self._levels:
            level.release(level.held, level.held_bytes)
            level.held, level.held_bytes = {}, 0
            places = array("q", sorted(each.place >> TIER_BITS for each in level.here()))
            last = places[-1] if places else 0
            level.named_until = level.complete_until = last
            level.synced_until = level.written_until = last
            if level.has_others:
                adopted.append((level, places))
        if adopted:
            self._discarding = threading.Thread(
                target=self._discard,
                args=(adopted,),
                name="cachestorm-tier-orphans",
                daemon=True,
            )
            self._discarding.start()

    def _discard(self, adopted: list[tuple[Level, Sequence[int]]]) -> None:
        for level, places in adopted:
            found = 0
            try:
                for some in level.blobs.discard_others(places):
                    found += some
                    if self._is_over:
                        return
            except DurabilityError as error:
                _log.warning("the %s tier is not tidied up: %s", level.name, error)
            else:
                # else it is looked for again at the next start
                level.has_others = False
            if found:
                _log.info("the %s tier: %d orphans were deleted", level.name, found)

    def sync(self) -> None:
        """Has what was written be on the disk. Without the latch."""
        for level in self._levels:
            level.sync()

    def begin_naming(self) -> None:
        """Files are begun that say all there is. The caller holds the latch."""
        self._going = []
        for level in self._levels:
            self._going.append(level.held)
            level.held, level.held_bytes = {}, 0
            level.complete_until = level.synced_until
            level.named_until = max(level.named_until, level.synced_until)

    def end_naming(self, is_complete: bool) -> None:
        """They are complete, and alone; or it was given up. The caller holds the latch."""
        for level, going in zip(self._levels, self._going):
            if is_complete:
                level.release(going, sum(going.values()))
            else:
                level.held = {**going, **level.held}
                level.held_bytes += sum(going.values())
        self._going = []

    def wants_naming(self) -> bool:
        """Whether much is only kept because files name it."""
        return any(
            level.held_bytes > HELD_BYTES and 2 * level.held_bytes > level.used_bytes
            for level in self._levels
        )

    def end(self) -> None:
        """The tiers are about to be closed, and write no more. Without the latch."""
        self._is_over = True
        if self._discarding is not None:
            self._discarding.join()
        for level in self._levels:
            if not level.is_kept or level.named_until == ALL:
                continue
            if level.write([], level.take_released()) is not None and not level.has_others:
                level.end()
