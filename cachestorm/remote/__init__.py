"""The cache on a server: what framework backends need of it, over RESP, by redis-py.

For `redis://`, `rediss://` and `unix://` addresses of a CacheStorm server, or of Redis and
Valkey, where everything works but tags. `RemoteCache` is for threads, `AsyncRemoteCache` for
coroutines. They need redis-py, which `cachestorm[remote]` brings along.

1. A method makes one round trip, `incr` three. What it writes in several commands is one MULTI.
2. Values are encoded and decoded by the codec that the caller gives; nothing is unpickled by
   default.
3. Errors of the server and of the connection are those of redis-py, unless they are ignored:
   then they are counted and logged, and the answer is that of an empty cache.
4. A password is never in a message or a repr.
"""
