"""INFO: what the server says about itself, in the sections and fields that tools read.

Called by the INFO command; asks the endpoint, the cache and the operating system. A section
is one function in `SECTIONS`, in the order in which INFO shows them.

1. A field is here because a tool is known to read it (redis-py, redis-exporter, Datadog,
   RedisInsight, Sidekiq, Celery). A field that has no meaning for CacheStorm has the value
   of a Redis that does not use the feature.

Source: https://redis.io/docs/latest/commands/info/
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import Final

from librt.time import time as wall_time

from cachestorm import COMPILED, __version__
from cachestorm.channels import CHANNEL, PATTERN, SHARD
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm.sizes import human_bytes
from cachestorm_server.databases import database_of
from cachestorm_server.endpoint import Endpoint

# What clients and tools take us for, and what our answers are compared with.
REDIS_VERSION: Final = "7.2.4"

Fields = list[tuple[str, object]]


def _server(endpoint: Endpoint) -> Fields:
    uptime_s = int(wall_time() - endpoint.started_at)
    return [
        ("redis_version", REDIS_VERSION),
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", 0),
        ("redis_build_id", "0"),
        ("redis_mode", "standalone"),
        ("os", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("arch_bits", 64 if sys.maxsize > 2**32 else 32),
        ("multiplexing_api", endpoint.event_loop),
        ("process_id", os.getpid()),
        ("process_supervised", "no"),
        ("run_id", endpoint.run_id),
        ("tcp_port", endpoint.settings.port),
        ("server_time_usec", int(wall_time() * 1_000_000)),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", 10),
        ("configured_hz", 10),
        ("executable", sys.executable),
        ("config_file", ""),
    ]


def _clients(endpoint: Endpoint) -> Fields:
    return [
        ("connected_clients", len(endpoint.sessions)),
        ("cluster_connections", 0),
        ("maxclients", endpoint.settings.max_clients),
        ("blocked_clients", sum(one.is_blocked() for one in endpoint.sessions.values())),
        ("tracking_clients", 0),
        ("clients_in_timeout_table", 0),
    ]


def _memory(endpoint: Endpoint) -> Fields:
    stats = endpoint.cache.store_stats()
    used = stats.used_memory
    most = stats.max_memory
    resident = rss_bytes()
    return [
        ("used_memory", used),
        ("used_memory_human", human_bytes(used)),
        ("used_memory_rss", resident),
        ("used_memory_rss_human", human_bytes(resident)),
        ("used_memory_peak", stats.peak_memory),
        ("used_memory_peak_human", human_bytes(stats.peak_memory)),
        ("used_memory_dataset", used),
        ("used_memory_lua", 0),
        ("maxmemory", most),
        ("maxmemory_human", human_bytes(most)),
        ("maxmemory_policy", endpoint.cache.policy),
        ("mem_fragmentation_ratio", f"{resident / used if used else 0:.2f}"),
        ("mem_allocator", "python"),
        ("lazyfree_pending_objects", 0),
    ]


def _persistence(endpoint: Endpoint) -> Fields:
    directory = endpoint.cache._directory()
    if directory is not None:
        journal = directory.journal
        saved = "ok" if directory.save_error is None else "err"
        took_s = round(directory.save_s) if directory.save_s >= 0 else -1
        is_saving = int(directory.is_rewriting)
        size = directory.size()
        return [
            ("loading", 0),
            ("async_loading", 0),
            ("rdb_changes_since_last_save", int(journal.number - directory.saved_number)),
            ("rdb_bgsave_in_progress", is_saving),
            ("rdb_last_save_time", int(directory.saved_at)),
            ("rdb_last_bgsave_status", saved),
            ("rdb_last_bgsave_time_sec", took_s),
            ("rdb_current_bgsave_time_sec", -1),
            ("aof_enabled", 1),
            ("aof_rewrite_in_progress", is_saving),
            ("aof_rewrite_scheduled", 0),
            ("aof_last_rewrite_time_sec", took_s),
            ("aof_current_rewrite_time_sec", -1),
            ("aof_last_bgrewrite_status", saved),
            ("aof_last_write_status", "ok" if journal.error is None else "err"),
            ("aof_current_size", size),
            ("aof_base_size", directory.base_bytes),
            ("aof_pending_rewrite", 0),
            ("aof_buffer_length", journal.unwritten_bytes),
        ]
    return [
        ("loading", 0),
        ("async_loading", 0),
        ("rdb_changes_since_last_save", 0),
        ("rdb_bgsave_in_progress", 0),
        ("rdb_last_save_time", int(endpoint.started_at)),
        ("rdb_last_bgsave_status", "ok"),
        ("rdb_last_bgsave_time_sec", -1),
        ("aof_enabled", 0),
        ("aof_rewrite_in_progress", 0),
        ("aof_rewrite_scheduled", 0),
        ("aof_last_bgrewrite_status", "ok"),
        ("aof_last_write_status", "ok"),
    ]


def _stats(endpoint: Endpoint) -> Fields:
    stats = endpoint.cache.store_stats()
    return [
        ("total_connections_received", endpoint.connections),
        ("total_commands_processed", endpoint.commands),
        ("instantaneous_ops_per_sec", endpoint.ops_per_s),
        ("total_net_input_bytes", endpoint.net_in_bytes),
        ("total_net_output_bytes", endpoint.net_out_bytes),
        ("rejected_connections", endpoint.rejected),
        ("expired_keys", stats.expired),
        ("evicted_keys", stats.evicted),
        ("keyspace_hits", stats.hits),
        ("keyspace_misses", stats.misses),
        ("pubsub_channels", endpoint.broker.count_names(CHANNEL)),
        ("pubsub_patterns", endpoint.broker.count_names(PATTERN)),
        ("pubsubshard_channels", endpoint.broker.count_names(SHARD)),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("total_error_replies", endpoint.errors),
        ("client_output_buffer_limit_disconnections", endpoint.cut_off),
    ]


def _replication(endpoint: Endpoint) -> Fields:
    return [
        ("role", "master"),
        ("connected_slaves", 0),
        ("master_failover_state", "no-failover"),
        ("master_replid", endpoint.run_id),
        ("master_replid2", "0" * 40),
        ("master_repl_offset", 0),
        ("second_repl_offset", -1),
        ("repl_backlog_active", 0),
        ("repl_backlog_size", 0),
        ("repl_backlog_first_byte_offset", 0),
        ("repl_backlog_histlen", 0),
    ]


def _cpu(endpoint: Endpoint) -> Fields:
    times = os.times()
    return [
        ("used_cpu_sys", f"{times.system:.6f}"),
        ("used_cpu_user", f"{times.user:.6f}"),
        ("used_cpu_sys_children", f"{times.children_system:.6f}"),
        ("used_cpu_user_children", f"{times.children_user:.6f}"),
    ]


def _nothing(endpoint: Endpoint) -> Fields:
    return []


def _cluster(endpoint: Endpoint) -> Fields:
    return [("cluster_enabled", 0)]


def _keyspace(endpoint: Endpoint) -> Fields:
    fields: Fields = []
    for name in endpoint.cache.namespaces():
        number = database_of(name)
        if number < 0:
            continue
        try:
            counts = endpoint.cache.namespace_stats(name)
        except NamespaceError:
            continue  # deleted by another thread since it was listed
        if counts["keys"]:
            text = f"keys={counts['keys']},expires={counts['expires']},avg_ttl=0"
            fields.append((f"db{number}", text))
    return sorted(fields)


def _cachestorm(endpoint: Endpoint) -> Fields:
    stats = endpoint.cache.store_stats()
    return [
        ("cachestorm_version", __version__),
        ("compiled", int(COMPILED)),
        ("namespaces", stats.namespaces),
        ("keys", stats.keys),
        ("expires", stats.expires),
        ("tags", stats.tags),
        ("sets", stats.sets),
        ("invalidated_keys", stats.invalidated),
        *_hit_ratios(endpoint),
    ]


def _hit_ratios(endpoint: Endpoint) -> Fields:
    """Of each database under pressure, by factor of its present capacity."""
    fields: Fields = []
    for name in endpoint.cache.namespaces():
        number = database_of(name)
        if number < 0:
            continue
        try:
            ratios = endpoint.cache.hit_ratios(name)
        except NamespaceError:
            continue  # deleted by another thread since it was listed
        if ratios:
            text = ",".join(f"{factor:g}={ratio:.4f}" for factor, ratio in ratios.items())
            fields.append((f"hit_ratios_db{number}", text))
    return sorted(fields)


def _namespaces(endpoint: Endpoint) -> Fields:
    fields: Fields = []
    for name in endpoint.cache.namespaces():
        try:
            counts = endpoint.cache.namespace_stats(name)
        except NamespaceError:
            continue  # deleted by another thread since it was listed
        facts = ",".join(f"{fact}={counts[fact]}" for fact in _NAMESPACE_FACTS)
        fields.append((f"namespace_{name}", facts))
    return fields


_NAMESPACE_FACTS: Final = ("keys", "expires", "tags", "memory")

SECTIONS: Final[dict[str, Callable[[Endpoint], Fields]]] = {
    "Server": _server,
    "Clients": _clients,
    "Memory": _memory,
    "Persistence": _persistence,
    "Stats": _stats,
    "Replication": _replication,
    "CPU": _cpu,
    "Modules": _nothing,
    "Errorstats": _nothing,
    "Cluster": _cluster,
    "Keyspace": _keyspace,
    "CacheStorm": _cachestorm,
    "Namespaces": _namespaces,
}
# shown when asked for by its name or as everything: there may be thousands of namespaces, and
# tools that read INFO every few seconds take whatever is in Keyspace for databases
_ON_DEMAND: Final = "namespaces"
_EVERY: Final = ("all", "default", "everything")


def info_text(endpoint: Endpoint, wanted: list[str]) -> str:
    """The text of INFO.

    Args:
        endpoint: whose.
        wanted: names of sections, in any case; none: all of them but that of namespaces.
            Unknown ones show nothing.
    """
    names = [name.lower() for name in wanted]
    every = not names or any(name in names for name in _EVERY)
    parts = []
    for title, section in SECTIONS.items():
        is_meant = every and (title.lower() != _ON_DEMAND or "everything" in names)
        if is_meant or title.lower() in names:
            lines = [f"{name}:{value}\r\n" for name, value in section(endpoint)]
            parts.append(f"# {title}\r\n" + "".join(lines))
    return "\r\n".join(parts)
