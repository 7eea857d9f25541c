"""Parameters of Redis that tools read and set, and that mean nothing here.

Asked by CONFIG.

1. One of `DEFAULTS` that is set is checked and shown from then on, and changes nothing: there
   are no listpacks, no other threads that free and no cluster.
2. One of `FIXED` has the value that is true here, and can be set to that alone: somebody who
   sets another relies on what is not there.

Source: `redis.conf` of Redis 7.2 for names and defaults.
"""

from __future__ import annotations

from typing import Final

from cachestorm.errors import ArgumentError
from cachestorm_server.output_limits import parse_memory

_SWITCHES: Final = ("yes", "no")

# A number may be any that is whole; a size is given as Redis spells them.
DEFAULTS: Final[dict[str, str]] = {
    "active-defrag-cycle-max": "25",
    "active-defrag-cycle-min": "1",
    "active-defrag-ignore-bytes": "104857600",
    "active-defrag-max-scan-fields": "1000",
    "active-defrag-threshold-lower": "10",
    "active-defrag-threshold-upper": "100",
    "active-expire-effort": "1",
    "activedefrag": "no",
    "activerehashing": "yes",
    "aof-load-truncated": "yes",
    "aof-rewrite-incremental-fsync": "yes",
    "aof-timestamp-enabled": "no",
    "aof-use-rdb-preamble": "yes",
    "auto-aof-rewrite-min-size": "67108864",
    "auto-aof-rewrite-percentage": "100",
    "cluster-allow-pubsubshard-when-down": "yes",
    "cluster-allow-reads-when-down": "no",
    "cluster-allow-replica-migration": "yes",
    "cluster-link-sendbuf-limit": "0",
    "cluster-migration-barrier": "1",
    "cluster-node-timeout": "15000",
    "cluster-preferred-endpoint-type": "ip",
    "cluster-replica-no-failover": "no",
    "cluster-replica-validity-factor": "10",
    "cluster-require-full-coverage": "yes",
    "cluster-slave-no-failover": "no",
    "cluster-slave-validity-factor": "10",
    "dynamic-hz": "yes",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "64",
    "hash-max-ziplist-entries": "512",
    "hash-max-ziplist-value": "64",
    "hll-sparse-max-bytes": "3000",
    "hz": "10",
    "jemalloc-bg-thread": "yes",
    "latency-tracking": "yes",
    "lazyfree-lazy-eviction": "no",
    "lazyfree-lazy-expire": "no",
    "lazyfree-lazy-server-del": "no",
    "lazyfree-lazy-user-del": "no",
    "lazyfree-lazy-user-flush": "no",
    "lfu-decay-time": "1",
    "lfu-log-factor": "10",
    "list-compress-depth": "0",
    "list-max-listpack-size": "-2",
    "list-max-ziplist-size": "-2",
    "maxmemory-clients": "0",
    "maxmemory-eviction-tenacity": "10",
    "min-replicas-max-lag": "10",
    "min-slaves-max-lag": "10",
    "no-appendfsync-on-rewrite": "no",
    "propagation-error-behavior": "ignore",
    "rdb-save-incremental-fsync": "yes",
    "rdbchecksum": "yes",
    "rdbcompression": "yes",
    "repl-disable-tcp-nodelay": "no",
    "repl-diskless-load": "disabled",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "5",
    "repl-diskless-sync-max-replicas": "0",
    "repl-ping-replica-period": "10",
    "repl-ping-slave-period": "10",
    "replica-announced": "yes",
    "replica-ignore-maxmemory": "yes",
    "replica-lazy-flush": "no",
    "replica-priority": "100",
    "replica-read-only": "yes",
    "replica-serve-stale-data": "yes",
    "sanitize-dump-payload": "yes",
    "set-max-intset-entries": "512",
    "set-max-listpack-entries": "128",
    "set-max-listpack-value": "64",
    "shutdown-timeout": "10",
    "slave-ignore-maxmemory": "yes",
    "slave-lazy-flush": "no",
    "slave-priority": "100",
    "slave-read-only": "yes",
    "slave-serve-stale-data": "yes",
    "stop-writes-on-bgsave-error": "yes",
    "stream-node-max-bytes": "4096",
    "stream-node-max-entries": "100",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
    "zset-max-ziplist-entries": "128",
    "zset-max-ziplist-value": "64",
}
# a size, or a percentage of `maxmemory`
_SHARE: Final = "maxmemory-clients"
_SIZES: Final = frozenset(
    {
        "active-defrag-ignore-bytes",
        "auto-aof-rewrite-min-size",
        "cluster-link-sendbuf-limit",
        "stream-node-max-bytes",
    }
)
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "cluster-preferred-endpoint-type": ("ip", "hostname", "unknown-endpoint"),
    "propagation-error-behavior": ("ignore", "panic", "panic-on-replicas"),
    "repl-diskless-load": ("disabled", "on-empty-db", "swapdb"),
    "sanitize-dump-payload": ("no", "yes", "clients"),
}
FIXED: Final[dict[str, str]] = {
    "always-show-logo": "no",
    "aof-disable-auto-gc": "no",
    "aof_rewrite_cpulist": "",
    "appenddirname": "",
    "appendfilename": "",
    "bgsave_cpulist": "",
    "bind-source-addr": "",
    "bio_cpulist": "",
    "cluster-announce-hostname": "",
    "cluster-announce-human-nodename": "",
    "cluster-announce-port": "0",
    "cluster-announce-tls-port": "0",
    "crash-log-enabled": "no",
    "crash-memcheck-enabled": "no",
    "daemonize": "no",
    "dbfilename": "",
    "disable-thp": "no",
    "enable-module-command": "no",
    "enable-protected-configs": "no",
    "ignore-warnings": "",
    "io-threads": "1",
    "io-threads-do-reads": "no",
    "locale-collate": "",
    "min-replicas-to-write": "0",
    "min-slaves-to-write": "0",
    "oom-score-adj": "no",
    "oom-score-adj-values": "0 200 800",
    "pidfile": "",
    "proc-title-template": "{title} {listen-addr} {server-mode}",
    "rdb-del-sync-files": "no",
    "replica-announce-ip": "",
    "replica-announce-port": "0",
    "replica-ignore-disk-write-errors": "no",
    "server_cpulist": "",
    "set-proc-title": "no",
    "shutdown-on-sigint": "default",
    "shutdown-on-sigterm": "default",
    "slave-announce-ip": "",
    "slave-announce-port": "0",
    "socket-mark-id": "0",
    "supervised": "no",
    "syslog-enabled": "no",
    "syslog-facility": "local0",
    "syslog-ident": "redis",
    "tls-ca-cert-dir": "",
    "tls-ciphers": "",
    "tls-ciphersuites": "",
    "tls-client-cert-file": "",
    "tls-client-key-file": "",
    "tls-client-key-file-pass": "",
    "tls-cluster": "no",
    "tls-dh-params-file": "",
    "tls-key-file-pass": "",
    "tls-prefer-server-ciphers": "no",
    "tls-replication": "no",
    "tls-session-cache-size": "20480",
    "tls-session-cache-timeout": "300",
    "tls-session-caching": "yes",
}


def checked(name: str, text: str) -> str:
    """A value that a parameter may have, as it is shown.

    Raises:
        ArgumentError: for any other.
    """
    default = DEFAULTS[name]
    if name in _CHOICES:
        if text.lower() in _CHOICES[name]:
            return text.lower()
        choices = ", ".join(_CHOICES[name])
        raise ArgumentError(f"argument(s) must be one of the following: {choices}")
    if default in _SWITCHES:
        if text.lower() in _SWITCHES:
            return text.lower()
        raise ArgumentError("argument must be 'yes' or 'no'")
    if name == _SHARE and text.endswith("%"):
        if text[:-1].isdecimal() and 1 <= int(text[:-1]) <= 100:
            return text
        raise ArgumentError("percentage argument must be less or equal to 100")
    if name in _SIZES or name == _SHARE:
        return str(parse_memory(text))
    if not text.removeprefix("-").isdecimal():
        raise ArgumentError("argument couldn't be parsed into an integer")
    return text
