"""Every error of CacheStorm: one tree, each class with its answer at every endpoint.

Raised by all packages, translated by none: an endpoint only reads `resp`, `http_status` or
`exit_code`. Texts are Redis' where Redis has one, so a call in process fails with the same text
as a command on the wire.
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr


@mypyc_attr(native_class=False)
class CacheStormError(Exception):
    """The root of the tree.

    Attributes:
        code: the first word of the RESP error.
        http_status: what the HTTP endpoint answers with.
        exit_code: what the command line ends with.
    """

    code: ClassVar[str] = "ERR"
    http_status: ClassVar[int] = 400
    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[object, ...]:
        # not by its `__init__`, whose arguments are seldom those of the text
        return _remade, (type(self), self.args), self.__dict__ or None

    @property
    def resp(self) -> str:
        """The error as RESP carries it, without the leading `-`."""
        return f"{self.code} {self}"


def _remade(kind: type[CacheStormError], args: tuple[object, ...]) -> CacheStormError:
    """An error that was pickled or copied."""
    # MemoryError's constructor makes none that is laid out as Exception
    error = Exception.__new__(kind) if issubclass(kind, MemoryError) else kind.__new__(kind)
    error.args = args
    return error


@mypyc_attr(native_class=False)
class WrongTypeError(CacheStormError, TypeError):
    """The key holds another kind of value than the command works on."""

    code = "WRONGTYPE"
    http_status = 409

    def __init__(
        self, text: str = "Operation against a key holding the wrong kind of value"
    ) -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class NotAnIntegerError(CacheStormError, ValueError):
    """An argument or a stored value is not an integer of 64 bits."""

    def __init__(self, text: str = "value is not an integer or out of range") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class NotAFloatError(CacheStormError, ValueError):
    """An argument or a stored value is not a finite number where one is needed."""

    def __init__(self, text: str = "value is not a valid float") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class InvalidKeyError(CacheStormError, ValueError):
    """A key, field, member or tag that does not survive a round trip through UTF-8."""


@mypyc_attr(native_class=False)
class InvalidTtlError(CacheStormError, ValueError):
    """A time to live that is zero, negative, or beyond what milliseconds in 64 bits hold."""


@mypyc_attr(native_class=False)
class ArgumentError(CacheStormError, ValueError):
    """Arguments that contradict each other or lie outside of their range."""


@mypyc_attr(native_class=False)
class CommandSyntaxError(CacheStormError, ValueError):
    """Arguments that do not fit the command's declaration."""

    def __init__(self, text: str = "syntax error") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class ExcludingOptionsError(CommandSyntaxError):
    """Options that exclude each other; the text names them as Python spells them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    @property
    def resp(self) -> str:
        return "ERR syntax error"


@mypyc_attr(native_class=False)
class ArityError(CommandSyntaxError):
    """Too few or too many arguments for a command."""

    def __init__(self, command: str) -> None:
        super().__init__(f"wrong number of arguments for '{command}' command")


@mypyc_attr(native_class=False)
class UnknownCommandError(CacheStormError, LookupError):
    """No command of that name is declared."""

    http_status = 404


@mypyc_attr(native_class=False)
class NoSuchKeyError(CacheStormError, LookupError):
    """A command that needs the key to be there did not find it."""

    http_status = 404

    def __init__(self, text: str = "no such key") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class BusyKeyError(CacheStormError, ValueError):
    """A command that needs the key to be free found it taken."""

    code = "BUSYKEY"
    http_status = 409

    def __init__(self, text: str = "Target key name already exists.") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class PayloadError(CacheStormError, ValueError):
    """Bytes given for a serialized value that are none."""

    def __init__(self, text: str = "Bad data format") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class NamespaceError(CacheStormError, LookupError):
    """A namespace that is not there, may not be deleted, or has no valid name."""

    http_status = 404


@mypyc_attr(native_class=False)
class TagError(CacheStormError, ValueError):
    """A tag of no valid name, or a link that would close a cycle."""


@mypyc_attr(native_class=False)
class OutOfMemoryError(CacheStormError, MemoryError):
    """The memory limit is reached and the policy has no victim to give."""

    code = "OOM"
    http_status = 507

    def __init__(
        self, text: str = "command not allowed when used memory > 'maxmemory'."
    ) -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class ReplyTooLargeError(CacheStormError, MemoryError):
    """What was asked for would hold more than one reply may: nothing was built."""

    def __init__(self, most: int) -> None:
        # the argument, so that a pickled one is made anew of it
        super().__init__(most)

    def __str__(self) -> str:
        return (
            f"the reply would hold more than {self.args[0]} bytes (max_reply): "
            "ask for less at once"
        )


@mypyc_attr(native_class=False)
class CodecError(CacheStormError, TypeError):
    """A value that the cache's codec cannot turn into bytes."""

    http_status = 409


