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
import time
from collections.abc import Callable
from typing import Final

from librt.time import time as wall_time

from cachestorm import COMPILED, __version__
from cachestorm.channels import CHANNEL, PATTERN, SHARD
from cachestorm.codec import format_float
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm.sizes import human_bytes
from cachestorm_server.databases import database_of
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.idle_parameters import DEFAULTS
from cachestorm_server.memory_pressure import NAMES, pressure
from cachestorm_server.persistence_info import persistence
from cachestorm_server.replication.info import replication

# What clients and tools take us for, and what our answers are compared with.
# 7.2 is what is promised, but redis-py keeps a near cache from 7.4 on only; of the commands
# that came with it those of deadlines of fields are there.
REDIS_VERSION: Final = "7.4.0"
# What a connection takes beside what it buffers: session, reader and socket, measured.
SESSION_BYTES: Final = 1536

Fields = list[tuple[str, object]]


def _server(endpoint: Endpoint) -> Fields:
    uptime_s = int(wall_time() - endpoint.started_at)
    # as it was set: nothing here is done so often a second
    hz = int(endpoint.settings.idle.get("hz", DEFAULTS["hz"]))
    return [
        ("redis_version", REDIS_VERSION),
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", 0),
        ("redis_build_id", "0"),
        ("redis_mode", "standalone" if endpoint.cluster is None else "cluster"),
        ("os", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("arch_bits", 64 if sys.maxsize > 2**32 else 32),
        ("monotonic_clock", time.get_clock_info("monotonic").implementation),
        ("multiplexing_api", endpoint.event_loop),
        # there are no atomic variables: a thread has the interpreter's lock, or the store's
        ("atomicvar_api", "none"),
        ("gcc_version", _gcc_version()),
        ("process_id", os.getpid()),
        ("process_supervised", "no"),
        ("run_id", endpoint.run_id),
        ("tcp_port", endpoint.settings.port),
        ("server_time_usec", int(wall_time() * 1_000_000)),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", hz),
        ("configured_hz", hz),
        ("lru_clock", int(wall_time()) & 0xFFFFFF),
        ("io_threads_active", 0),
        ("executable", sys.executable),
        ("config_file", config.file if (config := endpoint.settings.config) else ""),
    ]


def _gcc_version() -> str:
    """Of the GCC that built the interpreter; 0.0.0 if another compiler did."""
    name, _, version = platform.python_compiler().partition(" ")
    return version.split()[0] if name == "GCC" and version else "0.0.0"


def _clients(endpoint: Endpoint) -> Fields:
    sessions = list(endpoint.sessions.values())
    return [
        ("connected_clients", len(sessions)),
        ("cluster_connections", 0),
        ("maxclients", endpoint.settings.max_clients),
        ("http_connections", endpoint.http_connections),
        ("http_maxclients", endpoint.settings.max_http_clients),
        # of those that are connected, now
        (
            "client_recent_max_input_buffer",
            max([one.reader.pending_bytes for one in sessions], default=0),
        ),
        (
            "client_recent_max_output_buffer",
            max([one.carrier.unsent_bytes() for one in sessions if one.carrier], default=0),
        ),
        ("blocked_clients", sum(one.is_blocked() for one in sessions)),
        ("tracking_clients", len(endpoint.tracking.clients)),
        ("pubsub_clients", sum(one.is_subscribed() for one in sessions)),
        ("watching_clients", sum(one.watched is not None for one in sessions)),
        ("clients_in_timeout_table", 0),
    ]


def _total_memory() -> int:
    """What the machine has, in bytes; 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _memory(endpoint: Endpoint) -> Fields:
    stats = endpoint.cache.store_stats()
    used = stats.used_memory
    most = stats.max_memory
    peak = max(stats.peak_memory, used)
    resident = rss_bytes()
    total = _total_memory()
    # the interpreter and its modules, before there was a key
    startup = max(int(endpoint.cache._store.startup_bytes), 1)
    fragments = resident - used - startup
    return [
        ("used_memory", used),
        ("used_memory_human", human_bytes(used)),
        ("used_memory_rss", resident),
        ("used_memory_rss_human", human_bytes(resident)),
        ("used_memory_peak", stats.peak_memory),
        ("used_memory_peak_human", human_bytes(stats.peak_memory)),
        ("used_memory_peak_perc", f"{100 * used / peak if peak else 100:.2f}%"),
        ("used_memory_overhead", startup),
        ("used_memory_startup", startup),
        ("used_memory_dataset", used),
        ("used_memory_dataset_perc", f"{100 * used / (used + startup):.2f}%"),
        ("allocator_allocated", used + startup),
        ("allocator_active", resident),
        ("allocator_resident", resident),
        ("total_system_memory", total),
        ("total_system_memory_human", human_bytes(total)),
        *_scripts(endpoint),
        ("maxmemory", most),
        ("maxmemory_human", human_bytes(most)),
        ("maxmemory_policy", endpoint.cache.policy),
        ("mem_fragmentation_ratio", f"{resident / (used + startup):.2f}"),
        ("mem_fragmentation_bytes", fragments),
        ("allocator_frag_ratio", f"{resident / (used + startup):.2f}"),
        ("allocator_frag_bytes", fragments),
        ("allocator_rss_ratio", "1.00"),
        ("allocator_rss_bytes", 0),
        ("rss_overhead_ratio", "1.00"),
        ("rss_overhead_bytes", 0),
        ("mem_not_counted_for_evict", 0),
        ("mem_replication_backlog", 0),
        ("mem_total_replication_buffers", 0),
        ("mem_clients_slaves", 0),
        ("mem_clients_normal", SESSION_BYTES * len(endpoint.sessions)),
        ("mem_cluster_links", 0),
        ("mem_aof_buffer", 0),
        ("active_defrag_running", 0),
        ("lazyfreed_objects", 0),
        ("mem_allocator", "python"),
        ("lazyfree_pending_objects", 0),
    ]


def _scripts(endpoint: Endpoint) -> Fields:
    """What Lua holds: of scripts that came by EVAL, and of libraries."""
    # the sandbox asks this module for the version
    from cachestorm_server.scripting.engine import Engine

    engine = endpoint.engine
    if not isinstance(engine, Engine):
        engine = Engine()
    of_scripts, of_functions = engine.scripts.memory(), engine.libraries.memory()
    libraries, functions = engine.libraries.count()
    sources = sum([len(library.code) for library in engine.libraries.all()])
    return [
        ("used_memory_lua", of_scripts),
        ("used_memory_lua_human", human_bytes(of_scripts)),
        ("used_memory_vm_eval", of_scripts),
        ("used_memory_vm_functions", of_functions),
        ("used_memory_vm_total", of_scripts + of_functions),
        ("used_memory_vm_total_human", human_bytes(of_scripts + of_functions)),
        ("used_memory_scripts_eval", 0),
        ("used_memory_functions", sources),
        ("used_memory_scripts", sources),
        ("used_memory_scripts_human", human_bytes(sources)),
        ("number_of_cached_scripts", engine.scripts.count()),
        ("number_of_functions", functions),
        ("number_of_libraries", libraries),
    ]


def _stats(endpoint: Endpoint) -> Fields:
    stats = endpoint.cache.store_stats()
    denied = endpoint.users.log.totals
    return [
        ("total_connections_received", endpoint.connections),
        ("total_commands_processed", endpoint.commands),
        ("instantaneous_ops_per_sec", endpoint.ops_per_s),
        ("total_net_input_bytes", endpoint.net_in_bytes),
        ("total_net_output_bytes", endpoint.net_out_bytes),
        ("instantaneous_input_kbps", f"{endpoint.in_bytes_per_s / 1024:.2f}"),
        ("instantaneous_output_kbps", f"{endpoint.out_bytes_per_s / 1024:.2f}"),
        ("rejected_connections", endpoint.rejected),
        ("http_rejected_connections", endpoint.http_rejected),
        ("http_timed_out_connections", endpoint.http_timed_out),
        ("total_reads_processed", endpoint.reads),
        ("total_writes_processed", endpoint.sendings),
        ("total_net_repl_input_bytes", 0),
        ("total_net_repl_output_bytes", 0),
        ("instantaneous_input_repl_kbps", "0.00"),
        ("instantaneous_output_repl_kbps", "0.00"),
        ("evicted_clients", 0),
        ("total_eviction_exceeded_time", 0),
        ("current_eviction_exceeded_time", 0),
        ("sync_full", 0),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        ("expired_stale_perc", "0.00"),
        ("expired_time_cap_reached_count", 0),
        ("expired_keys", stats.expired),
        ("expire_cycle_cpu_milliseconds", int(endpoint.reaped_for_s * 1000)),
        ("evicted_keys", stats.evicted),
        ("keyspace_hits", stats.hits),
        ("keyspace_misses", stats.misses),
        ("pubsub_channels", endpoint.broker.count_names(CHANNEL)),
        ("pubsub_patterns", endpoint.broker.count_names(PATTERN)),
        ("pubsubshard_channels", endpoint.broker.count_names(SHARD)),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("migrate_cached_sockets", 0),
        ("slave_expires_tracked_keys", 0),
        ("active_defrag_hits", 0),
        ("active_defrag_misses", 0),
        ("active_defrag_key_hits", 0),
        ("active_defrag_key_misses", 0),
        ("total_active_defrag_time", 0),
        ("current_active_defrag_time", 0),
        ("unexpected_error_replies", 0),
        ("dump_payload_sanitizations", 0),
        ("io_threaded_reads_processed", 0),
        ("io_threaded_writes_processed", 0),
        # replies are written into one buffer, which all clients share
        ("reply_buffer_shrinks", 0),
        ("reply_buffer_expands", 0),
        *_tracking(endpoint),
        ("total_error_replies", endpoint.errors),
        ("client_query_buffer_limit_disconnections", endpoint.too_large),
        ("client_output_buffer_limit_disconnections", endpoint.cut_off),
        ("acl_access_denied_auth", denied.get("auth", 0)),
        ("acl_access_denied_cmd", denied.get("command", 0)),
        ("acl_access_denied_key", denied.get("key", 0)),
        ("acl_access_denied_channel", denied.get("channel", 0)),
    ]


def _tracking(endpoint: Endpoint) -> Fields:
    names = ("tracking_total_keys", "tracking_total_items", "tracking_total_prefixes")
    return list(zip(names, endpoint.tracking.counts(), strict=True))


def _cpu(endpoint: Endpoint) -> Fields:
    times = os.times()
    return [
        ("used_cpu_sys", f"{times.system:.6f}"),
        ("used_cpu_user", f"{times.user:.6f}"),
        ("used_cpu_sys_children", f"{times.children_system:.6f}"),
        ("used_cpu_user_children", f"{times.children_user:.6f}"),
        *_cpu_of_thread(),
    ]


def _cpu_of_thread() -> Fields:
    """What the thread of the event loop has used, where the system tells."""
    try:
        import resource

        usage = resource.getrusage(resource.RUSAGE_THREAD)
    except (ImportError, AttributeError):
        return []
    return [
        ("used_cpu_sys_main_thread", f"{usage.ru_stime:.6f}"),
        ("used_cpu_user_main_thread", f"{usage.ru_utime:.6f}"),
    ]


def _commandstats(endpoint: Endpoint) -> Fields:
    fields: Fields = []
    for one in endpoint.statistics.commands():
        time_us = one.time_us()
        each_us = time_us / one.calls if one.calls else 0.0
        text = (
            f"calls={one.calls},usec={time_us},usec_per_call={each_us:.2f},"
            f"rejected_calls={one.rejected},failed_calls={one.failed}"
        )
        fields.append((f"cmdstat_{one.name}", text))
    return fields


def _errorstats(endpoint: Endpoint) -> Fields:
    errors = endpoint.statistics.errors
    return [(f"errorstat_{code}", f"count={errors[code]}") for code in sorted(errors)]


def _latencystats(endpoint: Endpoint) -> Fields:
    fields: Fields = []
    for one in endpoint.statistics.commands():
        if one.calls:
            text = ",".join(
                f"p{format_float(each).decode()}={one.percentile_us(each / 100):.3f}"
                for each in endpoint.statistics.percentiles
            )
            fields.append((f"latency_percentiles_usec_{one.name}", text))
    return fields


def _nothing(endpoint: Endpoint) -> Fields:
    return []


def _tiers(endpoint: Endpoint) -> Fields:
    return [
        (f"{name}_{what}", value)
        for name, stats in endpoint.cache.tier_stats().items()
        for what, value in stats.as_dict().items()
    ]


def _cluster(endpoint: Endpoint) -> Fields:
    return [("cluster_enabled", int(endpoint.cluster is not None))]


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
        ("memory_pressure", NAMES[pressure(endpoint)]),
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


def _plugins(endpoint: Endpoint) -> Fields:
    """Of each plugin that has hooks: how many, and how often they raised."""
    counts: dict[str, list[int]] = {}
    for hook in endpoint.plugin_hooks:
        count = counts.setdefault(hook.plugin, [0, 0])
        count[0] += 1
        count[1] += int(hook.errors)
    return [
        (f"plugin_{name}", f"hooks={hooks},errors={errors}")
        for name, (hooks, errors) in counts.items()
    ]


_NAMESPACE_FACTS: Final = ("keys", "expires", "tags", "memory")

SECTIONS: Final[dict[str, Callable[[Endpoint], Fields]]] = {
    "Server": _server,
    "Clients": _clients,
    "Memory": _memory,
    "Persistence": persistence,
    "Tiers": _tiers,
    "Stats": _stats,
    "Replication": replication,
    "CPU": _cpu,
    "Modules": _nothing,
    "Commandstats": _commandstats,
    "Errorstats": _errorstats,
    "Latencystats": _latencystats,
    "Cluster": _cluster,
    "Keyspace": _keyspace,
    "CacheStorm": _cachestorm,
    "Plugins": _plugins,
    "Namespaces": _namespaces,
}
# Shown when asked for by its name, or with the words below: there may be thousands of
# namespaces, and tools that read INFO every few seconds take whatever is in Keyspace for
# databases. The others are as in Redis.
_ON_DEMAND: Final = {
    "commandstats": ("all", "everything"),
    "latencystats": ("all", "everything"),
    "namespaces": ("everything",),
    "plugins": ("everything",),
}
_EVERY: Final = ("all", "default", "everything")


def info_text(endpoint: Endpoint, wanted: list[str]) -> str:
    """The text of INFO.

    Args:
        endpoint: whose.
        wanted: names of sections, in any case; none: the default ones.
            Unknown ones show nothing.
    """
    names = [name.lower() for name in wanted]
    every = not names or any(name in names for name in _EVERY)
    parts = []
    for title, section in SECTIONS.items():
        name = title.lower()
        asked = _ON_DEMAND.get(name)
        is_meant = every if asked is None else any(word in names for word in asked)
        if is_meant or name in names:
            lines = [f"{name}:{value}\r\n" for name, value in section(endpoint)]
            parts.append(f"# {title}\r\n" + "".join(lines))
    return "\r\n".join(parts)
