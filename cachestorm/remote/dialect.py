"""The dialect: the commands of a cache in the words of a server that has no tags.

Redis and Valkey know no tags. What a connected cache asks of one is said by the tag script
instead (`tag_script.py`), so that the courses and the wires know of one kind of server only.

1. All writes are said so: what creates or overwrites a key must drop the tags of an earlier
   one, in the same step. Reads are said as they are, without our own keys.
2. A command that waits for others, or has more words than a script may pass on, is preceded
   and followed by calls of the script.
3. Keys that look like ours are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from cachestorm.codec import bytes_of
from cachestorm.declare.kinds import Key
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import InvalidKeyError
from cachestorm.patterns import matches
from cachestorm.remote.arguments import Words
from cachestorm.remote.steps import Ask, Step, Watch
from cachestorm.remote.tag_script import RESERVED, SHA, SPACES, TEXT, UNPACKED

LOADING: Final[Words] = ["SCRIPT", "LOAD", TEXT]
# what the capabilities are asked with, and a namespace is emptied with: no commands of a cache
ASKING: Final = frozenset({"COMMAND INFO", "EVAL", "EVALSHA", "INFO", "SCRIPT"})
# they take everything with them, ours too
_AS_THEY_ARE: Final = ASKING | {"FLUSHALL", "FLUSHDB", "SWAPDB"}
# replaced like SET, although the earlier value is looked at
_SETTERS: Final = frozenset({"GETSET", "SET"})
_TAGS: Final = b"TAGS"

# words of a DEL that is one call of the script, at most
DROPPED: Final = 300

Read = Callable[[list[Any]], Any]


class Said(NamedTuple):
    """A command as this server understands it.

    Attributes:
        commands: to be sent in one step.
        read: makes the reply of their replies; None: it is that of the only one.
        first: sent before, in a step of its own.
    """

    commands: list[Words]
    read: Read | None = None
    first: Words | None = None


def script(operation: str, keys: Iterable[bytes], home: bytes, *rest: Any) -> Words:
    """A call of the tag script."""
    names = list(keys)
    return ["EVALSHA", SHA, len(names), *names, operation, home, *rest]


# two keys of one slot, should the server be a cluster
_TRIED: Final = RESERVED + b"{probe}:"
PROBE: Final = script("probe", [_TRIED + b"keys", _TRIED + b"index"], _TRIED)


class Dialect:
    """The commands for one server, whose keys are all in one place.

    Args:
        missing: commands that the server lacks; it says so itself.
        home: what the names of our keys begin with.
    """

    def __init__(self, missing: frozenset[str] = frozenset(), home: bytes = RESERVED) -> None:
        self._missing: Final = missing
        self._home: Final = home
        self._links: Final = home + b"links"

    def scripted(self, operation: str, keys: list[bytes], *rest: Any) -> Words:
        """A call of the script for some keys, at least one."""
        return script(operation, keys, self._home, *rest)

    def steps(self, step: Step) -> tuple[list[Step], Read]:
        """A step as this server understands it, and how the replies to the last are read.

        Raises:
            InvalidKeyError: for a key that may be ours.
        """
        if isinstance(step, Watch):
            # looks are reads of one command
            looks = [self.said(words).commands[0] for words in step.commands]
            return [Watch(step.keys, looks)], list
        if len(step.commands) == 1 and step.commands[0][0] == "SET":
            return [Ask([self._set(step.commands[0])], step.atomic)], list
        if step.removes and len(step.commands[1]) <= DROPPED:
            return [Ask([self._drop(*step.commands)])], lambda replies: [0, *replies]
        said = [self.said(words, step.blocks) for words in step.commands]
        steps: list[Step] = [Ask([each.first]) for each in said if each.first is not None]
        commands = [words for each in said for words in each.commands]
        is_atomic = step.atomic or len(commands) > len(said)
        steps.append(Ask(commands, is_atomic, step.blocks))

        def read(replies: list[Any]) -> list[Any]:
            found, start = [], 0
            for each in said:
                part = replies[start : start + len(each.commands)]
                start += len(each.commands)
                found.append(part[0] if each.read is None else each.read(part))
            return found

        return steps, read

    def said(self, words: Words, blocks: bool = False) -> Said:
        """One command, which may wait for others.

        Raises:
            InvalidKeyError: for a key that may be ours.
        """
        name = words[0]
        if name in _SETTERS:
            return Said([self._set(words)])
        own = _OWN.get(name)
        if own is not None:
            return own(self, words)
        if name in _AS_THEY_ARE or name in self._missing:
            return Said([words])
        plan = REGISTRY.resolve(words)
        if not plan.declaration.writes:
            return Said([words])
        return self._write(plan, words, blocks)

    def _checked(self, key: bytes) -> bytes:
        if key.startswith(RESERVED):
            raise InvalidKeyError(
                f"keys that begin with {RESERVED.decode()} hold the tags on this server"
            )
        if key.startswith(SPACES) and self._home == RESERVED:
            raise InvalidKeyError(
                f"keys that begin with {SPACES.decode()} are those of namespaces on this server"
            )
        return key

    # -- writes

    def _write(self, plan: Plan, words: Words, blocks: bool) -> Said:
        keys, kinds = [], []
        for name, access in plan.keys(words):
            if access.writes:
                keys.append(self._checked(bytes_of(name)))
                kinds.append(_kind(access, words[0]))
        if not keys:
            return Said([words])
        letters = "".join(kinds)
        before = self.scripted("settle", keys, "k" * len(keys))
        if blocks:
            return Said([words], None, before)
        if len(words) < UNPACKED:
            return Said([self.scripted("run", keys, letters, *words)])
        after = self.scripted("settle", keys, letters)
        return Said([before, words, after], lambda replies: replies[1])

    def _set(self, words: Words) -> Words:
        key = self._checked(word_bytes(words[1]))
        if words[0] == "SET":
            # nearly every one
            if len(words) == 3:
                return self.scripted("put", [key], words[2], b"")
            if words[3] == "PX" and (len(words) == 5 or words[5] == "TAGS"):
                return self.scripted("put", [key], words[2], words[4], *words[6:])
            if words[3] == "TAGS":
                return self.scripted("put", [key], words[2], b"", *words[4:])
        condition, tags = b"", list[bytes]()
        command = words
        if len(words) > 3:
            options = [word_bytes(word) for word in words[3:]]
            if _TAGS in options:
                start = options.index(_TAGS)
                tags = options[start + 1 :]
                command = words[: 3 + start]
                options = options[:start]
            for flag in (b"NX", b"XX"):
                if flag in options:
                    condition = flag
        return self.scripted("set", [key], condition, len(tags), *tags, *command)

    def _drop(self, beside: Words, words: Words) -> Words:
        keys = [self._checked(word_bytes(word)) for word in words[1:]]
        return self.scripted("drop", [*keys, *beside[1:]], len(keys), words[0])

    def _settag(self, words: Words) -> Said:
        return Said([self._set(["SET", words[1], words[2], "TAGS", *words[3:]])])

    def _rename(self, words: Words) -> Said:
        keys = [self._checked(word_bytes(word)) for word in words[1:3]]
        return Said([self.scripted("rename", keys, *words)])

    def _copy(self, words: Words) -> Said:
        keys = [self._checked(word_bytes(word)) for word in words[1:3]]
        if any(word_bytes(word) == b"DB" for word in words[3:]):
            return Said([self.scripted("leave", keys[:1], *words)])
        return Said([self.scripted("copy", keys, *words)])

    def _move(self, words: Words) -> Said:
        key = self._checked(word_bytes(words[1]))
        return Said([self.scripted("leave", [key], *words)])

    # -- tags

    def _of_key(self, words: Words) -> Said:
        key = self._checked(word_bytes(words[1]))
        return Said([self.scripted(words[0].lower(), [key], *words[2:])])

    def _of_tag(self, words: Words) -> Said:
        return Said([script(words[0].lower(), [], self._home, b"", *words[1:])], _total)

    def _invalidate(self, words: Words) -> Said:
        options = {word_bytes(word) for word in words[2:]}
        # nobody reads what is stale there: soft is as good as gone
        flags = ("c" if b"CASCADE" in options else "") + ("d" if b"DRYRUN" in options else "")
        return Said([script("invalidate", [], self._home, b"", flags, words[1])], _total)

    def _tagscan(self, words: Words) -> Said:
        options = [word_bytes(word) for word in words[2:]]
        pattern = options[options.index(b"MATCH") + 1] if b"MATCH" in options else b"*"

        def read(replies: list[Any]) -> list[Any]:
            tags = _total(replies)
            return [0, [tag for tag in tags if matches(pattern, tag)]]

        return Said([script("tagscan", [], self._home, b"")], read)

    def _of_links(self, words: Words) -> Said:
        return Said([script(words[0].lower(), [self._links], self._home, *words[1:])])

    # -- names

    def _keys(self, words: Words) -> Said:
        return Said([words], lambda replies: others(replies[0]))

    def _scan(self, words: Words) -> Said:
        return Said([words], lambda replies: [replies[0][0], others(replies[0][1])])

    def _dbsize(self, words: Words) -> Said:
        ours = script("ours", [], self._home, b"")
        links: Words = ["EXISTS", self._links]
        return Said(
            [words, ours, links], lambda replies: replies[0] - replies[1][0] - replies[2]
        )

    def _randomkey(self, words: Words) -> Said:
        return Said([script("randomkey", [], RESERVED)])


_OWN: Final[dict[str, Callable[[Dialect, Words], Said]]] = {
    "SETTAG": Dialect._settag,
    "RENAME": Dialect._rename,
    "RENAMENX": Dialect._rename,
    "COPY": Dialect._copy,
    "MOVE": Dialect._move,
    "TAGS": Dialect._of_key,
    "ADDTAG": Dialect._of_key,
    "REMTAG": Dialect._of_key,
    "TAGKEYS": Dialect._of_tag,
    "TAGCOUNT": Dialect._of_tag,
    "INVALIDATE": Dialect._invalidate,
    "TAGSCAN": Dialect._tagscan,
    "TAGLINK": Dialect._of_links,
    "TAGUNLINK": Dialect._of_links,
    "TAGCHILDREN": Dialect._of_links,
    "TAGLINKS": Dialect._of_links,
    "KEYS": Dialect._keys,
    "SCAN": Dialect._scan,
    "DBSIZE": Dialect._dbsize,
    "RANDOMKEY": Dialect._randomkey,
}
# what a server without tags answers by the dialect
SPOKEN: Final = frozenset(name for name in _OWN if "TAG" in name or name == "INVALIDATE")


def others(keys: Iterable[bytes]) -> list[bytes]:
    """Keys without ours."""
    return [key for key in keys if not key.startswith(RESERVED)]


def _total(replies: list[Any]) -> Any:
    return replies[0][0]


def word_bytes(word: object) -> bytes:
    """A word as it is sent."""
    if isinstance(word, bytes):
        return word
    return bytes_of(word) if isinstance(word, str) else str(word).encode()


def _kind(access: Key, name: str) -> str:
    """A letter for what becomes of a key: see `operations.run` of the script."""
    mode, *effects = access.flags
    if mode == "OW" and "insert" not in effects:
        return "c" if name == "MSETEX" else "o"
    return "d" if "delete" in effects else "k"
