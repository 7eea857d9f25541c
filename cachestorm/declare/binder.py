"""The binder: builds the matchers of a command from its tree and its method's parameters.

Called once a command, by its plan. This is where a declaration and a method that do not
fit each other are found out.

1. An argument binds to the method's parameter of its name (`-` becomes `_`; a trailing `_` may
   keep it apart from Python's keywords), else of its token's name. A repeated one binds by
   name, plural or token, else to the var-positional parameter.
2. A repeated block without a label binds to `mapping`, else to the var-positional
   parameter; a block led by a token to the parameter of the token's name, as a tuple, if
   there is one, else each of its arguments by name.
3. `numkeys`-like arguments need no parameter: the number is the length of what follows.
4. Tokens next to each other are options, in any order. A required choice of tokens is
   at its place and exactly one; so is one that `CHOICE_REFUSALS` names.
"""

from __future__ import annotations

from cachestorm.declare.composites import AsOnly, Repeated, Rows, Together, Word
from cachestorm.declare.direct import MOST, Direct
from cachestorm.declare.kinds import (
    CHOICE_REFUSALS,
    Cursor,
    Double,
    Integer,
    Kind,
    PromptInteger,
    Tally,
)
from cachestorm.declare.matchers import (
    Clause,
    Clauses,
    Counted,
    Either,
    Matcher,
    Maybe,
    One,
    Option,
    Options,
    PerKey,
    Pick,
    Rest,
    Run,
    Sequence,
    Tuple,
    UntilToken,
)
from cachestorm.declare.notation import BLOCK, ONEOF, PARAMETER, TOKEN, Argument
from cachestorm.declare.parameters import NO_SLOT, Parameters
from cachestorm.errors import DeclarationError


