"""Arguments: a call of a method of the cache as the words that a server understands.

Made once a command, from its declaration: the notation says where each argument belongs, the
method's parameters what it is called. `declare/returns.py` is the way back.

1. What was not given is not said, and where the notation needs it the method's own default is.
2. Times to live go in milliseconds. A command that counts in seconds gives way to the one that
   counts in milliseconds where seconds would be too coarse: `EXPIRE` to `PEXPIRE`.
3. Names are read as in process, with the same errors. Values go through the envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from cachestorm.codec import bytes_of, to_wire
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Blob, Double, Key, Tally, Timeout, Ttl
from cachestorm.declare.notation import BLOCK, ONEOF, TOKEN, Argument
from cachestorm.declare.parameters import NO_SLOT, Parameters, defaults_of
from cachestorm.declare.spans import Lifetime
from cachestorm.declare.typed import RAW
from cachestorm.envelope import Envelope
from cachestorm.errors import ArityError, CommandSyntaxError, InvalidTtlError
from cachestorm.markers import UNSET
from cachestorm.operations.lifetimes import in_milliseconds, milliseconds_of, moment_of
from cachestorm.operations.names import (
    checked_tag,
    exact_key,
    keys_of,
    many,
    name_of,
    names_of,
    pairs_of,
)

Words = list[Any]
# what counts in milliseconds instead
IN_MILLISECONDS: Final = {
    "EXPIRE": "PEXPIRE",
    "EXPIREAT": "PEXPIREAT",
    "HEXPIRE": "HPEXPIRE",
    "HEXPIREAT": "HPEXPIREAT",
    "SETEX": "PSETEX",
}
_NAMES: Final = frozenset({"field", "member"})


class Arguments:
    """How the calls of one command are spelled.

    Args:
        declaration: of the command.
        envelope: for values.
    """

    def __init__(self, declaration: Declaration, envelope: Envelope) -> None:
        self.declaration: Final = declaration
        self.parameters: Final = Parameters(declaration.function)
        self._method: Final = declaration.method
        self.defaults: Final = defaults_of(declaration.function)
        self._dumps: Final[Callable[[object], bytes]] = (
            to_wire if self._method in RAW else envelope.dumps
        )

    def given(self, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by the names of the parameters.

        Raises:
            TypeError: for too many or unknown ones, as Python words it.
        """
        parameters = self.parameters
        limit = parameters.positional
        found: dict[str, Any] = dict(zip(parameters.names, args[:limit]))
        if len(args) > limit:
            if parameters.var_slot == NO_SLOT:
                raise TypeError(
                    f"{self._method}() takes {limit} positional arguments "
                    f"but {len(args)} were given"
                )
            found[parameters.names[parameters.var_slot]] = args[limit:]
        for name, value in options.items():
            if name not in parameters.names:
                raise TypeError(f"{self._method}() got an unexpected keyword argument '{name}'")
            if name in found:
                raise TypeError(f"{self._method}() got multiple values for argument '{name}'")
            found[name] = value
        return {name: value for name, value in found.items() if value is not UNSET}

    def words(self, given: dict[str, Any]) -> Words:
        """The words of a call, the name of the command first.

        Raises:
            CacheStormError, TypeError: for what the method would refuse, too.
        """
        call = _Call(self, given)
        call.sequence(self.declaration.notation.arguments)
        name = self.declaration.name
        if call.is_fine:
            name = IN_MILLISECONDS[name]
        return [*name.split(" "), *[_encoded(word) for word in call.words]]

    def value(self, value: object) -> bytes:
        """A stored value as it travels."""
        return self._dumps(value)


def lifetime_ms(ttl: object, name: str) -> int:
    """A time to live in whole milliseconds.

    Raises:
        CacheStormError, TypeError: for what a command of that name refuses.
    """
    milliseconds = ttl.ms if isinstance(ttl, Lifetime) else milliseconds_of(ttl)
    # a field that is given no time is deleted, as in process
    if milliseconds < 0 or (milliseconds == 0 and not name.startswith("h")):
        raise InvalidTtlError(f"invalid expire time in '{name}' command")
    return milliseconds


def _encoded(word: object) -> object:
    if isinstance(word, bool):
        return int(word)
    return bytes_of(str.__str__(word)) if isinstance(word, str) else word


