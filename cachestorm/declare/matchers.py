"""Matchers: small machines that put arguments into slots, one for each node of a tree.

Built by the binder from a notation, run by a plan. They assign arguments and refuse what does
not fit. The kinds convert them, in the order of Redis. The number behind a token is read at
once, so that it is refused before a wrong argument behind it; a time to live, and arguments at
fixed positions, are read when all arguments have been assigned.

1. `match` takes arguments from `at`, never at or beyond `end`, and returns where it stopped.
2. `least` is how many arguments it needs at least; a sequence reserves those of what follows,
   except from a Run: an argument that is an option is one even where values are missing.
3. Tokens are matched in any case; options in any order; the same one twice: last wins,
   unless the declaration has it only `once`.
"""

from __future__ import annotations

from cachestorm.codec import bytes_of, text_of, to_wire
from cachestorm.declare.bound import Bound
from cachestorm.declare.composites import CLAUSES
from cachestorm.declare.declaration import STRAY_IS_ARITY, STRAY_IS_NOTHING
from cachestorm.declare.kinds import AS_GIVEN, Kind, Tally
from cachestorm.declare.parameters import NO_SLOT
from cachestorm.errors import ArityError, CommandSyntaxError


class Matcher:
    """What all matchers share.

    Attributes:
        least: how many words it needs.
        reserve: how many it leaves for those that follow in its sequence.
    """

    def __init__(self, least: int) -> None:
        self.least = least
        self.reserve = 0

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        """Takes words into slots; returns the index of the first one not taken."""
        raise NotImplementedError


class One(Matcher):
    """One word. Appending, it adds to what its slot holds; prompt, it is read when met."""

    def __init__(
        self, slot: int, kind: Kind, appending: bool = False, prompt: bool = False
    ) -> None:
        super().__init__(1)
        self.slot = slot
        self.kind = kind
        self.appending = appending
        self.prompt = prompt

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        if at >= end:
            raise CommandSyntaxError()
        if self.prompt and not bound.names_only:
            bound.put(self.slot, self.kind.read(argv[at]), AS_GIVEN)
            return at + 1
        if not self.appending:
            bound.put(self.slot, argv[at], self.kind)
            return at + 1
        former = bound.values[self.slot]
        if isinstance(former, list):
            former.append(argv[at])
        else:
            bound.put(self.slot, [argv[at]], self.kind)
        return at + 1


class Tuple(Matcher):
    """A fixed number of words for one slot.

    Appending, they add to what it holds; prompt, they are read when met.
    """

    def __init__(
        self,
        slot: int,
        kind: Kind,
        width: int,
        appending: bool = False,
        prompt: bool = False,
    ) -> None:
        super().__init__(width)
        self.slot = slot
        self.kind = kind
        self.appending = appending
        self.prompt = prompt

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        stop = at + self.least
        if stop > end:
            raise CommandSyntaxError()
        former = bound.values[self.slot]
        if self.appending and isinstance(former, list):
            former.extend(argv[at:stop])
        elif self.prompt and not bound.names_only:
            bound.put(self.slot, self.kind.read(argv[at:stop]), AS_GIVEN)
        else:
            bound.put(self.slot, argv[at:stop], self.kind)
        return stop


class Rest(Matcher):
    """All words there are, in rows of `width`; after `numkeys`, as many as that said.

    An incomplete row is an arity error in a command without options, else a syntax error.
    """

    def __init__(
        self, slot: int, kind: Kind, width: int, optional: bool, odd_is_arity: bool
    ) -> None:
        super().__init__(0 if optional else width)
        self.slot = slot
        self.kind = kind
        self.width = width
        self.odd_is_arity = odd_is_arity

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        size = end - at
        if size % self.width:
            if self.odd_is_arity:
                raise ArityError(bound.slots.command)
            raise CommandSyntaxError()
        if size < self.least:
            raise CommandSyntaxError()
        if size:
            bound.put(self.slot, argv[at:end], self.kind)
        return end


