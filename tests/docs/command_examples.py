"""Examples of commands: what `docs/examples` says, run in process and over RESP.

Read by the pages of the commands and by their tests. An example is a few lines of input in
one of the files there, and no output: that is what comes out. The name stands alone, or
several by commas; a blank line ends an example:

    INCR, INCRBY
    >>> cache.incr("visits")
    >>> cache.incr("visits", 10)
    > INCR visits
    > INCRBY visits 10

    >>>  Python: a statement, or an expression whose value is shown
    >    what a client types
    before a line of either sort: it is refused (`!>>>`, `!>`), or what it gives is
         another thing each time (`~>>>`, `~>`) and not shown

1. Every example begins with an empty cache whose time stands still, once for Python and
   once for a client, so that it is shown by itself.
2. A line that is refused fails the tests, unless it says so.
"""

from __future__ import annotations

import ast
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cachestorm
import cachestorm_server.server  # noqa: F401  declares the commands of a connection
from cachestorm import Cache, CacheStormError, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.wire_values import to_json
from cachestorm_cli.client import ServerError, read_reply
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.requests import split_inline
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
PYTHON: Final = ">>> "
CLIENT: Final = "> "
REFUSED: Final = "!"
VARIES: Final = "~"


@dataclass(frozen=True)
class Line:
    """One line of an example: its mark, if it has one, and what is typed."""

    mark: str
    text: str
    where: str

    @property
    def argv(self) -> list[bytes]:
        """What a client sends."""
        found = split_inline(self.text.encode())
        return [arg for arg in found if isinstance(arg, bytes)]


@dataclass
class Example:
    """The lines of one or several commands."""

    python: list[Line] = field(default_factory=list)
    client: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the server said to one line: in both protocols, and beside that in process.

    Attributes:
        reply: the parsed reply in RESP2; None also where there is none.
        resp2, resp3: as the bytes came.
        value, json: what `execute` returns and what HTTP says, as text; None for commands
            of a connection.
    """

    line: Line
    reply: object
    resp2: bytes
    resp3: bytes
    value: str | None
    json: object


class ExampleError(AssertionError):
    """An example that is wrong; the text says where."""


def examples() -> dict[str, Example]:
    """The example of each command by its name."""
    found: dict[str, Example] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for number, block in _blocks(path.read_text("utf-8")):
            example = _parsed(block[1:], f"{path.name}:{number}")
            for name in block[0].split(", "):
                if name in found:
                    raise ExampleError(f"{path.name}:{number}: a second example of {name}")
                found[name] = example
    return found


def _blocks(text: str) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    block: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            found.append((number - len(block), block))
            block = []
    return found


def _parsed(lines: list[str], where: str) -> Example:
    example = Example()
    for text in lines:
        mark = text[0] if text[0] in REFUSED + VARIES else ""
        typed = text.removeprefix(mark)
        if typed.startswith(PYTHON):
            example.python.append(Line(mark, typed.removeprefix(PYTHON), where))
        elif typed.startswith(CLIENT):
            example.client.append(Line(mark, typed.removeprefix(CLIENT), where))
        else:
            raise ExampleError(f"{where}: {text!r} begins neither with >>> nor with >")
    return example


def shown(value: object) -> str:
    """A value as an example writes it, without what is left to chance in a set."""
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(repr, value))) + "}" if value else "set()"
    return repr(value)


def run_python(example: Example) -> list[tuple[Line, str]]:
    """Each line of Python with its value; empty for a statement, and for what varies.

    Raises:
        ExampleError: for a line that is refused without saying so, and the other way round.
    """
    clock = ManualClock()
    names: dict[str, object] = {name: getattr(cachestorm, name) for name in cachestorm.__all__}
    names |= {"__name__": "example", "cache": Cache(clock=clock), "clock": clock}
    found = []
    for line in example.python:
        (statement,) = ast.parse(line.text).body
        value = ""
        refusal: CacheStormError | None = None
        try:
            if isinstance(statement, ast.Expr):
                result = eval(line.text, names)
                value = "" if result is None else shown(result)
            else:
                exec(line.text, names)
        except CacheStormError as error:
            refusal = error
            value = f"{type(error).__name__}: {error}"
        _judge(line, refusal is not None, value)
        found.append((line, "" if line.mark == VARIES else value))
    return found


def run_client(example: Example) -> list[Answer]:
    """Each line of a client with the answers.

    Raises:
        ExampleError: for a line that is refused without saying so, and the other way round.
    """
    caches = [Cache(clock=ManualClock()) for _ in range(4)]
    two, three = (Session(Endpoint(cache, REGISTRY, Settings())) for cache in caches[:2])
    three.receive(b"HELLO 3\r\n")
    found = []
    for line in example.client:
        resp2, resp3 = (_received(session, line) for session in (two, three))
        reply = read_reply(io.BytesIO(resp2)) if resp2 else None
        _judge(line, isinstance(reply, ServerError), str(reply))
        value, json = _in_process(caches[2], caches[3], line)
        found.append(Answer(line, reply, resp2, resp3, value, json))
    return found


def _received(session: Session, line: Line) -> bytes:
    taken = session.receive(line.text.encode() + b"\r\n")
    # on a busy machine a short command, too, may take more than one slice
    while session.backlog:
        taken += session.receive(b"")
    return taken


def _in_process(for_python: Cache, for_json: Cache, line: Line) -> tuple[str | None, object]:
    argv: list[object] = list(line.argv)
    plan = REGISTRY.resolve(argv)
    if plan.declaration.connection:
        return None, None
    try:
        value = shown(for_python.execute(*argv))
        return value, to_json(plan.answer(for_json, argv))
    except CacheStormError as error:
        return f"{type(error).__name__}: {error}", {"error": error.resp}


def _judge(line: Line, is_refused: bool, text: str) -> None:
    if is_refused != (line.mark == REFUSED):
        raise ExampleError(f"{line.where}: {line.text}: {text}")
