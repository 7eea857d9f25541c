"""The syntax of commands: how they are written, and what may come next on a line.

Asked by the prompt, by the completion of shells and by the help. A command is known by its
declaration; one that only the connected server has, by what its COMMAND DOCS says.

1. A command's tree is that of `cachestorm.declare.notation`, whoever described it.
2. What may come next is worked out from the words before; it refuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cachestorm.cache import Cache as Cache  # imported for what it declares
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Key, Kind, kind_named
from cachestorm.declare.notation import BLOCK, ONEOF, PARAMETER, TOKEN, Argument
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.wire_values import Members, Pairs, Status, Verbatim
from cachestorm_server import bound_commands as bound_commands  # likewise

_OF_TAGS: Final = kind_named("tag")


@dataclass(frozen=True, slots=True)
class Syntax:
    """One command.

    Attributes:
        name: upper case, with its subcommand: `OBJECT ENCODING`.
        subcommands: of a container, upper case.
    """

    name: str
    summary: str
    complexity: str
    since: str
    group: str
    arguments: list[Argument]
    subcommands: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The notation as Redis' pages show it.

        Examples:
            >>> known()["EXPIRE"].usage
            'EXPIRE key seconds [NX | XX | GT | LT]'
        """
        return " ".join([self.name, *map(written, self.arguments)])


@dataclass(frozen=True, slots=True)
class Next:
    """What may follow on a line.

    Attributes:
        parameter: what a word there would be; None: nothing but tokens.
        tokens: upper case.
        rest: the arguments that are still to come, as a hint shows them.
    """

    parameter: Argument | None
    tokens: tuple[str, ...]
    rest: str

    @property
    def is_key(self) -> bool:
        """Whether a key belongs there."""
        kind = self.parameter.kind if self.parameter is not None else None
        # a channel of a shard is found as a key is, and is none
        return isinstance(kind, Key) and kind.docs_type == "key"

    @property
    def is_tag(self) -> bool:
        """Whether a tag belongs there."""
        return self.parameter is not None and self.parameter.kind is _OF_TAGS


def known() -> dict[str, Syntax]:
    """Every command that is declared here, containers too, by upper-case name."""
    found: dict[str, Syntax] = {}
    families: dict[str, list[str]] = {}
    for declaration in REGISTRY:
        found[declaration.name] = _of_declaration(declaration)
        if declaration.subcommand:
            families.setdefault(declaration.container, []).append(declaration.subcommand)
    for container, names in families.items():
        docs = REGISTRY.docs(container) or {}
        one = found.get(container)
        found[container] = Syntax(
            container,
            str(docs.get("summary", "")),
            str(docs.get("complexity", "")),
            str(docs.get("since", "")),
            str(docs.get("group", "")),
            one.arguments if one is not None else [],
            tuple(sorted(names)),
        )
    return found


def _of_declaration(declaration: Declaration) -> Syntax:
    return Syntax(
        declaration.name,
        declaration.summary,
        declaration.complexity,
        declaration.since,
        declaration.group,
        declaration.notation.arguments,
    )


def from_docs(reply: object) -> dict[str, Syntax]:
    """The commands of a reply to COMMAND DOCS, by upper-case name; none if it is no such."""
    found: dict[str, Syntax] = {}
    for name, entry in _pairs(reply):
        _add(found, _text(name), entry)
    return found


def _add(found: dict[str, Syntax], name: str, entry: object) -> None:
    facts = {_text(field): value for field, value in _pairs(entry)}
    children = _pairs(facts.get("subcommands"))
    for child, docs in children:
        _add(found, _text(child), docs)
    upper = name.upper().replace("|", " ")
    found[upper] = Syntax(
        upper,
        _text(facts.get("summary")),
        _text(facts.get("complexity")),
        _text(facts.get("since")),
        _text(facts.get("group")),
        [_argument(each) for each in _items(facts.get("arguments"))],
        tuple(sorted(_text(child).upper().partition("|")[2] for child, _ in children)),
    )


def _argument(entry: object) -> Argument:
    facts = {_text(field): value for field, value in _pairs(entry)}
    flags = {_text(flag) for flag in _items(facts.get("flags"))}
    shape = _text(facts.get("type"))
    name = _text(facts.get("display_text")) or _text(facts.get("name"))
    children = [_argument(each) for each in _items(facts.get("arguments"))]
    kind: Kind | None = None
    if shape not in (TOKEN, ONEOF, BLOCK):
        kind = kind_named("key" if shape == "key" else "string")
        shape = PARAMETER
    node = Argument(shape, name, kind, _text(facts.get("token")), children, 0)
    node.optional = "optional" in flags
    node.multiple = "multiple" in flags
    node.multiple_token = "multiple_token" in flags
    return node


def _pairs(value: object) -> list[tuple[object, object]]:
    """A map, in RESP2 a flat array."""
    if isinstance(value, Pairs):
        return value.items
    if isinstance(value, list):
        return list(zip(value[::2], value[1::2]))
    return []


def _items(value: object) -> list[object]:
    if isinstance(value, Members):
        return value.items
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.text if isinstance(value, (Status, Verbatim)) else str(value or "")


def written(node: Argument) -> str:
    """An argument in the notation of Redis' pages."""
    text = _bare(node)
    if node.multiple:
        again = f"{node.token} {_inside(node)}" if node.multiple_token else _inside(node)
        text = f"{text} [{again} ...]"
    return f"[{text}]" if node.optional else text


