"""The hooks of plugins as the store and the server call them: directly, one after the other.

Made from plugins when a server or a cache begins; see `plugins/`. What a hook raises harms
nobody: it is counted and logged here, and whatever was under way goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from librt.time import time as wall_time
from mypy_extensions import i64

from cachestorm.errors import CacheStormError

if TYPE_CHECKING:
    from cachestorm.declare.plan import Plan

# one that always fails must not fill the log
LOG_EVERY_S: Final = 1.0

_log = logging.getLogger("cachestorm.plugins")


class Call:
    """One command, as `before_command` and `after_command` see it.

    Attributes:
        args: what was sent after the name of the command: `bytes` over RESP, values over HTTP.
        namespace: where it runs.
        connection_id: of the client, as CLIENT ID says; 0 over HTTP.
        address: of the client.
        user: who asks, by name, as it was before the command.
        duration_us: how long it took; 0 before it has run. What it waited for does not count.
        error: the refusal that was its reply, the code first; empty for none.
    """

    def __init__(
        self,
        plan: Plan,
        argv: list[object],
        namespace: str,
        connection_id: int,
        address: str,
        user: str = "",
    ) -> None:
        self._plan: Final = plan
        self._argv: Final = argv
        self.namespace: Final = namespace
        self.connection_id: Final = connection_id
        self.address: Final = address
        self.user: Final = user
        self.duration_us: int = 0
        self.error: str = ""

    @property
    def command(self) -> str:
        """The name of the command in upper case: `SET`, `OBJECT ENCODING`."""
        return self._plan.name

    @property
    def args(self) -> list[object]:
        return self._argv[2 if self._plan.declaration.subcommand else 1 :]

    @property
    def keys(self) -> list[str]:
        """The keys among the arguments; none if they are not valid."""
        try:
            return [key for key, _ in self._plan.keys(self._argv)]
        except CacheStormError:
            return []

    @property
    def categories(self) -> list[str]:
        """The categories of the command, as `ACL CAT` names them: `@write`, `@dangerous`."""
        return self._plan.categories()

    @property
    def is_write(self) -> bool:
        """Whether the command may change the data."""
        return self._plan.declaration.writes


class Hook:
    """One hook of one plugin.

    Attributes:
        plugin: its name.
        name: of the hook.
        function: called with what there is to tell.
        errors: how often it raised something.
        slow_ns: with more than this a call is reported to `latency`; 0: none is timed.
        latency: called with the plugin's name and the nanoseconds.
    """

    def __init__(self, plugin: str, name: str, function: Callable[[object], object]) -> None:
        self.plugin: Final = plugin
        self.name: Final = name
        self.function: Final = function
        self.errors: i64 = 0
        self.slow_ns: i64 = 0
        self.latency: Callable[[str, int], object] | None = None
        self._logged_at = 0.0

    def tell(self, subject: object) -> None:
        """Calls the hook, whatever becomes of it."""
        if self.slow_ns != 0:
            self._tell_timed(subject)
            return
        try:
            self.function(subject)
        except Exception:
            self.failed()

    def ask(self, subject: object) -> None:
        """Calls a hook that may refuse.

        Raises:
            CacheStormError: what it refuses with.
        """
        if self.slow_ns != 0:
            self._ask_timed(subject)
            return
        try:
            self.function(subject)
        except CacheStormError:
            raise
        except Exception:
            self.failed()

    def _ask_timed(self, subject: object) -> None:
        began_ns: i64 = perf_counter_ns()
        try:
            self.function(subject)
        except CacheStormError:
            raise
        except Exception:
            self.failed()
        finally:
            self._took(perf_counter_ns() - began_ns)

    def _tell_timed(self, subject: object) -> None:
        began_ns: i64 = perf_counter_ns()
        try:
            self.function(subject)
        except Exception:
            self.failed()
        self._took(perf_counter_ns() - began_ns)

    def _took(self, time_ns: i64) -> None:
        latency = self.latency
        if latency is not None and time_ns >= self.slow_ns:
            latency(self.plugin, int(time_ns))

    def failed(self) -> None:
        """Counts what it has raised, and logs it; to be called while that is handled."""
        self.errors += 1
        now_s = wall_time()
        if now_s - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now_s
            _log.exception(
                "%s of the plugin %s raised, %d times by now",
                self.name,
                self.plugin,
                int(self.errors),
            )
