"""The notation: Redis' own documentation syntax of a command, parsed to a tree.

Declarations hand in the text on first use of a command; plans, documentation and key
positions are drawn from the tree. It knows kinds by name and no command.

1. UPPER CASE is a literal token, lower case a parameter. `name:kind` gives both, a bare
   name is the name of its kind (`key`) or a name that `kinds.NAMED_KINDS` lists.
   A key that is not just read has Redis' flags for its kind: `source:rw-access-delete`.
2. The first word is the command. A second token, unless in brackets, is its subcommand.
3. `[a]` is optional, `a | b` one of, `<a b>` a group. `name:<A | B>` is a choice of
   tokens bound to one parameter; unnamed, each token is a parameter of its own.
4. `x [x ...]` is repeated: x is a parameter, the parameters before it
   (`score member [score member ...]`), a token with its parameter
   (`[GET pattern [GET pattern ...]]`) or its parameters, or the name of a group.
5. A token takes the parameters right after it, or the group right after it.

Source: https://redis.io/docs/latest/develop/reference/command-arguments/
"""

from __future__ import annotations

from typing import Final

from cachestorm.declare.kinds import CHOICE_REFUSALS, Key, Kind, kind_named
from cachestorm.errors import DeclarationError

PARAMETER: Final = "parameter"
TOKEN: Final = "pure-token"
ONEOF: Final = "oneof"
BLOCK: Final = "block"

# What COMMAND DOCS calls a choice that the notation does not name, by its first token.
_CHOICES: Final = {
    "NX": "condition",
    "GT": "comparison",
    "EX": "expiration",
    "BYSCORE": "sortby",
    "ASYNC": "flush-type",
    "FROMMEMBER": "from",
}


class Argument:
    """A node of the tree; never changed once the parser has handed it out.

    Attributes:
        shape: PARAMETER, TOKEN, ONEOF or BLOCK.
        name: lower case; what HTTP calls it and, with `_` for `-`, Python.
        kind: of a PARAMETER, else None.
        token: the literal that leads it, upper case; empty if none does.
        labelled: a group that has a name of its own.
        children: of a ONEOF or BLOCK.
    """

    def __init__(
        self,
        shape: str,
        name: str,
        kind: Kind | None,
        token: str,
        children: list[Argument],
        start: int,
        labelled: bool = False,
    ) -> None:
        self.shape = shape
        self.name = name
        self.kind = kind
        self.token = token
        self.children = children
        self.labelled = labelled
        self.optional = False
        self.multiple = False
        self.multiple_token = False
        self._start = start  # of its first word: a repetition may repeat a whole group

    @property
    def docs_type(self) -> str:
        """Its `type` in COMMAND DOCS."""
        return self.shape if self.kind is None else self.kind.docs_type

    @property
    def docs_name(self) -> str:
        """Its `name` in COMMAND DOCS."""
        if self.kind is not None and self.kind.docs_name:
            return self.kind.docs_name
        if self.shape == BLOCK and self.multiple and not self.token:
            return "data"
        return self.name

    @property
    def is_needed(self) -> bool:
        """A command without it is refused, whatever COMMAND DOCS calls it."""
        if not self.optional:
            return True
        is_choice = self.shape == ONEOF and not self.is_tokens_only
        return is_choice and self.name in CHOICE_REFUSALS

    @property
    def is_tokens_only(self) -> bool:
        """A choice in which no member takes a parameter."""
        return self.shape == ONEOF and all([c.shape == TOKEN for c in self.children])

    @property
    def is_clauses(self) -> bool:
        """A repeated choice whose members keep their order; optional ones are options."""
        is_choice = self.shape == ONEOF and self.multiple
        return is_choice and not all([child.optional for child in self.children])

    def __repr__(self) -> str:
        return f"Argument({self.shape} {self.name!r})"


