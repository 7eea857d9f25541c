"""The remote commands: each declared method of a cache as words to send and a reply to read.

Made once an envelope, from the declarations: there is no list of commands here. Called by
`Courses`.

1. Of several commands that are one method (`DEL`, `UNLINK`), the first with the most arguments
   speaks for it.
2. Words are read by the plan before they are sent: what any server would refuse is refused
   here, with the error that the method raises in process.
3. A command whose reply says less than its method is not here; `LOCAL` says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm.declare.bound import Bound
from cachestorm.declare.declaration import DECLARATIONS, Declaration
from cachestorm.declare.kinds import Timeout
from cachestorm.declare.notation import Argument
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.returns import Returns
from cachestorm.envelope import Envelope
from cachestorm.remote.arguments import Arguments, Words
from cachestorm.remote.dialect import ASKING

# importing it has declared them
_OWNER: Final = Cache


def blocks(method: str) -> bool:
    """Whether a method may wait for somebody else."""
    declaration = _BY_METHOD.get(method)
    return declaration is not None and _waits(declaration)


def _waits(declaration: Declaration) -> bool:
    return any([isinstance(each.kind, Timeout) for each in declaration.notation.arguments])


class RemoteCommand:
    """One command, for any number of calls.

    Attributes:
        declaration: of the command.
        writes: whether it may change the data.
        blocks: whether it may wait for somebody else.
    """

    def __init__(self, declaration: Declaration, envelope: Envelope) -> None:
        self.declaration: Final = declaration
        self.writes: Final = declaration.writes
        self.blocks: Final = _waits(declaration)
        self._arguments: Final = Arguments(declaration, envelope)
        self._returns: Final = Returns(declaration)
        self._loads: Final = envelope.loads

    def prepared(self, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
        """A call, checked and ready to be sent.

        Raises:
            CacheStormError, TypeError: as the method would.
        """
        given = self._arguments.given(args, options)
        default = None
        if not _names_default(self.declaration.notation.arguments):
            default = given.pop("default", None)
        words = self._arguments.words(given)
        bound = REGISTRY.resolve(words).bind(words)
        return Call(self, words, bound, default)


class Call:
    """One call of a command.

    Attributes:
        words: to send.
    """

    __slots__ = ("_bound", "_command", "_default", "words")

    def __init__(
        self, command: RemoteCommand, words: Words, bound: Bound, default: object
    ) -> None:
        self._command = command
        self.words = words
        self._bound = bound
        self._default = default

    def read(self, reply: object) -> Any:
        """What the method returns for a reply."""
        command = self._command
        return command._returns.read(reply, self._bound, self._default, command._loads)


def written_by(words: Words) -> tuple[bool, list[str] | None]:
    """Whether a command may write, and which keys; None for others than it names."""
    if words[0] in ASKING:
        return False, []
    plan = REGISTRY.resolve(words)
    if not plan.declaration.writes:
        return False, []
    return True, [name for name, access in plan.keys(words) if access.writes] or None


def keys_of(words: Words) -> list[str]:
    """The keys that a command names, all that it concerns; none if there may be others."""
    if words[0] in ASKING:
        return []
    return [name for name, _ in REGISTRY.resolve(words).keys(words)]


def remote_declarations() -> Iterator[Declaration]:
    """The declarations that speak for the methods of a cache."""
    chosen: dict[str, Declaration] = {}
    for declaration in DECLARATIONS:
        name = declaration.method
        if not name or declaration.connection:
            continue
        best = chosen.get(name)
        if best is None or len(best.notation.arguments) < len(declaration.notation.arguments):
            chosen[name] = declaration
    yield from chosen.values()


_BY_METHOD: Final = {each.method: each for each in remote_declarations()}
# why a method has no remote twin by itself
LOCAL: Final = {name: each.local for name, each in _BY_METHOD.items() if each.local}
# the methods that have one
REMOTE: Final = frozenset(_BY_METHOD) - frozenset(LOCAL)


class Commands(dict[str, RemoteCommand]):
    """The commands by method, each made when it is first called."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self._envelope: Final = envelope

    def __missing__(self, method: str) -> RemoteCommand:
        made = RemoteCommand(_BY_METHOD[method], self._envelope)
        return self.setdefault(method, made)


def _names_default(nodes: list[Argument]) -> bool:
    return any([node.name == "default" or _names_default(node.children) for node in nodes])
