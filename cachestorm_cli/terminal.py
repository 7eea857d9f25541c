"""The command `cli`: picks the way in which commands come, and goes it."""

from __future__ import annotations

import sys

from cachestorm_cli.addresses import Address
from cachestorm_cli.connecting import client_for, resp_client_for
from cachestorm_cli.shell import ask_once, run_script, stdin_value


def run_cli(
    address: Address,
    argv: list[bytes],
    form: str,
    resp3: bool = False,
    from_stdin: bool = False,
    pipe: bool = False,
) -> int:
    """Sends a command, the standard input, or what is typed. Returns an exit code.

    Raises:
        CacheStormError: when there is no server, or it lets nobody in.
    """
    if pipe:
        from cachestorm_cli.mass_insertion import insert

        with_pipe = resp_client_for(address, "--pipe")
        try:
            return insert(with_pipe, sys.stdin.buffer)
        finally:
            with_pipe.close()
    client = client_for(address, resp3)
    try:
        if argv:
            return ask_once(client, [*argv, stdin_value()] if from_stdin else argv, form)
        if sys.stdin.isatty():
            from cachestorm_cli.prompt import talk

            return talk(client, form)
        return run_script(client, form, sys.stdin.buffer)
    finally:
        client.close()