class Counted(Matcher):
    """A number and that many rows: `numkeys key [key ...]`.

    Attributes:
        number_slot: where the number goes; NO_SLOT when the method does not ask.
        is_last: no other word may follow.
    """

    def __init__(
        self,
        number_slot: int,
        tally: Tally,
        slot: int,
        kind: Kind,
        width: int,
        is_last: bool,
    ) -> None:
        super().__init__(1 + width * tally.least)
        self.number_slot = number_slot
        self.tally = tally
        self.slot = slot
        self.kind = kind
        self.width = width
        self.is_last = is_last

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        if at >= end:
            raise CommandSyntaxError()
        left = end - at - 1
        bound.count = self.tally.count(
            argv[at], left, self.width, self.is_last, bound.slots.command
        )
        if self.number_slot != NO_SLOT:
            bound.put(self.number_slot, argv[at], self.tally)
        stop = at + 1 + bound.count * self.width
        bound.put(self.slot, argv[at + 1 : stop], self.kind)
        return stop


class PerKey(Matcher):
    """As many words as there are keys, read when met: `WEIGHTS weight [weight ...]`."""

    def __init__(self, slot: int, kind: Kind) -> None:
        super().__init__(1)
        self.slot = slot
        self.kind = kind

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        stop = at + bound.count
        if stop > end:
            raise CommandSyntaxError()
        if bound.names_only:
            bound.put(self.slot, argv[at:stop], self.kind)
        else:
            bound.put(self.slot, self.kind.read(argv[at:stop]), AS_GIVEN)
        return stop


class Sequence(Matcher):
    """Matchers one after another."""

    def __init__(self, steps: list[Matcher]) -> None:
        super().__init__(sum([step.least for step in steps]))
        self.steps = steps
        reserve = self.least
        for step in steps:
            reserve -= step.least
            step.reserve = 0 if isinstance(step, Run) else reserve

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        for step in self.steps:
            at = step.match(argv, at, end - step.reserve, bound)
        return at


class Maybe(Matcher):
    """A matcher that runs only when there are words enough."""

    def __init__(self, inner: Matcher) -> None:
        super().__init__(0)
        self.inner = inner

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        return self.inner.match(argv, at, end, bound) if at < end else at


