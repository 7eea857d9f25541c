"""The cache on a server, over RESP, by redis-py.

`connected.py` is what `cachestorm.connect` gives: all methods of a cache, made from the
declarations (`arguments.py`, `commands.py`), written as steps (`courses.py`) that a thread or a
task sends (`wire.py`, `async_wire.py`).

`dialect.py` and `tag_script.py` bring tags to Redis and Valkey, which have none.

`cluster_dialect.py`, `slots.py` and the cluster wires are the same for all nodes of a cluster;
`wires.py` says which wire leads to an address.

`local.py` and `owners.py` are the cache that the processes of a machine share.

`near.py`, `invalidations.py` and `near_caches.py` keep at hand what was read.

`remote_cache.py` and `async_cache.py` are what framework backends need.

For `redis://`, `rediss://` and `unix://` addresses of a CacheStorm server, or of Redis and
Valkey. `RemoteCache` is for threads, `AsyncRemoteCache` for
coroutines. They need redis-py, which `cachestorm[remote]` brings along.

1. A method makes one round trip, `incr` three. What it writes in several commands is one MULTI.
2. Values are encoded and decoded by the codec that the caller gives; nothing is unpickled by
   default.
3. Errors of the server and of the connection are those of redis-py, unless they are ignored:
   then they are counted and logged, and the answer is that of an empty cache.
4. A password is never in a message or a repr.
"""
