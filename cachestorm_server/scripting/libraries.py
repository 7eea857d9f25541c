"""The libraries of one endpoint: functions in Lua that stay, by FUNCTION LOAD.

Called by the commands and by the engine, which runs the functions; calls the sandbox.

1. Whoever changes them holds the lock of the store.
2. A change is made in full or not at all: what is to be added is loaded first.
3. The sources are kept. A Lua that has run out of memory is given up, and the libraries are
   loaded into a new one when a function is called again.

Source: `functions.c` and `function_lua.c` of Redis 7.2.
"""

from __future__ import annotations

import time
from typing import Any, Final

from cachestorm.codec import text_of
from cachestorm.errors import CacheStormError
from cachestorm_server.requests import ProtocolError, split_inline
from cachestorm_server.scripting.sandbox import (
    GO_ON,
    LATE,
    Answer,
    Runner,
    Sandbox,
)
from cachestorm_server.scripting.script_errors import SandboxFullError, ScriptError
from cachestorm_server.scripting.scripts import MAX_MEMORY, Runnable
from cachestorm_server.scripting.services import serve

CHUNK: Final = b"@user_function"
# how long a library may take to say what it has
_LOAD_S: Final = 0.5
_LATE_TEXT: Final = b"FUNCTION LOAD timeout"
_NAMES: Final = (
    "Library names can only contain letters, numbers, or underscores(_) and must be at least "
    "one character long"
)


class Function(Runnable):
    """A function of a library.

    Attributes:
        description: in words; None if there is none.
    """

    def __init__(
        self, name: bytes, flags: tuple[str, ...], function: Any, description: bytes | None
    ) -> None:
        super().__init__(name, flags, function, False)
        self.description: Final = description


class Library:
    """A library.

    Attributes:
        code: its source, with the line that names it.
        functions: by their names.
    """

    def __init__(self, name: str, code: bytes, functions: dict[bytes, Function]) -> None:
        self.name: Final = name
        self.code: Final = code
        self.functions: Final = functions


class _Loading(Runner):
    """Looks after a library while it is loaded: it may do no more than write to the log."""

    def __init__(self) -> None:
        self._ends_at: Final = time.monotonic() + _LOAD_S

    def ask(self, request: tuple[Any, ...]) -> Answer:
        return False, b"ERR a library cannot call commands while it is loaded"

    def serve(self, request: tuple[Any, ...]) -> Answer:
        return serve(request)

    def look(self) -> int:
        return LATE if time.monotonic() > self._ends_at else GO_ON


def read_metadata(code: bytes) -> tuple[str, bytes]:
    """The name that the first line of a library gives it, and what is to be compiled.

    Raises:
        CacheStormError: if it gives none.
    """
    if not code.startswith(b"#!"):
        raise CacheStormError("Missing library metadata")
    first, newline, rest = code.partition(b"\n")
    try:
        parts = [text_of(part) for part in split_inline(first) if isinstance(part, bytes)]
    except ProtocolError:
        parts = []
    if not newline or not parts:
        raise CacheStormError("Invalid library metadata")
    name: str | None = None
    for part in parts[1:]:
        key, is_given, value = part.partition("=")
        if not is_given or key.lower() != "name":
            raise CacheStormError(f"Invalid metadata value given: {part}")
        if name is not None:
            raise CacheStormError(
                "Invalid metadata value, name argument was given multiple times"
            )
        name = value
    if name is None:
        raise CacheStormError("Library name was not given")
    if not (name.isascii() and name.replace("_", "a").isalnum()):
        raise CacheStormError(_NAMES)
    engine = parts[0].removeprefix("#!")
    if engine.lower() != "lua":
        raise CacheStormError(f"Engine '{engine}' not found")
    # the line end stays, so that lines are counted as before
    return name, newline + rest


