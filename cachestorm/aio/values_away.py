"""Values away: awaits what is in a colder tier, for a call that would have to wait for it.

Called by the awaitable face and by HTTP endpoints. Calls the tiers, whose threads read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cachestorm.commands.edge import enter
from cachestorm.loading.waiters import task_waiter
from cachestorm.operations.long_command import Away

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.keyspace.tiering import Demoted

T = TypeVar("T")


def check_here(cache: Cache[Any], keys: list[str]) -> None:
    """Makes sure that the values of keys are in memory, or have been read ahead.

    Raises:
        Away: if they are not.
    """
    enter(cache)
    try:
        wanted = cache._space.wanted_by(keys)
    finally:
        cache._leave()
    if wanted:
        raise Away(wanted)


async def with_values(cache: Cache[Any], ask: Callable[[], T]) -> T:
    """What a call gives, which is made again when the values are there that it says are away.

    Others go on meanwhile.
    """
    if cache._store.tiering is None:
        return ask()
    fetched: list[list[Demoted]] = []
    try:
        while True:
            try:
                return ask()
            except Away as away:
                fetched.append(away.wanted)
                tiering = cache._store.tiering
                if tiering is not None:
                    waiter = task_waiter()
                    tiering.fetch(away.wanted, waiter.wake)
                    await waiter.wait(None)
    finally:
        tiering = cache._store.tiering
        if tiering is not None:
            for wanted in fetched:
                tiering.forget(wanted)
