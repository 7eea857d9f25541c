"""Fetching: values in a colder tier, brought near before the command that asks for them runs.

Called by sessions of a cache with tiers, which find it among what they are asked anyway, and
for HTTP; others never come here. Calls the tiers, whose threads read: other clients go on.

1. Which keys a command names, and whether it looks at their values, its declaration says.
2. What is fetched is kept for the command, by the number of the value. If an entry has another
   value by then, or its value went to the tier in between, nothing is out of date: the command
   finds what is there, and reads the disk itself where it has to. It is fetched for once.
3. The command is run by the session when its values are there; none of it has happened before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tiering import Demoted, Tiering
from cachestorm.operations.long_command import Away, LongCommand, Unfinished

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm_server.session import Session

# They look at keys, and at no value. The flags of a key do not tell these from STRLEN and HSET.
OF_KEYS: Final = frozenset(
    {
        *("EXISTS", "TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "WHY", "TAGS"),
        *("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "ADDTAG", "REMTAG"),
        *("MEMORY USAGE", "OBJECT FREQ", "OBJECT IDLETIME", "OBJECT REFCOUNT", "OBJECT TIER"),
        "WATCH",
    }
)


class Fetching(LongCommand):
    """A command that waits for its values. Woken when they are there, it is run."""

    def __init__(self, space: Keyspace, tiering: Tiering, wanted: list[Demoted]) -> None:
        super().__init__(space)
        self._tiering: Final = tiering
        self._wanted: Final = wanted
        self._sleep()
        tiering.fetch(wanted, self.wake)

    def run(self, session: Session, plan: Plan, args: list[object]) -> object:
        """The reply of the command, whose values are there.

        Raises:
            CacheStormError: what it is refused with.
        """
        try:
            reply = session.run(plan, args)
        finally:
            self.abandon()
        if session.tracked is not None and session.transaction is None:
            session.tracked.is_announced &= plan.declaration.container == "CLIENT"
        return reply

    def _drop(self) -> None:
        super()._drop()
        self._tiering.forget(self._wanted)


def fetch(session: Session, plan: Plan, args: list[object]) -> None:
    """Has the values of a command fetched that are in a colder tier; for EXEC of all commands.

    Raises:
        Unfinished: if there are any. When they are there, the command is to be run.
    """
    space = session.cache._space
    tiering = space.shared.tiering
    if tiering is None or space.demoted_count == 0:
        return
    wanted: list[Demoted] = []
    if plan.name == "EXEC" and session.transaction is not None:
        for queued, words in session.transaction.requests:
            _find(space, queued, words, wanted)
    else:
        _find(space, plan, args, wanted)
    if wanted:
        raise Unfinished(Fetching(space, tiering, wanted))


def check_here(requests: Iterable[tuple[Cache, Plan, list[object]]]) -> None:
    """Makes sure that the values are there that some commands are going to look at.

    Raises:
        Away: if they are not.
    """
    wanted: list[Demoted] = []
    for cache, plan, args in requests:
        space = cache._space
        tiering = space.shared.tiering
        if tiering is not None and space.demoted_count != 0:
            found: list[Demoted] = []
            _find(space, plan, args, found)
            wanted.extend([each for each in found if not tiering.has_read(each)])
    if wanted:
        raise Away(wanted)


def _find(space: Keyspace, plan: Plan, args: list[object], wanted: list[Demoted]) -> None:
    if plan.name in OF_KEYS:
        return
    try:
        named = plan.keys(args)
    except CacheStormError:
        # the command refuses it as well
        return
    for key, kind in named:
        if not kind.reads:
            # it is removed or overwritten
            continue
        wanted.extend(space.wanted(key))
