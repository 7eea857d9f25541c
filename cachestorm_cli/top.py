"""`cachestorm top`: a live screen of what a server does.

Called by the command `top`; asks INFO and HOTKEYS at every interval, and nothing between.

1. `q` or Ctrl-C ends it. A server that goes away is said so, and asked again until it is back.
2. Without a terminal it prints a line at every interval, as vmstat does, and ends with an
   error when the server goes away.
3. A screen too small for all of it shows what fits, from the top.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cachestorm.codec import text_of
from cachestorm_cli.client import Client, ConnectError, ServerError
from cachestorm_cli.output import (
    bar,
    bytes_shown,
    console,
    count_shown,
    micros_shown,
    percent_shown,
    printable,
    seconds_shown,
)
from cachestorm_cli.server_facts import CommandFacts, ServerFacts, ask_facts

MOST_COMMANDS: Final = 12
MOST_KEYS: Final = 8
_LEAVE: Final = (b"q", b"Q", b"\x1b", b"\x03", b"\x04")


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two looks, a second.

    Attributes:
        hit_ratio: of the reads between; None if there were none.
        commands: those that were called, with calls and time between the looks.
    """

    operations: float
    hit_ratio: float | None
    expired: float
    evicted: float
    invalidated: float
    errors: float
    received: float
    sent: float
    commands: list[tuple[CommandFacts, float, float]]


def rates_between(before: ServerFacts, now: ServerFacts) -> Rates:
    """Compares two looks at one server; one that was restarted begins anew."""
    span = max(1e-9, now.at_s - before.at_s)

    def rate(name: str) -> float:
        return max(0.0, now.number(name) - before.number(name)) / span

    hits, misses = rate("keyspace_hits"), rate("keyspace_misses")
    former = {one.name: one for one in before.commands}
    commands: list[tuple[CommandFacts, float, float]] = []
    for one in now.commands:
        past = former.get(one.name)
        calls = one.calls - (past.calls if past is not None else 0)
        time_us = one.time_us - (past.time_us if past is not None else 0.0)
        if calls > 0:
            commands.append((one, calls / span, max(0.0, time_us) / calls))
    commands.sort(key=lambda row: -row[1])
    return Rates(
        rate("total_commands_processed"),
        hits / (hits + misses) if hits + misses else None,
        rate("expired_keys"),
        rate("evicted_keys"),
        rate("invalidated_keys"),
        rate("total_error_replies"),
        rate("total_net_input_bytes"),
        rate("total_net_output_bytes"),
        commands,
    )


def lines_of(
    facts: ServerFacts, rates: Rates, hot: list[tuple[str, int]], width: int, place: str
) -> list[str]:
    """The screen, a text a line; none is wider than the screen."""
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    clients = facts.number("connected_clients")
    memory = f"memory  {bytes_shown(used)}"
    if limit:
        memory += f" of {bytes_shown(limit)} [{bar(used / limit, 20)}] {used / limit:.0%}"
    lines = [
        f"{facts.product} at {place}, up {seconds_shown(facts.number('uptime_in_seconds'))}",
        f"ops/s   {count_shown(rates.operations)}   errors/s {count_shown(rates.errors)}",
        f"hits    {percent_shown(rates.hit_ratio)} now, {percent_shown(facts.hit_ratio)} ever",
        memory,
        f"keys    {count_shown(facts.keys)}   clients {count_shown(clients)}",
        f"gone/s  {count_shown(rates.expired)} expired, {count_shown(rates.evicted)} evicted, "
        f"{count_shown(rates.invalidated)} invalidated",
        f"net/s   {bytes_shown(rates.received)} in, {bytes_shown(rates.sent)} out",
        "",
        f"{'command':<20}{'calls/s':>12}{'mean':>12}{'p99':>12}",
    ]
    for one, calls, mean_us in rates.commands[:MOST_COMMANDS]:
        p99 = micros_shown(one.p99_us) if one.p99_us else "-"
        lines.append(
            f"{one.name[:20]:<20}{count_shown(calls):>12}{micros_shown(mean_us):>12}{p99:>12}"
        )
    if hot:
        lines += ["", f"{'hot key':<44}{'hits':>12}"]
        lines += [f"{printable(key)[:44]:<44}{count_shown(hits):>12}" for key, hits in hot]
    lines += ["", "q ends"]
    return [line if len(line) <= width else line[: max(0, width - 1)] + "…" for line in lines]


