"""What can be wrong with a script, or with what is asked of one.

Raised by the sandbox and by whoever runs scripts. Not compiled: an exception is made with any
arguments when it is copied or pickled.
"""

from __future__ import annotations

from cachestorm.errors import CacheStormError


class ScriptError(CacheStormError):
    """A script that failed, or that could not be run; the text has a code of its own."""

    @property
    def resp(self) -> str:
        return str(self)


class SandboxFullError(ScriptError):
    """Scripts have used all memory that they may."""

    def __init__(self, max_memory: int) -> None:
        super().__init__(f"ERR not enough memory: scripts may hold {max_memory} bytes")


class NoScriptError(ScriptError):
    """A script is asked for by a digest that is not known."""

    def __init__(self) -> None:
        super().__init__("NOSCRIPT No matching script. Please use EVAL.")


class UnkillableError(ScriptError):
    """The script that runs has written already."""

    def __init__(self) -> None:
        super().__init__(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. "
            "You can either wait the script termination or kill the server in a hard way using "
            "the SHUTDOWN NOSAVE command."
        )


class NotBusyError(ScriptError):
    """There is no script to be killed."""

    def __init__(self) -> None:
        super().__init__("NOTBUSY No scripts in execution right now.")
