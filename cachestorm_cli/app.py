"""The command line's front: `cachestorm`, before anything heavy is imported.

Called by the entry point and by tests; translates old flags, answers `--version`, and
hands all else to Typer in `commands`.

1. Nothing of `cachestorm` is imported before a command needs it: help comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from cachestorm_cli.flags import FlagError, translate

# what a shell reports of a program that Ctrl-C ended
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: without the program's name; None: those of this process.

    Returns:
        The exit code. Typer may leave by SystemExit instead.
    """
    try:
        argv = translate(sys.argv[1:] if arguments is None else arguments)
        if argv == ["--version"]:
            from cachestorm_cli.version import version_line

            print(version_line())
            return 0
        try:
            from cachestorm_cli.commands import app
        except ImportError as error:
            print(
                f"cachestorm: the command line needs {error.name}: "
                "pip install 'cachestorm[server]'",
                file=sys.stderr,
            )
            return 1
        app(args=argv, prog_name="cachestorm")
    except FlagError as error:
        print(f"cachestorm: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader of our output has left; there is nobody to report to
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from cachestorm.errors import CacheStormError

        if not isinstance(error, CacheStormError):
            raise
        print(f"cachestorm: {error}", file=sys.stderr)
        return error.exit_code
    return 0