class Notation:
    """A parsed declaration.

    Attributes:
        container: the command, upper case.
        subcommand: upper case; empty if it has none.
        arguments: what follows the name.
    """

    def __init__(self, container: str, subcommand: str, arguments: list[Argument]) -> None:
        self.container = container
        self.subcommand = subcommand
        self.arguments = arguments

    def accesses(self) -> list[Key]:
        """How each key argument is accessed, in order."""
        return [node.kind for node in key_nodes(self.arguments) if isinstance(node.kind, Key)]


def key_nodes(nodes: list[Argument]) -> list[Argument]:
    """The arguments that are keys, in order."""
    found: list[Argument] = []
    for node in nodes:
        if isinstance(node.kind, Key):
            found.append(node)
        found.extend(key_nodes(node.children))
    return found


def name_of(spec: str) -> tuple[str, str]:
    """The command and subcommand that a notation begins with, without parsing the rest."""
    words = spec.split(None, 2)
    if not words or not _is_token(words[0]):
        raise DeclarationError(f"a notation begins with a command in upper case: {spec!r}")
    if len(words) > 1 and _is_token(words[1]):
        return words[0], words[1]
    return words[0], ""


def parse(spec: str) -> Notation:
    """The tree of a notation.

    Raises:
        DeclarationError: with the position and what was expected there.

    Examples:
        >>> [node.name for node in parse("SCAN cursor [COUNT count]").arguments]
        ['cursor', 'count']
    """
    container, subcommand = name_of(spec)
    return Notation(container, subcommand, _Parser(spec, 2 if subcommand else 1).parse())


def _is_token(word: str) -> bool:
    return word[0] not in "[<|]>" and word == word.upper()


