"""The sandbox: a Lua 5.1 in which scripts run, and see nothing of Python.

Called by those who keep scripts and run them. What happens inside is written in Lua: see
`lua/prelude.lua`, and for what of Lua itself is not safe `lua/mended.lua`.

1. What is given to Lua is bytes, numbers, booleans, None and tables of these: anything else
   would be reachable from a script as the object that it is.
2. A script runs as a coroutine. Whatever it asks for is yielded here, and answered.
3. `lupa` is imported when the first script is met: a server without it serves all else.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final, NoReturn

from cachestorm.errors import CacheStormError, MissingExtraError
from cachestorm_server.info import REDIS_VERSION

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

# Lua counts what it uses only while there is a limit.
_UNLIMITED: Final = 1 << 62
# What must be left when a script stops: for what it asks, and when it goes on: for an answer.
_HEADROOM: Final = 1024 * 1024
_SLACK: Final = _HEADROOM // 2
_MODULES: Final = ("binary", "bit", "cjson", "cmsgpack", "struct")
# By its name the frames of the sandbox are told from those of a script.
_LOAD: Final = b"""
local mended, prelude = ...
mended, prelude = assert(loadstring(mended, '=redis')), assert(loadstring(prelude, '=redis'))
mended()
return prelude()
"""

# A reply to a request: whether it was granted, and what is given, or the text of the refusal.
Answer = tuple[bool, object]
Ask = Callable[[tuple[Any, ...]], Answer]


class Runner:
    """What answers a script, and decides how long it runs.

    Attributes:
        late_text: what a script is told that has run for too long.
    """

    late_text = ""

    def ask(self, request: tuple[Any, ...]) -> Answer:
        """The reply to what was given to `redis.call`, which begins at index 1."""
        raise NotImplementedError

    def serve(self, request: tuple[Any, ...]) -> Answer:
        """Does the rest of what `redis` has; its name is at index 1."""
        raise NotImplementedError

    def look(self) -> int:
        """GO_ON, KILLED or LATE. Asked while Lua runs: it must not use the sandbox."""
        raise NotImplementedError


class ScriptError(CacheStormError):
    """A script that failed, or that could not be run; the text has a code of its own."""

    @property
    def resp(self) -> str:
        return str(self)


class SandboxFullError(ScriptError):
    """Scripts have used all memory that they may."""

    def __init__(self, max_memory: int) -> None:
        super().__init__(f"ERR not enough memory: scripts may hold {max_memory} bytes")


def _refuse(*access: object) -> NoReturn:
    raise AttributeError("scripts see no Python")


def _unpacked(told: tuple[Any, ...]) -> tuple[Any, ...]:
    """A request whose arguments are in a table; None is among them if one was nil."""
    arguments = tuple(told[1].values())
    return (REQUEST, *arguments) if len(arguments) == told[2] else (REQUEST, b"", None)


def _look_of(sandbox: weakref.ref[Sandbox]) -> Callable[[], int]:
    """What Lua calls; it must not keep the sandbox, which keeps it."""

    def look() -> int:
        found = sandbox()
        return GO_ON if found is None else found.look()

    return look


@cache
def _source(name: str) -> bytes:
    return files(__package__).joinpath("lua", f"{name}.lua").read_bytes()


class Sandbox:
    """One state of Lua.

    1. Lua ends the process when memory runs out outside of a protected call, as it is while
       something is handed over. So the limit holds while a script runs, and is lifted for what
       is prepared meanwhile; a script goes on only while there is room for what it is given.

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
        self._runner: Runner | None = None
        # what was raised by a look, such as KeyboardInterrupt
        self._raised: BaseException | None = None
        exports = self._lua.execute(_LOAD, _source("mended"), _source("prelude"))
        self._compile: Final = exports[b"compile"]
        self._run: Final = exports[b"run"]
        self._call: Final = exports[b"call"]
        self._load: Final = exports[b"load"]
        self._loaded: Final = exports[b"loaded"]
        exports[b"watch"](_look_of(weakref.ref(self)))
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
    ) -> bytes:
        """Runs a script that was compiled, or a function that a library has registered.

        Args:
            name: what an error says of it.
            resp3: how the reply is spelled.

        Returns:
            The reply, in RESP.

        Raises:
            ScriptError: if it failed.
            SandboxFullError: if memory has run out, so that this Lua is of no more use.
        """
        main = self._run if is_script else self._call
        if self._lua.get_memory_used() > self._max_memory // 2:
            self._lua.gccollect()
        coroutine = main.coroutine(
            function,
            name,
            self.table(keys),
            self.table(argv),
            resp3,
            runner.late_text.encode("ascii"),
        )
        text: bytes = self._drive(runner, coroutine)
        return text

    def load(self, runner: Runner, library: Any) -> list[Any]:
        """Runs a library that was compiled.

        Returns:
            A table for each function that it has registered.

        Raises:
            ScriptError, SandboxFullError: as `run`.
        """
        try:
            found = self._drive(
                runner, self._load.coroutine(library, runner.late_text.encode("ascii"))
            )
            return list(found.values())
        finally:
            self._loaded()

    def _drive(self, runner: Runner, coroutine: Any) -> Any:
        self._runner = runner
        try:
            told = self._go_on(coroutine, None, 0)
            while True:
                kind = told[0]
                if kind == REQUEST:
                    answer = runner.ask(told)
                elif kind == SERVICE:
                    answer = runner.serve(told)
                elif kind == LONG_REQUEST:
                    answer = runner.ask(_unpacked(told))
                else:
                    break
                value = answer[1]
                size = len(value) if type(value) is bytes else 0
                told = self._go_on(coroutine, answer, size)
        except self._error as error:
            raise SandboxFullError(self._max_memory) from error
        finally:
            self._runner = None
            if self._is_limited:
                self._limit(False)
            raised, self._raised = self._raised, None
            if raised is not None:
                raise raised
        if kind == FAILURE:
            raise ScriptError(told[1].decode("utf-8", "surrogateescape"))
        return told[1]

    def look(self) -> int:
        """Called by Lua. An exception must not get there: it would be an object of Python."""
        try:
            return GO_ON if self._runner is None else self._runner.look()
        except BaseException as error:
            self._raised = error
            return KILLED

    def _go_on(self, coroutine: Any, answer: Answer | None, size: int) -> tuple[Any, ...]:
        if self._lua.get_memory_used() + size + _SLACK > self._max_memory:
            raise SandboxFullError(self._max_memory)
        if not self._is_limited:
            self._limit(True)
        told: tuple[Any, ...] = coroutine.send(answer)
        return told

    def _limit(self, is_limited: bool) -> None:
        self._is_limited = is_limited
        self._lua.set_max_memory(self._max_memory if is_limited else _UNLIMITED)
