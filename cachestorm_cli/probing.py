"""`ping`, `latency` and `monitor`: whether a server answers, how fast, and what it is asked.

Called by the commands of these names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from cachestorm.patterns import matches
from cachestorm_cli.client import Client, RespClient, ServerError
from cachestorm_cli.output import Cell, micros_shown, printable, show_facts
from cachestorm_cli.printing import PEOPLE, for_programs

# what every protocol carries and every server knows
_PING: Final = b"PING"
_HTTP_PING: Final = b"DBSIZE"


def ping(client: Client, count: int, interval_s: float) -> int:
    """Prints how long each answer takes. Returns an exit code.

    Raises:
        CacheStormError: when nobody answers, or the server refuses.
    """
    name = _HTTP_PING if client.address.is_http else _PING
    for number in range(count):
        if number:
            time.sleep(interval_s)
        took_us = _asked(client, name)
        print(f"{client.address.shown} answers in {micros_shown(took_us)}", flush=True)
    return 0


def _asked(client: Client, name: bytes) -> float:
    start = time.perf_counter()
    reply = client.ask([name])
    took_us = (time.perf_counter() - start) * 1e6
    if isinstance(reply, ServerError):
        raise reply
    return took_us


def share_of(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of sorted values lies.

    Examples:
        >>> share_of([1.0, 2.0, 3.0, 4.0], 0.5)
        3.0
    """
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_latency(client: Client, count: int, interval_s: float, form: str) -> None:
    """Asks as often as is wanted, or until Ctrl-C, and prints how long answers take.

    Args:
        count: 0: until Ctrl-C.

    Raises:
        CacheStormError: when nobody answers, or the server refuses.
    """
    name = _HTTP_PING if client.address.is_http else _PING
    _asked(client, name)  # connecting is no answer
    took: list[float] = []
    is_live = form == PEOPLE and sys.stderr.isatty()
    try:
        while not count or len(took) < count:
            if took:
                time.sleep(interval_s)
            took.append(_asked(client, name))
            if is_live:
                last = micros_shown(took[-1])
                print(f"\r{len(took)} answers, last {last}   ", end="", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    if is_live:
        print(file=sys.stderr)
    if not took:
        return
    ordered = sorted(took)
    facts: dict[str, Cell] = {
        "answers": len(took),
        "min_us": ordered[0],
        "mean_us": sum(took) / len(took),
        "p50_us": share_of(ordered, 0.5),
        "p99_us": share_of(ordered, 0.99),
        "max_us": ordered[-1],
    }
    shown = {
        name.removesuffix("_us"): micros_shown(float(value))
        if name.endswith("_us")
        else str(value)
        for name, value in facts.items()
        if value is not None
    }
    show_facts(facts, form, shown)


def monitor(client: RespClient, match: str | None, count: int) -> int:
    """Prints the commands that a server is sent, as they come, until Ctrl-C.

    Args:
        match: a glob pattern of lines to show.
        count: lines to show; 0: without end.

    Returns:
        An exit code.

    Raises:
        CacheStormError: when the server is not there, goes away, or refuses.
    """
    reply = client.ask([b"MONITOR"])
    if isinstance(reply, ServerError):
        raise reply
    pattern = match.encode("utf-8", "surrogateescape") if match is not None else None
    shown = 0
    try:
        while not count or shown < count:
            line = for_programs(client.read())
            if pattern is None or matches(pattern, line):
                print(printable(line.decode("utf-8", "backslashreplace")), flush=True)
                shown += 1
    except KeyboardInterrupt:
        pass
    return 0
