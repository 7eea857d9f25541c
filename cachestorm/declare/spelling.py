"""Spelling: the argv of a command whose arguments are given by name.

Used by the HTTP endpoint: names and JSON values become the argv that a RESP client would send
(values stay the objects they are), and the plan goes on from there. So there is one lexer, one
conversion and one set of error texts.

1. A parameter goes by its name; behind a token by its name or the lower-case token; a
   token without parameter by its lower-case name and true; a choice by its own name and
   the token. A repeated parameter takes a list or one value, and answers to its plural.
2. A repeated block goes by its label, else by `mapping`: a list of rows or an object
   (for `score member`, the object maps members to scores); one row may also be given by
   the names of its parts.
3. `numkeys` is counted when left out. null and false mean the same as leaving an optional
   argument out.
"""

from __future__ import annotations

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Double, Tally
from cachestorm.declare.notation import BLOCK, ONEOF, PARAMETER, TOKEN, Argument
from cachestorm.errors import NamedArgumentError


def spell(declaration: Declaration, named: dict[str, object]) -> list[object]:
    """The words, the command's name first.

    Raises:
        NamedArgumentError: for a name that the command does not have, for one that it
            misses, and for a value of no use; the text lists the names there are.
    """
    speller = _Speller(declaration, named)
    speller.sequence(declaration.notation.arguments)
    speller.refuse_unknown()
    return speller.argv


def names_of(declaration: Declaration) -> list[str]:
    """The names that arguments may be given by, the preferred one of each, in order."""
    found: list[str] = []
    for node in declaration.notation.arguments:
        for name in _listed(node):
            if name not in found:
                found.append(name)
    return found


def _listed(node: Argument) -> list[str]:
    if node.shape == BLOCK and node.multiple:
        return [_names(node)[0]]
    if not node.children or node.token or _is_choice(node):
        return [node.token.lower() or node.name]
    return [name for child in node.children for name in _listed(child)]


def _is_choice(node: Argument) -> bool:
    """Whether a group is given by one name: a labelled choice, or repeated clauses."""
    return node.labelled and (node.is_tokens_only or node.is_clauses)


def _names(node: Argument) -> list[str]:
    """The names one argument answers to."""
    if node.shape == BLOCK and node.multiple and not node.labelled and not node.token:
        return ["mapping"]
    names = [node.name]
    if node.token:
        names.insert(0, node.token.lower())
    if node.multiple:
        names.append(node.name + "s")
    for name in list(names):
        if "-" in name:
            names.append(name.replace("-", "_"))
    return names


class _Speller:
    def __init__(self, declaration: Declaration, named: dict[str, object]) -> None:
        self._declaration = declaration
        self._left = dict(named)
        self.argv: list[object] = [*declaration.name.split(" ")]

    def _refusal(self, reason: str) -> NamedArgumentError:
        names = ", ".join(names_of(self._declaration)) or "none"
        return NamedArgumentError(
            f"{reason} '{self._declaration.full_name}' command; its arguments: {names}"
        )

    def refuse_unknown(self) -> None:
        for name in self._left:
            raise self._refusal(f"unknown argument '{name}' for")

    def _name_given(self, node: Argument) -> str:
        """The name under which an argument is given; empty if it is not."""
        for name in _names(node):
            if name in self._left:
                value = self._left[name]
                is_needed = not node.optional and not node.token
                is_clause = node.optional and node.multiple and node.token != ""
                is_empty = is_clause and isinstance(value, (list, tuple)) and not value
                if is_needed or (value is not None and not is_empty):
                    return name
                del self._left[name]
        return ""

    def _is_given(self, node: Argument) -> bool:
        if self._name_given(node):
            return True
        return any([self._is_given(child) for child in node.children])

    def sequence(self, nodes: list[Argument]) -> None:
        for index, node in enumerate(nodes):
            if isinstance(node.kind, Tally) and not self._name_given(node):
                many = nodes[index + 1]
                self.argv.append(self._count(many))
            else:
                self._node(node)

    def _node(self, node: Argument) -> None:
        if node.shape == TOKEN:
            self._flag(node)
        elif node.multiple and node.shape == BLOCK:
            self._block_rows(node)
        elif node.shape == PARAMETER or _is_choice(node):
            self._parameter(node)
        elif node.shape == ONEOF:
            self._choice(node)
        else:
            self._block(node)

    def _miss(self, node: Argument) -> None:
        if not node.optional:
            raise self._refusal(f"missing argument '{_names(node)[0]}' for")

    def _flag(self, node: Argument) -> None:
        name = self._name_given(node)
        given = self._left.pop(name) if name else False
        if given is True:
            self.argv.append(node.token.strip('"'))
        elif given is not False:
            raise self._refusal(f"argument '{name}' is true or false for")

    def _parameter(self, node: Argument) -> None:
        name = self._name_given(node)
        if not name:
            self._miss(node)
            return
        value = self._left.pop(name)
        items: list[object] = [value]
        if node.multiple and isinstance(value, (list, tuple)):
            items = list(value)
        if node.is_clauses:
            items = self._flat(items, name)
        if node.token and not node.multiple_token:
            self.argv.append(node.token)
        for item in items:
            if node.multiple_token:
                self.argv.append(node.token)
            self.argv.append(item)

    def _flat(self, rows: list[object], name: str) -> list[object]:
        flat: list[object] = []
        for row in rows:
            if not isinstance(row, (list, tuple)):
                raise self._refusal(f"argument '{name}' is a list of lists for")
            flat.extend(row)
        return flat

    def _choice(self, node: Argument) -> None:
        is_given = False
        for child in node.children:
            if self._is_given(child):
                is_given = True
                self._node(child)
        if not is_given and not node.optional:
            self._miss(node.children[0])

    def _block(self, node: Argument) -> None:
        name = self._name_given(node) if node.token else ""
        if name and node.token:
            value = self._left.pop(name)
            if not isinstance(value, (list, tuple)):
                raise self._refusal(f"argument '{name}' is a list for")
            self.argv.append(node.token)
            if isinstance(node.children[0].kind, Tally):
                self.argv.append(len(value))
            self.argv.extend(value)
        elif not node.optional or self._is_given(node):
            if node.token:
                self.argv.append(node.token)
            self.sequence(node.children)

    def _block_rows(self, node: Argument) -> None:
        name = self._name_given(node)
        if name:
            for row in self._rows(node, self._left.pop(name), name):
                if node.multiple_token:
                    self.argv.append(node.token)
                self.argv.extend(row)
        elif not node.optional or self._is_given(node):
            self.sequence(node.children)

    def _rows(self, node: Argument, value: object, name: str) -> list[list[object]]:
        width = len(node.children)
        if isinstance(value, dict) and width == 2:
            if isinstance(node.children[0].kind, Double):
                return [[second, first] for first, second in value.items()]
            return [[first, second] for first, second in value.items()]
        rows: list[list[object]] = []
        for row in value if isinstance(value, (list, tuple)) else [None]:
            if not isinstance(row, (list, tuple)) or len(row) != width:
                parts = ", ".join([child.name for child in node.children])
                raise self._refusal(f"argument '{name}' is a list of [{parts}] for")
            rows.append(list(row))
        return rows

    def _count(self, many: Argument) -> int:
        name = self._name_given(many)
        value = self._left[name] if name else None
        if isinstance(value, (list, tuple, dict)):
            return len(value)
        return 1 if self._is_given(many) else 0
