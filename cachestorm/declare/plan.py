"""The plan of a command: arguments in, the method called, a reply out.

One for each command, made on first use; the endpoints and `Cache.execute` call it. It lexes
by position and token, then converts, then calls; see `matchers` and `kinds`.

1. The caller gives the whole argv: `words[0]` is the name of the command, in any case.
2. The usual calls are direct (see `direct.py`), without slots: the arguments are read and the
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
from cachestorm.declare.composites import Rows
from cachestorm.declare.declaration import STRAY_IS_ARITY, STRAY_IS_NOTHING, Declaration
from cachestorm.declare.direct import MOST
from cachestorm.declare.facts import (
    arity_of,
    categories_of,
    flags_of,
    key_range_of,
    most_argv_of,
)
from cachestorm.declare.kinds import AS_GIVEN, KEY, FoundKey, FoundName, Key
from cachestorm.declare.matchers import One, Options, option_for, stray_error
from cachestorm.declare.notation import parse
from cachestorm.declare.parameters import NO_SLOT, Parameters
from cachestorm.declare.replies import KEEPS_BYTES, TRUE_IS_OK, Converter, converter_named
from cachestorm.declare.typed import RAW, enclosing, give_types
from cachestorm.declare.wire_values import OK
from cachestorm.errors import (
    ArityError,
    CacheStormError,
    CommandSyntaxError,
    DeclarationError,
    NeedsConnectionError,
)
from cachestorm.markers import MISSING

# A client that sends all combinations of all options must not fill the memory with callers.
_MOST_CALLERS: Final = 256
# No argv has so many words.
_NEVER: Final = 1 << 40
# So many words at most come before many.
_MOST_LEAD: Final = 2
# Stands for no value: the call was not a direct one.
_INDIRECT: Final = object()
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
        no_script: a script may not ask for it.
        key_place: where its only key is among the words; 0 if it has none, or may have several.

    Args:
        declaration: of the command.
        is_typed: for clients whose values are in envelopes.

    Raises:
        DeclarationError: when notation and method do not fit each other.
    """

    def __init__(self, declaration: Declaration, is_typed: bool = False) -> None:
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
        self._answering = declaration.ordered or declaration.function
        self._first = 2 if declaration.subcommand else 1
        self._parameters = Parameters(declaration.function)
        notation = declaration.notation
        # made when it is first asked for
        self._typed: Plan | None = self if is_typed else None
        if is_typed and declaration.method not in RAW:
            notation = parse(declaration.spec)
            give_types(notation)
        arguments = notation.arguments
        self._slots = Slots(self._command, self._parameters.names)
        binder = Binder(
            self.name, arguments, self._parameters, declaration.stray, declaration.once.split()
        )
        self._matcher = binder.matcher
        self._has_default = binder.has_default
        self._reply = _converter_of(declaration)
        if is_typed:
            self._reply = enclosing(declaration.reply, self._reply)
        # asked of each command of a transaction
        self.no_multi: Final = "no_multi" in declaration.flags.split()
        # and of a script
        self.no_script: Final = "noscript" in declaration.flags.split()
        self.key_place: Final = _key_place_of(declaration)
        # what most calls of these converters would come to, without a call
        self._keeps_bytes = declaration.reply in KEEPS_BYTES and not is_typed
        self._true_is_ok = declaration.reply in TRUE_IS_OK
        self._callers: dict[int, Caller] = {}
        direct = binder.direct()
        kinds = direct.kinds
        self._direct = len(kinds)
        self._nones = direct.nones
        self._direct_size: i64 = self._first + len(kinds) if direct.is_whole else -1
        # of argv from which on it has many words: see `_call_many`
        self._many_size: i64 = _NEVER
        # of argv that may end in one option and its word; replies that ask which are left out
        self._option_size: i64 = -1
        self._options: Options = {}
        is_told = declaration.reply not in KEEPS_BYTES | TRUE_IS_OK
        if direct.run is not None and not is_told and 0 < direct.lead <= _MOST_LEAD:
            self._option_size = self._first + direct.lead + 2
            self._options = direct.run.options
        is_any = self._most == 0 and self._longest == 0
        if direct.many is not None and direct.lead <= _MOST_LEAD and is_any:
            self._many_size = self._first + direct.lead + direct.width
        # a word of Python may be UNSET, which stands for no argument where it is one by itself
        self._is_row = direct.is_row
        self._lead = direct.lead
        self._many = direct.many or AS_GIVEN
        self._is_spread = direct.is_spread
        self._width: i64 = direct.width
        self._is_single = direct.is_single
        kinds = [*kinds, *[AS_GIVEN] * MOST]
        self._kind0 = kinds[0]
        self._kind1 = kinds[1]
        self._kind2 = kinds[2]

    def call(self, target: object, argv: list[object]) -> object:
        """Runs the command on `target`; the method's own value.

        Raises:
            CacheStormError: what the words, or the method, are refused with.
        """
        function = self._function
        if len(argv) == self._direct_size and not self._is_row:
            return self._call_direct(function, target, argv, None)
        value: object = _INDIRECT
        if len(argv) >= self._many_size:
            value = self._call_many(function, target, argv, None)
        elif len(argv) == self._option_size:
            value = self._call_with_option(function, target, argv)
        if value is not _INDIRECT:
            return value
        return self._call_bound(function, target, self.bind(argv), None)

    def answer(self, target: object, argv: list[object]) -> object:
        """Runs the command on `target`; a wire value.

        Raises:
            CacheStormError: as `call`.
        """
        function = self._answering
        if len(argv) == self._direct_size:
            return self._spelled(self._call_direct(function, target, argv, _MISSING))
        value: object = _INDIRECT
        if len(argv) >= self._many_size:
            value = self._call_many(function, target, argv, _MISSING)
        elif len(argv) == self._option_size:
            value = self._call_with_option(function, target, argv)
        if value is not _INDIRECT:
            return self._spelled(value)
        bound = self.bind(argv)
        value = self._call_bound(function, target, bound, _MISSING)
        return value if self._reply is None else self._reply(value, bound)

    def _spelled(self, value: object) -> object:
        """The wire value of what a direct call gave."""
        if self._keeps_bytes and isinstance(value, bytes):
            return value
        if self._true_is_ok and value is True:
            return OK
        return value if self._reply is None else self._reply(value, _NOTHING)

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

    def typed(self) -> Plan:
        """The same for a client whose values are in envelopes: see `typed.py`."""
        found = self._typed
        if found is None:
            found = self._typed = Plan(self.declaration, is_typed=True)
        return found

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

    def _call_direct(
        self,
        function: Callable[..., object],
        target: object,
        argv: list[object],
        default: object,
    ) -> object:
        if self._direct == 0:
            return function(target)
        first = self._first
        one = self._kind0.read(argv[first])
        if self._direct == 1:
            if self._has_default:
                if self._nones == 1:
                    return function(target, one, None, default)
                return function(target, one, default)
            return function(target, one)
        two = self._kind1.read(argv[first + 1])
        if self._direct == 2:
            if self._has_default:
                return function(target, one, two, default)
            return function(target, one, two)
        return function(target, one, two, self._kind2.read(argv[first + 2]))

    def _call_many(
        self,
        function: Callable[..., object],
        target: object,
        argv: list[object],
        default: object,
    ) -> object:
        """A direct call with many words; _INDIRECT if it is none."""
        begin = self._first + self._lead
        size: i64 = len(argv)
        if self._is_single and size != self._many_size:
            return _INDIRECT
        if self._width > 1 and (size - begin) % self._width != 0:
            return _INDIRECT
        one: object = None
        two: object = None
        kind = self._many
        try:
            if self._lead > 0:
                one = self._kind0.read(argv[self._first])
            if self._lead > 1:
                two = self._kind1.read(argv[self._first + 1])
            if self._is_spread:
                words: object = [kind.read(argv[at]) for at in range(begin, size)]
            elif isinstance(kind, Rows):
                words = kind.read_from(argv, begin)
            else:
                words = kind.read(argv[begin:])
        except CacheStormError:
            # options perhaps; if not, it is refused once more
            return _INDIRECT
        if not self._is_spread:
            if self._lead == 0:
                return function(target, words)
            if self._lead == 1:
                return function(target, one, words)
            return function(target, one, two, words)
        args = [target]
        if self._lead > 0:
            args.append(one)
        if self._lead > 1:
            args.append(two)
        args += cast("list[object]", words)
        if self._has_default:
            return function(*args, default=default)
        return function(*args)

    def _call_with_option(
        self, function: Callable[..., object], target: object, argv: list[object]
    ) -> object:
        """A direct call with one option and its word; _INDIRECT if it is none."""
        first = self._first
        at = first + self._lead
        option = option_for(self._options, argv[at])
        inner = None if option is None else option.inner
        if not isinstance(inner, One) or inner.slot != self._lead or inner.appending:
            return _INDIRECT
        if inner.slot >= self._parameters.positional:
            return _INDIRECT
        try:
            one = self._kind0.read(argv[first])
            two = self._kind1.read(argv[first + 1]) if self._lead == 2 else None
            word = inner.kind.read(argv[at + 1])
        except CacheStormError:
            # it is refused once more, and in the order of all its words
            return _INDIRECT
        if self._lead == 2:
            return function(target, one, two, word)
        return function(target, one, word)

    def _call_bound(
        self, function: Callable[..., object], target: object, bound: Bound, default: object
    ) -> object:
        caller = self._callers.get(bound.mask)
        if caller is None:
            if len(self._callers) >= _MOST_CALLERS:
                self._callers.clear()
            caller = self._make_caller(bound.mask)
            self._callers[bound.mask] = caller
        return caller(function, target, bound.values, default)

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
