"""`cachestorm stats`: what a server is and does, on one page."""

from __future__ import annotations

from cachestorm_cli.client import Client
from cachestorm_cli.output import (
    Cell,
    bytes_shown,
    count_shown,
    micros_shown,
    percent_shown,
    seconds_shown,
    show_facts,
    show_rows,
)
from cachestorm_cli.printing import JSON, PEOPLE
from cachestorm_cli.server_facts import ServerFacts, ask_facts

_MOST_COMMANDS = 10


def show_stats(client: Client, form: str) -> None:
    """Prints the facts, and for people the commands that took most time.

    Raises:
        CacheStormError: when the server is not there, or refuses.
    """
    facts = ask_facts(client)
    show_facts(plain(facts), form, shown(facts))
    if form == PEOPLE:
        print()
        show_commands(facts, form)


def plain(facts: ServerFacts) -> dict[str, Cell]:
    """For programs."""
    counts = {name: int(facts.number(field)) for name, field in _COUNTS.items()}
    return {
        "product": facts.product,
        "uptime_s": int(facts.number("uptime_in_seconds")),
        "keys": facts.keys,
        "hit_ratio": facts.hit_ratio,
        "policy": facts.text("maxmemory_policy"),
        **counts,
    }


_COUNTS = {
    "used_memory": "used_memory",
    "max_memory": "maxmemory",
    "resident_memory": "used_memory_rss",
    "clients": "connected_clients",
    "blocked_clients": "blocked_clients",
    "commands": "total_commands_processed",
    "hits": "keyspace_hits",
    "misses": "keyspace_misses",
    "expired": "expired_keys",
    "evicted": "evicted_keys",
    "invalidated": "invalidated_keys",
    "tags": "tags",
    "namespaces": "namespaces",
    "errors": "total_error_replies",
    "rejected_connections": "rejected_connections",
}


def shown(facts: ServerFacts) -> dict[str, str]:
    """For people."""
    number = facts.number
    limit = bytes_shown(number("maxmemory")) if number("maxmemory") else "no limit"
    rows = {
        "Server": facts.product,
        "Up": seconds_shown(number("uptime_in_seconds")),
        "Keys": count_shown(facts.keys),
        "Memory": f"{bytes_shown(number('used_memory'))} of {limit}"
        f" ({facts.text('maxmemory_policy')})",
        "Resident": bytes_shown(number("used_memory_rss")),
        "Hit ratio": f"{percent_shown(facts.hit_ratio)} of "
        f"{count_shown(number('keyspace_hits') + number('keyspace_misses'))} reads",
        "Commands": f"{count_shown(number('total_commands_processed'))}, "
        f"{count_shown(number('total_error_replies'))} refused",
        "Clients": f"{count_shown(number('connected_clients'))}, "
        f"{count_shown(number('blocked_clients'))} waiting, "
        f"{count_shown(number('rejected_connections'))} turned away",
        "Expired": count_shown(number("expired_keys")),
        "Evicted": count_shown(number("evicted_keys")),
    }
    if facts.is_cachestorm:
        rows["Tags"] = (
            f"{count_shown(number('tags'))}, "
            f"{count_shown(number('invalidated_keys'))} keys invalidated"
        )
        rows["Namespaces"] = count_shown(number("namespaces"))
    return rows


def show_commands(facts: ServerFacts, form: str) -> None:
    """Prints the commands that took most time; as JSON, all."""
    ranked = sorted(facts.commands, key=lambda one: -one.time_us)
    if form != JSON:
        ranked = ranked[:_MOST_COMMANDS]
    rows = [
        (one.name, one.calls, one.time_us / max(1, one.calls), one.p99_us, one.failed)
        for one in ranked
    ]
    people = [
        (name, count_shown(calls), micros_shown(mean), micros_shown(p99), count_shown(failed))
        for name, calls, mean, p99, failed in rows
    ]
    show_rows(["command", "calls", "mean", "p99", "failed"], rows, form, people)
