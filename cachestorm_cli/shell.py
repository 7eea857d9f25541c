"""The shell: commands typed one after the other, or piped in.

Called by the command `cli` when it is given no command; calls the client and the printing.
What is completed comes from the server, so any RESP server has its own commands completed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cachestorm.codec import text_of, to_wire
from cachestorm.declare.wire_values import Members, Verbatim
from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client, ServerError
from cachestorm_cli.printing import for_people, for_programs
from cachestorm_server.requests import ProtocolError, split_inline

HISTORY: Final = "~/.cachestorm_history"
LONGEST_HISTORY: Final = 1000
_LEAVE: Final = (b"quit", b"exit")


def ask_once(client: Client, argv: list[bytes], raw: bool) -> int:
    """Runs one command and prints its reply. Returns an exit code.

    Raises:
        CacheStormError: when there is no server, or it lets nobody in.
    """
    reply = client.ask(argv)
    if isinstance(reply, ServerError) and raw:
        _write(for_programs(reply), to_errors=True)
    elif raw:
        _write(for_programs(reply))
    else:
        print(for_people(_as_text(argv, reply)))
    return reply.exit_code if isinstance(reply, ServerError) else 0


def run_script(client: Client, raw: bool) -> int:
    """Runs the commands on the standard input, a line each, up to `quit` or `exit`.

    Returns:
        An exit code.
    """
    worst = 0
    for line in sys.stdin.buffer:
        argv = _split(line)
        if argv and argv[0].lower() in _LEAVE:
            break
        if argv:
            worst = max(worst, ask_once(client, argv, raw))
    return worst


def talk(client: Client, raw: bool) -> int:
    """Reads commands from a terminal until the end. Returns an exit code."""
    remember = _line_editing(client)
    prompt = f"{client.host}:{client.port}> "
    while True:
        try:
            line = input(prompt)
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            print()
            break
        argv = _split(os.fsencode(line))
        if argv and argv[0].lower() in _LEAVE:
            break
        if argv:
            try:
                ask_once(client, argv, raw)
            except CacheStormError as error:
                print(f"(error) {error}")
            except KeyboardInterrupt:
                # the reply may still come: only a new connection is in step again
                client.close()
                print()
    remember()
    return 0


def _as_text(argv: list[bytes], reply: object) -> object:
    """A reply of lines (INFO) is printed as it is; by RESP2 it looks like any other."""
    if not isinstance(reply, bytes) or b"\n" not in reply:
        return reply
    # imported for what they declare; only here, as few replies have lines
    from cachestorm.cache import Cache as Cache
    from cachestorm.declare.registry import REGISTRY
    from cachestorm_server import clients as clients
    from cachestorm_server import introspection as introspection

    try:
        plan = REGISTRY.resolve([*argv])
    except CacheStormError:
        return reply
    return Verbatim(text_of(reply)) if plan.declaration.reply == "verbatim" else reply


def _split(line: bytes) -> list[bytes]:
    try:
        return [to_wire(arg) for arg in split_inline(line.strip())]
    except ProtocolError:
        print("Invalid argument(s)", file=sys.stderr)
        return []


def _write(text: bytes, to_errors: bool = False) -> None:
    stream = sys.stderr if to_errors else sys.stdout
    stream.flush()
    stream.buffer.write(text + b"\n")
    stream.buffer.flush()


class _LineEditing:
    """History and completion on a terminal."""

    def __init__(self, client: Client) -> None:
        import readline

        self._readline = readline
        self._path = Path(HISTORY).expanduser()
        self._client = client
        self._names: list[str] | None = None
        try:
            readline.read_history_file(self._path)
        except OSError:
            pass
        readline.set_history_length(LONGEST_HISTORY)
        readline.set_completer(self._complete)
        readline.parse_and_bind("tab: complete")

    def _complete(self, text: str, state: int) -> str | None:
        if self._readline.get_begidx() > 0:
            return None
        if self._names is None:
            self._names = self._ask_names()
        found = [name for name in self._names if name.startswith(text.upper())]
        return found[state] + " " if state < len(found) else None

    def _ask_names(self) -> list[str]:
        try:
            reply = self._client.ask([b"COMMAND", b"LIST"])
        except CacheStormError:
            return []
        items = reply.items if isinstance(reply, Members) else reply
        if not isinstance(items, list):
            return []
        return sorted(os.fsdecode(item).upper() for item in items if isinstance(item, bytes))

    def remember(self) -> None:
        """Keeps the history, readable by its owner only: a password may be in it."""
        try:
            self._readline.write_history_file(self._path)
            self._path.chmod(0o600)
        except OSError:
            pass


def _line_editing(client: Client) -> Callable[[], None]:
    """Switches it on where there is a readline. Returns what to do at the end."""
    try:
        return _LineEditing(client).remember
    except ImportError:
        return lambda: None
