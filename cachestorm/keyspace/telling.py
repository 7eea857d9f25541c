"""The telling: what the listeners of one namespace are told.

The base class of the holdings. Called where something has changed, with the latch held; queues
effects, which are delivered after the latch has been given back (`effects.py`).

1. Whoever calls has asked `interest`, so that nothing is made that nobody wants.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.events import EVICTED, Cause, Effect
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.recorder import RECORDED
from cachestorm.keyspace.shared_state import SharedState
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.keyspace.tiering import Demoted
from cachestorm.values.buffer import Buffer
from cachestorm.values.container import Container
from cachestorm.values.weights import Boxed, is_scalar, unbox, weigh


def _told(held: object) -> object:
    """A value as it is told to others: None for a container, which belongs to the store.

    And for one that is in a colder tier: nothing is fetched to be told that it has left.
    """
    if isinstance(held, Buffer):
        return held.whole()
    return None if isinstance(held, (Container, Demoted)) else unbox(held)


def _told_bytes(held: object) -> i64:
    """What a value weighs that is told; nothing for what there is only one of, or few."""
    if isinstance(held, Buffer):
        return held.size_bytes
    if isinstance(held, Boxed) or is_scalar(held):
        return weigh(held)
    return 0


class Telling:
    """A namespace that has listeners.

    Attributes:
        interest: what listeners want to be told of this namespace.
    """

    def __init__(self, shared: SharedState, name: str) -> None:
        self.shared: Final = shared
        self.name: Final = name
        # what is left of it without the journal
        self._heard: i64 = 0
        # of what the values are told as well
        self._valued: i64 = 0
        self.interest: i64 = 0
        self.attend()

    def attend(self) -> None:
        """Looks anew what listeners want to be told of this namespace."""
        effects = self.shared.effects
        self._heard = effects.interest_in(self.name)
        self.interest = self._heard
        if self.shared.recorder is not None:
            self.interest |= RECORDED
        self._valued = effects.values_of(self.name)

    def can_record_plain(self, kinds: i64, key: str, value: object, is_latched: bool) -> bool:
        """Whether a plain value may be put of which the recorder alone is to be told."""
        recorder = self.shared.recorder
        if recorder is None or self._heard & kinds != 0 or recorder.failure != "":
            return False
        return is_latched or recorder.joins(self.name, key, value)

    def record_plain(
        self, key: str, value: object, expires_at_ms: i64, is_latched: bool
    ) -> None:
        """Has the recorder know that a plain value was put, as `can_record_plain` allowed."""
        recorder = self.shared.recorder
        if recorder is None:
            return
        if is_latched:
            recorder.put_plain(self.name, key, value, expires_at_ms)
        else:
            recorder.join(key, value, expires_at_ms)

    def emit(self, kind: i64, event: str, key: str) -> None:
        """Queues an effect that is not about an entry. The caller has asked `interest`."""
        recorder = self.shared.recorder
        if recorder is not None:
            recorder.emitted(self.name, kind, event, key)
            if self._heard & kind == 0:
                return
        self.shared.effects.record(self._effect(kind, event, key))

    def idle_of(self, entry: Entry) -> Idle | None:
        """A copy of what an entry has for an idle time."""
        raise NotImplementedError

    def tell(
        self, kind: i64, event: str, entry: Entry, held: object, delta: object = None
    ) -> None:
        """Queues an effect on a live entry. The caller has asked `interest`.

        Args:
            held: what is stored.
        """
        recorder = self.shared.recorder
        if recorder is not None:
            idle = None if entry.expires_at_ms == 0 else self.idle_of(entry)
            recorder.told(self.name, kind, event, entry, held, delta, idle)
            if self._heard & kind == 0:
                return
        effect = self._effect(kind, event, entry.key)
        effect.expires_at_ms = entry.expires_at_ms
        if entry.tags is not None:
            effect.tags = tuple(tag_names_of(entry))
        effect.delta = delta
        self._record(effect, held)

    def tell_removal(self, kind: i64, event: str, key: str, cause: Cause, held: object) -> None:
        """Queues the effect of a removal. The caller has asked `interest`."""
        recorder = self.shared.recorder
        if recorder is not None:
            recorder.removed(self.name, kind, key)
            if self._heard & kind == 0:
                return
        effect = self._effect(kind, event, key)
        effect.cause = cause
        self._record(effect, held)

    def record_leaving(self, key: str) -> None:
        """Has a recorder know that a stale entry leaves, of which nobody else is told.

        A hard invalidation says itself what it takes along; what a soft one has left behind
        stays until somebody removes it.
        """
        recorder = self.shared.recorder
        if recorder is not None:
            # as what is evicted, it is nobody's write
            recorder.removed(self.name, EVICTED, key)

    def _record(self, effect: Effect, held: object) -> None:
        if self._valued & effect.interest:
            effect.value = _told(held)
            effect.size_bytes += _told_bytes(held)
        self.shared.effects.record(effect)

    def _effect(self, kind: i64, event: str, key: str) -> Effect:
        shared = self.shared
        return Effect(shared.sequence, kind, event, self.name, key, shared.origin)