def _bare(node: Argument) -> str:
    inside = _inside(node)
    if not node.token or node.shape == TOKEN:
        return inside
    return f"{node.token} <{inside}>" if node.shape == ONEOF else f"{node.token} {inside}"


def _inside(node: Argument) -> str:
    if node.shape == TOKEN:
        return node.token.strip('"')
    if node.shape == PARAMETER:
        return node.docs_name if node.kind is not None else node.name
    if node.shape == BLOCK:
        return " ".join(map(written, node.children))
    text = " | ".join(map(written, node.children))
    return text if node.optional or node.token else f"<{text}>"


def words_of(node: Argument) -> list[str]:
    """The words of an argument, its own token left out."""
    if node.shape == PARAMETER:
        return [node.docs_name]
    if node.is_tokens_only:
        return ["|".join(child.token.lower() for child in node.children)]
    return [name for child in node.children for name in words_of(child)]


def what_follows(nodes: Sequence[Argument], words: Iterable[str]) -> Next:
    """What may come after the words of a command, its name left out."""
    walk = _Walk(list(nodes))
    for word in words:
        walk.take(word)
    return walk.next()


class _Walk:
    """Goes along the arguments of a command, a word at a time.

    What was begun by a token comes first; else a word is the next parameter, or begins an
    option that was not used yet.
    """

    def __init__(self, nodes: list[Argument]) -> None:
        self._nodes = nodes
        self._due: list[Argument] = []  # parameters of a token that was said
        self._again: Argument | None = None  # what may be repeated after them

    def take(self, word: str) -> None:
        if self._due:
            self._due.pop(0)
            return
        at = self._token_at(word.upper())
        if at is not None:
            index, branch = at
            node = self._nodes[index]
            if not node.optional:
                # options stand before what is needed, or behind it, as they are written
                del self._nodes[:index]
                index = 0
            if not node.multiple_token:
                del self._nodes[index]
            self._due = _flat(branch)
            self._again = None
            if node.multiple and not node.multiple_token:
                self._again = _untokened(branch)
            return
        if self._again is not None:
            self._due = _flat(self._again)[1:]
            return
        place = self._parameter_at()
        if place is None:
            return
        node = self._nodes[place]
        parts = _flat(node)
        self._due = parts[1:]
        # what may stand before it was left out
        del self._nodes[: place + 1]
        if node.multiple:
            again = _untokened(node)
            again.multiple = again.optional = True
            self._nodes.insert(0, again)

    def next(self) -> Next:
        rest = " ".join([*map(written, self._due), *(written(node) for node in self._nodes)])
        if self._due:
            first = self._due[0]
            return Next(first if first.kind is not None else None, tuple(_tokens(first)), rest)
        index = self._parameter_at()
        parameter: Argument | None = None
        if self._again is not None:
            parameter = _first(self._again)
        elif index is not None:
            parameter = _first(self._nodes[index])
        tokens: list[str] = []
        for node in self._nodes:
            tokens.extend(_tokens(node))
            if not node.optional and not _tokens(node):
                break
        return Next(parameter, tuple(tokens), rest)

    def _token_at(self, word: str) -> tuple[int, Argument] | None:
        for index, node in enumerate(self._nodes):
            branch = _begun_by(node, word)
            if branch is not None:
                return index, branch
            if not node.optional and not _tokens(node):
                return None
        return None

    def _parameter_at(self) -> int | None:
        for index, node in enumerate(self._nodes):
            if _first(node) is not None:
                return index
            if not node.optional:
                return None
        return None


def _begun_by(node: Argument, word: str) -> Argument | None:
    """The argument, or the member of a choice, that a token begins."""
    if node.token:
        return node if node.token.strip('"') == word else None
    if node.shape == ONEOF:
        for child in node.children:
            found = _begun_by(child, word)
            if found is not None:
                return found
    if node.shape == BLOCK and node.children:
        return node if _begun_by(node.children[0], word) is not None else None
    return None


def _tokens(node: Argument) -> list[str]:
    """The tokens that an argument may begin with."""
    if node.token:
        return [node.token.strip('"')]
    if node.shape == ONEOF:
        return [token for child in node.children for token in _tokens(child)]
    if node.shape == BLOCK and node.children:
        return _tokens(node.children[0])
    return []


def _first(node: Argument) -> Argument | None:
    """The parameter that an argument begins with, if it begins with one."""
    if node.token:
        return None
    if node.shape == PARAMETER:
        return node
    if node.shape == BLOCK and node.children:
        return _first(node.children[0])
    if node.shape == ONEOF:
        for child in node.children:
            found = _first(child)
            if found is not None:
                return found
    return None


def _flat(node: Argument) -> list[Argument]:
    """The words of an argument after its token."""
    if node.shape == PARAMETER:
        return [node] if not node.token else [_untokened(node)]
    if node.shape == TOKEN:
        return []
    if node.shape == ONEOF:
        return [_untokened(node)] if node.token else []
    found: list[Argument] = []
    for child in node.children:
        found.extend([child] if child.token or child.shape == ONEOF else _flat(child))
    return found


def _untokened(node: Argument) -> Argument:
    bare = Argument(node.shape, node.name, node.kind, "", node.children, 0, node.labelled)
    bare.multiple = node.multiple and not node.multiple_token
    return bare
