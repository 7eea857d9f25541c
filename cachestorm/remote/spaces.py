"""The spaces: namespaces by name on a server that has none, as the beginning of their keys.

Called by the wires, between the courses and the dialect: neither knows of it.

1. A key of the namespace `blog` is stored as `cachestorm:in:blog:<key>`; what is no letter or
   digit in the name is percent-encoded, so that no name is the beginning of another and none
   has a brace, which would say in a cluster where its keys are.
2. Its tags and links are apart as well: their index has another name (`home`).
3. Commands of a whole database (`KEYS`, `SCAN`, `DBSIZE`, `RANDOMKEY`, `FLUSHDB`) are said by
   pattern. They look at every key of the database.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from cachestorm.declare.kinds import KEY, Key
from cachestorm.declare.registry import REGISTRY
from cachestorm.remote.arguments import Words
from cachestorm.remote.dialect import ASKING, word_bytes
from cachestorm.remote.refusals import BusySlotError
from cachestorm.remote.steps import Step, Watch
from cachestorm.remote.tag_script import FLUSH, RESERVED, SPACES

# of the keys alone, which are most of what is asked
_ONE_KEY: Final = frozenset({"GET", "PERSIST", "PEXPIRE", "PTTL", "SET", "TAGS"})
_AS_THEY_ARE: Final = ASKING | {"FLUSHALL", "SWAPDB"}
# options of SORT, and how many words follow
_OF_SORT: Final = {b"BY": 1, b"GET": 1, b"LIMIT": 2, b"STORE": 1}
_POPS: Final = frozenset(
    {"BLMPOP", "BLPOP", "BRPOP", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "LMPOP", "ZMPOP"}
)


class _Word(bytes):
    """A word that is like no other, so that the plan tells which are keys."""

    __slots__ = ()


class Space:
    """One namespace of a server that has none.

    Args:
        name: as the caller gave it.

    Attributes:
        name: the same.
        prefix: what its keys begin with.
        home: what the names of its index of tags begin with.
        flushing: the command that empties it.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        quoted = quote(name, safe="", errors="surrogateescape").encode() + b":"
        self.prefix: Final = SPACES + quoted
        self.home: Final = RESERVED + quoted
        self.flushing: Final[Words] = ["EVAL", FLUSH, 0, self.prefix + b"*", self.home + b"*"]

    # -- on the way there

    def named(self, step: Step) -> Step:
        """A step with the keys as they are stored."""
        commands = [self.words(words) for words in step.commands]
        if isinstance(step, Watch):
            keys = [self.prefix + word_bytes(key) for key in step.keys]
            return Watch(keys, commands, step.is_kept)
        return replace(step, commands=commands)

    def words(self, words: Words) -> Words:
        """A command with its keys as they are stored."""
        name = words[0]
        if name in _ONE_KEY:
            return [name, self.prefix + word_bytes(words[1]), *words[2:]]
        own = _OWN.get(name)
        if own is not None:
            return own(self, words)
        if name in _AS_THEY_ARE:
            return words
        marked: Words = [_Word(word_bytes(word)) for word in words[1:]]
        plan = REGISTRY.resolve([name, *marked])
        keys = {
            id(raw)
            for raw, kind in plan.names([name, *marked])
            if isinstance(kind, Key) and kind.names == KEY
        }
        return [
            name,
            *[
                self.prefix + mark if id(mark) in keys else word
                for mark, word in zip(marked, words[1:])
            ],
        ]

    def _pattern(self, pattern: bytes = b"*") -> bytes:
        return self.prefix + pattern

    def _keys(self, words: Words) -> Words:
        return ["KEYS", self._pattern(*map(word_bytes, words[1:]))]

    def _scan(self, words: Words) -> Words:
        tail: Words = words[2:]
        pattern = b"*"
        for at in range(0, len(tail) - 1, 2):
            if word_bytes(tail[at]).upper() == b"MATCH":
                pattern = word_bytes(tail[at + 1])
                tail = tail[:at] + tail[at + 2 :]
                break
        return ["SCAN", words[1], b"MATCH", self._pattern(pattern), *tail]

    def _flush(self, words: Words) -> Words:
        return self.flushing

    def _sort(self, words: Words) -> Words:
        found: Words = [words[0], self.prefix + word_bytes(words[1])]
        at = 2
        while at < len(words):
            option = word_bytes(words[at]).upper()
            end = at + 1 + _OF_SORT.get(option, 0)
            found.append(words[at])
            for word in words[at + 1 : end]:
                text = word_bytes(word)
                # a pattern without is no key: BY nosort, GET #
                is_key = option == b"STORE" or b"*" in text
                found.append(self.prefix + text if is_key else word)
            at = end
        return found

    # -- on the way back

    def read(self, commands: Iterable[Words], replies: Iterable[Any]) -> list[Any]:
        """The replies to commands, with the keys as the caller knows them.

        Raises:
            BusySlotError: if keys that were to be flushed were on their way to another node.
        """
        return [self.reply(words[0], reply) for words, reply in zip(commands, replies)]

    def reply(self, name: str, reply: Any) -> Any:
        """The reply to one command: see `read`."""
        if isinstance(reply, Exception):
            return reply
        if name in ("KEYS", "TAGKEYS"):
            return self.plain(reply)
        if name == "SCAN":
            return [reply[0], self.plain(reply[1])]
        if name == "DBSIZE":
            return len(reply)
        if name == "RANDOMKEY":
            return random.choice(self.plain(reply)) if reply else None
        if name in _POPS and reply is not None:
            return [*self.plain(reply[:1]), *reply[1:]]
        if name == "FLUSHDB":
            if reply:
                raise BusySlotError(
                    f"PARTIAL {reply} keys are on their way to another node, and were not "
                    "deleted: try again when they have arrived"
                )
            return b"OK"
        return reply

    def plain(self, keys: Iterable[bytes]) -> list[bytes]:
        """Keys as the caller knows them; those of others are left out."""
        start = len(self.prefix)
        return [key[start:] for key in keys if key.startswith(self.prefix)]


_OWN: Final[dict[str, Callable[[Space, Words], Words]]] = {
    "DBSIZE": Space._keys,
    "FLUSHDB": Space._flush,
    "KEYS": Space._keys,
    "RANDOMKEY": Space._keys,
    "SCAN": Space._scan,
    "SORT": Space._sort,
}
