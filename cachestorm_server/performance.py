"""SLOWLOG and LATENCY: what took long.

Declared like all commands, with a session in the place of the cache. Called by plans; read
from the statistics of the endpoint.

Source: https://redis.io/docs/latest/commands/slowlog/, .../latency-latest/
"""

from __future__ import annotations

from functools import partial
from typing import Final

from librt.time import time as wall_time

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.errors import ArgumentError
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)


@command(
    "SLOWLOG GET [count:entry-count]",
    complexity="O(N) in the calls returned",
    stray="unknown subcommand or wrong number of arguments for '{subcommand}'. "
    "Try SLOWLOG HELP.",
    flags="admin loading stale",
    tips="nondeterministic_output request_policy:all_nodes",
    summary="Return the slow log, the newest calls first.",
)
def slowlog_get(session: Session, count: int = 10) -> list[object]:
    """10 of them, or as many as asked for, all for -1.

    Of each: its number, when it was, microseconds, the request, the client's address and name.
    """
    calls = list(session.endpoint.statistics.slow_log)
    return [call.reply() for call in (calls if count == -1 else calls[:count])]


@command(
    "SLOWLOG LEN",
    complexity="O(1)",
    flags="admin loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:agg_sum",
    summary="Return the length of the slow log.",
)
def slowlog_len(session: Session) -> int:
    """The length of the slow log."""
    return len(session.endpoint.statistics.slow_log)


@command(
    "SLOWLOG RESET",
    complexity="O(N) in the calls kept",
    reply="ok",
    flags="admin loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Clear the slow log.",
)
def slowlog_reset(session: Session) -> None:
    """Empties the slow log."""
    session.endpoint.statistics.slow_log.clear()


@command(
    "SLOWLOG HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def slowlog_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("SLOWLOG")


@command(
    "LATENCY LATEST",
    complexity="O(1)",
    flags="admin noscript loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
    summary="Return the latest and the longest spike of each event.",
)
def latency_latest(session: Session) -> list[object]:
    """Of each event its name, when it was last, the milliseconds then, and the most ever."""
    return [
        [name, *series.samples[-1], series.most_ms]
        for name, series in sorted(session.endpoint.statistics.series.items())
    ]


@command(
    "LATENCY HISTORY event:string",
    complexity="O(1)",
    flags="admin noscript loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
    summary="Return the spikes of an event.",
)
def latency_history(session: Session, event: str) -> list[object]:
    """When each was and the milliseconds, the oldest first; at most 160."""
    series = session.endpoint.statistics.series.get(event)
    return [] if series is None else [list(sample) for sample in series.samples]


@command(
    "LATENCY RESET [event:string [event ...]]",
    complexity="O(1)",
    flags="admin noscript loading stale",
    tips="request_policy:all_nodes response_policy:agg_sum",
    summary="Forget the spikes of events, or of all.",
)
def latency_reset(session: Session, *event: str) -> int:
    """How many events were forgotten."""
    series = session.endpoint.statistics.series
    names = [name for name in event or list(series) if name in series]
    for name in names:
        del series[name]
    return len(names)


@command(
    "LATENCY HISTOGRAM [command:string [command ...]]",
    complexity="O(N) in the commands",
    flags="admin noscript loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
    summary="Return how long the calls of commands took, by powers of two.",
)
def latency_histogram(session: Session, *command: str) -> dict[str, object]:
    """Of each command, or of those named: how many calls, and how many within which time."""
    wanted = [name.lower().replace(" ", "|") for name in command]
    found: dict[str, object] = {}
    for one in session.endpoint.statistics.commands():
        if one.calls and (not wanted or one.name in wanted or _container(one.name) in wanted):
            found[one.name] = {"calls": int(one.calls), "histogram_usec": one.histogram()}
    return found


@command(
    "LATENCY GRAPH event:string",
    complexity="O(1)",
    reply="verbatim",
    flags="admin noscript loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
    summary="Draw the spikes of an event.",
)
def latency_graph(session: Session, event: str) -> str:
    """A column for each spike, the highest four rows high, and how long ago it was.

    Raises:
        ArgumentError: for an event of which there is no spike.
    """
    series = session.endpoint.statistics.series.get(event)
    if series is None:
        raise ArgumentError(f"No samples available for event '{event}'")
    times = [time_ms for _, time_ms in series.samples]
    least, most = min(times), max(times)
    heights = [4 * (time_ms - least) // max(most - least, 1) for time_ms in times]
    rows = [
        "".join(
            "#" if height > row else "_" if row == height == 0 else " " for height in heights
        )
        for row in (3, 2, 1, 0)
    ]
    now_s = int(wall_time())
    ages = [_age(now_s - at_s) for at_s, _ in series.samples]
    depth = max(len(age) for age in ages)
    rows.append("")
    rows.extend("".join(age.ljust(depth)[at] for age in ages) for at in range(depth))
    title = f"{event} - high {most} ms, low {least} ms (all time high {series.most_ms} ms)"
    return "\n".join([title, "-" * 80, *rows, ""])


@command(
    "LATENCY DOCTOR",
    complexity="O(1)",
    reply="verbatim",
    flags="admin noscript loading stale",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
    summary="Describe the spikes, and say what to look at.",
)
def latency_doctor(session: Session) -> str:
    """A line for each event; and what to do where the monitor is off."""
    statistics = session.endpoint.statistics
    if statistics.threshold_ms == 0:
        return (
            "The latency monitor is off. 'CONFIG SET latency-monitor-threshold <milliseconds>' "
            "has it note what takes longer.\n"
        )
    if not statistics.series:
        return "No call has taken so long since the latency monitor was switched on.\n"
    lines = []
    for name, series in sorted(statistics.series.items()):
        times = [time_ms for _, time_ms in series.samples]
        lines.append(
            f"{name}: {len(times)} spikes, {sum(times) // len(times)} ms on average, "
            f"{series.most_ms} ms at most.\n"
        )
    lines.append("SLOWLOG GET shows which calls these were.\n")
    return "".join(lines)


@command(
    "LATENCY HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def latency_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("LATENCY")


def _container(name: str) -> str:
    return name.partition("|")[0]


def _age(seconds: int) -> str:
    """How long ago, in the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
