"""Composites: kinds of several arguments that fill one slot.

Made by the binder out of the simple kinds; no notation names one. A composite's raw argument is
a list of arguments, whose number a matcher has already checked.
"""

from __future__ import annotations

from typing import Final

from cachestorm.declare.kinds import FoundName, Kind
from cachestorm.errors import CommandSyntaxError


class Word(Kind):
    """One of a choice of tokens, as upper-case `str`; `refusal` is for all other words."""

    def __init__(self, name: str, tokens: list[str], refusal: str) -> None:
        super().__init__(name, "oneof")
        self.tokens = tokens
        self.refusal = refusal

    def read(self, raw: object) -> object:
        text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
        if isinstance(text, str) and text.upper() in self.tokens:
            return text.upper()
        raise CommandSyntaxError(self.refusal)


class AsOnly(Kind):
    """The only word of a list: read as that."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.name, kind.docs_type, kind.docs_name)
        self.kind = kind

    def read(self, raw: object) -> object:
        return [self.kind.read(raw)]


class Repeated(Kind):
    """A list of arguments of one kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.name, kind.docs_type)
        self.kind = kind

    def read(self, raw: object) -> object:
        assert isinstance(raw, list)
        kind = self.kind
        return [kind.read(item) for item in raw]

    def find_names(self, raw: object, found: list[FoundName]) -> None:
        assert isinstance(raw, list)
        for item in raw:
            self.kind.find_names(item, found)


class Together(Kind):
    """Several arguments that make one value: a tuple."""

    def __init__(self, kinds: list[Kind]) -> None:
        super().__init__("block", "block")
        self.kinds = kinds

    def read(self, raw: object) -> object:
        assert isinstance(raw, list)
        return tuple([self.kinds[index].read(raw[index]) for index in range(len(raw))])

    def find_names(self, raw: object, found: list[FoundName]) -> None:
        assert isinstance(raw, list)
        for index in range(len(raw)):
            self.kinds[index].find_names(raw[index], found)


class Rows(Kind):
    """A repeated block: a flat list of arguments, read as a list of tuples."""

    def __init__(self, kinds: list[Kind]) -> None:
        super().__init__("block", "block")
        self.kinds = kinds

    def read(self, raw: object) -> object:
        assert isinstance(raw, list)
        return self.read_from(raw, 0)

    def read_from(self, words: list[object], begin: int) -> object:
        """The rows of the words from a place on."""
        kinds = self.kinds
        width = len(kinds)
        size = len(words)
        rows: list[object] = []
        if width == 2:
            first, second = kinds
            if size - begin == 2:
                # most calls; a list made of what is in it is made in one piece
                return [(first.read(words[begin]), second.read(words[begin + 1]))]
            for at in range(begin, size, 2):
                rows.append((first.read(words[at]), second.read(words[at + 1])))
        else:
            for at in range(begin, size, width):
                rows.append(tuple([kinds[i].read(words[at + i]) for i in range(width)]))
        return rows

    def find_names(self, raw: object, found: list[FoundName]) -> None:
        assert isinstance(raw, list)
        width = len(self.kinds)
        for at in range(len(raw)):
            self.kinds[at % width].find_names(raw[at], found)


class Clauses(Kind):
    """A repeated choice: (TOKEN, value, ...) tuples in the order given.

    The raw argument is a list of (token, kinds, words).
    """

    def read(self, raw: object) -> object:
        assert isinstance(raw, list)
        clauses: list[object] = []
        for token, kinds, argv in raw:
            clause: list[object] = [token]
            for index in range(len(argv)):
                clause.append(kinds[index].read(argv[index]))
            clauses.append(tuple(clause))
        return clauses


CLAUSES: Final = Clauses("clauses", "oneof")