class _Call:
    """One call on its way to words.

    Attributes:
        words: so far.
        is_fine: a time to live is not a whole number of seconds.
    """

    def __init__(self, arguments: Arguments, given: dict[str, Any]) -> None:
        self._arguments: Final = arguments
        self._given: Final = given
        self.words: Final[Words] = []
        self.is_fine = False

    # -- what was given

    def _parameter(self, node: Argument) -> str:
        """The parameter of an argument; empty if there is none."""
        parameters = self._arguments.parameters
        names = [node.name]
        if node.multiple:
            names = [node.name, node.name + "s"]
            if node.shape == BLOCK and not node.labelled:
                names = ["mapping"]
        if node.token:
            names.append(node.token.lower())
        for name in names:
            slot = parameters.slot(name)
            if slot != NO_SLOT:
                return parameters.names[slot]
        if node.multiple and parameters.var_slot != NO_SLOT:
            return parameters.names[parameters.var_slot]
        return ""

    def _is_given(self, node: Argument) -> bool:
        is_group = bool(node.children) and not (node.labelled or node.multiple)
        name = "" if is_group else self._parameter(node)
        if name and name in self._given:
            value = self._given[name]
            if node.shape == TOKEN:
                return bool(value)
            is_value = node.kind is not None and node.kind.name == "value"
            is_never = isinstance(node.kind, Ttl)
            is_none = value is None and not is_value and not is_never
            return not is_none and not (node.optional and value == ())
        if node.labelled and node.is_tokens_only:
            return False
        return any([self._is_given(child) for child in node.children])

    def _value(self, node: Argument) -> Any:
        name = self._parameter(node)
        if name in self._given:
            return self._given[name]
        if name in self._arguments.defaults:
            return self._arguments.defaults[name]
        if node.multiple and not node.optional:
            raise ArityError(self._arguments.declaration.full_name)
        raise TypeError(
            f"{self._arguments.declaration.method}() missing 1 required positional argument: "
            f"'{name or node.name}'"
        )

    # -- what is said

    def sequence(self, nodes: list[Argument]) -> None:
        """Says arguments in the order of the notation."""
        for index, node in enumerate(nodes):
            if node.optional and not self._is_given(node):
                continue
            if isinstance(node.kind, Tally):
                start = len(self.words)
                self._say(nodes[index + 1])
                width = len(nodes[index + 1].children) or 1
                self.words.insert(start, (len(self.words) - start) // width)
            elif index == 0 or not isinstance(nodes[index - 1].kind, Tally):
                self._say(node)

    def _say(self, node: Argument) -> None:
        if node.shape == TOKEN:
            self.words.append(node.token)
        elif node.is_clauses:
            for operation in many(self._value(node), node.name):
                self.words.extend(
                    operation if isinstance(operation, (list, tuple)) else [operation]
                )
        elif node.shape == BLOCK and node.multiple:
            self._rows(node)
        elif node.shape == ONEOF and node.labelled and node.is_tokens_only:
            self._choose(node)
        elif node.shape == ONEOF:
            self._one_of(node)
        elif node.shape == BLOCK:
            if node.token:
                self.words.append(node.token)
            self.sequence(node.children)
        else:
            self._words_of(node)

    def _choose(self, node: Argument) -> None:
        word = str(self._value(node)).upper()
        if word not in [child.token for child in node.children]:
            choices = " or ".join([child.token for child in node.children])
            raise CommandSyntaxError(f"{node.name} is {choices}, not {self._value(node)!r}")
        if node.token:
            self.words.append(node.token)
        self.words.append(word)

    def _one_of(self, node: Argument) -> None:
        if any([isinstance(child.kind, Ttl) for child in node.children]):
            self._lifetime(node)
            return
        for child in node.children:
            # of a group, its first argument tells: others may be those of another group, too
            is_group = child.shape == BLOCK and not child.multiple
            if self._is_given(child.children[0] if is_group else child):
                self._say(child)

    def _lifetime(self, node: Argument) -> None:
        """The time to live behind one of `EX PX EXAT PXAT`, or a token instead."""
        timed = next(child for child in node.children if isinstance(child.kind, Ttl))
        flags = [c for c in node.children if c.shape == TOKEN and self._is_given(c)]
        for flag in flags:
            self.words.append(flag.token)
        if not self._is_given(timed):
            return
        ttl = self._value(timed)
        if ttl is None:
            if any([child.token == "PERSIST" for child in node.children]):
                self.words.append("PERSIST")
            return
        self.words.extend(["PX", self._milliseconds(ttl, False, 1000)])

    def _milliseconds(self, ttl: object, absolute: bool, unit_ms: int) -> int:
        if absolute:
            return moment_of(ttl, unit_ms).ms
        if unit_ms == 1:
            ttl = in_milliseconds(ttl)
        return lifetime_ms(ttl, self._arguments.declaration.name.lower())

    def _words_of(self, node: Argument) -> None:
        value = self._value(node)
        if node.token and not node.multiple_token:
            self.words.append(node.token)
        if not node.multiple:
            self.words.append(self._word(node, value))
            return
        for word in self._items(node, value):
            if node.multiple_token:
                self.words.append(node.token)
            self.words.append(word)

    def _items(self, node: Argument, value: object) -> Iterable[object]:
        kind = node.kind
        if isinstance(kind, Key):
            if isinstance(value, str):
                return [exact_key(value)]
            if isinstance(value, Mapping):
                self._weights(value)
            return keys_of(cast("Iterable[object]", value))
        assert kind is not None
        if kind.name in _NAMES:
            return names_of(cast("Iterable[object]", value))
        if kind.name == "tag":
            return [checked_tag(name) for name in many(cast("Any", value), "tags")]
        return [self._word(node, item) for item in many(cast("Any", value), node.name)]

    def _weights(self, keys: Mapping[Any, Any]) -> None:
        self._given["weights"] = list(keys.values())

    def _word(self, node: Argument, value: Any) -> object:
        kind = node.kind
        assert kind is not None
        if isinstance(kind, Key):
            return exact_key(value)
        if kind.name == "value":
            return self._arguments.value(value)
        if isinstance(kind, Blob):
            return to_wire(value)
        if kind.name in _NAMES:
            return name_of(value)
        if kind.name == "tag":
            return checked_tag(value)
        if isinstance(kind, Ttl):
            return self._positional(kind, value)
        if isinstance(kind, Timeout):
            return 0 if value is None else value
        if node.name == "ttl":
            return _restored(value)
        return value

    def _positional(self, kind: Ttl, value: object) -> int:
        milliseconds = self._milliseconds(value, kind.absolute, kind.unit_ms)
        if kind.unit_ms == 1:
            return milliseconds
        seconds, rest = divmod(milliseconds, 1000)
        self.is_fine = rest != 0
        return milliseconds if rest else seconds

    def _rows(self, node: Argument) -> None:
        for row in self._rows_given(node):
            if len(row) != len(node.children):
                raise CommandSyntaxError()
            for child, item in zip(node.children, row):
                self.words.append(self._word(child, item))

    def _rows_given(self, node: Argument) -> Iterator[list[Any]]:
        children = node.children
        names = [self._parameter(child) for child in children]
        count = 0
        if all([name and name in self._given for name in names]):
            count += 1
            yield [self._given[name] for name in names]
        name = self._parameter(node)
        mapping = self._given.get(name)
        if mapping is not None:
            for row in _rows_of(mapping, children):
                count += 1
                yield row
        if count == 0:
            if name not in self._given and names[0] not in self._given:
                self._value(node)
            raise ArityError(self._arguments.declaration.full_name)


def _rows_of(mapping: Any, children: list[Argument]) -> Iterable[list[Any]]:
    width = len(children)
    is_scored = isinstance(children[0].kind, Double)
    if isinstance(mapping, Mapping):
        if not is_scored:
            return [[name, item] for name, item in mapping.items()]
        if width == 2:
            return [[score, member] for member, score in mapping.items()]
        return [[*place, member] for member, place in mapping.items()]
    if not is_scored:
        return [list(pair) for pair in pairs_of(mapping)]
    items = list(mapping)
    if items and not isinstance(items[0], (tuple, list)):
        return [items[at : at + width] for at in range(0, len(items), width)]
    return [list(item) for item in items]


def _restored(ttl: object) -> object:
    """The time to live of RESTORE: milliseconds, 0 for never."""
    if ttl is None:
        return 0
    if isinstance(ttl, (int, bytes)):
        return ttl
    fine = in_milliseconds(ttl)
    return fine.ms if isinstance(fine, Lifetime) else milliseconds_of(fine)
