"""The options of a command: what its notation begins with a token, as a shell user says it.

`INVALIDATE tag [CASCADE] [SOFT] [DRYRUN]` is `cachestorm invalidate TAG --cascade --dry-run`.
Called by `calls`; knows notations and no command.

1. A token with parameters takes as many values as they have words; a repeated one may be
   given again, and its values are gathered. A choice is an option for each of its members.
2. `--fields a --fields b` counts: a number of arguments is not said.
3. Options go where the notation has them, whatever their order on the line. What is said in
   Redis' own words (`EX 60`) stays where it is.
4. Hyphens do not matter: `--dryrun` is `--dry-run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Tally
from cachestorm.declare.notation import BLOCK, ONEOF, PARAMETER, Argument
from cachestorm.declare.parameters import NO_SLOT, Parameters
from cachestorm.errors import CommandSyntaxError
from cachestorm_cli.syntax import words_of

_AT_END: Final = 1 << 30


class UsageError(CommandSyntaxError):
    """Arguments that do not fit a command of the command line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes:
        flag: with its dashes.
        token: what it becomes.
        values: the names of what it takes.
        node: the argument that it stands for.
        multiple: it may be given several times.
        repeats_token: then the token is said each time too.
        is_counted: a count goes before the values.
        at: how many positional words go before it.
        order: among options of one place, by the notation.
    """

    flag: str
    token: str
    values: tuple[str, ...]
    node: Argument
    multiple: bool
    repeats_token: bool
    is_counted: bool
    at: int
    order: tuple[int, ...]


def options_of(declaration: Declaration) -> list[Option]:
    """The options of a command, in the order of its notation."""
    found: list[Option] = []
    parameters = Parameters(declaration.function)
    nodes = declaration.notation.arguments
    for index, node in enumerate(nodes):
        at = _place(nodes, index)
        _collect(node, at, (index,), parameters, found)
    return found


def _place(nodes: Sequence[Argument], index: int) -> int:
    """How many positional words stand before an argument; _AT_END if it stands at the end."""
    if all(node.optional for node in nodes[index + 1 :]):
        return _AT_END
    count = 0
    for node in nodes[:index]:
        if _is_option(node):
            continue
        if node.shape != PARAMETER or node.optional or node.multiple:
            return _AT_END
        count += 1
    return count


def _is_option(node: Argument) -> bool:
    if node.shape == ONEOF and not node.token:
        return not node.is_clauses and all(_is_option(child) for child in node.children)
    return _token_of(node) != ""


def _token_of(node: Argument) -> str:
    """The token that an argument begins with; empty if it begins with none."""
    if node.token or node.shape != BLOCK:
        return node.token
    return _token_of(node.children[0])


def _collect(
    node: Argument,
    at: int,
    order: tuple[int, ...],
    parameters: Parameters,
    found: list[Option],
) -> None:
    if node.shape == ONEOF and not node.token:
        if (node.is_tokens_only and not node.optional) or node.is_clauses:
            # a choice that is needed (LEFT), and clauses, which have an order: no options
            return
        for index, child in enumerate(node.children):
            _collect(child, at, (*order, index), parameters, found)
        return
    token = _token_of(node).strip('"')
    if not token:
        return
    children = node.children if node.shape == BLOCK else []
    is_counted = bool(children) and isinstance(children[0].kind, Tally)
    values: list[str] = []
    inner: list[Argument] = []
    for child in children or [node]:
        if child is not node and child.optional and child.token:
            inner.append(child)
        elif child.shape == ONEOF and not child.is_tokens_only:
            values += _values_of_choice(child)
        else:
            values += words_of(child)
    found.append(
        Option(
            _flag_of(token, parameters),
            token,
            tuple(values[1:] if is_counted else values),
            node,
            node.multiple or (is_counted and children[-1].multiple),
            node.multiple_token,
            is_counted,
            at,
            order,
        )
    )
    for index, child in enumerate(inner):
        _collect(child, at, (*order, index), parameters, found)


def _values_of_choice(node: Argument) -> list[str]:
    return ["|".join(child.token.lower() for child in node.children), "value"]


def _flag_of(token: str, parameters: Parameters) -> str:
    slot = parameters.slot(token.lower())
    name = token.lower() if slot == NO_SLOT else parameters.names[slot].strip("_")
    if name.replace("_", "") != token.lower().replace("-", ""):
        name = token.lower()
    return "--" + name.replace("_", "-")


def find(options: Sequence[Option], flag: str) -> Option | None:
    """The option of a flag, hyphens left out."""
    bare = flag.replace("-", "").lower()
    for option in options:
        if option.flag.replace("-", "") == bare:
            return option
    return None


class Given:
    """The words and options given to a command, gathered one by one."""

    def __init__(self, options: Sequence[Option]) -> None:
        self.words: list[str] = []
        self._options: Final = options
        self._values: Final[dict[tuple[int, ...], tuple[Option, list[list[str]]]]] = {}

    def add(self, option: Option, values: list[str]) -> None:
        """Adds an option.

        Raises:
            UsageError: if it was given before and is not one that may be repeated.
        """
        _, rows = self._values.setdefault(option.order, (option, []))
        if rows and not option.multiple:
            raise UsageError(f"{option.flag} is given twice")
        rows.append(values)

    def argv(self) -> list[str]:
        """The arguments of the command as Redis takes them."""
        argv = list(self.words)
        at_end: list[str] = []
        before: dict[int, list[str]] = {}
        for order in sorted(self._values):
            option, rows = self._values[order]
            place = at_end if option.at >= len(argv) else before.setdefault(option.at, [])
            place.extend(_spelled(option, rows))
        for at in sorted(before, reverse=True):
            argv[at:at] = before[at]
        return argv + at_end


def _spelled(option: Option, rows: list[list[str]]) -> list[str]:
    if option.node.shape == ONEOF:
        # the first value chooses, and is a token itself
        rows = [[row[0].upper(), *row[1:]] for row in rows]
    if option.repeats_token:
        return [word for row in rows for word in [option.token, *row]]
    flat = [value for row in rows for value in row]
    count = [str(len(flat) // max(1, len(option.values)))] if option.is_counted else []
    return [option.token, *count, *flat]
