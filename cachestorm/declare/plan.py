"""The plan of a command: arguments in, the method called, a reply out.

One for each command, made on first use; the endpoints and `Cache.execute` call it. It lexes
by position and token, then converts, then calls; see `matchers` and `kinds`.

1. The caller gives the whole argv: `words[0]` is the name of the command, in any case.
2. If only the leading parameters are given, there are no slots: the arguments are read and the
   method is called, all in compiled code.
3. Otherwise a caller, generated once for each set of given parameters, calls the method
   with those only, so that its own defaults hold and nothing is looked up a call.
4. For the wire, a method with a parameter `default` that the notation does not name gets
   MISSING for it: so a stored None is told from no key. `call` gives None, as Python does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import text_of, to_wire
from cachestorm.declare.binder import Binder
from cachestorm.declare.bound import Bound, Slots
from cachestorm.declare.declaration import STRAY_IS_ARITY, STRAY_IS_NOTHING, Declaration
from cachestorm.declare.facts import (
    arity_of,
    categories_of,
    flags_of,
    key_range_of,
    most_argv_of,
)
from cachestorm.declare.kinds import AS_GIVEN, KEY, FoundKey, FoundName, Key
from cachestorm.declare.matchers import stray_error
from cachestorm.declare.parameters import NO_SLOT, Parameters
from cachestorm.declare.replies import KEEPS_BYTES, TRUE_IS_OK, Converter, converter_named
from cachestorm.declare.wire_values import OK
from cachestorm.errors import (
    ArityError,
    CommandSyntaxError,
    DeclarationError,
    NeedsConnectionError,
)
from cachestorm.markers import MISSING

# A client that sends all combinations of all options must not fill the memory with callers.
_MOST_CALLERS: Final = 256
_MOST_DIRECT: Final = 3
_NOTHING: Final = Bound(Slots("", []))
# a global that is not final is looked up at every call
_MISSING: Final = MISSING

Caller = Callable[[object, object, list[object], object], object]


class Plan:
    """How one command is called.

    Attributes:
        name: `SET`, `OBJECT ENCODING`.
        declaration: what it was made from.
        arity: as Redis counts it: with the name; negative for "at least".
        no_multi: it may not be queued in a transaction.
        key_place: where its only key is among the words; 0 if it has none, or may have several.

    Raises:
        DeclarationError: when notation and method do not fit each other.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.name = declaration.name
        self.declaration = declaration
        self.arity = arity_of(declaration)
        self._arity: i64 = self.arity
        self._most: i64 = (
            most_argv_of(declaration) if declaration.stray == STRAY_IS_ARITY else 0
        )
        self._longest = most_argv_of(declaration) if declaration.excess else 0
        self._command = declaration.full_name
        self._function = declaration.function
        self._first = 2 if declaration.subcommand else 1
        self._parameters = Parameters(declaration.function)
        arguments = declaration.notation.arguments
        self._slots = Slots(self._command, self._parameters.names)
        binder = Binder(
            self.name, arguments, self._parameters, declaration.stray, declaration.once.split()
        )
        self._matcher = binder.matcher
        self._has_default = binder.has_default
        self._reply = _converter_of(declaration)
        # what most calls of these converters would come to, without a call
        # asked of each command of a transaction
        self.no_multi: Final = "no_multi" in declaration.flags.split()
        self.key_place: Final = _key_place_of(declaration)
        self._keeps_bytes = declaration.reply in KEEPS_BYTES
        self._true_is_ok = declaration.reply in TRUE_IS_OK
        self._callers: dict[int, Caller] = {}
        kinds = binder.direct_kinds()
        self._direct = len(kinds)
        self._direct_size = self._first + len(kinds)
        if len(kinds) > _MOST_DIRECT or not binder.is_direct:
            self._direct_size = -1
        kinds.extend([AS_GIVEN] * _MOST_DIRECT)
        self._kind0 = kinds[0]
        self._kind1 = kinds[1]
        self._kind2 = kinds[2]

    def call(self, target: object, argv: list[object]) -> object:
        """Runs the command on `target`; the method's own value.

        Raises:
            CacheStormError: what the words, or the method, are refused with.
        """
        if len(argv) == self._direct_size:
            return self._call_direct(target, argv, None)
        return self._call_bound(target, self.bind(argv), None)

    def answer(self, target: object, argv: list[object]) -> object:
        """Runs the command on `target`; a wire value.

        Raises:
            CacheStormError: as `call`.
        """
        if len(argv) == self._direct_size:
            value = self._call_direct(target, argv, _MISSING)
            if self._keeps_bytes and isinstance(value, bytes):
                return value
            if self._true_is_ok and value is True:
                return OK
            return value if self._reply is None else self._reply(value, _NOTHING)
        bound = self.bind(argv)
        value = self._call_bound(target, bound, _MISSING)
        return value if self._reply is None else self._reply(value, bound)

    def reply(self, value: object, argv: list[object]) -> object:
        """The wire value of what a long command of this command has come to.

        Args:
            value: the long command's result.
            argv: those that the command was called with.
        """
        if self._reply is None:
            return value
        if len(argv) == self._direct_size:
            return self._reply(value, _NOTHING)
        return self._reply(value, self.bind(argv))

    def refuse_connection(self) -> None:
        """For endpoints without one.

        Raises:
            NeedsConnectionError: if the command belongs to a connection.
        """
        if self.declaration.connection:
            raise NeedsConnectionError(self._command)

    def categories(self) -> list[str]:
        """The categories of the command, for ACL and plugins."""
        return categories_of(self.declaration)

    def keys(self, argv: list[object]) -> list[FoundKey]:
        """The keys among the words in declared order, and how each is accessed.

        Raises:
            CacheStormError: for words that the command would refuse.
        """
        found: list[FoundKey] = []
        for raw, kind in self.names(argv):
            if isinstance(kind, Key) and kind.names == KEY:
                found.append((str(kind.read(raw)), kind))
        return found

    def names(self, argv: list[object]) -> list[FoundName]:
        """What the words name (keys, tags, channels and so on), in declared order.

        Raises:
            CacheStormError: for words that the command would refuse.
        """
        bound = self._lex(argv, True)
        found = bound.find_names()
        narrowed = self.declaration.narrowed
        if narrowed is not None:
            access = Key(narrowed(bound))
            return [(raw, access if kind.names == KEY else kind) for raw, kind in found]
        return found

    def bind(self, argv: list[object]) -> Bound:
        """The words, lexed and converted.

        Raises:
            CacheStormError: what the words are refused with.
        """
        bound = self._lex(argv, False)
        bound.convert()
        return bound

    def check_size(self, argv: list[object]) -> None:
        """Refuses too few or too many words, before anything else is looked at.

        Raises:
            ArityError: for a number of words that the command never has.
        """
        if not self.has_size(argv):
            raise ArityError(self._command)

    def check_arity(self, argv: list[object]) -> None:
        """Refuses what the arity rules out, and no more than that: as Redis does before ACL.

        Raises:
            ArityError: for a number of words that the command never has.
        """
        if not self._fits_arity(argv):
            raise ArityError(self._command)

    def has_size(self, argv: list[object]) -> bool:
        """Whether there are as many words as the command can have."""
        return self._fits_arity(argv) and (self._most == 0 or len(argv) <= self._most)

    def _fits_arity(self, argv: list[object]) -> bool:
        size: i64 = len(argv)
        return size == self._arity or (self._arity < 0 and size >= -self._arity)

    def _lex(self, argv: list[object], names_only: bool) -> Bound:
        self.check_size(argv)
        if self._longest and len(argv) > self._longest:
            raise self._stray_error(self.declaration.excess, argv, self._longest)
        bound = Bound(self._slots)
        bound.names_only = names_only
        at = self._matcher.match(argv, self._first, len(argv), bound)
        if at < len(argv) and self.declaration.stray != STRAY_IS_NOTHING:
            raise self._stray_error(self.declaration.stray, argv, at)
        return bound

    def _stray_error(self, stray: str, argv: list[object], at: int) -> CommandSyntaxError:
        if "{subcommand}" in stray:
            stray = stray.replace("{subcommand}", text_of(to_wire(argv[1])))
        return stray_error(stray, argv[at])

    def _call_direct(self, target: object, argv: list[object], default: object) -> object:
        if self._direct == 0:
            return self._function(target)
        first = self._first
        one = self._kind0.read(argv[first])
        if self._direct == 1:
            if self._has_default:
                return self._function(target, one, default)
            return self._function(target, one)
        two = self._kind1.read(argv[first + 1])
        if self._direct == 2:
            if self._has_default:
                return self._function(target, one, two, default)
            return self._function(target, one, two)
        return self._function(target, one, two, self._kind2.read(argv[first + 2]))

    def _call_bound(self, target: object, bound: Bound, default: object) -> object:
        caller = self._callers.get(bound.mask)
        if caller is None:
            if len(self._callers) >= _MOST_CALLERS:
                self._callers.clear()
            caller = self._make_caller(bound.mask)
            self._callers[bound.mask] = caller
        return caller(self._function, target, bound.values, default)

    def _make_caller(self, mask: int) -> Caller:
        """A function `(method, target, values, default)` that passes on the mask's slots."""
        get = self._parameters.slot("get") if self.declaration.fetches else NO_SLOT
        fetches = get != NO_SLOT and mask & (1 << get) != 0
        parts = ["d"] if fetches else ["t"]
        is_open = True  # all positional parameters so far are given
        for slot, name in enumerate(self._parameters.names):
            value = f"b[{slot}]" if mask & (1 << slot) else ""
            if self._has_default and name == "default":
                value = "d"
            if slot == self._parameters.var_slot:
                if value and not is_open:
                    raise DeclarationError(f"{self.name}: *{name} needs all that is before it")
                value = "*" + value if value else ""
            elif value and not (is_open and slot < self._parameters.positional):
                value = f"{name}={value}"
            elif not value and slot < self._parameters.positional:
                is_open = False
            if value:
                parts.append(value)
        function = f"t.{self.declaration.fetches}" if fetches else "f"
        return cast(Caller, eval(f"lambda f, t, b, d: {function}({', '.join(parts)})"))


def _key_place_of(declaration: Declaration) -> int:
    first, last, _ = key_range_of(declaration)
    is_movable = "movablekeys" in flags_of(declaration)
    return first if first == last and not is_movable else 0


def _converter_of(declaration: Declaration) -> Converter | None:
    """The reply converter; None for `native`, which would change nothing."""
    converter = converter_named(declaration.reply)
    if converter is None:
        raise DeclarationError(f"{declaration.name}: no reply is called {declaration.reply!r}")
    return None if declaration.reply == "native" else converter