@mypyc_attr(native_class=False)
class ReentrancyError(CacheStormError, RuntimeError):
    """The thread that is inside a cache entered it again.

    A finalizer, a signal handler or a garbage collection that runs in the middle of an
    operation may meet this. Nothing was changed by the refused call.
    """

    http_status = 500

    def __init__(
        self,
        text: str = "the cache was re-entered by the thread that is inside it "
        "(from a finalizer or a signal handler); nothing was changed",
    ) -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class ConfigError(CacheStormError, ValueError):
    """One or more settings that are refused; the text lists all of them."""

    exit_code = 2


@mypyc_attr(native_class=False)
class PluginError(ConfigError):
    """A plugin that cannot be used."""


@mypyc_attr(native_class=False)
class UnknownSubcommandError(UnknownCommandError):
    """A container command has no subcommand of that name."""


@mypyc_attr(native_class=False)
class NeedsConnectionError(CacheStormError, LookupError):
    """A command that belongs to a connection, asked for where there is none."""

    def __init__(self, command: str) -> None:
        super().__init__(f"'{command}' belongs to a connection: it works over RESP only")


@mypyc_attr(native_class=False)
class NamedArgumentError(CommandSyntaxError):
    """An argument by name that the command does not have, or misses, or cannot spell."""


@mypyc_attr(native_class=False)
class DeclarationError(CacheStormError, TypeError):
    """A command's declaration that contradicts itself or its method: a programmer's error."""

    http_status = 500


@mypyc_attr(native_class=False)
class WatchError(CacheStormError, RuntimeError):
    """A watched key was touched, so that nothing of a transaction was run."""

    code = "WATCH"
    http_status = 409

    def __init__(self, text: str = "a watched key was touched: nothing was run") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class MessagesMissedError(CacheStormError, RuntimeError):
    """A subscription was so far behind that messages were dropped."""

    def __init__(self) -> None:
        super().__init__("more messages came than may wait: some of them were missed")


@mypyc_attr(native_class=False)
class CorruptedSketchError(CacheStormError, ValueError):
    """A string that begins as a HyperLogLog does and is none."""

    code = "INVALIDOBJ"
    http_status = 409

    def __init__(self, text: str = "Corrupted HLL object detected") -> None:
        super().__init__(text)


@mypyc_attr(native_class=False)
class MissingExtraError(CacheStormError, ImportError):
    """What was asked for needs packages that are not installed.

    Args:
        asked_for: what the caller wrote.
        module: the one that is missing; "" where the whole provider is.
    """

    http_status = 500

    def __init__(self, asked_for: str, module: str = "") -> None:
        why = f", because {module} is not installed" if module else ""
        super().__init__(f"{asked_for} needs the server{why}: pip install 'cachestorm[server]'")


@mypyc_attr(native_class=False)
class MutatedValueError(CacheStormError, RuntimeError):
    """A stored object was changed by somebody who had it, without writing it."""


@mypyc_attr(native_class=False)
class DurabilityError(CacheStormError, RuntimeError):
    """What a cache is to keep on disk cannot be written, or cannot be read."""

    code = "MISCONF"
    http_status = 503


@mypyc_attr(native_class=False)
class DamagedFileError(DurabilityError):
    """A journal or a snapshot is damaged before its end.

    Attributes:
        path: of the file.
        offset: of the first byte that cannot be relied on.
    """

    def __init__(
        self,
        path: str,
        offset: int,
        reason: str,
        remedy: str = "let 'cachestorm check --repair' cut off what is from there on",
    ) -> None:
        super().__init__(
            f"{path} is damaged at offset {offset}: {reason}. Restore the file from a copy, or "
            f"{remedy}"
        )
        self.path = path
        self.offset = offset


def of_a_parent(path: str) -> str:
    """Why a forked process may not write."""
    return (
        f"a forked process does not write to {path}, which belongs to its parent: make a cache "
        "of its own after the fork, or connect to a server"
    )
