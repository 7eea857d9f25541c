"""What type checkers are to reveal of expressions on a cache: the table, and its program.

Read by test_revealed_types.py.
"""

from __future__ import annotations

PREAMBLE = """\
from __future__ import annotations

from typing import Any

from cachestorm import MISSING, Cache


class User: ...


users: Cache[User] = Cache()
cache = Cache()
user = User()


class Users(Cache[User]): ...


async def load() -> User:
    return user


async def load_many(keys: list[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 1)


def is_wanted() -> bool:
    return len(cache) > 1


@cache.memoize
def square(x: int) -> int:
    return x * x


"""

REVEALED: list[tuple[str, str]] = [
    ("cache", "Cache[Any]"),
    ("users", "Cache[User]"),
    ("Cache[User](max_entries=3)", "Cache[User]"),
    ("users.namespace('blog')", "Cache[User]"),
    ("users.database(1)", "Cache[User]"),
    ("Users().namespace('blog')", "Users"),
    ("Users().database(1)", "Users"),
    ("Users().__enter__()", "Users"),
    ("Users().get('k')", "User | None"),
    # a value as a whole
    ("users.get('k')", "User | None"),
    ("users.get('k', 3)", "User | int"),
    ("cache.get('k')", "Any | None"),
    ("users['k']", "User"),
    ("cache['k']", "Any"),
    ("users.getdel('k')", "User | None"),
    ("users.getdel('k', 3)", "User | int"),
    ("users.getex('k', 5)", "User | None"),
    ("users.getex('k', 5, default='x')", "User | str"),
    ("users.getset('k', user)", "User | None"),
    ("users.getset('k', user, 3)", "User | int"),
    ("users.mget('a', 'b')", "list[User | None]"),
    ("users.mget(['a', 'b'], default=3)", "list[User | int]"),
    ("users.set('k', user)", "bool"),
    ("users.set('k', user, 5, nx=True, tags=['t'])", "bool"),
    ("users.set('k', user, get=True)", "User | None"),
    ("users.set('k', user, get=is_wanted())", "User | bool | None"),
    ("users.setnx('k', user)", "bool"),
    ("users.mset({'k': user})", "bool"),
    ("users.mset([('k', user)])", "bool"),
    # as a mapping
    ("users.pop('k')", "User"),
    ("users.pop('k', None)", "User | None"),
    ("[entry.value for entry in [users.entry('k')] if entry]", "list[User | None]"),
    ("users.popitem()", "tuple[str, User]"),
    ("users.setdefault('k', user)", "User"),
    ("users.add('k', user)", "bool"),
    ("users.get_many(['a'])", "dict[str, User]"),
    ("dict(users.items())", "dict[str, User]"),
    ("list(users.values())", "list[User]"),
    ("list(users)", "list[str]"),
    # a loader, a function
    ("cache.get_or_set('k', lambda: user)", "User"),
    ("cache.get_or_set_many(['k'], lambda keys: {key: 1 for key in keys})", "dict[str, int]"),
    ("cache.aget_or_set('k', load)", "Awaitable[User]"),
    ("cache.aget_or_set('k', lambda: user)", "Awaitable[User]"),
    ("cache.aget_or_set_many(['k'], load_many)", "Awaitable[dict[str, int]]"),
    ("cache.aget_or_set_many(['k'], lambda keys: {'k': 1})", "Awaitable[dict[str, int]]"),
    ("users.modify('k', lambda former: former or user)", "User"),
    ("square(3)", "int"),
    ("square.key(3)", "str"),
    ("square.invalidate(3)", "bool"),
    # times
    ("cache.ttl('k')", "float | None"),
    ("cache.pttl('k')", "int | None"),
    ("cache.expiretime('k')", "float | None"),
    ("cache.pexpiretime('k')", "int | None"),
    # containers
    ("cache.hget('h', 'f')", "Any"),
    ("cache.hgetall('h')", "dict[str, Any]"),
    ("cache.hmget('h', 'f', 'g')", "list[Any]"),
    ("cache.hkeys('h')", "list[str]"),
    ("cache.hrandfield('h')", "str | None"),
    ("cache.hrandfield('h', 2)", "list[str]"),
    ("cache.hrandfield('h', 2, withvalues=True)", "list[tuple[str, Any]]"),
    ("cache.hscan('h')", "tuple[int, dict[str, Any]]"),
    ("cache.hscan('h', novalues=True)", "tuple[int, list[str]]"),
    ("cache.lpop('l')", "Any"),
    ("cache.lpop('l', count=2)", "list[Any] | None"),
    ("cache.rpop('l', 2, 'gone')", "list[Any] | str"),
    ("cache.lrange('l', 0, -1)", "list[Any]"),
    ("cache.lpos('l', 'x')", "int | None"),
    ("cache.lpos('l', 'x', count=0)", "list[int]"),
    ("cache.blpop('l', 1)", "tuple[str, Any] | None"),
    ("cache.sort('l')", "list[Any]"),
    ("cache.sort('l', destination='m')", "int"),
    ("cache.smembers('s')", "set[str]"),
    ("cache.spop('s')", "str | None"),
    ("cache.spop('s', 2)", "list[str]"),
    ("cache.srandmember('s', -2)", "list[str]"),
    ("cache.zadd('z', {'a': 1})", "int"),
    ("cache.zadd('z', {'a': 1}, incr=True)", "float | None"),
    ("cache.zrange('z')", "list[str]"),
    ("cache.zrange('z', withscores=True)", "list[tuple[str, float]]"),
    ("cache.zrangebyscore('z', 0, 1, withscores=True)", "list[tuple[str, float]]"),
    ("cache.zrank('z', 'a')", "int | None"),
    ("cache.zrank('z', 'a', withscore=True)", "tuple[int, float] | None"),
    ("cache.zunion(['z'])", "list[str]"),
    ("cache.zinter(['z'], withscores=True)", "list[tuple[str, float]]"),
    ("cache.zdiff(['z'], withscores=True)", "list[tuple[str, float]]"),
    ("cache.zrandmember('z')", "str | None"),
    ("cache.zscan('z')", "tuple[int, list[tuple[str, float]]]"),
    # handles
    ("cache.as_hash('h')['f']", "Any"),
    ("cache.as_set('s').copy()", "set[str]"),
    ("cache.as_sorted_set('z')['a']", "float"),
    ("cache.as_sorted_set('z').range()", "list[str]"),
    ("cache.counter('n').incr()", "int"),
]

# what a checker refuses
REFUSED: list[str] = [
    "users.set('k', 3)",
    "users['k'] = 'text'",
    "users.mset({'k': 3})",
    "users.set('k', user, 5, True)",
    "users.set('k', user, expire=5)",
    "cache.get(3)",
    "cache.lindex('l', 'x')",
    "users.setdefault('k', 3)",
]