class Binder:
    """Builds the matchers of one command.

    Args:
        name: of the command, for refusals.
        stray: how the command refuses words that fit nowhere.
        once: tokens that fit nowhere when they are said again.

    Attributes:
        matcher: the result.
        has_default: the method has a parameter `default` that no argument binds to.
    """

    def __init__(
        self,
        name: str,
        arguments: list[Argument],
        parameters: Parameters,
        stray: str,
        once: list[str],
    ) -> None:
        self._name = name
        self._stray = stray
        self._once = once
        self._parameters = parameters
        self._bits = 0
        self._is_counted = False
        self._has_options = any([_leads(node) for node in arguments])
        self._last = _last_of(arguments)
        self.matcher = self._sequence(arguments)
        self.has_default = "default" in parameters.names and not _names_default(arguments)

    def direct(self) -> Direct:
        """The calls by position: see `direct.py`."""
        direct = Direct()
        kinds = direct.kinds
        parameters = self._parameters
        steps = self.matcher.steps
        at = 0
        while at < len(steps):
            step = steps[at]
            slot = len(kinds)
            if isinstance(step, One) and step.slot == slot < parameters.positional:
                kinds.append(step.kind)
            elif (
                not isinstance(step, Rest)
                or not isinstance(step.kind, Repeated)
                or step.least == 0
            ):
                break
            elif step.slot == slot == parameters.var_slot:
                direct.spread(step.kind.kind, step is steps[-1])
            elif step.slot == slot < parameters.positional and not self._has_options:
                # one word for a parameter that takes a list, as in most calls of BLPOP
                kinds.append(AsOnly(step.kind.kind))
            else:
                break
            at += 1
        if at < len(steps) and self._add_rows(direct, steps[at:]):
            at = len(steps)
        elif at < len(steps) and direct.many is None and not self.has_default:
            direct.take_option(steps[at:])
        direct.is_whole = len(kinds) <= MOST and all([step.least == 0 for step in steps[at:]])
        if self.has_default:
            slot = parameters.slot("default")
            between = parameters.names[len(kinds) : slot]
            direct.nones = len(between)
            direct.is_whole = (
                direct.is_whole
                and 0 < len(kinds) <= slot < parameters.positional
                and slot < MOST
                and all([name in parameters.nones for name in between])
            )
        return direct

    def _add_rows(self, direct: Direct, steps: list[Matcher]) -> bool:
        """Adds the calls with rows. Returns whether the shortest one has the words of one."""
        parameters = self._parameters
        rest = steps[-1]
        lead = len(direct.kinds)
        if (
            self.has_default
            or not isinstance(rest, Rest)
            or not isinstance(rest.kind, Rows)
            or any([step.least != 0 for step in steps[:-1]])
        ):
            return False
        kinds = rest.kind.kinds
        if rest.slot == lead < parameters.positional:
            has_options = len(steps) > 1
            if not has_options or (
                _is_number(kinds[0]) and all([isinstance(step, Run) for step in steps[:-1]])
            ):
                direct.take_rows(rest.kind, rest.width, has_options)
            return False
        names = [] if self._last is None else [child.name for child in self._last.children]
        stop = lead + len(kinds)
        slots = [parameters.slot(name) for name in names]
        if len(steps) > 1 or stop > parameters.positional or slots != list(range(lead, stop)):
            return False
        direct.kinds.extend(kinds)
        direct.is_row = True
        return True

    def _refusal(self, node: Argument) -> DeclarationError:
        names = ", ".join(self._parameters.names)
        return DeclarationError(
            f"{self._name}: the method has no parameter for {node.name!r}; it has {names}"
        )

    def _slot(self, node: Argument) -> int:
        found = self._parameters.slot(node.name)
        if found == NO_SLOT and node.token:
            found = self._parameters.slot(node.token.lower())
        if found == NO_SLOT:
            raise self._refusal(node)
        return found

    def _slot_of_many(self, node: Argument) -> int:
        parameters = self._parameters
        names = [node.name, node.name + "s"]
        if node.shape == BLOCK and not node.labelled:
            names = ["mapping"]
        elif node.token:
            names.append(node.token.lower())
        for name in names:
            found = parameters.slot(name)
            if found != NO_SLOT:
                return found
        if parameters.var_slot == NO_SLOT:
            raise self._refusal(node)
        return parameters.var_slot

    def _sequence(self, nodes: list[Argument]) -> Sequence:
        steps: list[Matcher] = []
        at = 0
        while at < len(nodes):
            node = nodes[at]
            if _leads(node):
                options: list[Argument] = []
                while at < len(nodes) and _leads(nodes[at]):
                    options.append(nodes[at])
                    at += 1
                steps.append(self._run(options))
                continue
            if isinstance(node.kind, Tally) and at + 1 < len(nodes):
                steps.append(self._counted(node, node.kind, nodes[at + 1]))
                at += 2
                continue
            steps.append(self._step(node))
            at += 1
        return Sequence(steps)

    def _step(self, node: Argument) -> Matcher:
        if node.is_clauses:
            return Clauses(self._slot_of_many(node), self._clauses(node))
        if node.multiple:
            kind = self._kind_of_many(node)
            width = _width(node)
            slot = self._slot_of_many(node)
            return Rest(slot, kind, width, node.optional, not self._has_options)
        inner = self._single(node)
        return Maybe(inner) if node.optional else inner

    def _single(self, node: Argument) -> Matcher:
        if node.shape == PARAMETER and node.kind is not None:
            return One(
                self._slot(node),
                node.kind,
                prompt=isinstance(node.kind, (Cursor, PromptInteger)),
            )
        if node.shape == ONEOF:
            refusal = _refusal_of(node)
            if node.is_tokens_only and refusal:
                return One(self._slot(node), _arg_of(node, refusal))
            return self._pick(node)
        return self._sequence(node.children)

    def _kind_of_many(self, node: Argument) -> Kind:
        if node.kind is not None:
            return Repeated(node.kind)
        return Rows(self._kinds_of(node))

    def _kinds_of(self, node: Argument) -> list[Kind]:
        kinds: list[Kind] = []
        for child in node.children:
            if child.kind is None or child.token or child.optional or child.multiple:
                raise DeclarationError(f"{self._name}: {child.name!r} cannot stand in a block")
            kinds.append(child.kind)
        return kinds

    def _counted(self, node: Argument, tally: Tally, many: Argument) -> Matcher:
        self._is_counted = True
        return Counted(
            self._parameters.slot(node.name),
            tally,
            self._slot_of_many(many),
            self._kind_of_many(many),
            _width(many),
            many is self._last,
        )

    def _pick(self, node: Argument) -> Matcher:
        options: Options = {}
        fallback: Matcher | None = None
        is_run = False
        for child in node.children:
            if _leads(child):
                is_run = is_run or child.multiple
                self._add_options(node if node.labelled else None, child, options)
            elif fallback is None:
                fallback = self._single(child)
            else:
                raise DeclarationError(f"{self._name}: nothing tells {node.name!r} apart")
        if is_run and fallback is not None:
            return Either(Run(options, [], self._stray), fallback)
        return Pick(options, fallback)

    def _clauses(self, node: Argument) -> dict[bytes, Clause]:
        clauses: dict[bytes, Clause] = {}
        for child in node.children:
            if not child.token:
                clauses.update(self._clauses(child))
            elif child.shape == ONEOF:
                refusal = f"Invalid {child.token} type specified"
                clauses[child.token.encode()] = Clause(child.token, [_arg_of(child, refusal)])
            elif child.kind is not None:
                clauses[child.token.encode()] = Clause(child.token, [child.kind])
            else:
                clauses[child.token.encode()] = Clause(child.token, self._kinds_of(child))
        return clauses

    def _run(self, nodes: list[Argument]) -> Run:
        options: Options = {}
        required: list[tuple[int, str]] = []
        least = 0
        for node in nodes:
            added = self._add_options(None, node, options)
            if node.is_needed:
                kind = node.children[0].kind if node.children else None
                refusal = _refusal_of(node).replace("{command}", self._name)
                if isinstance(kind, Tally):
                    refusal = kind.excess_text
                required.append((sum([option.bit for option in added]), refusal))
                least += 1 + min([o.inner.least if o.inner is not None else 0 for o in added])
        run = Run(options, required, self._stray)
        run.least = least
        return run

    def _add_options(
        self, owner: Argument | None, node: Argument, options: Options
    ) -> list[Option]:
        """Adds what a token-led node stands for; `owner` is the labelled choice it is in."""
        added: list[Option] = []
        if node.shape == TOKEN:
            slot = self._slot(owner or node)
            value: object = node.token if owner is not None else True
            added.append(self._option(node.token, None, slot, value))
        elif node.token:
            inner = self._after_token(node, options)
            added.append(self._option(node.token, inner, NO_SLOT, None))
        elif node.shape == BLOCK:
            first = node.children[0]
            rest = node.children[1:]
            added.extend(self._add_options(None, first, options))
            if all([child.optional and _leads(child) for child in rest]):
                for child in rest:
                    self._add_options(None, child, options)
            else:
                for option in added:
                    head = [option.inner] if option.inner is not None else []
                    option.inner = Sequence([*head, *self._sequence(rest).steps])
            return added
        else:
            for child in node.children:
                label = node if node.labelled else None
                added.extend(self._add_options(label, child, options))
            is_strict = not node.is_tokens_only or all([option.once for option in added])
            if is_strict and not node.multiple:
                everything = sum([option.bit for option in added])
                for option in added:
                    option.excludes = everything - option.bit
            return added
        for option in added:
            options[option.token.encode()] = option
            options[option.token.lower().encode()] = option
        return added

    def _option(self, token: str, inner: Matcher | None, slot: int, value: object) -> Option:
        option = Option(token, inner, slot, value, 1 << self._bits, token in self._once)
        self._bits += 1
        return option

    def _after_token(self, node: Argument, options: Options) -> Matcher:
        """The matcher of what follows a node's token."""
        if node.shape == ONEOF:
            return self._pick(node)
        if node.multiple_token and node.shape == BLOCK:
            rows = self._kinds_of(node)
            return Tuple(self._slot_of_many(node), Rows(rows), len(rows), True)
        if node.shape == BLOCK:
            slot = self._parameters.slot(node.name)
            if slot == NO_SLOT or any([child.multiple for child in node.children]):
                inner = self._sequence(node.children)
                for step in inner.steps:
                    if isinstance(step, One):
                        step.prompt = _is_number(step.kind)
                return inner
            kinds = self._kinds_of(node)
            prompt = all([_is_number(kind) for kind in kinds])
            return Tuple(slot, Together(kinds), len(kinds), prompt=prompt)
        assert node.kind is not None
        if not node.multiple:
            return One(self._slot(node), node.kind, prompt=_is_number(node.kind))
        slot = self._slot_of_many(node)
        kind = Repeated(node.kind)
        if node.multiple_token:
            return One(slot, kind, True)
        if self._is_counted:
            return PerKey(slot, kind)
        if node is self._last:
            return Rest(slot, kind, 1, False, False)
        return UntilToken(slot, kind, options)