class Option:
    """What one token does: a flag, a choice, or words that follow it.

    Attributes:
        inner: takes the words after the token; None for a flag or a choice.
        slot, value: what a flag or choice puts where.
        bit: its own, among the options of the command.
        once: said again it is none.
        excludes: the bits of options that may not stand beside it.
    """

    def __init__(
        self,
        token: str,
        inner: Matcher | None,
        slot: int,
        value: object,
        bit: int,
        once: bool,
    ) -> None:
        self.token = token
        self.inner = inner
        self.slot = slot
        self.value = value
        self.bit = bit
        self.once = once
        self.excludes = 0

    def take(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        """Takes what follows the token."""
        if self.inner is not None:
            return self.inner.match(argv, at, end, bound)
        bound.put(self.slot, self.value, AS_GIVEN)
        return at


Options = dict[bytes, Option]


def option_for(options: Options, arg: object) -> Option | None:
    """The option that a word names, in any case."""
    if isinstance(arg, str):
        arg = bytes_of(arg)
    if not isinstance(arg, bytes):
        return None
    option = options.get(arg)
    return option if option is not None else options.get(arg.upper())


class Run(Matcher):
    """Options in any order, up to the first word that is none.

    Attributes:
        required: masks of bits; of each, one option must be there. And how its absence is
            refused; empty for a syntax error.
        stray: how the command refuses a word in the place of a required option.
    """

    def __init__(self, options: Options, required: list[tuple[int, str]], stray: str) -> None:
        super().__init__(0)
        self.options = options
        self.required = required
        self.stray = stray

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        seen = 0
        while at < end:
            option = option_for(self.options, argv[at])
            if option is None or (option.once and seen & option.bit):
                break
            if seen & option.excludes:
                raise CommandSyntaxError()
            seen |= option.bit
            inner = option.inner
            if inner is not None and inner.least >= end - at and not self.required:
                raise stray_error(self.stray, argv[at])
            at = option.take(argv, at + 1, end, bound)
        for mask, refusal in self.required:
            if not seen & mask:
                if at < end and self._is_stray(mask, argv, at, end):
                    raise stray_error(self.stray, argv[at])
                raise CommandSyntaxError(refusal or "syntax error")
        return at

    def _is_stray(self, mask: int, argv: list[object], at: int, end: int) -> bool:
        """Whether the word here is to blame for what is required and not at its place.

        Where refusals name words, they name one only if what is required comes later.
        """
        if "{arg}" not in self.stray:
            return True
        for place in range(at, end - 1):
            option = option_for(self.options, argv[place])
            if option is not None and option.bit & mask:
                return True
        return False


def stray_error(stray: str, arg: object) -> CommandSyntaxError:
    """The refusal of a word that fits nowhere, as the command declares it."""
    # and the number of words is right, or one is missing that an option needs
    if stray in (STRAY_IS_ARITY, STRAY_IS_NOTHING):
        return CommandSyntaxError()
    # as C does it: up to the first NUL
    shown = text_of(to_wire(arg).partition(b"\0")[0])
    return CommandSyntaxError(stray.replace("{arg}", shown))


class Pick(Matcher):
    """Exactly one token at this very place; or, if there is a `fallback`, other words."""

    def __init__(self, options: Options, fallback: Matcher | None) -> None:
        super().__init__(1)
        self.options = options
        self.fallback = fallback

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        if at >= end:
            raise CommandSyntaxError()
        option = option_for(self.options, argv[at])
        if option is not None:
            return option.take(argv, at + 1, end, bound)
        if self.fallback is None:
            raise CommandSyntaxError()
        return self.fallback.match(argv, at, end, bound)


class Either(Matcher):
    """A run of options if the word here is one of them, else other words (CLIENT KILL)."""

    def __init__(self, run: Run, fallback: Matcher) -> None:
        super().__init__(1)
        self.run = run
        self.fallback = fallback

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        if at < end and option_for(self.run.options, argv[at]) is not None:
            return self.run.match(argv, at, end, bound)
        return self.fallback.match(argv, at, end, bound)


class UntilToken(Matcher):
    """One argument or more, up to the next token of the run that contains it."""

    def __init__(self, slot: int, kind: Kind, options: Options) -> None:
        super().__init__(1)
        self.slot = slot
        self.kind = kind
        self.options = options

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        stop = at
        while stop < end and option_for(self.options, argv[stop]) is None:
            stop += 1
        if stop == at:
            raise CommandSyntaxError()
        bound.put(self.slot, argv[at:stop], self.kind)
        return stop


class Clause:
    """A token of a repeated choice and the kinds of what follows it."""

    def __init__(self, token: str, kinds: list[Kind]) -> None:
        self.token = token
        self.kinds = kinds


class Clauses(Matcher):
    """A repeated choice: the clauses of BITFIELD, in the order given, in one slot."""

    def __init__(self, slot: int, clauses: dict[bytes, Clause]) -> None:
        super().__init__(0)
        self.slot = slot
        self.clauses = clauses

    def match(self, argv: list[object], at: int, end: int, bound: Bound) -> int:
        taken: list[object] = []
        while at < end:
            arg = argv[at]
            name = bytes_of(arg) if isinstance(arg, str) else arg
            clause = self.clauses.get(name.upper()) if isinstance(name, bytes) else None
            if clause is None:
                break
            stop = at + 1 + len(clause.kinds)
            if stop > end:
                raise CommandSyntaxError()
            taken.append((clause.token, clause.kinds, argv[at + 1 : stop]))
            at = stop
        bound.put(self.slot, taken, CLAUSES)
        return at
