"""The scripts of one endpoint: which are known, and one run of one of them.

Called by the commands (`commands.py`); calls the sandbox, and the registry's plans.

1. Whoever runs, adds or forgets a script holds the lock of the store, so that a script is one
   step for all others, and needs no lock of its own.
2. A script that was loaded stays until SCRIPT FLUSH. Of those that only came with EVAL the ones
   used last are kept.
3. What a script asks for is run as in a transaction: a long command runs to its end, and one
   that would wait does not.
4. A Lua that has run out of memory is given up; the next script is run in a new one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import Any, Final

from cachestorm.codec import bytes_of
from cachestorm.declare.plan import Plan
from cachestorm.declare.wire_values import NULL_ARRAY
from cachestorm.errors import (
    ArityError,
    CacheStormError,
    UnknownCommandError,
)
from cachestorm_server.acl.enforcement import check_scripted, denied
from cachestorm_server.admission import has_flag
from cachestorm_server.scripting.conversions import BAD_ARGUMENT, to_lua, words
from cachestorm_server.scripting.sandbox import Answer, Sandbox, SandboxFullError, ScriptError
from cachestorm_server.session import Session

# What all scripts of an endpoint may hold in Lua, with what is being worked on.
MAX_MEMORY: Final = 256 * 1024 * 1024
# How many scripts are kept that were not loaded.
KEPT: Final = 500
CHUNK: Final = b"@user_script"
NO_ARGUMENT: Final = "ERR Please specify at least one argument for this redis lib call"
_FLAGS: Final = ("no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys")
_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.INFO, logging.WARNING)

_log = logging.getLogger("cachestorm.scripts")


class NoScriptError(ScriptError):
    """A script is asked for by a digest that is not known."""

    def __init__(self) -> None:
        super().__init__("NOSCRIPT No matching script. Please use EVAL.")


class Script:
    """A script that is known.

    Attributes:
        digest: SHA-1 of its source, in hexadecimal digits.
        is_loaded: it came by SCRIPT LOAD.
        is_read_only: it may not write.
        function: what Lua made of it.
    """

    def __init__(
        self, digest: bytes, is_loaded: bool, is_read_only: bool, function: Any
    ) -> None:
        self.digest: Final = digest
        self.is_loaded = is_loaded
        self.is_read_only: Final = is_read_only
        self.function: Final = function


def read_shebang(source: bytes) -> tuple[bytes, bool]:
    """What the first line says of a script, if it says anything.

    Returns:
        The source without it, and whether the script may not write.

    Raises:
        ScriptError: for what is not understood.
    """
    if not source.startswith(b"#!"):
        return source, False
    first, newline, rest = source.partition(b"\n")
    if not newline:
        raise ScriptError("ERR Invalid script shebang")
    engine, *options = first.decode("utf-8", "surrogateescape").split()
    if engine != "#!lua":
        raise ScriptError(f"ERR Unexpected engine in script shebang: {engine}")
    flags: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        if name != "flags":
            raise ScriptError(f"ERR Unknown lua shebang option: {option}")
        flags = [flag for flag in value.split(",") if flag]
    for flag in flags:
        if flag not in _FLAGS:
            raise ScriptError(f"ERR Unexpected flag in script shebang: {flag}")
    # the line end stays, so that lines are counted as before
    return newline + rest, "no-writes" in flags


class Scripts:
    """The scripts that are known.

    Attributes:
        seconds: of processor time that a script may take.
    """

    def __init__(self) -> None:
        self.seconds = 5.0
        self._sandbox: Sandbox | None = None
        self._scripts: OrderedDict[bytes, Script] = OrderedDict()

    def add(self, source: bytes, is_loaded: bool) -> Script:
        """A script by its source; compiled unless it is known.

        Raises:
            ScriptError: if it is no script.
            MissingExtraError: if `lupa` is not installed.
        """
        digest = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode("ascii")
        known = self._scripts.get(digest)
        if known is not None:
            known.is_loaded = known.is_loaded or is_loaded
            return known
        body, is_read_only = read_shebang(source)
        function = self._lua().compile(body, CHUNK)
        script = Script(digest, is_loaded, is_read_only, function)
        self._scripts[digest] = script
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

    def flush(self) -> None:
        """Forgets all of them, and all that they left behind."""
        self._scripts = OrderedDict()
        self._sandbox = None

    def run(
        self,
        session: Session,
        script: Script,
        keys: list[bytes],
        argv: list[bytes],
        read_only: bool,
    ) -> bytes:
        """Runs a script for a client.

        Returns:
            Its reply, in RESP.

        Raises:
            ScriptError: if it failed.
        """
        self._scripts.move_to_end(script.digest)
        sandbox = self._lua()
        run = Run(session, sandbox, read_only or script.is_read_only)
        before = session.cache
        try:
            return sandbox.run(
                script.function,
                script.digest,
                keys,
                argv,
                session.resp3,
                self.seconds,
                run.ask,
                run.serve,
            )
        except SandboxFullError:
            self._sandbox = None
            self._scripts = OrderedDict()
            raise
        finally:
            # SELECT within a script ends with it
            session.cache = before

    def _lua(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox(MAX_MEMORY)
        return self._sandbox

    def _forget_one(self) -> None:
        if len(self._scripts) <= KEPT:
            return
        for digest, script in self._scripts.items():
            if not script.is_loaded:
                del self._scripts[digest]
                return


class Run:
    """One run of a script: answers what it asks for."""

    def __init__(self, session: Session, sandbox: Sandbox, read_only: bool) -> None:
        self._session: Final = session
        self._table: Final = sandbox.table
        self._set_resp: Final = sandbox.set_resp
        self._read_only: Final = read_only
        self._resp3 = False

    def ask(self, request: tuple[Any, ...]) -> Answer:
        """The reply to what was given to `redis.call`."""
        argv = [] if request[1] is None else words(request)
        if argv is None:
            return False, BAD_ARGUMENT
        session = self._session
        try:
            plan = self._find(argv)
            reply = session.answer_within(plan, argv)
            if reply is NULL_ARRAY and plan.declaration.reply == "moved":
                reply = None
            return True, to_lua(reply, self._resp3, self._table)
        except CacheStormError as error:
            return False, bytes_of(error.resp)
        except Exception:
            _log.exception("command %r failed in a script", argv[0])
            return False, b"ERR internal error"

    def _find(self, argv: list[object]) -> Plan:
        """The plan of a request.

        Raises:
            ScriptError: if scripts may not ask for it.
        """
        if not argv:
            raise ScriptError(NO_ARGUMENT)
        registry = self._session.endpoint.registry
        name = argv[0]
        assert isinstance(name, bytes)
        plan = registry.find(name)
        try:
            if plan is None:
                plan = registry.resolve(argv)
            plan.check_size(argv)
        except ArityError as error:
            raise ScriptError(
                "ERR Wrong number of args calling Redis command from script"
            ) from error
        except UnknownCommandError as error:
            raise ScriptError("ERR Unknown Redis command called from script") from error
        if has_flag(plan, "noscript"):
            raise ScriptError("ERR This Redis command is not allowed from script")
        check_scripted(self._session, plan, argv)
        if self._read_only and plan.declaration.writes:
            raise ScriptError("ERR Write commands are not allowed from read-only scripts.")
        return plan

    def serve(self, request: tuple[Any, ...]) -> Answer:
        """What `redis` has beside requests, by its name."""
        name = request[1]
        if name == b"sha1hex":
            digest = hashlib.sha1(request[2], usedforsecurity=False).hexdigest()
            return True, digest.encode("ascii")
        if name == b"log":
            _log.log(_LEVELS[int(request[2])], "%s", request[3].decode("utf-8", "replace"))
            return True, None
        if name == b"setresp":
            self._resp3 = request[2] == 3
            self._set_resp(request[2])
            return True, None
        assert name == b"acl_check_cmd", name
        argv = words(request[1:])
        if not argv:
            return False, b"ERR redis.acl_check_cmd() require all arguments to be strings"
        try:
            plan = self._session.endpoint.registry.resolve(argv)
        except CacheStormError:
            return False, b"ERR Invalid command passed to redis.acl_check_cmd()"
        try:
            return True, denied(self._session, plan, argv) is None
        except CacheStormError:
            # what the command itself would refuse
            return True, True
