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
    Effect,
)
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

    Example:
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
    """What one endpoint publishes of what happens in the store.

    Attributes:
        letters: as CONFIG GET shows them.
    """

    def __init__(self, cache: Cache) -> None:
        self.letters = ""
        self._cache: Final = cache
        self._broker: Final = cache._store.broker
        self._classes: frozenset[str] = frozenset()

    def set(self, letters: str) -> None:
        """Publishes from now on what the letters say.

        Raises:
            ArgumentError: for a letter that there is not; all is as before then.
        """
        letters = normalize(letters)
        if letters == self.letters:
            return
        self._cache.unlisten(self._publish)
        self.letters = letters
        self._classes = frozenset(letters.replace("A", ALL)) - frozenset("KET")
        interest = self._interest()
        if interest:
            self._cache.listen(self._publish, interest)

    def _interest(self) -> int:
        interest = TAG_EVENTS if "T" in self.letters else 0
        if "K" in self.letters or "E" in self.letters:
            for letter in self._classes - frozenset("td"):
                interest |= _INTERESTS.get(letter, _WRITTEN)
        return int(interest)

    def _publish(self, effect: Effect) -> None:
        """Publishes an effect. Called by whichever thread has written."""
        number = database_of(effect.namespace)
        database = bytes_of(effect.namespace) if number < 0 else b"%d" % number
        key = bytes_of(effect.key)
        if effect.interest == TAG_EVENTS:
            event = b"invalidate" if effect.event == "invalidated" else effect.event.encode()
            self._broker.publish(b"__tag@%b__:%b" % (database, key), event)
        elif CLASSES[effect.event] in self._classes:
            event = effect.event.encode()
            if "K" in self.letters:
                self._broker.publish(b"__keyspace@%b__:%b" % (database, key), event)
            if "E" in self.letters:
                self._broker.publish(b"__keyevent@%b__:%b" % (database, event), key)