def ask_hot_keys(client: Client, most: int = MOST_KEYS) -> list[tuple[str, int]]:
    """The keys with most hits of late; none where the server does not count them."""
    reply = client.ask([b"HOTKEYS", b"%d" % most])
    found: list[tuple[str, int]] = []
    for row in reply if isinstance(reply, list) else []:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], bytes):
            found.append((text_of(row[0]), int(str(row[1]))))
    return found


def watch(client: Client, interval_s: float, count: int) -> int:
    """Shows the screen until somebody leaves, or so many times (0: without end).

    Returns:
        An exit code.

    Raises:
        CacheStormError: when the server is not there at first; without a terminal also when
            it goes away.
    """
    before = ask_facts(client)
    if not sys.stdout.isatty():
        return _print_lines(client, before, interval_s, count)
    from rich.live import Live
    from rich.text import Text

    screen = console()
    place = client.address.shown
    lines = last = [f"{before.product} at {place}", "", "q ends"]
    with _keys() as typed, Live(console=screen, screen=True, auto_refresh=False) as live:
        shown = 0
        while True:
            fitting = lines[: max(1, screen.height)]
            live.update(Text("\n".join(fitting), no_wrap=True, overflow="crop"), refresh=True)
            if count and shown >= count:
                return 0
            if typed(interval_s):
                return 0
            shown += 1
            try:
                now = ask_facts(client)
                hot = ask_hot_keys(client) if now.is_cachestorm else []
                rates = rates_between(before, now)
                lines = last = lines_of(now, rates, hot, screen.width, place)
                before = now
            except (ConnectError, ServerError) as error:
                head = f"NO ANSWER: {error}"[: screen.width]
                # below it what was known last
                lines = [head, "it is asked again; q ends", *last[1:]]


def _print_lines(client: Client, before: ServerFacts, interval_s: float, count: int) -> int:
    import time

    titles = ("ops/s", "hit%", "keys", "memory", "clients", "expired/s", "evicted/s")
    print(*(f"{title:>10}" for title in titles))
    shown = 0
    while not count or shown < count:
        time.sleep(interval_s)
        now = ask_facts(client)
        rates = rates_between(before, now)
        ratio = "-" if rates.hit_ratio is None else f"{100 * rates.hit_ratio:.1f}"
        cells = (
            f"{rates.operations:.0f}",
            ratio,
            str(now.keys),
            str(int(now.number("used_memory"))),
            str(int(now.number("connected_clients"))),
            f"{rates.expired:.0f}",
            f"{rates.evicted:.0f}",
        )
        print(*(f"{cell:>10}" for cell in cells), flush=True)
        before = now
        shown += 1
    return 0


class _Typed:
    """Whether somebody typed what ends the screen."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors: Final = descriptors

    def __call__(self, wait_s: float) -> bool:
        """Waits so long. True as soon as the screen is to end."""
        ready, _, _ = select.select(self._descriptors, [], [], wait_s)
        if not ready:
            return False
        typed = os.read(ready[0], 16)
        return typed == b"" or typed[:1] in _LEAVE


@contextmanager
def _keys() -> Iterator[_Typed]:
    """The keyboard, a key at a time and not echoed; as it was at the end."""
    if not sys.stdin.isatty():
        yield _Typed([])
        return
    descriptor = sys.stdin.fileno()
    import termios
    import tty

    former = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Typed([descriptor])
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, former)