def _leads(node: Argument) -> bool:
    """Whether a node is an option: told by its tokens, not by its place."""
    if node.token:
        return True
    if node.shape == BLOCK:
        return not node.multiple and _leads(node.children[0])
    if node.shape != ONEOF or node.is_clauses:
        return False
    if node.is_tokens_only and (not node.optional or _refusal_of(node)):
        return False
    return all([_leads(child) for child in node.children])


def _is_number(kind: Kind) -> bool:
    """Whether a word behind a token is read when met; Redis leaves times to live for later."""
    return isinstance(kind, (Integer, Double))


def _names_default(nodes: list[Argument]) -> bool:
    return any([node.name == "default" or _names_default(node.children) for node in nodes])


def _last_of(nodes: list[Argument]) -> Argument | None:
    """The last argument of a notation, inside its groups."""
    if not nodes:
        return None
    last = nodes[-1]
    if last.shape == BLOCK and not last.multiple:
        return _last_of(last.children)
    return last


def _arg_of(node: Argument, refusal: str) -> Word:
    return Word(node.name, [child.token for child in node.children], refusal)


def _refusal_of(node: Argument) -> str:
    """How a choice is refused that has words of its own for it; empty for all others."""
    return CHOICE_REFUSALS.get(node.name, "") if node.shape == ONEOF else ""


def _width(node: Argument) -> int:
    return 1 if node.kind is not None else len(node.children)
