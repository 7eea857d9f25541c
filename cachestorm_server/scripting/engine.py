"""The engine: runs scripts and functions for the clients of an endpoint, one at a time.

Called by the commands; calls the sandbox, and the registry's plans. Its scripts and libraries
are changed by the commands directly.

1. Whoever runs a script holds the lock of the store, so that a script is one step for all
   others.
2. What a script asks for is run as in a transaction: a long command runs to its end, and one
   that would wait does not.
3. A script that runs for longer than `busy-reply-threshold` goes on where the endpoint serves
   others meanwhile. They may end it by SCRIPT KILL unless it has written. In process it is
   ended.
4. A Lua that has run out of memory is given up; the next script is run in a new one.
5. A script is refused for want of memory where it begins, or at its first write; once it has
   written it goes on, whatever the limit, and what is beyond that is evicted at its end.

Source: `script.c` and `script_lua.c` of Redis 7.2.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from cachestorm.codec import bytes_of
from cachestorm.declare.plan import Plan
from cachestorm.declare.wire_values import NULL_ARRAY, Status
from cachestorm.errors import (
    ArityError,
    CacheStormError,
    OutOfMemoryError,
    UnknownCommandError,
)
from cachestorm_server.acl.enforcement import check_scripted, denied
from cachestorm_server.admission import Occupant
from cachestorm_server.scripting.conversions import BAD_ARGUMENT, to_lua, words
from cachestorm_server.scripting.libraries import Libraries
from cachestorm_server.scripting.sandbox import (
    GO_ON,
    KILLED,
    LATE,
    STATUS,
    Answer,
    Runner,
    Sandbox,
)
from cachestorm_server.scripting.script_errors import (
    NotBusyError,
    SandboxFullError,
    ScriptError,
    UnkillableError,
)
from cachestorm_server.scripting.scripts import Runnable, Script, Scripts
from cachestorm_server.scripting.services import serve
from cachestorm_server.session import Session

NO_ARGUMENT: Final = "ERR Please specify at least one argument for this redis lib call"
_BUSY: Final = (
    "BUSY Redis is busy running a script. You can only call {} KILL or SHUTDOWN NOSAVE."
)
_BUSY_SCRIPT: Final = _BUSY.format("SCRIPT")
_BUSY_FUNCTION: Final = _BUSY.format("FUNCTION")
_LATE_TEXT: Final = b"Script killed: it ran for longer than busy-reply-threshold allows."
_KILLED_TEXT: Final = b"ERR Script killed by user with SCRIPT KILL."

_log = logging.getLogger("cachestorm.scripts")


class Engine:
    """What runs scripts.

    Attributes:
        running: what is being run; None for nothing.
    """

    def __init__(self) -> None:
        self.scripts: Final = Scripts()
        self.libraries: Final = Libraries()
        self.running: Run | None = None

    def run(
        self,
        session: Session,
        runnable: Runnable,
        command: list[bytes],
        keys: list[bytes],
        argv: list[bytes],
        read_only: bool,
    ) -> bytes:
        """Runs a script, or a function, for a client.

        Args:
            command: what the client has asked, up to the number of the keys.
            read_only: it may not write, whatever it says of itself.

        Returns:
            Its reply, in RESP.

        Raises:
            ScriptError: if it failed.
        """
        shared = session.cache._space.shared
        has_room = shared.suspend_limits()
        try:
            return self._run(session, runnable, command, keys, argv, read_only, has_room)
        finally:
            shared.resume_limits()

    def _run(
        self,
        session: Session,
        runnable: Runnable,
        command: list[bytes],
        keys: list[bytes],
        argv: list[bytes],
        read_only: bool,
        has_room: bool,
    ) -> bytes:
        flags = runnable.flags
        if flags is not None:
            _check_flags(flags, read_only, has_room)
            read_only = read_only or "no-writes" in flags
            has_room = True
        if isinstance(runnable, Script):
            self.scripts.used(runnable)
            sandbox = self.scripts.sandbox()
        else:
            sandbox = self.libraries.sandbox()
        run = Run(session, sandbox, runnable, command, keys, argv, read_only, has_room)
        before, is_typed = session.cache, session.is_typed
        # scripts are in the language of all clients
        session.is_typed = False
        self.running = run
        session.runs_script = True
        try:
            return sandbox.run(
                run,
                runnable.function,
                runnable.name,
                keys,
                argv,
                session.resp3,
                runnable.is_script,
                _LATE_TEXT,
            )
        except SandboxFullError:
            if runnable.is_script:
                self.scripts.flush()
            else:
                self.libraries.give_up()
            raise
        finally:
            self.running = None
            session.runs_script = False
            if session.endpoint.occupant is not None:
                session.endpoint.set_free()
            # SELECT within a script ends with it
            session.cache, session.is_typed = before, is_typed

    def kill(self, is_script: bool) -> None:
        """Ends what is being run.

        Args:
            is_script: SCRIPT KILL asks, and not FUNCTION KILL.

        Raises:
            CacheStormError: if nothing is, if it has written, or if the other command is to be
                used.
        """
        run = self.running
        if run is None:
            raise NotBusyError()
        if run.has_written():
            raise UnkillableError()
        if run.runnable.is_script != is_script:
            raise ScriptError(run.refusal)
        if not run.kill():
            raise UnkillableError()


def _check_flags(flags: tuple[str, ...], read_only: bool, has_room: bool) -> None:
    """Refuses what says of itself that it cannot be run now."""
    if "no-writes" in flags:
        return
    if read_only:
        raise ScriptError("ERR Can not execute a script with write flag using *_ro command.")
    if "allow-oom" not in flags and not has_room:
        raise OutOfMemoryError()


class Run(Occupant, Runner):
    """One run of a script: answers what it asks for, and decides how long it runs.

    Attributes:
        began_at: as `time.monotonic` counts.
        refusal: what others are told while it keeps them waiting.
    """

    def __init__(
        self,
        session: Session,
        sandbox: Sandbox,
        runnable: Runnable,
        command: list[bytes],
        keys: list[bytes],
        argv: list[bytes],
        read_only: bool,
        has_room: bool,
    ) -> None:
        super().__init__(session.id, _BUSY_SCRIPT if runnable.is_script else _BUSY_FUNCTION)
        self.runnable: Final = runnable
        self._command: Final = command
        self._keys: Final = keys
        self._argv: Final = argv
        self.began_at: Final = time.monotonic()
        self._session: Final = session
        self._table: Final = sandbox.table
        self._set_resp: Final = sandbox.set_resp
        self._read_only: Final = read_only
        self._has_room: Final = has_room
        self._resp3 = False
        limit_ms = session.endpoint.settings.busy_reply_ms
        self._late_at: Final = self.began_at + limit_ms / 1000 if limit_ms else float("inf")
        # "written" or "killed", whichever came first: another thread may ask for the latter
        self._fate: Final[dict[str, str]] = {}

    def command(self) -> list[bytes]:
        """What the client has asked."""
        return [*self._command, b"%d" % len(self._keys), *self._keys, *self._argv]

    # -- how long it runs

    def has_written(self) -> bool:
        """Whether it has changed something, or is about to."""
        return self._fate.get("fate") == "written"

    def kill(self) -> bool:
        """Ends it, from any thread, unless it has written. Returns whether it ends."""
        return self._fate.setdefault("fate", "killed") == "killed"

    def cut_off(self) -> None:
        self._fate["fate"] = "killed"

    def look(self) -> int:
        if time.monotonic() > self._late_at:
            endpoint = self._session.endpoint
            if endpoint.meanwhile is None:
                return LATE
            endpoint.serve_others(self)
        return KILLED if self._fate.get("fate") == "killed" else GO_ON

    # -- what it asks for

    def ask(self, request: tuple[Any, ...]) -> Answer:
        argv = [] if request[1] is None else words(request)
        if argv is None:
            return False, BAD_ARGUMENT
        session = self._session
        try:
            plan = self._find(argv)
            if plan.declaration.writes:
                fate = self._fate.setdefault("fate", "written")
                if fate == "killed":
                    return False, _KILLED_TEXT
            if time.monotonic() > self._late_at:
                stop = self.look()
                if stop == KILLED:
                    return False, _KILLED_TEXT
                if stop == LATE:
                    return False, b"ERR " + _LATE_TEXT
            cluster = session.endpoint.cluster
            if cluster is not None:
                cluster.router.check_scripted(session, plan, argv)
            reply = session.answer_within(plan, argv)
            if type(reply) is Status:
                return STATUS, bytes_of(reply.text)
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
        if plan.no_script:
            raise ScriptError("ERR This Redis command is not allowed from script")
        check_scripted(self._session, plan, argv)
        if self._read_only and plan.declaration.writes:
            raise ScriptError("ERR Write commands are not allowed from read-only scripts.")
        if not self._has_room and plan.declaration.grows and not self.has_written():
            raise self._session.cache._space.shared.refusal()
        return plan

    def serve(self, request: tuple[Any, ...]) -> Answer:
        name = request[1]
        if name == b"setresp":
            self._resp3 = request[2] == 3
            self._set_resp(request[2])
            return True, None
        if name != b"acl_check_cmd":
            return serve(request)
        argv = words(request[1:])
        if not argv:
            return False, BAD_ARGUMENT
        try:
            plan = self._session.endpoint.registry.resolve(argv)
        except CacheStormError:
            return False, b"ERR Invalid command passed to redis.acl_check_cmd()"
        try:
            return True, denied(self._session, plan, argv) is None
        except CacheStormError:
            # what the command itself would refuse
            return True, True
