"""The statistics: how often each command is asked, how long it takes, and what was slow.

One belongs to an endpoint. Sessions count in it; INFO, SLOWLOG, LATENCY and CONFIG read it.

1. Every call is counted. Timed is every call of a command that may be slow, one in 16 of the
   fast ones, and each with many arguments: a clock a command would cost a SET a tenth.
2. With a threshold of the slow log or of the latency monitor that a fast command may well
   exceed, every call is timed.
3. What a sampled call took stands for those that were not timed. Times are of work: what a
   command waits for is not counted.

Source: https://redis.io/docs/latest/commands/slowlog/, `slowlog.c`, `latency.c` of Redis 7.2.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns
from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64

from cachestorm.declare.plan import Plan
from cachestorm.hooks import Hook
from cachestorm_server.monitoring import without_passwords
from cachestorm_server.settings import Settings

_SAMPLED: Final = 15
# no call but the first has such a number
_NEVER: Final = (1 << 62) - 1
_MANY_ARGUMENTS: Final = 32
# O(1) a key or a tag, whatever Redis' flags say
_FAST: Final = frozenset({"SET", "SETEX", "PSETEX", "PING", "DEL", "MSET", "MSETNX", "SETTAG"})
# one in 16 of the fast commands is enough for thresholds from here on
_EXACT_BELOW_US: Final = 1000
# one bucket for each power of two of 1024 nanoseconds
_BUCKETS: Final = 40
# histograms end where calls take 17 seconds
_TOLD: Final = 25

_MOST_ARGUMENTS: Final = 32
_MOST_BYTES: Final = 128
_MOST_SAMPLES: Final = 160
# what is refused before the command is run
_NOT_RUN: Final = frozenset({"NOAUTH", "OOM", "NOPERM", "BUSY", "LOADING"})
# a transaction is told by its commands, and MONITOR never ends
_NEVER_LOGGED: Final = frozenset({"EXEC", "MONITOR"})


class CommandStatistics:
    """What is known of the calls of one command.

    Attributes:
        name: as COMMAND INFO spells it.
        calls: how many were run.
        rejected: refused before they were run.
        failed: ended with an error.
        is_fast: one in 16 calls is timed, if nothing else asks for more.
        is_logged: a slow call is to be seen in the slow log.
        mask: the bits of a call's number that are 0 if it is timed.
    """

    def __init__(self, name: str, is_fast: bool, is_logged: bool) -> None:
        self.name: Final = name
        self.is_fast: Final = is_fast
        self.is_logged: Final = is_logged
        self.mask: i64 = 0
        self.calls: i64 = 0
        self.rejected: i64 = 0
        self.failed: i64 = 0
        # of the calls that were timed; a sampled one weighs as many as it stands for
        self._weight: i64 = 0
        self._time_ns: i64 = 0
        # bucket i is of less than 1024 << i nanoseconds
        self._buckets: list[int] = [0] * _BUCKETS

    def begin(self, args: list[object]) -> i64:
        """Counts a call. Returns when it began, in nanoseconds, or 0 if it is not timed."""
        before = self.calls
        self.calls = before + 1
        if before & self.mask == 0 or len(args) > _MANY_ARGUMENTS:
            return perf_counter_ns()
        return 0

    def reset(self) -> None:
        """Sets all numbers back to zero."""
        self.calls = self.rejected = self.failed = 0
        self._weight = self._time_ns = 0
        self._buckets = [0] * _BUCKETS

    def add(self, time_ns: i64, is_sampled: bool) -> None:
        """Takes in what a call took."""
        weight: i64 = self.mask + 1 if is_sampled else 1
        self._weight += weight
        self._time_ns += time_ns * weight
        bucket: i64 = 0
        rest: i64 = time_ns >> 10
        while rest > 0 and bucket < _BUCKETS - 1:
            rest >>= 1
            bucket += 1
        self._buckets[bucket] += weight

    def time_us(self) -> int:
        """What all calls took together, in microseconds."""
        if self._weight == 0:
            return 0
        return int(self._time_ns) * int(self.calls) // int(self._weight) // 1000

    def histogram(self) -> dict[int, int]:
        """How many calls took no longer than so many microseconds."""
        found: dict[int, int] = {}
        total = 0
        for bucket, count in enumerate(self._buckets):
            total += count
            if count:
                found[(1024 << bucket) // 1000] = total * int(self.calls) // int(self._weight)
        return found

    def seconds(self) -> float:
        """What all calls took together."""
        if self._weight == 0:
            return 0.0
        return int(self._time_ns) * int(self.calls) / int(self._weight) / 1e9

    def within(self, width: int) -> list[tuple[float, float]]:
        """About how many calls took no longer than so many seconds, for rising limits.

        Args:
            width: how many powers of two lie between two limits.
        """
        found: list[tuple[float, float]] = []
        total = 0
        scale = int(self.calls) / int(self._weight) if self._weight else 0.0
        for bucket, count in enumerate(self._buckets[:_TOLD]):
            total += count
            if bucket % width == 0:
                found.append(((1024 << bucket) / 1e9, total * scale))
        return found

    def percentile_us(self, share: float) -> float:
        """The time, in microseconds, that so large a share of the calls stayed below."""
        total = 0
        for bucket, count in enumerate(self._buckets):
            total += count
            if total and total >= share * int(self._weight):
                return (1024 << bucket) / 1000.0
        return 0.0


class SlowCall:
    """A call in the slow log."""

    def __init__(
        self, number: int, time_us: int, argv: list[object], address: str, name: str
    ) -> None:
        self.number: Final = number
        self.at_s: Final = int(wall_time())
        self.time_us: Final = time_us
        self.argv: Final = _shortened(argv)
        self.address: Final = address
        self.name: Final = name

    def reply(self) -> list[object]:
        """As SLOWLOG GET shows it."""
        return [self.number, self.at_s, self.time_us, self.argv, self.address, self.name]


class LatencySeries:
    """The latest spikes of one event, one for each second.

    Attributes:
        samples: the second and the milliseconds, the oldest first.
        most_ms: the longest ever.
    """

    def __init__(self) -> None:
        self.samples: Final[deque[tuple[int, int]]] = deque(maxlen=_MOST_SAMPLES)
        self.most_ms = 0

    def add(self, at_s: int, time_ms: int) -> None:
        """Takes in a spike."""
        self.most_ms = max(self.most_ms, time_ms)
        if self.samples and self.samples[-1][0] == at_s:
            time_ms = max(time_ms, self.samples.pop()[1])
        self.samples.append((at_s, time_ms))


class Statistics:
    """All of them, of one endpoint.

    Attributes:
        errors: how often each code of error was the reply.
        nobody: what is counted that is no command.
        slow_log: the newest first.
        slower_than_us: what the slow log takes; negative for nothing.
        threshold_ms: what the latency monitor takes; 0 for nothing.
        percentiles: those of the times of commands that INFO shows.
        is_counting: the counts and times of commands are shown; else only what the slow log
            and the latency monitor want to know is timed.
        series: the events of the latency monitor, by name.
    """

    def __init__(self, settings: Settings) -> None:
        self.errors: Final[dict[str, int]] = {}
        self.nobody: Final = CommandStatistics("", True, False)
        self.slow_log: deque[SlowCall] = deque(maxlen=settings.slow_log_max_len)
        self.slower_than_us: i64 = settings.slow_log_slower_than_us
        self.threshold_ms: i64 = 0
        self.percentiles = [50.0, 99.0, 99.9]
        self.is_counting: bool = True
        self.series: Final[dict[str, LatencySeries]] = {}
        self._commands: Final[dict[Plan, CommandStatistics]] = {}
        self._logged = 0
        self._hooks: list[Hook] = []
        self._times_all: bool = False

    def of(self, plan: Plan) -> CommandStatistics:
        """Those of a command."""
        found = self._commands.get(plan)
        if found is None:
            declaration = plan.declaration
            is_fast = declaration.fast or plan.name in _FAST
            found = CommandStatistics(
                declaration.full_name, is_fast, plan.name not in _NEVER_LOGGED
            )
            found.mask = self._mask(found)
            self._commands[plan] = found
        return found

    def commands(self) -> list[CommandStatistics]:
        """Those of all commands that were ever asked, by name; none if they are not kept."""
        if not self.is_counting:
            return []
        found = {one.name: one for one in self._commands.values()}
        return [
            found[name] for name in sorted(found) if found[name].calls or _refused(found[name])
        ]

    def refused(self, command: CommandStatistics, text: str, is_not_run: bool) -> None:
        """Counts an error that is the reply to a call.

        Args:
            text: the whole of it, the code first.
            is_not_run: it was refused before the command was run.
        """
        code = text.partition(" ")[0]
        self.errors[code] = self.errors.get(code, 0) + 1
        if is_not_run or code in _NOT_RUN:
            command.calls -= 1
            command.rejected += 1
        else:
            command.failed += 1

    def took(
        self,
        command: CommandStatistics,
        time_ns: i64,
        argv: list[object],
        address: str,
        name: str,
    ) -> None:
        """Takes in what a call took, of a client with an address and a name."""
        command.add(time_ns, len(argv) <= _MANY_ARGUMENTS)
        time_us: i64 = time_ns // 1000
        if 0 <= self.slower_than_us <= time_us and command.is_logged:
            call = SlowCall(self._logged, int(time_us), argv, address, name)
            self._logged += 1
            self.slow_log.appendleft(call)
        if 0 < self.threshold_ms <= time_us // 1000:
            event = "fast-command" if command.is_fast else "command"
            self._spike(event, int(time_us // 1000))

    def _spike(self, event: str, time_ms: int) -> None:
        series = self.series.get(event)
        if series is None:
            series = self.series[event] = LatencySeries()
        series.add(int(wall_time()), time_ms)

    def watch_hooks(self, hooks: list[Hook], times_all: bool) -> None:
        """Has the latency monitor take slow hooks of plugins, too.

        Args:
            times_all: every command is to be timed, as hooks are told how long it took.
        """
        self._hooks = hooks
        self._times_all = times_all
        for hook in hooks:
            hook.latency = self._note_hook
        self.monitor_above(int(self.threshold_ms))

    def _note_hook(self, plugin: str, time_ns: int) -> None:
        self._spike(f"plugin-{plugin}", time_ns // 1_000_000)

    def log_slower_than(self, time_us: int) -> None:
        """Has the slow log take calls that are no faster; with a negative number none."""
        self.slower_than_us = time_us
        self._choose_samples()

    def keep_slow(self, count: int) -> None:
        """Has the slow log keep so many calls."""
        self.slow_log = deque(list(self.slow_log)[:count], maxlen=count)

    def monitor_above(self, time_ms: int) -> None:
        """Has the latency monitor take what is no faster; with 0 nothing."""
        self.threshold_ms = time_ms
        for hook in self._hooks:
            hook.slow_ns = time_ms * 1_000_000
        self._choose_samples()

    def count(self, is_counting: bool) -> None:
        """Has commands counted and timed, or no longer; begins anew."""
        if is_counting != self.is_counting:
            self.is_counting = is_counting
            self.reset()
            self._choose_samples()

    def reset(self) -> None:
        """Sets the counts of commands and errors back to zero."""
        self.errors.clear()
        for command in self._commands.values():
            command.reset()

    def _choose_samples(self) -> None:
        for command in self._commands.values():
            command.mask = self._mask(command)

    def _mask(self, command: CommandStatistics) -> int:
        if (
            not self.is_counting
            and not self._times_all
            and self.slower_than_us < 0
            and self.threshold_ms == 0
        ):
            return _NEVER
        if self._times_all:
            return 0
        is_exact = 0 <= self.slower_than_us < _EXACT_BELOW_US or self.threshold_ms > 0
        return _SAMPLED if command.is_fast and not is_exact else 0


def _refused(command: CommandStatistics) -> bool:
    return command.rejected != 0 or command.failed != 0


def _shortened(argv: list[object]) -> list[object]:
    """The request as the slow log shows it: not all of the words, not all of a long one."""
    shown: list[object] = []
    args = without_passwords(argv)
    for arg in args:
        if len(shown) == _MOST_ARGUMENTS - 1 and len(args) > _MOST_ARGUMENTS:
            shown.append(b"... (%d more arguments)" % (len(args) - _MOST_ARGUMENTS + 1))
            break
        assert isinstance(arg, bytes)
        if len(arg) > _MOST_BYTES:
            arg = arg[:_MOST_BYTES] + b"... (%d more bytes)" % (len(arg) - _MOST_BYTES)
        shown.append(arg)
    return shown
