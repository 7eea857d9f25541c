"""The scripts of one endpoint: which are known, by their digests.

Called by the engine, which runs them; calls the sandbox.

1. Whoever adds or forgets a script holds the lock of the store.
2. A script that was loaded stays until SCRIPT FLUSH. Of those that only came with EVAL the ones
   used last are kept.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any, Final

from cachestorm_server.scripting.sandbox import Sandbox
from cachestorm_server.scripting.script_errors import NoScriptError, ScriptError

# What all scripts of an endpoint may hold in Lua, with what is being worked on; and as much its
# libraries.
MAX_MEMORY: Final = 256 * 1024 * 1024
# How many scripts are kept that were not loaded.
KEPT: Final = 500
# a source that is no longer is told by itself which script it is, and not by its digest
_MOST_COMPARED: Final = 4096
CHUNK: Final = b"@user_script"
FLAGS: Final = ("no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys")


class Runnable:
    """What can be run: a script, or a function of a library.

    Attributes:
        name: what an error says of it: the digest of a script.
        flags: what it says of itself; None for a script without a first line `#!lua`, which
            may do everything.
        function: what Lua made of it.
        is_script: it comes from EVAL, and not from FUNCTION LOAD.
    """

    def __init__(
        self, name: bytes, flags: tuple[str, ...] | None, function: Any, is_script: bool
    ) -> None:
        self.name: Final = name
        self.flags: Final = flags
        self.function: Final = function
        self.is_script: Final = is_script


class Script(Runnable):
    """A script that is known.

    Attributes:
        is_loaded: it came by SCRIPT LOAD.
        source: what it was made from; empty if that is long.
    """

    def __init__(
        self, digest: bytes, is_loaded: bool, flags: tuple[str, ...] | None, function: Any
    ) -> None:
        super().__init__(digest, flags, function, True)
        self.is_loaded = is_loaded
        self.source = b""


def read_shebang(source: bytes) -> tuple[bytes, tuple[str, ...] | None]:
    """What the first line says of a script, if it says anything.

    Returns:
        The source without it, and its flags.

    Raises:
        ScriptError: for what is not understood.
    """
    if not source.startswith(b"#!"):
        return source, None
    first, newline, rest = source.partition(b"\n")
    if not newline:
        raise ScriptError("ERR Invalid script shebang")
    engine, *options = first.decode("utf-8", "surrogateescape").split()
    if engine != "#!lua":
        raise ScriptError(f"ERR Unexpected engine in script shebang: {engine}")
    flags: tuple[str, ...] = ()
    for option in options:
        name, _, value = option.partition("=")
        if name != "flags":
            raise ScriptError(f"ERR Unknown lua shebang option: {option}")
        flags = tuple([flag for flag in value.split(",") if flag])
    for flag in flags:
        if flag not in FLAGS:
            raise ScriptError(f"ERR Unexpected flag in script shebang: {flag}")
    # the line end stays, so that lines are counted as before
    return newline + rest, flags


class Scripts:
    """The scripts that are known."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._scripts: OrderedDict[bytes, Script] = OrderedDict()
        self._by_source: dict[bytes, Script] = {}

    def add(self, source: bytes, is_loaded: bool) -> Script:
        """A script by its source; compiled unless it is known.

        Raises:
            ScriptError: if it is no script.
            MissingExtraError: if `lupa` is not installed.
        """
        known = self._by_source.get(source)
        if known is None:
            digest = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode("ascii")
            known = self._scripts.get(digest)
        if known is not None:
            known.is_loaded = known.is_loaded or is_loaded
            return known
        body, flags = read_shebang(source)
        try:
            function = self.sandbox().compile(body, CHUNK)
        except ScriptError as error:
            raise ScriptError(f"ERR Error compiling script (new function): {error}") from error
        script = Script(digest, is_loaded, flags, function)
        self._scripts[digest] = script
        if len(source) <= _MOST_COMPARED:
            script.source = source
            self._by_source[source] = script
        if not is_loaded:
            self._forget_one()
        return script

    def find(self, digest: bytes) -> Script:
        """A script by its digest.

        Raises:
            NoScriptError: if it is not known.
        """
        script = self._scripts.get(digest.lower())
        if script is None:
            raise NoScriptError()
        return script

    def has(self, digest: bytes) -> bool:
        """Whether a script is known."""
        return digest.lower() in self._scripts

    def used(self, script: Script) -> None:
        """Remembers that a script is being run."""
        self._scripts.move_to_end(script.name)

    def count(self) -> int:
        """How many are known."""
        return len(self._scripts)

    def flush(self) -> None:
        """Forgets all of them, and all that they left behind."""
        self._scripts = OrderedDict()
        self._by_source = {}
        self._sandbox = None

    def sandbox(self) -> Sandbox:
        """Where they run."""
        if self._sandbox is None:
            self._sandbox = Sandbox(MAX_MEMORY)
        return self._sandbox

    def memory(self) -> int:
        """How many bytes Lua holds for them."""
        return 0 if self._sandbox is None else self._sandbox.memory()

    def _forget_one(self) -> None:
        if len(self._scripts) <= KEPT:
            return
        for digest, script in self._scripts.items():
            if not script.is_loaded:
                del self._scripts[digest]
                self._by_source.pop(script.source, None)
                return
