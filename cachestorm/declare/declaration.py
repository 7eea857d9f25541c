"""The declaration of a command: one line in Redis' notation on the method that is it.

Modules of commands decorate their methods with it, or functions that take the cache. The
registry makes plans of what was declared; documentation, key positions and ACL categories
are read from here.

1. Declaring records and parses nothing: an import pays for a list entry a command.
2. The method is returned unchanged, so that compiled code calls it as natively as before.
3. What can be derived from the notation is derived, never declared twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from cachestorm.declare.bound import Bound
from cachestorm.declare.notation import Notation, name_of, parse
from cachestorm.errors import DeclarationError

Method = TypeVar("Method", bound=Callable[..., object])

STRAY_IS_ARITY: Final = "arity"
STRAY_IS_NOTHING: Final = "nothing"


class Declaration:
    """One command: its method, its notation and the facts that neither can say.

    It is the decorator of the method: a module of commands says once what all of them
    share, and then declares each.

    Args:
        writes: may change the data; left out, the notation says it of the keys.
        declarations: where to add it; left out, DECLARATIONS.

    Attributes:
        spec: the notation.
        function: the decorated method, called with the target first.
        container, subcommand: upper case; `subcommand` is empty for most.
        group: as COMMAND DOCS spells it: `string`, `sorted-set`.
        since: the release of CacheStorm that had it first.
        grows: it writes and may need memory; refused when there is none (Redis' `denyoom`).
        fast: O(1) or O(log N), as Redis' flag says.
        reply: the name of a converter in `replies`.
        fetches: the method called instead when the option GET is given, with what to give
            for a missing key before the other arguments; or empty.
        ordered: a function of the same parameters that is called in the method's place for a
            reply, where the method's value has no order and the reply has one; or None.
        narrowed: where options decide how a key is accessed (`variable_flags`), a function
            that says it of a call in the notation's words; or None.
        stray: the refusal of words that fit nowhere; `{arg}` is the first of them,
            `{subcommand}` what the caller named it.
            STRAY_IS_ARITY: more words than fit are a wrong number of arguments.
            STRAY_IS_NOTHING: they are not looked at (QUIT).
        excess: the refusal of more words than the command ever has; left out: as `stray`.
        once: tokens, separated by spaces, that are stray when they are said again; a choice
            of nothing but such tokens is a syntax error when two are said.
        local: why the reply cannot be read back into what the method returns; or empty.
        connection: belongs to a connection, has no in-process endpoint.
        own: no Redis has such a command.
        flags: more flags of COMMAND INFO, separated by spaces: `admin noscript`.
        tips: Redis' hints to clients and proxies, separated by spaces:
            `nondeterministic_output`.
        note: why the first key is accessed as it is, where that is not plain.
        deprecated: the release of Redis that deprecated it; or empty.
        instead: what Redis says is to be used then.

    Examples:
        >>> from functools import partial
        >>> command = partial(Declaration, group="test", declarations=Declarations())
        >>> @command("HALVE number:integer", complexity="O(1)", summary="Halve a number.")
        ... def halve(target, number):
        ...     return number // 2
        >>> halve(None, 4)
        2
    """

    def __init__(
        self,
        spec: str,
        *,
        group: str,
        complexity: str,
        summary: str,
        since: str = "0.1",
        writes: bool | None = None,
        grows: bool = False,
        fast: bool = False,
        reply: str = "native",
        fetches: str = "",
        ordered: Callable[..., object] | None = None,
        narrowed: Callable[[Bound], str] | None = None,
        stray: str = "syntax error",
        excess: str = "",
        once: str = "",
        local: str = "",
        connection: bool = False,
        own: bool = False,
        flags: str = "",
        tips: str = "",
        note: str = "",
        deprecated: str = "",
        instead: str = "",
        declarations: Declarations | None = None,
    ) -> None:
        self.spec = spec
        self.function: Callable[..., object] = _undecorated
        self.container, self.subcommand = name_of(spec)
        self.group = group
        self.since = since
        self.complexity = complexity
        self.summary = summary
        self._writes = True if grows else writes
        self.grows = grows
        self.fast = fast
        self.reply = reply
        self.fetches = fetches
        self.ordered = ordered
        self.narrowed = narrowed
        self.stray = stray
        self.excess = excess
        self.once = once
        self.local = local
        self.connection = connection
        self.own = own
        self.flags = flags
        self.tips = tips
        self.note = note
        self.deprecated = deprecated
        self.instead = instead
        self._declarations = DECLARATIONS if declarations is None else declarations
        self._notation: Notation | None = None

    def __call__(self, method: Method) -> Method:
        """Declares a method as this command; the method is returned as it is.

        Raises:
            DeclarationError: when a command of that name is declared already.
        """
        self.function = method
        self._declarations.add(self)
        return method

    @property
    def name(self) -> str:
        """As people write it: `SET`, `OBJECT ENCODING`."""
        return f"{self.container} {self.subcommand}" if self.subcommand else self.container

    @property
    def full_name(self) -> str:
        """As errors and COMMAND INFO write it: `set`, `object|encoding`."""
        return self.name.lower().replace(" ", "|")

    @property
    def method(self) -> str:
        """The method of `Cache` that it is; empty for a function.

        A function is a command for protocols and `execute` only: an older name, text for
        people, what belongs to a connection.
        """
        path = str(getattr(self.function, "__qualname__", ""))
        return path.rpartition(".")[2] if "." in path else ""

    @property
    def writes(self) -> bool:
        """Whether it may change the data."""
        if self._writes is not None:
            return self._writes
        return any([key.writes for key in self.notation.accesses()])

    @property
    def notation(self) -> Notation:
        """The tree, parsed at first use.

        Raises:
            DeclarationError: when the notation does not parse.
        """
        if self._notation is None:
            self._notation = parse(self.spec)
        return self._notation

    def __repr__(self) -> str:
        return f"<Declaration {self.name}>"


class Declarations:
    """An ordered collection of declarations, by name."""

    def __init__(self) -> None:
        self._commands: dict[str, Declaration] = {}
        self._containers: dict[str, dict[str, Declaration]] = {}

    def add(self, declaration: Declaration) -> None:
        """Adds one.

        Raises:
            DeclarationError: when a command of that name is declared already.
        """
        if declaration.name in self._commands:
            raise DeclarationError(f"{declaration.name} is declared twice")
        self._commands[declaration.name] = declaration
        if declaration.subcommand:
            family = self._containers.setdefault(declaration.container, {})
            family[declaration.subcommand] = declaration

    def get(self, name: str) -> Declaration | None:
        """By upper-case name: `SET`, `OBJECT ENCODING`."""
        return self._commands.get(name)

    def subcommands(self, container: str) -> dict[str, Declaration] | None:
        """The subcommands of a container by upper-case name; None if it is none."""
        return self._containers.get(container)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Of names in any case, with `|` or a space before a subcommand, those of nothing."""
        found = []
        for name in names:
            spelled = name.upper().replace("|", " ")
            if spelled not in self._commands and spelled not in self._containers:
                found.append(name)
        return found

    def without(self, names: Iterable[str]) -> Declarations:
        """The same but for some: commands, containers with all they have, or subcommands."""
        left_out = {name.upper().replace("|", " ") for name in names}
        kept = Declarations()
        for declaration in self:
            if declaration.name not in left_out and declaration.container not in left_out:
                kept.add(declaration)
        return kept

    def containers(self) -> list[str]:
        """The commands that have subcommands."""
        return list(self._containers)

    def __iter__(self) -> Iterator[Declaration]:
        return iter(list(self._commands.values()))

    def __len__(self) -> int:
        return len(self._commands)


DECLARATIONS: Final = Declarations()


def _undecorated(target: object) -> object:
    raise DeclarationError("a command was declared without a method")