class _Word:
    """A word of the notation and where it stands."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at


def _words_of(spec: str) -> list[_Word]:
    words: list[_Word] = []
    at = 0
    while at < len(spec):
        if spec[at].isspace():
            at += 1
            continue
        end = at + 1
        if spec[at] not in "[]<>|":
            while end < len(spec) and not spec[end].isspace() and spec[end] not in "[]<>|":
                end += 1
        words.append(_Word(spec[at:end], at))
        at = end
    return words


class _Parser:
    """Recursive descent over the words of one notation."""

    def __init__(self, spec: str, first: int) -> None:
        self._spec = spec
        self._words = _words_of(spec)
        self._at = first

    def parse(self) -> list[Argument]:
        nodes = self._sequence()
        if self._at < len(self._words):
            raise self._refusal(f"unexpected {self._peek()!r}")
        return nodes

    def _peek(self) -> str:
        return self._words[self._at].text if self._at < len(self._words) else ""

    def _refusal(self, reason: str) -> DeclarationError:
        at = self._words[self._at].at if self._at < len(self._words) else len(self._spec)
        return DeclarationError(f"{reason} at position {at} of {self._spec!r}")

    def _close(self, bracket: str) -> None:
        if self._peek() != bracket:
            raise self._refusal(f"expected {bracket!r}")
        self._at += 1

    def _sequence(self) -> list[Argument]:
        """Nodes up to a `|`, a closing bracket or the end."""
        nodes: list[Argument] = []
        while self._peek() not in ("", "|", "]", ">"):
            if self._peek() == "[":
                if self._at_repetition():
                    self._repeat(nodes)
                    continue
                start = self._at
                self._at += 1
                node = self._group(start, "")
                self._close("]")
                node.optional = True
                nodes.append(node)
            elif self._peek() == "<" or self._peek().endswith(":"):
                nodes.append(self._choice())
            elif _is_token(self._peek()):
                nodes.append(self._tokened())
            else:
                nodes.append(self._parameter())
        return nodes

    def _group(self, start: int, label: str) -> Argument:
        """What stands between brackets: alternatives, or a sequence."""
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        for branch in branches:
            if not branch:
                raise self._refusal("expected an argument")
        if len(branches) == 1:
            return self._block(branches[0], start, label)
        members = [self._block(branch, start, "") for branch in branches]
        first = members[0]
        name = label or _CHOICES.get(first.token, first.name)
        return Argument(ONEOF, name, None, "", members, start, label != "")

    def _block(self, nodes: list[Argument], start: int, label: str) -> Argument:
        if len(nodes) == 1 and not label:
            return nodes[0]
        name = label or nodes[0].name + "-block"
        return Argument(BLOCK, name, None, "", nodes, start, label != "")

    def _choice(self) -> Argument:
        start = self._at
        label = ""
        if self._peek().endswith(":"):
            label = self._peek()[:-1]
            self._at += 1
        self._close("<")
        node = self._group(start, label)
        self._close(">")
        return node

    def _tokened(self) -> Argument:
        """A token, and the parameters or the group that it takes."""
        start = self._at
        token = self._peek()
        name = token.lower().strip('"')
        self._at += 1
        if self._peek() == "<" or self._peek().endswith(":"):
            node = self._choice()
            node.token = token
            if not node.labelled:
                node.name = name
                node.labelled = node.is_tokens_only
            return node
        taken: list[Argument] = []
        while True:
            word = self._peek()
            if word == "[" and taken and self._at_repetition():
                if self._words[self._at + 1].text == token:
                    break
                self._repeat(taken)
            elif word and word not in ("[", "]", "<", ">", "|") and not _is_token(word):
                if word.endswith(":"):
                    break
                taken.append(self._parameter())
            else:
                break
        if not taken:
            return Argument(TOKEN, name, None, token, [], start)
        if len(taken) == 1 and taken[0].shape == PARAMETER:
            taken[0].token = token
            return taken[0]
        return Argument(BLOCK, name, None, token, taken, start)

    def _parameter(self) -> Argument:
        name, _, kind_name = self._peek().partition(":")
        kind = kind_named(kind_name or name)
        if kind is None:
            raise self._refusal(f"no kind is called {kind_name or name!r}")
        self._at += 1
        return Argument(PARAMETER, name, kind, "", [], self._at - 1)

    def _at_repetition(self) -> bool:
        """Whether the bracket here closes right after `...`."""
        depth = 0
        for index in range(self._at, len(self._words)):
            text = self._words[index].text
            if text == "[":
                depth += 1
            elif text == "]":
                depth -= 1
                if depth == 0:
                    return self._words[index - 1].text == "..."
        raise self._refusal("a bracket that is never closed")

    def _repeat(self, nodes: list[Argument]) -> None:
        """Marks the last nodes as repeated, as the bracket here says."""
        words: list[str] = []
        index = self._at + 1
        while self._words[index].text != "...":
            words.append(self._words[index].text)
            index += 1
        count = len(words)
        last = nodes[-1] if nodes else None
        if last is not None and count == 1 and _is_called(last, words[0]):
            last.multiple = True
        elif last is not None and last.token and _repeats_token(last, words):
            last.multiple = last.multiple_token = True
        elif last is not None and self._spelling(last) == words:
            last.multiple = True
        elif len(nodes) >= count > 1 and all(
            [_is_called(nodes[i - count], words[i]) for i in range(count)]
        ):
            members = nodes[-count:]
            del nodes[-count:]
            block = self._block(members, members[0]._start, "")
            block.multiple = True
            nodes.append(block)
        else:
            raise self._refusal(f"{' '.join(words)!r} repeats nothing that stands before it")
        self._at = index + 2

    def _spelling(self, node: Argument) -> list[str]:
        return [word.text for word in self._words[node._start : self._at]]


def _repeats_token(node: Argument, words: list[str]) -> bool:
    """Whether the words are a token and the one parameter, or all of those, that it takes."""
    names = [child.name for child in node.children]
    return words[0] == node.token and (len(words) == 2 or words[1:] == names)


def _is_called(node: Argument, word: str) -> bool:
    return node.name == word or (node.kind is not None and node.kind.name == word)
