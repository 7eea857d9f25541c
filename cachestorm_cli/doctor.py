"""`cachestorm doctor`: what is wrong with a configuration or a running server, and what to do.

Called by the command `doctor`. Every check is a function from what is known to findings, in
`CHECKS`; the checks only read.

1. A finding says what is the case, why it matters, and what to do about it.
2. PROBLEM: something does not work, or data may be lost. WARNING: it may come to that.
   Words tell them apart, not colours. Any problem makes the exit code 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cachestorm.errors import CacheStormError, ConfigError
from cachestorm_cli.client import Client, ServerError
from cachestorm_cli.output import bytes_shown, count_shown, micros_shown, percent_shown
from cachestorm_cli.printing import JSON
from cachestorm_cli.probing import share_of
from cachestorm_cli.server_facts import ServerFacts, ask_facts

PROBLEM: Final = "PROBLEM"
WARNING: Final = "WARNING"
GOOD: Final = "OK"

_NEARLY_FULL: Final = 0.95
_LOW_RATIO: Final = 0.5
_ENOUGH_READS: Final = 1000
_SLOW_PING_US: Final = 20_000.0
_PINGS: Final = 20
_FRAGMENTED: Final = 1.5
_LARGE: Final = 256 * 1024 * 1024
_MANY_REFUSED: Final = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: PROBLEM, WARNING or GOOD.
        remedy: what to do; empty where nothing is wrong.
    """

    level: str
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is known of a server.

    Attributes:
        settings: CONFIG GET, as far as the server tells.
        slow: entries of the slow log.
        ping_us: how long answers took, sorted.
        cluster: CLUSTER INFO of a node.
    """

    facts: ServerFacts
    settings: dict[str, str] = field(default_factory=dict)
    slow: int = 0
    ping_us: list[float] = field(default_factory=list)
    cluster: dict[str, str] = field(default_factory=dict)


def examine(client: Client) -> Patient:
    """Asks a server what the checks look at.

    Raises:
        CacheStormError: when it is not there, or refuses INFO.
    """
    import time

    facts = ask_facts(client)
    settings: dict[str, str] = {}
    reply = client.ask([b"CONFIG", b"GET", b"*"])
    flat = reply if isinstance(reply, list) else []
    for name, value in zip(flat[::2], flat[1::2]):
        settings[_text(name)] = _text(value)
    length = client.ask([b"SLOWLOG", b"LEN"])
    took: list[float] = []
    for _ in range(_PINGS):
        start = time.perf_counter()
        client.ask([b"PING"])
        took.append((time.perf_counter() - start) * 1e6)
    slow = length if isinstance(length, int) else 0
    cluster = _cluster_info(client) if facts.number("cluster_enabled") else {}
    return Patient(facts, settings, slow, sorted(took), cluster)


def _cluster_info(client: Client) -> dict[str, str]:
    lines = _text(client.ask([b"CLUSTER", b"INFO"])).splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _memory(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    system = facts.number("total_system_memory")
    if not limit:
        yield Finding(
            WARNING,
            f"there is no memory limit; {bytes_shown(used)} are used",
            "set memory.max_memory (maxmemory), so that the cache evicts before the system "
            "runs out of memory",
        )
        return
    if system and limit > 0.9 * system:
        yield Finding(
            WARNING,
            f"the limit of {bytes_shown(limit)} is more than 90 % of the system's memory",
            "leave a quarter of the memory to the system and to the server's own structures",
        )
    policy = facts.text("maxmemory_policy")
    if policy == "noeviction" and used > _NEARLY_FULL * limit:
        yield Finding(
            PROBLEM,
            f"memory is {used / limit:.0%} full and nothing is evicted: writes are refused",
            "raise memory.max_memory, or choose an eviction policy such as adaptive",
        )
    else:
        share = f"{used / limit:.0%} of {bytes_shown(limit)} are used; policy {policy}"
        yield Finding(GOOD, share)


def _resident(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    resident, ratio = facts.number("used_memory_rss"), facts.number("mem_fragmentation_ratio")
    if resident > _LARGE and ratio > _FRAGMENTED:
        yield Finding(
            WARNING,
            f"the process holds {bytes_shown(resident)}, {ratio:.1f} times what the keys take",
            "after many deletions a restart gives it back; else leave that much room",
        )


def _reads(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    reads = facts.number("keyspace_hits") + facts.number("keyspace_misses")
    ratio = facts.hit_ratio
    if ratio is None or reads < _ENOUGH_READS:
        return
    shown = f"{percent_shown(ratio)} of {count_shown(reads)} reads found a key"
    if ratio >= _LOW_RATIO:
        yield Finding(GOOD, shown)
    elif facts.number("evicted_keys"):
        yield Finding(
            WARNING,
            f"{shown}, and {count_shown(facts.number('evicted_keys'))} keys were evicted",
            "give it more memory; INFO cachestorm says what twice as much would bring",
        )
    else:
        yield Finding(
            WARNING,
            f"{shown}, and nothing was evicted",
            "memory is not the reason: look at times to live, and at keys that nobody writes",
        )


def _clients(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    now, most = facts.number("connected_clients"), facts.number("maxclients")
    turned_away = facts.number("rejected_connections")
    if turned_away:
        yield Finding(
            PROBLEM,
            "1 client was turned away"
            if turned_away == 1
            else f"{count_shown(turned_away)} clients were turned away",
            "raise server.max_connections and the limit of open files, or use a pool",
        )
    elif most and now > 0.8 * most:
        yield Finding(
            WARNING,
            f"{count_shown(now)} of at most {count_shown(most)} clients are connected",
            "raise server.max_connections, or let clients share a pool",
        )


def _access(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if not settings:
        return
    hosts = settings.get("bind", "").replace(",", " ").split()
    is_open = any(host.lstrip("-") not in ("127.0.0.1", "::1", "localhost") for host in hosts)
    has_password = settings.get("requirepass", "") != ""
    is_protected = settings.get("protected-mode", "yes") == "yes"
    if is_open and not has_password and not is_protected:
        yield Finding(
            PROBLEM,
            f"everybody who reaches {', '.join(hosts)} may read and delete all keys",
            "set a password (plugins.auth), or listen on 127.0.0.1 only",
        )
    elif is_open and not has_password:
        yield Finding(
            WARNING,
            f"it listens on {', '.join(hosts)} without a password: other hosts are refused",
            "set a password (plugins.auth) to let them in, or listen on 127.0.0.1 only",
        )


def _slots(patient: Patient) -> Iterator[Finding]:
    cluster = patient.cluster
    if cluster.get("cluster_state", "ok") == "ok":
        return
    served = cluster.get("cluster_slots_ok", "0")
    if cluster.get("cluster_slots_assigned") == "0":
        yield Finding(
            PROBLEM,
            "no node of the cluster has slots: all keys are refused",
            "'redis-cli --cluster create' gives them to the nodes",
        )
    else:
        yield Finding(
            PROBLEM,
            f"the cluster serves {served} of 16384 slots: keys of the others are refused",
            "'redis-cli --cluster check' names the nodes: start those that are down, or give "
            "their slots to others",
        )


def _disk(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    if facts.text("rdb_last_bgsave_status") == "err":
        yield Finding(
            PROBLEM,
            "the last snapshot could not be written",
            "see the log; look for a full disk and for the rights of the data directory",
        )
    if facts.text("aof_last_write_status") == "err":
        yield Finding(
            PROBLEM,
            "the journal cannot be written: what is written now would not survive a restart",
            "see the log; look for a full disk and for the rights of the data directory",
        )


def _work(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    calls, errors = (
        facts.number("total_commands_processed"),
        facts.number("total_error_replies"),
    )
    if calls > _ENOUGH_READS and errors > _MANY_REFUSED * calls:
        yield Finding(
            WARNING,
            f"{errors / calls:.0%} of all commands were refused",
            "INFO errorstats says how often which error was the reply",
        )
    if patient.slow:
        yield Finding(
            WARNING,
            f"{count_shown(patient.slow)} slow calls are in the slow log",
            "SLOWLOG GET shows them, with their clients",
        )
    if patient.ping_us:
        p50 = share_of(patient.ping_us, 0.5)
        if p50 > _SLOW_PING_US:
            yield Finding(
                WARNING,
                f"an answer takes {micros_shown(p50)}",
                "'cachestorm top' shows whether the server is busy; else it is the network",
            )
        else:
            yield Finding(GOOD, f"an answer takes {micros_shown(p50)}")


def _build(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    if facts.is_cachestorm and not facts.number("compiled"):
        yield Finding(
            WARNING,
            "it runs as plain Python, several times slower than compiled",
            "install it where a C compiler is: 'python -c \"import cachestorm; "
            "print(cachestorm.COMPILED)\"' tells",
        )


CHECKS: Final[tuple[Callable[[Patient], Iterator[Finding]], ...]] = (
    _build,
    _memory,
    _resident,
    _reads,
    _clients,
    _access,
    _slots,
    _disk,
    _work,
)


def diagnose(patient: Patient) -> list[Finding]:
    """What all checks find."""
    return [finding for check in CHECKS for finding in check(patient)]


def check_configuration(path: str | None) -> list[Finding]:
    """What is wrong with a configuration, as `serve` would read it.

    Args:
        path: of the file; None: the one that `serve` would find.
    """
    from cachestorm_server.config import load

    try:
        config = load(path)
    except ConfigError as error:
        first, *lines = str(error).splitlines()
        listed = [line.strip() for line in lines if line.strip()] or [first]
        return [Finding(PROBLEM, line, "correct it, and ask again") for line in listed]
    found = [Finding(GOOD, f"{config.file or 'the configuration'} is one that serve takes")]
    hosts = [host for host in config.server.bind if host not in ("127.0.0.1", "::1")]
    if hosts and not config.password:
        level = WARNING if config.server.protected_mode else PROBLEM
        found.append(
            Finding(
                level,
                f"server.bind: {', '.join(hosts)} without a password",
                "set plugins.auth, or listen on 127.0.0.1 only",
            )
        )
    if not config.memory.max_memory:
        found.append(
            Finding(
                WARNING,
                "memory.max_memory: there is no limit",
                "set one, such as 2gb, so that the cache evicts before the system runs out",
            )
        )
    if ("persistence", "data_dir") in config.origins and not config.persistence.enabled:
        found.append(
            Finding(
                WARNING,
                "persistence.data_dir: is set, but persistence.enabled is off: nothing is kept",
                "set persistence.enabled: true, or leave the directory out",
            )
        )
    if config.persistence.enabled and not _is_writable(config.persistence.data_dir):
        found.append(
            Finding(
                PROBLEM,
                f"persistence.data_dir: {config.persistence.data_dir} cannot be written",
                "make the directory, and give the server's user the right to write there",
            )
        )
    return found


def _is_writable(name: str) -> bool:
    import os

    path = Path(name)
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)


def consult(client: Client | None, config: str | None, wants_config: bool, form: str) -> int:
    """Prints what is found. Returns 1 if anything is a problem, else 0.

    Args:
        client: of the server to look at; None: none.
        config: the file to look at.
        wants_config: whether to look at a configuration at all.
    """
    found: list[Finding] = []
    if wants_config:
        found += check_configuration(config)
    if client is not None:
        try:
            found += diagnose(examine(client))
        except ServerError as error:
            found.append(
                Finding(
                    PROBLEM,
                    f"the server refuses to be asked: {error}",
                    "log in as a user who may run INFO: set CACHESTORM_AUTH_PASSWORD, or give "
                    "--url redis://user:password@host",
                )
            )
        except CacheStormError as error:
            found.append(
                Finding(
                    PROBLEM,
                    f"the server does not answer: {error}",
                    "start it with 'cachestorm serve', or say where it is with --url",
                )
            )
    show(found, form)
    return 1 if any(finding.level == PROBLEM for finding in found) else 0


def show(found: list[Finding], form: str) -> None:
    """Prints findings, the worst first."""
    order = (PROBLEM, WARNING, GOOD)
    ranked = sorted(found, key=lambda finding: order.index(finding.level))
    if form == JSON:
        rows = [{"level": f.level, "what": f.what, "remedy": f.remedy} for f in ranked]
        print(json.dumps(rows))
        return
    for finding in ranked:
        print(f"{finding.level}: {finding.what}")
        if finding.remedy:
            print(f"  {finding.remedy}")
