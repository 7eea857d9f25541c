"""The sandbox: a Lua 5.1 in which scripts run, and see nothing of Python.

Called by those who keep scripts and run them. What happens inside is written in Lua: see
`lua/prelude.lua`, and for what of Lua itself is not safe `lua/mended.lua`.

1. What is given to Lua is bytes, numbers, booleans, None and tables of these: anything else
   would be reachable from a script as the object that it is.
2. A script runs as a coroutine. What it asks for is yielded to Lua of ours, which asks Python.
3. `lupa` is imported when the first script is met: a server without it serves all else.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, NoReturn

from mypy_extensions import trait

from cachestorm.errors import MissingExtraError
from cachestorm_server.info import REDIS_VERSION
from cachestorm_server.scripting.script_errors import SandboxFullError, ScriptError

# What a script tells of when it stops; as in prelude.lua.
REQUEST: Final = 0
SERVICE: Final = 1
REPLY: Final = 2
FAILURE: Final = 3
LONG_REQUEST: Final = 4
REGISTERED: Final = 5
# Whether a script is to go on, or why not; as in prelude.lua.
GO_ON: Final = 0
KILLED: Final = 1
LATE: Final = 2

# How a request was answered, beside True and False; as in prelude.lua.
STATUS: Final = 2

# Lua counts what it uses only while there is a limit.
_UNLIMITED: Final = 1 << 62
# What must be left when Python is asked: for the request, and afterwards: for the answer.
_HEADROOM: Final = 1024 * 1024
_SLACK: Final = _HEADROOM // 2
# So many keys and arguments at most are handed over by themselves: they come upon Lua's stack.
_MOST_WORDS: Final = 200
# what is loaded first, one after the other
LAYERS: Final = ("random", "bytecode", "varargs", "mended", "prelude")
_MODULES: Final = ("binary", "bit", "cjson", "cmsgpack", "struct")
# By its name the frames of the sandbox are told from those of a script.
_LOAD: Final = b"""
local random, bytecode, varargs, mended, prelude = ...
local function load(text) return assert(loadstring(text, '=redis')) end
load(random)()
bytecode, varargs, mended, prelude = load(bytecode), load(varargs), load(mended), load(prelude)
return prelude(mended(bytecode(), varargs))
"""

# A reply to a request: True and what is given, False and the text of the refusal, or STATUS and
# the text of a status.
Answer = tuple[object, object]


@trait
class Runner:
    """What answers a script, and decides how long it runs."""

    def ask(self, request: tuple[Any, ...]) -> Answer:
        """The reply to what was given to `redis.call`, which begins at index 1."""
        raise NotImplementedError

    def serve(self, request: tuple[Any, ...]) -> Answer:
        """Does the rest of what `redis` has; its name is at index 1."""
        raise NotImplementedError

    def look(self) -> int:
        """GO_ON, KILLED or LATE. Asked while Lua runs: it must not use the sandbox."""
        raise NotImplementedError


def _refuse(*access: object) -> NoReturn:
    raise AttributeError("scripts see no Python")


def _unpacked(told: tuple[Any, ...]) -> tuple[Any, ...]:
    """A request whose arguments are in a table; None is among them if one was nil."""
    arguments = tuple(told[1].values())
    return (REQUEST, *arguments) if len(arguments) == told[2] else (REQUEST, b"", None)


class _Callee:
    """What Lua calls. It knows the sandbox only while that is entered, since Lua keeps it.

    Attributes:
        sandbox: None while nothing runs.
    """

    def __init__(self) -> None:
        self.sandbox: Sandbox | None = None

    def look(self) -> int:
        """Whether the script is to go on."""
        return GO_ON if self.sandbox is None else self.sandbox.look()

    def answer(self, *told: Any) -> object:
        """The answer to what a script asks for."""
        return None if self.sandbox is None else self.sandbox.answer(told)


@cache
def _source(name: str) -> bytes:
    return files(__package__).joinpath("lua", f"{name}.lua").read_bytes()


class Sandbox:
    """One state of Lua.

    1. Where memory runs out while something is handed over, Lua ends the process, or leaves
       Python's frames behind. So the limit holds while a script runs, and is lifted for what is
       prepared meanwhile; a script goes on only while there is room for what it is given.

    Args:
        max_memory: how many bytes all that it holds may take.

    Raises:
        MissingExtraError: if `lupa` is not installed.
    """

    def __init__(self, max_memory: int) -> None:
        try:
            from lupa import lua51
        except ImportError as error:
            raise MissingExtraError("a script", "lupa") from error
        self._lua: Final[Any] = lua51.LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_refuse,
            max_memory=_UNLIMITED,
        )
        self._error: Final[type[Exception]] = lua51.LuaError
        self._max_memory: Final = max_memory
        self._is_limited = False
        self._callee: Final = _Callee()
        self._runner: Runner | None = None
        # what was raised while Lua was running, such as KeyboardInterrupt
        self._raised: BaseException | None = None
        exports = self._lua.execute(_LOAD, *[_source(name) for name in LAYERS])
        self._compile: Final = exports[b"compile"]
        self._run: Final = exports[b"run"]
        self._call: Final = exports[b"call"]
        self._load: Final = exports[b"load"]
        self._loaded: Final = exports[b"loaded"]
        exports[b"connect"](self._callee.look, self._callee.answer)
        self.set_resp: Final = exports[b"setresp"]
        major, minor, patch = REDIS_VERSION.split(".")
        number = int(major) << 16 | int(minor) << 8 | int(patch)
        exports[b"version"](REDIS_VERSION.encode(), number)
        for name in _MODULES:
            exports[b"provide"](name.encode(), _source(name))
        exports[b"limit"]((max_memory - _HEADROOM) / 1024)

    def table(self, items: object) -> Any:
        """A table of what is in a list or a dict."""
        if self._is_limited:
            self._limit(False)
        return self._lua.table_from(items)

    def memory(self) -> int:
        """How many bytes it holds."""
        used: int = self._lua.get_memory_used()
        return used

    def compile(self, source: bytes, chunk: bytes) -> Any:
        """A function that runs a script.

        Raises:
            ScriptError: with what Lua says, if it is none.
        """
        compiled = self._compile(source, chunk)
        if isinstance(compiled, tuple):
            raise ScriptError(compiled[1].decode("utf-8", "surrogateescape"))
        return compiled

    def run(
        self,
        runner: Runner,
        function: Any,
        name: bytes,
        keys: list[bytes],
        argv: list[bytes],
        resp3: bool,
        is_script: bool,
        late_text: bytes,
    ) -> bytes:
        """Runs a script that was compiled, or a function that a library has registered.

        Args:
            name: what an error says of it.
            resp3: how the reply is spelled.
            late_text: what it is told when it has run for too long.

        Returns:
            The reply, in RESP.

        Raises:
            ScriptError: if it failed.
            SandboxFullError: if memory has run out, so that this Lua is of no more use.
        """
        if self._lua.get_memory_used() > self._max_memory // 2:
            self._lua.gccollect()
        args: list[object] = [function, name, resp3, late_text]
        if len(keys) + len(argv) <= _MOST_WORDS:
            args.append(len(keys))
            args.extend(keys)
            args.extend(argv)
        else:
            args += [None, self.table(keys), self.table(argv)]
        text: bytes = self._enter(runner, self._run if is_script else self._call, args)
        return text

    def load(self, runner: Runner, library: Any, late_text: bytes) -> list[Any]:
        """Runs a library that was compiled.

        Returns:
            A table for each function that it has registered.

        Raises:
            ScriptError, SandboxFullError: as `run`.
        """
        try:
            return list(self._enter(runner, self._load, [library, late_text]).values())
        finally:
            self._loaded()

    def _enter(self, runner: Runner, main: Any, args: list[object]) -> Any:
        self._runner = runner
        self._callee.sandbox = self
        told: Any = None
        failed: Exception | None = None
        try:
            self._check_room(0)
            self._limit(True)
            told = main(*args)
        except self._error as error:
            failed = error
        finally:
            self._runner = None
            self._callee.sandbox = None
            if self._is_limited:
                self._limit(False)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        if failed is not None:
            raise SandboxFullError(self._max_memory) from failed
        if told[0] == FAILURE:
            raise ScriptError(told[1].decode("utf-8", "surrogateescape"))
        return told[1]

    def answer(self, told: tuple[Any, ...]) -> Answer:
        """Called by Lua, for what a script asks. What is raised must not get there."""
        try:
            runner = self._runner
            assert runner is not None
            kind = told[0]
            if kind == REQUEST:
                granted, value = runner.ask(told)
            elif kind == SERVICE:
                granted, value = runner.serve(told)
            else:
                granted, value = runner.ask(_unpacked(told))
            self._check_room(len(value) if isinstance(value, bytes) else 0)
        except BaseException as error:
            self._raised = error
            return None, None
        if not self._is_limited:
            self._limit(True)
        return granted, value

    def look(self) -> int:
        """Called by Lua. An exception must not get there: it would be an object of Python."""
        try:
            return GO_ON if self._runner is None else self._runner.look()
        except BaseException as error:
            self._raised = error
            return KILLED

    def _check_room(self, size: int) -> None:
        """Refuses to go on where what is handed over has no room."""
        if self._lua.get_memory_used() + size + _SLACK > self._max_memory:
            raise SandboxFullError(self._max_memory)

    def _limit(self, is_limited: bool) -> None:
        self._is_limited = is_limited
        self._lua.set_max_memory(self._max_memory if is_limited else _UNLIMITED)
