"""The gate: whether this node answers a request itself. Sans-IO.

Asked by sessions before each request, where there is a cluster; the common case is decided
here, in compiled code, and all others by the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr, u8

from cachestorm.declare.plan import Plan
from cachestorm.keyspace.slot_index import SLOTS, slot_of
from cachestorm_server.cluster.clock import monotonic_ms

# the router is asked about all keys of a slot
ROUTED: Final = 0
# all of its keys are here, and stay
SERVED: Final = 1
# it is on its way here: a key that another node sends is taken
IMPORTED: Final = 2

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.operations.long_command import LongCommand
    from cachestorm_server.session import Session


@mypyc_attr(allow_interpreted_subclasses=True)
class Router:
    """Decides about what the gate does not know at sight, and answers CLUSTER."""

    def check(self, session: Session, plan: Plan, args: list[object]) -> None:
        """Refuses what another node is to answer, and what none can.

        Raises:
            CacheStormError: with Redis' text.
        """

    def check_visitor(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        """As `check`, of a request without a session.

        Raises:
            CacheStormError: with Redis' text.
        """

    def check_visitors(self, requests: list[tuple[Cache, Plan, list[object]]]) -> None:
        """As `check`, of what is to be done in one step.

        Raises:
            CacheStormError: with Redis' text.
        """

    def page(
        self, cache: Cache, name: str, cursor: int, options: tuple[str, ...]
    ) -> LongCommand:
        """A page of a walk over all nodes, SCAN or TAGSCAN: the next cursor and some names."""
        raise NotImplementedError

    def everywhere(self, cache: Cache, words: tuple[str, ...]) -> LongCommand:
        """What a command that reads comes to on each node, by the id of the node."""
        raise NotImplementedError

    def tell_within(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        """Has other nodes do what a transaction or a script has just done here."""

    def seen(self) -> str:
        """Which invalidations and decisions are known here, for `catch_escaped` of another."""
        return ""

    def catch_escaped(self, session: Session, key: str, seen: str) -> None:
        """Removes a key that has just arrived if it was invalidated while it was on its way."""

    def check_scripted(self, session: Session, plan: Plan, args: list[object]) -> None:
        """Refuses what a script asks of keys that are not here.

        Raises:
            CacheStormError: with Redis' text.
        """

    def command(self, session: Session, subcommand: str, arguments: list[str]) -> object:
        """The reply to CLUSTER."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """What CLUSTER INFO says."""
        raise NotImplementedError


class Gate:
    """Of one endpoint.

    Attributes:
        router: whom it asks.
        held_until_ms: until when; looked at with each request, as the process may have been
            stopped since. 0: for good.
    """

    def __init__(self, router: Router) -> None:
        self.router: Final = router
        self._states: Final[vec[u8]] = vec[u8]([ROUTED] * SLOTS)
        self.held_until_ms: i64 = 0

    def set_state(self, slot: i64, state: u8) -> None:
        """Says what of a slot is answered at sight from now on: a constant of this module."""
        self._states[slot] = state

    def serves(self, session: Session, plan: Plan, args: list[object]) -> bool:
        """Whether a request is answered here at sight; the router is asked about any other."""
        place: i64 = plan.key_place
        if place == 0 or session.is_asking or place >= len(args):
            return False
        key = args[place]
        if not isinstance(key, bytes):
            return False
        state = self._states[slot_of(key)]
        if state != SERVED and (state == ROUTED or plan.name != "RESTORE-ASKING"):
            return False
        return self.held_until_ms == 0 or monotonic_ms() < self.held_until_ms
