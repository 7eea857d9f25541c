"""The sandbox: a Lua 5.1 in which scripts run, and see nothing of Python.

Called by `scripts.py`. What happens inside is written in Lua: see `lua/prelude.lua`.

1. What is given to Lua is bytes, numbers, booleans, None and tables of these: anything else
   would be reachable from a script as the object that it is.
2. A script runs as a coroutine. Whatever it asks for is yielded here, and answered.
3. `lupa` is imported when the first script is met: a server without it serves all else.
"""

from __future__ import annotations

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

# Lua counts what it uses only while there is a limit.
_UNLIMITED: Final = 1 << 62
# What must be left when a script stops: for what it asks, and when it goes on: for an answer.
_HEADROOM: Final = 1024 * 1024
_SLACK: Final = _HEADROOM // 2
_MODULES: Final = ("binary", "bit", "cjson", "cmsgpack", "struct")
# By its name the frames of the sandbox are told from those of a script.
_LOAD: Final = b"return assert(loadstring((...), '=redis'))()"

# A reply to a request: whether it was granted, and what is given, or the text of the refusal.
Answer = tuple[bool, object]
Ask = Callable[[tuple[Any, ...]], Answer]


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
        exports = self._lua.execute(_LOAD, _source("prelude"))
        self._compile: Final = exports[b"compile"]
        self._run: Final = exports[b"run"]
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

    def compile(self, source: bytes, chunk: bytes) -> Any:
        """A function that runs a script.

        Raises:
            ScriptError: with what Lua says, if it is none.
        """
        compiled = self._compile(source, chunk)
        if isinstance(compiled, tuple):
            text = compiled[1].decode("utf-8", "surrogateescape")
            raise ScriptError(f"ERR Error compiling script (new function): {text}")
        return compiled

    def run(
        self,
        function: Any,
        name: bytes,
        keys: list[bytes],
        argv: list[bytes],
        resp3: bool,
        seconds: float,
        ask: Ask,
        serve: Ask,
    ) -> bytes:
        """Runs a compiled script.

        Args:
            name: what an error says of it.
            resp3: how the reply is spelled.
            seconds: of processor time that it may take.
            ask: answers what it gives to `redis.call`, with the request at index 1.
            serve: does the rest of what `redis` has; the name is at index 1.

        Returns:
            The reply, in RESP.

        Raises:
            ScriptError: if it failed.
            SandboxFullError: if memory has run out, so that this Lua is of no more use.
        """
        if self._lua.get_memory_used() > self._max_memory // 2:
            self._lua.gccollect()
        coroutine = self._run.coroutine(
            function, name, self.table(keys), self.table(argv), resp3, seconds
        )
        try:
            told = self._go_on(coroutine, None, 0)
            while True:
                kind = told[0]
                if kind == REQUEST:
                    answer = ask(told)
                elif kind == SERVICE:
                    answer = serve(told)
                elif kind == LONG_REQUEST:
                    answer = ask(_unpacked(told))
                else:
                    break
                value = answer[1]
                size = len(value) if type(value) is bytes else 0
                told = self._go_on(coroutine, answer, size)
        except self._error as error:
            raise SandboxFullError(self._max_memory) from error
        finally:
            if self._is_limited:
                self._limit(False)
        text: bytes = told[1]
        if kind == FAILURE:
            raise ScriptError(text.decode("utf-8", "surrogateescape"))
        return text

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
