"""The shell: commands from the arguments, from a pipe, or typed at the prompt.

Called by the command `cli` and by calls; calls the client and the printing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final

from cachestorm.codec import text_of, to_wire
from cachestorm.declare.wire_values import Verbatim
from cachestorm.errors import CacheStormError
from cachestorm_cli.client import Client, RespClient, ServerError
from cachestorm_cli.printing import PEOPLE, RAW, formatted
from cachestorm_server.requests import ProtocolError, split_inline

LEAVE: Final = (b"quit", b"exit")
# after these a connection does nothing but listen
LISTENING: Final = (b"MONITOR", b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE")


def ask_once(client: Client, argv: list[bytes], form: str) -> int:
    """Runs one command and prints its reply. Returns an exit code.

    Messages are printed as they come, until Ctrl-C.

    Raises:
        CacheStormError: when there is no server, or it lets nobody in.
    """
    reply = client.ask(argv)
    show(argv, reply, form)
    code = reply.exit_code if isinstance(reply, ServerError) else 0
    if code == 0 and argv[0].upper() in LISTENING and isinstance(client, RespClient):
        return _listen(client, argv, form)
    return code


def _listen(client: RespClient, argv: list[bytes], form: str) -> int:
    try:
        while True:
            show(argv, client.read(with_pushes=True), form)
    except KeyboardInterrupt:
        # the connection is good for nothing else
        client.close()
        return 0


def run_script(client: Client, form: str, lines: Iterable[bytes]) -> int:
    """Runs commands, a line each, up to `quit` or `exit`.

    Returns:
        The worst exit code of them.
    """
    worst = 0
    for line in lines:
        argv = split(line)
        if argv is None:
            worst = max(worst, 1)
        elif argv and argv[0].lower() in LEAVE:
            break
        elif argv:
            worst = max(worst, ask_once(client, argv, form))
    return worst


def split(line: bytes) -> list[bytes] | None:
    """The arguments of a line; None, after saying so, when its quotes are not closed."""
    try:
        return [to_wire(arg) for arg in split_inline(line.strip())]
    except ProtocolError:
        print("Invalid argument(s)", file=sys.stderr)
        return None


def show(argv: list[bytes], reply: object, form: str) -> None:
    """Prints a reply: an error that nobody formats goes to the error output."""
    to_errors = isinstance(reply, ServerError) and form == RAW
    stream = sys.stderr if to_errors else sys.stdout
    stream.flush()
    shown = _as_text(argv, reply) if form == PEOPLE else reply
    stream.buffer.write(formatted(shown, form) + b"\n")
    stream.buffer.flush()


def _as_text(argv: list[bytes], reply: object) -> object:
    """A reply of lines (INFO) is printed as it is; by RESP2 it looks like any other."""
    if not isinstance(reply, bytes) or b"\n" not in reply:
        return reply
    # imported for what they declare; only here, as few replies have lines
    from cachestorm.cache import Cache as Cache
    from cachestorm.declare.registry import REGISTRY
    from cachestorm_server import bound_commands as bound_commands

    try:
        plan = REGISTRY.resolve([*argv])
    except CacheStormError:
        return reply
    return Verbatim(text_of(reply)) if plan.declaration.reply == "verbatim" else reply


def stdin_value() -> bytes:
    """All of the standard input, as it is."""
    with os.fdopen(os.dup(0), "rb") as stream:
        return stream.read()