class Libraries:
    """The libraries that are loaded."""

    def __init__(self) -> None:
        self._libraries: dict[str, Library] = {}
        # by their names in lower case
        self._functions: dict[bytes, Function] = {}
        self._sandbox: Sandbox | None = None

    def load(
        self,
        codes: list[bytes],
        replace: bool,
        flush: bool = False,
        taken: str = "Library '{}' already exists",
    ) -> list[str]:
        """Adds libraries.

        Args:
            replace: one of a name that is taken replaces the one that has it.
            flush: they replace all.
            taken: what is said of a name that is taken.

        Returns:
            Their names.

        Raises:
            CacheStormError: if one of them is no library, or a name is taken. Nothing has
                changed.
        """
        if self._sandbox is None and self._libraries and not flush:
            self._load_again()
        libraries = {} if flush else dict(self._libraries)
        added = [read_metadata(code)[0] for code in codes]
        for at, name in enumerate(added):
            if name in added[:at] or (name in libraries and not replace):
                raise CacheStormError(taken.format(name))
        # the names of functions are asked for last, as what they are is known by then
        for name in added:
            libraries.pop(name, None)
        functions = _by_name(libraries)
        for code in codes:
            library = self._loaded(code)
            libraries[library.name] = library
            for name_of_function, function in library.functions.items():
                if name_of_function.lower() in functions:
                    shown = name_of_function.decode("ascii")
                    raise CacheStormError(f"Function {shown} already exists")
                functions[name_of_function.lower()] = function
        self._libraries = libraries
        self._functions = functions
        return added

    def find(self, name: bytes) -> Function:
        """A function by its name, in any case.

        Raises:
            CacheStormError: if there is none.
        """
        if self._sandbox is None and self._libraries:
            self._load_again()
        function = self._functions.get(name.lower())
        if function is None:
            raise CacheStormError("Function not found")
        return function

    def delete(self, name: str) -> None:
        """Removes a library.

        Raises:
            CacheStormError: if there is none of that name.
        """
        if name not in self._libraries:
            raise CacheStormError("Library not found")
        del self._libraries[name]
        self._functions = _by_name(self._libraries)
        if not self._libraries:
            self._sandbox = None

    def flush(self) -> None:
        """Removes all libraries."""
        self._libraries = {}
        self._functions = {}
        self._sandbox = None

    def all(self) -> list[Library]:
        """The libraries, sorted by their names."""
        return [self._libraries[name] for name in sorted(self._libraries)]

    def count(self) -> tuple[int, int]:
        """How many libraries there are, and how many functions."""
        return len(self._libraries), len(self._functions)

    def sandbox(self) -> Sandbox:
        """Where they run."""
        if self._sandbox is None:
            self._sandbox = Sandbox(MAX_MEMORY)
        return self._sandbox

    def memory(self) -> int:
        """How many bytes Lua holds for them."""
        return 0 if self._sandbox is None else self._sandbox.memory()

    def give_up(self) -> None:
        """Lets go of a Lua that has run out of memory."""
        self._sandbox = None

    def _load_again(self) -> None:
        codes = [library.code for library in self.all()]
        self.load(codes, True, True)

    def _loaded(self, code: bytes) -> Library:
        name, body = read_metadata(code)
        sandbox = self.sandbox()
        try:
            library = sandbox.compile(body, CHUNK)
        except ScriptError as error:
            raise CacheStormError(f"Error compiling function: {error}") from error
        try:
            tables = sandbox.load(_Loading(), library, _LATE_TEXT)
        except SandboxFullError:
            self._sandbox = None
            raise
        except ScriptError as error:
            raise CacheStormError(f"Error registering functions: {error}") from error
        if not tables:
            raise CacheStormError("No functions registered")
        functions = {}
        for table in tables:
            flags = tuple(flag.decode("ascii") for flag in table[b"flags"].values())
            function = Function(
                table[b"name"], flags, table[b"callback"], table[b"description"] or None
            )
            functions[function.name] = function
        return Library(name, code, functions)


def _by_name(libraries: dict[str, Library]) -> dict[bytes, Function]:
    return {
        name.lower(): function
        for library in libraries.values()
        for name, function in library.functions.items()
    }
