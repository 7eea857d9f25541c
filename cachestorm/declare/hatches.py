"""Hatches: what a notation cannot say, by the name that a declaration gives in `bind=`.

A hatch runs when the words are in their slots and not converted yet; it may move words
or choose other kinds. Each is one small function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from cachestorm.declare.bound import Bound
from cachestorm.declare.composites import Repeated
from cachestorm.declare.kinds import Key
from cachestorm.errors import CommandSyntaxError

Hatch = Callable[[Bound], None]


def stream_halves(bound: Bound) -> None:
    """XREAD: as many ids as keys, told apart by nothing but their number."""
    keys_slot = ids_slot = 0
    for slot, kind in enumerate(bound.kinds):
        if isinstance(kind, Repeated):
            if isinstance(kind.kind, Key):
                keys_slot = slot
            else:
                ids_slot = slot
    argv = cast("list[object]", bound.values[keys_slot])
    argv = argv + cast("list[object]", bound.values[ids_slot])
    half = len(argv) // 2
    if half * 2 != len(argv):
        raise CommandSyntaxError(
            f"Unbalanced '{bound.slots.command}' list of streams: "
            "for each stream key an ID or '$' must be specified."
        )
    bound.values[keys_slot] = argv[:half]
    bound.values[ids_slot] = argv[half:]


HATCHES: Final[dict[str, Hatch]] = {"stream_halves": stream_halves}
