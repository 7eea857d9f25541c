"""Notifications: what happens to keys and tags, published to channels.

Set by CONFIG SET `notify-keyspace-events`. Listens to the store and publishes to its broker:

    __keyspace@<db>__:<key>    which event, for K
    __keyevent@<db>__:<event>  at which key, for E
    __tag@<db>__:<tag>         what happened to a tag, for T

1. Without a letter of a channel, and of a class, nothing listens and no write pays anything.
2. A database is its number; a namespace that has none is its name.
3. `T` is ours. It names a channel, as K and E do, and `A` does not include it. Redis has given
   `t` to streams.

Source: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/, letters and their
order as `notify.c` of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from cachestorm.cache import Cache
from cachestorm.channels import Broker
from cachestorm.codec import bytes_of
from cachestorm.errors import ArgumentError
from cachestorm.events import (
    CHANGED,
    CLASSES,
    EVICTED,
    EXPIRED,
    EXPIRY,
    FLUSHED,
    MISS,
    NEW,
    PUT,
    REMOVED,
    TAG_EVENTS,
    WITH_EFFECT,
    Effect,
)
from cachestorm.keyspace.effects import Listening
from cachestorm_server.databases import database_of

# `t` and `d` are of streams and modules, which we have not: accepted, and silent.
ALL: Final = "g$lshzxetd"
OTHERS: Final = "KEmnT"
# classes that are told by one kind of effect; the others by any of _WRITTEN
_INTERESTS: Final = {"x": EXPIRED, "e": EVICTED, "m": MISS, "n": NEW}
_WRITTEN: Final = PUT | CHANGED | EXPIRY | (REMOVED ^ FLUSHED)


def normalize(letters: str) -> str:
    """The letters as CONFIG GET shows them: each once, in Redis' order, `A` for all.

    Raises:
        ArgumentError: for a letter that there is not.

    Examples:
        >>> normalize("Ex"), normalize("g$lshzxetdK")
        ('xE', 'AK')
    """
    for letter in letters:
        if letter not in ALL + OTHERS + "A":
            raise ArgumentError("Invalid event class character. Use 'Ag$lshzxeKEtmdnT'.")
    classes = "".join(letter for letter in ALL if letter in letters)
    if "A" in letters or classes == ALL:
        classes = "A"
    return classes + "".join(letter for letter in OTHERS if letter in letters)


class Notifications:
    """What is published of what happens in a cache, as one of its endpoints sees it.

    It is said once a cache: all of its endpoints share it, and it lasts when one of them ends.
    """

    def __init__(self, cache: Cache) -> None:
        self._store: Final = cache._store

    @property
    def letters(self) -> str:
        """The letters as CONFIG GET shows them."""
        return self._store.notified

    def set(self, letters: str) -> None:
        """Publishes from now on what the letters say.

        Raises:
            ArgumentError: for a letter that there is not; all is as before then.
        """
        letters = normalize(letters)
        store = self._store
        publisher = _Publisher(store.broker, letters)
        store.enter()
        try:
            store.notified = letters
            for listening in store.effects.listenings:
                if isinstance(listening.listener, _Publisher):
                    store.unlisten(listening.listener)
            if publisher.interest:
                store.listen(Listening(publisher, publisher.interest, None, WITH_EFFECT))
        finally:
            store.leave()


class _Publisher:
    """A listener that publishes what it is told.

    Attributes:
        interest: what it is to be told of.
    """

    def __init__(self, broker: Broker, letters: str) -> None:
        self._broker: Final = broker
        self._letters: Final = letters
        self._classes: Final = frozenset(letters.replace("A", ALL)) - frozenset("KET")
        interest = TAG_EVENTS if "T" in letters else 0
        if "K" in letters or "E" in letters:
            for letter in self._classes - frozenset("td"):
                interest |= _INTERESTS.get(letter, _WRITTEN)
        self.interest: Final = int(interest)

    def __call__(self, effect: Effect) -> None:
        """Publishes an effect. Called by whichever thread has written."""
        number = database_of(effect.namespace)
        database = bytes_of(effect.namespace) if number < 0 else b"%d" % number
        key = bytes_of(effect.key)
        if effect.interest == TAG_EVENTS:
            event = b"invalidate" if effect.event == "invalidated" else effect.event.encode()
            self._broker.publish_here(b"__tag@%b__:%b" % (database, key), event)
        elif CLASSES[effect.event] in self._classes:
            event = effect.event.encode()
            if "K" in self._letters:
                self._broker.publish_here(b"__keyspace@%b__:%b" % (database, key), event)
            if "E" in self._letters:
                self._broker.publish_here(b"__keyevent@%b__:%b" % (database, event), key)
