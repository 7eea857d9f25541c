"""Parameters of Redis that tools read and set, and that mean nothing here.

Asked by CONFIG. One that is set is checked and shown from then on, and changes nothing: there
are no listpacks, no other threads that free and no file of the log to be chosen.

Source: `redis.conf` of Redis 7.2 for names and defaults.
"""

from __future__ import annotations

from typing import Final

from cachestorm.errors import ArgumentError

_SWITCHES: Final = ("yes", "no")
_LEVELS: Final = ("debug", "verbose", "notice", "warning", "nothing")

# A number may be any that is whole; a word is one of its kind.
DEFAULTS: Final[dict[str, str]] = {
    "active-expire-effort": "1",
    "activedefrag": "no",
    "activerehashing": "yes",
    "dynamic-hz": "yes",
    "hash-max-listpack-entries": "128",
    "hash-max-listpack-value": "64",
    "hash-max-ziplist-entries": "128",
    "hash-max-ziplist-value": "64",
    "hll-sparse-max-bytes": "3000",
    "hz": "10",
    "latency-tracking": "yes",
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-server-del": "no",
    "lazyfree-lazy-user-del": "no",
    "lazyfree-lazy-user-flush": "no",
    "lfu-decay-time": "1",
    "lfu-log-factor": "10",
    "list-compress-depth": "0",
    "list-max-listpack-size": "-2",
    "list-max-ziplist-size": "-2",
    "loglevel": "notice",
    "maxmemory-clients": "0",
    "maxmemory-eviction-tenacity": "10",
    "set-max-intset-entries": "512",
    "set-max-listpack-entries": "128",
    "set-max-listpack-value": "64",
    "stop-writes-on-bgsave-error": "yes",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
    "zset-max-ziplist-entries": "128",
    "zset-max-ziplist-value": "64",
}


def checked(name: str, text: str) -> str:
    """A value that a parameter may have, as it is shown.

    Raises:
        ArgumentError: for any other.
    """
    default = DEFAULTS[name]
    for words in (_SWITCHES, _LEVELS):
        if default in words:
            if text.lower() in words:
                return text.lower()
            if words is _SWITCHES:
                raise ArgumentError("argument must be 'yes' or 'no'")
            raise ArgumentError(f"argument(s) must be one of the following: {', '.join(words)}")
    if not text.removeprefix("-").isdecimal():
        raise ArgumentError("argument couldn't be parsed into an integer")
    return text
