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
    "cluster-allow-reads-when-down": "no",
    "cluster-node-timeout": "15000",
    "cluster-require-full-coverage": "yes",
    "dynamic-hz": "yes",
    "hash-max-listpack-entries": "128",
    "hash-max-listpack-value": "64",
    "hash-max-ziplist-entries": "128",
    "hash-max-ziplist-value": "64",
    "hll-sparse-max-bytes": "3000",
    "hz": "10",
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
    "repl-disable-tcp-nodelay": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "5",
    "repl-ping-replica-period": "10",
    "repl-ping-slave-period": "10",
    "replica-lazy-flush": "no",
    "replica-priority": "100",
    "replica-read-only": "yes",
    "replica-serve-stale-data": "yes",
    "set-max-intset-entries": "512",
    "set-max-listpack-entries": "128",
    "set-max-listpack-value": "64",
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
_SIZES: Final = frozenset({"active-defrag-ignore-bytes", "stream-node-max-bytes"})
FIXED: Final[dict[str, str]] = {
    "bind-source-addr": "",
    "daemonize": "no",
    "enable-module-command": "no",
    "enable-protected-configs": "no",
    "io-threads": "1",
    "io-threads-do-reads": "no",
    "min-replicas-to-write": "0",
    "min-slaves-to-write": "0",
    "oom-score-adj": "no",
    "pidfile": "",
    "replica-announce-ip": "",
    "replica-announce-port": "0",
    "set-proc-title": "no",
    "slave-announce-ip": "",
    "slave-announce-port": "0",
    "supervised": "no",
    "syslog-enabled": "no",
    "tls-cluster": "no",
    "tls-replication": "no",
}


def checked(name: str, text: str) -> str:
    """A value that a parameter may have, as it is shown.

    Raises:
        ArgumentError: for any other.
    """
    default = DEFAULTS[name]
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
