"""The prompt: commands typed at a terminal, with history, completion and hints.

Called by the command `cli`; calls prompt_toolkit, the syntax and the live names.

1. What can be typed is what the server says it knows; where it does not say, what is
   declared here. Keys and tags come from the server while the line is typed.
2. A line whose quotes are not closed goes on in the next.
3. The history is kept for the next time, readable by its owner only; a line with a password
   in it is not kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import (
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.styles import Style

from cachestorm.codec import to_wire
from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client
from cachestorm_cli.connecting import client_for
from cachestorm_cli.live_names import LiveNames
from cachestorm_cli.shell import LEAVE, ask_once, split
from cachestorm_cli.syntax import Syntax, from_docs, known, what_follows
from cachestorm_server.requests import ProtocolError, split_inline

HISTORY: Final = "~/.cachestorm_history"
_SECRET: Final = (b"AUTH", b"HELLO", b"MIGRATE", b"ACL")
_SECRET_SETTINGS: Final = (b"requirepass", b"masterauth")
_HELP: Final = "HELP"


def talk(client: Client, form: str) -> int:
    """Reads commands from a terminal until the end. Returns an exit code."""
    # what is completed must not come between a command and its reply
    names = client_for(client.address)
    try:
        commands = _commands_of(names)
        session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=_Completer(commands, LiveNames(names)),
            complete_while_typing=False,
            input_processors=[_Hint(commands)],
            key_bindings=_bindings(),
            multiline=True,
            prompt_continuation=lambda width, line, wrapped: "." * max(0, width - 1) + " ",
            style=Style.from_dict({"hint": "italic fg:ansibrightblack"}),
            enable_open_in_editor=True,
        )
        return _converse(session, client, commands, form)
    finally:
        names.close()


def _converse(
    session: PromptSession[str], client: Client, commands: dict[str, Syntax], form: str
) -> int:
    # no hint for another namespace: the server is asked where a command may have changed it
    place = ""
    while True:
        try:
            line = session.prompt(f"{client.address.shown}{place}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        argv = split(os.fsencode(line))
        if not argv:
            continue
        name = argv[0].lower()
        if name in LEAVE:
            return 0
        if name == b"help":
            print(_explained(commands, argv[1:]))
            continue
        try:
            code = ask_once(client, argv, form)
        except CacheStormError as error:
            print(f"(error) {error}")
        except KeyboardInterrupt:
            # the reply may still come: only a new connection is in step again
            client.close()
            place = ""
            print()
        else:
            if code == 0 and name in (b"select", b"namespace") and len(argv) > 1:
                place = f"[{os.fsdecode(argv[1])}]"


def _commands_of(client: Client) -> dict[str, Syntax]:
    """What the server knows; where it does not say, what is declared here."""
    try:
        told = from_docs(client.ask([b"COMMAND", b"DOCS"]))
    except CacheStormError:
        told = {}
    if not told:
        return known()
    ours = known()
    # our own declarations say which arguments are tags
    return {name: ours[name] if _is_same(ours, name, told) else told[name] for name in told}


def _is_same(ours: dict[str, Syntax], name: str, told: dict[str, Syntax]) -> bool:
    return name in ours and ours[name].summary == told[name].summary


def _explained(commands: dict[str, Syntax], words: list[bytes]) -> str:
    name = " ".join(os.fsdecode(word).upper() for word in words)
    syntax = commands.get(name)
    if not name:
        return "HELP command shows what it takes; Tab completes; quit leaves."
    if syntax is None:
        return f"(error) no command is called {name}"
    lines = [syntax.usage, f"summary: {syntax.summary}", f"complexity: {syntax.complexity}"]
    if syntax.subcommands:
        lines.append(f"subcommands: {', '.join(syntax.subcommands)}")
    return "\n".join([*lines, f"since: {syntax.since}", f"group: {syntax.group}"])


def _history() -> History:
    path = Path(HISTORY).expanduser()
    try:
        path.touch(0o600)
        path.chmod(0o600)
        with path.open("ab"):
            return _Discreet(str(path))
    except OSError:
        return InMemoryHistory()


class _Discreet(FileHistory):
    """A history without passwords."""

    def store_string(self, string: str) -> None:
        """Keeps a line, unless it may hold a password."""
        try:
            argv = split_inline(os.fsencode(string))
        except ProtocolError:
            argv = []
        words = [to_wire(word) for word in argv]
        is_secret = bool(words) and words[0].upper() in _SECRET
        if is_secret or any(word.lower() in _SECRET_SETTINGS for word in words):
            return
        try:
            super().store_string(string)
        except OSError:
            pass


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.apply_completion(buffer.complete_state.current_completion)
        elif _is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    return bindings


def _is_open(text: str) -> bool:
    """Whether a quote is not closed yet: more is to come."""
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if quote and char == "\\" and (quote == '"' or text[at + 1 : at + 2] == "'"):
            at += 1
        elif quote and char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        at += 1
    return quote != ""


def _words(text: str) -> tuple[list[str], str]:
    """The whole words of a line, and the one that is being typed."""
    whole = text.split(" ")
    if _is_open(text):
        return [word for word in whole[:-1] if word], whole[-1]
    try:
        argv = [os.fsdecode(to_wire(arg)) for arg in split_inline(os.fsencode(text))]
    except ProtocolError:
        return [], ""
    if not text or text[-1].isspace():
        return argv, ""
    return argv[:-1], argv[-1] if argv else ""


def _found(commands: dict[str, Syntax], words: list[str]) -> tuple[Syntax | None, list[str]]:
    """The command that words begin with, and its arguments."""
    for size in (2, 1):
        name = " ".join(words[:size]).upper()
        if len(words) >= size and name in commands:
            return commands[name], words[size:]
    return None, []


class _Completer(Completer):
    """Commands, subcommands, tokens, keys and tags."""

    def __init__(self, commands: dict[str, Syntax], live: LiveNames) -> None:
        self._commands: Final = commands
        self._live: Final = live

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What the word before the cursor may become."""
        words, typed = _words(document.text_before_cursor)
        is_lower = typed.islower() or (not typed and bool(words) and words[0].islower())
        for name, meaning in self._choices(words, typed):
            shown = name.lower() if is_lower and name.isupper() and meaning else name
            quoted = shown if _is_plain(shown) else _in_quotes(shown)
            yield Completion(quoted, -len(typed), display=shown, display_meta=meaning or None)

    def _choices(self, words: list[str], typed: str) -> list[tuple[str, str]]:
        upper = typed.upper()
        if not words or words[0].upper() == _HELP:
            return [
                (name, syntax.summary)
                for name, syntax in sorted(self._commands.items())
                if name.startswith(upper) and " " not in name
            ]
        syntax, given = _found(self._commands, words)
        if syntax is None:
            return []
        if syntax.subcommands and not given:
            children = ((name, f"{syntax.name} {name}") for name in syntax.subcommands)
            return [
                (name, self._commands[full].summary)
                for name, full in children
                if name.startswith(upper) and full in self._commands
            ]
        expected = what_follows(syntax.arguments, given)
        tokens = [(token, "option") for token in expected.tokens if token.startswith(upper)]
        if expected.is_key:
            return [(name, "") for name in self._live.keys(typed)] + (tokens if typed else [])
        if expected.is_tag:
            return [(name, "") for name in self._live.tags(typed)] + (tokens if typed else [])
        return tokens


def _is_plain(name: str) -> bool:
    return not any(char.isspace() or char in "\"'" for char in name) and name != ""


def _in_quotes(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Hint(Processor):
    """What may still follow, behind the cursor, in the words of Redis' pages."""

    def __init__(self, commands: dict[str, Syntax]) -> None:
        self._commands: Final = commands

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Adds the hint to the last line."""
        document = transformation_input.document
        fragments: StyleAndTextTuples = list(transformation_input.fragments)
        is_last = transformation_input.lineno == document.line_count - 1
        if is_last and document.is_cursor_at_the_end:
            room = transformation_input.width - len(document.current_line) - 1
            hint = self._hint(document.text)
            if hint and room > 1:
                hint = hint if len(hint) <= room else hint[: room - 1] + "…"
                fragments.append(("class:hint", hint))
        return Transformation(fragments)

    def _hint(self, text: str) -> str:
        if not text.endswith(" ") or _is_open(text):
            return ""
        words, _ = _words(text)
        syntax, given = _found(self._commands, words)
        if syntax is None:
            return ""
        if syntax.subcommands and not given and not syntax.arguments:
            return " | ".join(syntax.subcommands)
        return what_follows(syntax.arguments, given).rest
