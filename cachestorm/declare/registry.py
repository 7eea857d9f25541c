"""The registry: commands by name, as they come over the wire.

Asked by every endpoint for the plan of a command. Plans are made on first use.

1. `find` is the hot way: one dict lookup for names in all upper or all lower case.
2. Only those two spellings are remembered, so a client that sends all others fills no memory.
3. A container (`OBJECT`) has no plan of its own; `resolve` looks at the second argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cachestorm.codec import text_of, to_wire
from cachestorm.declare.declaration import DECLARATIONS, Declaration, Declarations
from cachestorm.declare.facts import docs_of, info_of, info_of_container
from cachestorm.declare.plan import Plan
from cachestorm.errors import ArityError, UnknownCommandError, UnknownSubcommandError

# How much of an unknown command Redis repeats in its refusal.
_MOST_ECHOED: Final = 128


class Registry:
    """The commands of a collection of declarations, which may still grow."""

    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self._plans: dict[bytes, Plan] = {}
        self._leaves: dict[str, Plan] = {}

    def find(self, name: bytes) -> Plan | None:
        """The plan of a command; None for containers and unknown names."""
        plan = self._plans.get(name)
        return plan if plan is not None else self._find_first(name)

    def _find_first(self, name: bytes) -> Plan | None:
        upper = name.upper()
        plan = self._plans.get(upper)
        if plan is None:
            text = text_of(upper)
            if " " in text or self._declarations.subcommands(text) is not None:
                return None
            plan = self.plan(text)
            if plan is None:
                return None
            self._plans[upper] = plan
        if name == name.lower():
            self._plans[name] = plan
        return plan

    def plan(self, name: str) -> Plan | None:
        """The plan by upper-case name, of a subcommand too: `OBJECT ENCODING`."""
        plan = self._leaves.get(name)
        if plan is None:
            declaration = self._declarations.get(name)
            if declaration is None:
                return None
            plan = self._leaves[name] = Plan(declaration)
        return plan

    def resolve(self, argv: list[object]) -> Plan:
        """The plan of a whole command, of a subcommand too.

        Raises:
            UnknownCommandError: with Redis' text.
            UnknownSubcommandError: with Redis' text.
            ArityError: for a container without subcommand.
        """
        if not argv:
            raise UnknownCommandError("no command was given")
        plan = self.find(to_wire(argv[0]))
        if plan is not None:
            return plan
        container = text_of(to_wire(argv[0])).upper()
        family = self._declarations.subcommands(container)
        if family is None:
            raise _unknown(argv)
        if len(argv) == 1:
            plan = self.plan(container)
            if plan is None:
                raise ArityError(container.lower())
            return plan
        name = to_wire(argv[1])
        plan = self.plan(f"{container} {text_of(name).upper()}")
        if plan is None:
            raise UnknownSubcommandError(
                f"unknown subcommand '{text_of(_echo(name))}'. Try {container} HELP."
            )
        return plan

    def load(self) -> None:
        """Makes all plans: what is wrong with any declaration comes to light.

        Raises:
            DeclarationError: for the first one that is wrong.
        """
        for declaration in self._declarations:
            self.plan(declaration.name)

    def get(self, name: str) -> Declaration | None:
        """A declaration by name in any case, with a space or `|` before the subcommand."""
        return self._declarations.get(name.upper().replace("|", " "))

    def names(self) -> list[str]:
        """Commands and containers, lower case, without subcommands (COMMAND LIST, COUNT)."""
        found = [d.full_name for d in self._declarations if not d.subcommand]
        for container in self._declarations.containers():
            if self._declarations.get(container) is None:
                found.append(container.lower())
        return found

    def docs(self, name: str) -> dict[str, object] | None:
        """An entry of COMMAND DOCS, of a container with its subcommands; None if unknown.

        A subcommand is named by `client|id` alone, as in Redis.
        """
        declaration = None if " " in name else self.get(name)
        family = self.family(name)
        if declaration is None and not family:
            return None
        if declaration is not None:
            entry = docs_of(declaration)
        else:
            entry = docs_of(family[0])
            entry.pop("arguments", None)
            entry["summary"] = f"A container for {name.lower()} commands."
            entry["complexity"] = "Depends on subcommand."
        if family:
            entry["subcommands"] = {child.full_name: docs_of(child) for child in family}
        return entry

    def info(self, name: str) -> list[object] | None:
        """An entry of COMMAND INFO, of a container with its subcommands; None if unknown."""
        declaration = None if " " in name else self.get(name)
        family = self.family(name)
        if declaration is None and not family:
            return None
        if declaration is not None:
            entry = info_of(declaration)
        else:
            entry = info_of_container(name.lower())
        entry[-1] = [info_of(child) for child in family]
        return entry

    def family(self, name: str) -> list[Declaration]:
        """The subcommands of a container, in any case; none of a command without some."""
        family = self._declarations.subcommands(name.upper())
        return list(family.values()) if family is not None else []

    def __iter__(self) -> Iterator[Declaration]:
        return iter(self._declarations)


def _unknown(argv: list[object]) -> UnknownCommandError:
    echoed = b""
    for arg in argv[1:]:
        if len(echoed) >= _MOST_ECHOED:
            break
        echoed += b"'%b' " % _echo(to_wire(arg)[: _MOST_ECHOED - len(echoed)])
    name = _echo(to_wire(argv[0]))
    text = f"unknown command '{text_of(name)}', with args beginning with: {text_of(echoed)}"
    return UnknownCommandError(text)


def _echo(arg: bytes) -> bytes:
    """What Redis repeats of a word: as C prints it, up to the first NUL."""
    return arg[:_MOST_ECHOED].partition(b"\0")[0]


REGISTRY: Final = Registry(DECLARATIONS)
