"""Wrong calls, and how they are refused: the same in both builds.

A row is the call, as text on a cache `c` that holds a key of each type, the class of the
error, and a piece of its text that names the value, the argument and the rule.

What compiled code refuses by its types is called once more as source, which says why: see
`cachestorm/refused_calls.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from cachestorm import Cache

WRITTEN: list[tuple[str, str, str]] = [
    # times
    ("c.set('k', 'v', ttl=0)", "InvalidTtlError", "positive, or None for never, not 0"),
    ("c.set('k', 'v', ttl=-1.5)", "InvalidTtlError", "positive, or None for never, not -1.5"),
    ("c.set('k', 'v', ttl='0s')", "InvalidTtlError", "positive, or None for never, not '0s'"),
    ("c.set('k', 'v', ttl=0, tags=['t'])", "InvalidTtlError", "None for never, not 0"),
    ("c.set('k', 'v', ttl='x')", "InvalidTtlError", "'x' is not a duration"),
    ("c.set('k', 'v', ttl=[])", "TypeError", "a timedelta or '5m', not []"),
    ("c.set('k', 'v', ttl=True)", "TypeError", "a number of seconds, not a bool"),
    ("c.set('k', 'v', ttl=float('inf'))", "InvalidTtlError", "cannot be inf"),
    ("c.set('k', 'v', idle=0)", "InvalidTtlError", "an idle time is positive, or None, not 0"),
    ("c.set('k', 'v', ttl_jitter=1.0)", "ArgumentError", "from 0 up to 1, not 1.0"),
    ("c.setex('k', 0, 1)", "InvalidTtlError", "not 0"),
    ("c.getex('string', ttl=0)", "InvalidTtlError", "not 0"),
    ("c.set_many({'a': 1}, ttl=0)", "InvalidTtlError", "not 0"),
    ("c.msetex({'a': 1}, ttl=-1)", "InvalidTtlError", "not -1"),
    ("c.add('k', 1, ttl=0)", "InvalidTtlError", "not 0"),
    ("c.setdefault('k', 1, ttl=0)", "InvalidTtlError", "not 0"),
    ("c.expire('string', 'x')", "InvalidTtlError", "'x' is not a duration"),
    ("c.expire('string', None)", "TypeError", "not None"),
    # options that contradict each other
    (
        "c.set('k', 'v', nx=True, xx=True)",
        "ExcludingOptionsError",
        "nx=True and xx=True exclude",
    ),
    (
        "c.set('k', 'v', ttl=5, keepttl=True)",
        "ExcludingOptionsError",
        "keepttl=True and a time",
    ),
    ("c.msetex({'a': 1}, nx=True, xx=True)", "ExcludingOptionsError", "nx=True and xx=True"),
    ("c.msetex({'a': 1}, ttl=5, keepttl=True)", "ExcludingOptionsError", "keepttl=True and a"),
    (
        "c.getex('string', ttl=1, persist=True)",
        "ExcludingOptionsError",
        "persist=True and a time",
    ),
    ("c.expire('string', 1, nx=True, xx=True)", "ArgumentError", "NX and XX"),
    ("c.flushdb(async_=True, sync=True)", "ExcludingOptionsError", "async_=True and sync=True"),
    (
        "c.flushall(async_=True, sync=True)",
        "ExcludingOptionsError",
        "async_=True and sync=True",
    ),
    ("c.zadd('zset', {'a': 1}, nx=True, xx=True)", "ArgumentError", "XX and NX"),
    ("c.zadd('zset', {'a': 1}, gt=True, lt=True)", "ArgumentError", "GT, LT"),
    # options that are not there
    ("c.set('k', 'v', expire=5)", "TypeError", "unexpected keyword argument 'expire'"),
    ("c.mset({'a': 1}, ttl=5)", "TypeError", "unexpected keyword argument 'ttl'"),
    ("c.get_or_set('k', int, stael=5)", "TypeError", "no such option: stael"),
    # mappings and pairs
    ("c.hset('hash', {'a': 1})", "TypeError", "hset(key, mapping={'a': 1})"),
    ("c.hset('hash', 'f')", "ArityError", "'hset'"),
    ("c.hset('hash')", "ArityError", "'hset'"),
    ("c.zadd('zset', [('a', 1)])", "NotAFloatError", "(score, member), not ('a', 1)"),
    ("c.zadd('zset', {})", "ArityError", "'zadd'"),
    ("c.mset(['k0', 'k1'])", "TypeError", "a pair is a key and a value, not 'k0'"),
    ("c.mset('k0')", "TypeError", "a mapping, or pairs of key and value, not 'k0'"),
    ("c.set_many({1: 2})", "TypeError", "a key is a str, not int"),
    ("c.update([('a', 1, 2)])", "TypeError", "a pair is a key and a value"),
    ("c.get_many('ab')", "TypeError", "write ['ab'], not 'ab'"),
    ("c.delete_many('ab')", "TypeError", "write ['ab'], not 'ab'"),
    # numbers
    ("c.incr('k', True)", "NotAnIntegerError", "an integer of 64 bits, not True"),
    ("c.incr('k', 'x')", "NotAnIntegerError", "an integer of 64 bits, not 'x'"),
    ("c.incr('k', 1.5)", "NotAnIntegerError", "an integer of 64 bits, not 1.5"),
    ("c.incr('k', 1 << 64)", "NotAnIntegerError", "an integer of 64 bits"),
    ("c.decr('k', 'x')", "NotAnIntegerError", "an integer of 64 bits, not 'x'"),
    ("c.decr('k', True)", "NotAnIntegerError", "an integer of 64 bits, not True"),
    ("c.incr('string')", "NotAnIntegerError", "not an integer"),
    ("c.lpop('list', -1)", "ArgumentError", "must be positive"),
    ("c.setrange('string', -1, 'x')", "ArgumentError", "offset is out of range"),
    ("c.setbit('k', -1, 1)", "ArgumentError", "bit offset"),
    ("c.setbit('k', 0, 2)", "ArgumentError", "bit is not"),
    ("c.getbit('k', 'x')", "TypeError", "an int is needed here, not 'x'"),
    ("c.setbit('k', 'x', 1)", "TypeError", "an int is needed here, not 'x'"),
    ("c.hotkeys(-1)", "NotAnIntegerError", "not an integer"),
    ("c.hotkeys('x')", "TypeError", "an int is needed here, not 'x'"),
    ("c.scan('x')", "TypeError", ""),
    ("c.scan(0, None, 'x')", "TypeError", ""),
    ("c.lindex('list', 'x')", "TypeError", ""),
    ("c.lrange('list', 'a', 'b')", "TypeError", ""),
    ("c.lpop('list', 'x')", "TypeError", ""),
    ("c.getrange('string', 'x', 1)", "TypeError", ""),
    # words
    ("c.scan(0, 5)", "TypeError", "a pattern is a str, not 5"),
    ("c.scan(0, type=3)", "TypeError", "a type is a str, not 3"),
    ("c.keys(3)", "TypeError", "a pattern is a str, not 3"),
    ("c.sort('list', by=3)", "TypeError", "a pattern is a str, not 3"),
    ("c.sort('list', order='up')", "CommandSyntaxError", "ASC or DESC, not 'up'"),
    ("c.sort('list', order=1)", "TypeError", "an order is a str, not 1"),
    ("c.lmove('list', 'm', 'up', 'down')", "CommandSyntaxError", "LEFT or RIGHT, not 'up'"),
    ("c.lmove('list', 'm', 1, 2)", "TypeError", "an end of a list is a str, not 1"),
    ("c.linsert('list', 'by', 1, 2)", "CommandSyntaxError", "BEFORE or AFTER, not 'by'"),
    ("c.linsert('list', 1, 1, 2)", "TypeError", "where is a str, not 1"),
    ("c.bitop('nand', 'd', 'a')", "CommandSyntaxError", "not 'nand'"),
    ("c.bitop(1, 'd', 'a')", "TypeError", "an operation is a str, not 1"),
    ("c.bitop('AND', 'd')", "ArityError", "'bitop'"),
    ("c.bitop('NOT', 'd', 'a', 'b')", "ArgumentError", "single source key"),
    # tags
    ("c.set('k', 'v', tags='t')", "TypeError", "write ['t'], not 't'"),
    ("c.set('k', 'v', tags=None)", "TypeError", "tags is an iterable, which may be empty"),
    ("c.set('k', 'v', tags=[1])", "TypeError", "tag is a str, not int"),
    (
        "c.set('k', 'v', tags=[''])",
        "TagError",
        "invalid tag name: it has 1 to 1024 bytes of UTF-8",
    ),
    ("c.set('k', 'v', tags=5)", "TypeError", "tags is an iterable, not 5"),
    ("c.get_many(None)", "TypeError", "keys is an iterable, which may be empty"),
    ("c.delete_many(5)", "TypeError", "keys is an iterable, not 5"),
    ("c.update(None)", "TypeError", "a mapping, or pairs of key and value, not None"),
    ("c.set_many(5)", "TypeError", "a mapping, or pairs of key and value, not 5"),
    ("c.on_removed(print, Cause.EXPIRED)", "TypeError", "causes is an iterable, not <Cause."),
    ("c.zadd('zset', ('a', 1))", "TypeError", "a pair has two values, and 'a' is none"),
    ("c.zadd('zset', [(1, 'a'), (2, 'b', 3)])", "TypeError", "two values, and (2, 'b', 3) is"),
    ("c.hset('hash', mapping=['ab'])", "TypeError", "a pair has two values, and 'ab' is none"),
    ("c.zadd('zset', 5)", "TypeError", "or pairs, is an iterable, not 5"),
    ("c.incrbyfloat('k', True)", "NotAFloatError", "not a valid float"),
    ("c.incrbyfloat('k', Decimal(1))", "NotAFloatError", "not a valid float"),
    ("c.hincrbyfloat('hash', 'g', True)", "NotAFloatError", "not a valid float"),
    ("c.zincrby('zset', Decimal(1), 'a')", "NotAFloatError", "not a valid float"),
    ("c.invalidate('')", "TagError", "invalid tag name: it has 1 to 1024 bytes of UTF-8"),
    ("c.invalidate(3)", "TypeError", "tag is a str, not int"),
    ("c.invalidate(['a', 3])", "TypeError", "tag is a str, not int"),
    ("c.taglink('a', 'a')", "TagError", "cycle"),
    ("c.addtag('string')", "ArityError", "'addtag'"),
    # what is missing, or another type
    ("c['gone']", "KeyError", "'gone'"),
    ("c.pop('gone')", "KeyError", "'gone'"),
    ("c.rename('gone', 'x')", "NoSuchKeyError", "no such key"),
    ("c.lset('gone', 0, 1)", "NoSuchKeyError", "no such key"),
    ("c.get('list')", "WrongTypeError", "wrong kind of value"),
    ("c.pop('list')", "WrongTypeError", "wrong kind of value"),
    ("c.setdefault('list')", "WrongTypeError", "wrong kind of value"),
    ("c.compare_and_set('list', 1, 2)", "WrongTypeError", "wrong kind of value"),
    ("c.lpush('string', 1)", "WrongTypeError", "wrong kind of value"),
    ("c.set('k', MISSING)", "ArgumentError", "MISSING stands for no value"),
    ("c.append('k', None)", "CodecError", "None has no bytes"),
    # the cache as a whole
    ("Cache(1.5)", "ConfigError", "bytes or like '256mb', not 1.5"),
    ("Cache('x')", "ConfigError", "'x' is not a size"),
    ("Cache(max_entries=0)", "ConfigError", "a positive number or None, not 0"),
    ("Cache(policy='x')", "ConfigError", "unknown eviction policy 'x'"),
    ("Cache(policy=3)", "ConfigError", "unknown eviction policy 3"),
    ("Cache(namespaces={5: {}})", "TypeError", "the name of a namespace is a str, not 5"),
    ("setattr(c, 'max_memory', 1.5)", "ConfigError", "bytes or like '256mb', not 1.5"),
    ("setattr(c, 'max_reply', [])", "ConfigError", "bytes or like '256mb', not []"),
    ("setattr(c, 'max_entries', 'x')", "ConfigError", "a positive number or None, not 'x'"),
    ("setattr(c, 'policy', 5)", "ConfigError", "unknown eviction policy 5"),
    ("setattr(c, 'sample_size', 'x')", "ConfigError", "a number of entries, not 'x'"),
    ("delattr(c, 'max_memory')", "AttributeError", "property 'max_memory' of 'Cache' object"),
    ("delattr(c, 'sample_size')", "AttributeError", "property 'sample_size' of 'Cache'"),
    ("c.modify(5, str)", "TypeError", "a key is a str, not int"),
    ("Cache(default_ttl=0)", "ConfigError", "positive or None, not 0"),
    ("Cache(clock=3)", "TypeError", "a clock is a Clock, not 3"),
    ("Cache(sample_size=0)", "ConfigError", "1 to 64 entries, not 0"),
    ("c.namespace('a b')", "NamespaceError", "without spaces"),
    ("c.namespace(3)", "TypeError", "is a str, not int"),
    ("c.database(99)", "ArgumentError", "out of range"),
    ("c.database('x')", "TypeError", "from 0 to 15, not 'x'"),
    ("c.listen(3)", "TypeError", "which 3 cannot be"),
    ("c.on_removed(3)", "TypeError", "which 3 cannot be"),
    ("c.memoize(3)", "TypeError", "a function, not 3"),
    ("c.subscribe()", "ArgumentError", "at least one channel"),
    ("c.execute()", "ArgumentError", "a command has a name"),
    ("c.execute('NOPE')", "UnknownCommandError", "'NOPE'"),
    ("c.execute('GET')", "ArityError", "'get'"),
]

# a plausible argument for what a method needs beside its key
_PLAUSIBLE: dict[str, object] = {
    "mapping": {"a": 1},
    "tags": ["t"],
    "fields": ["f"],
    "ttl": 1,
    "when": 1,
    "loader": int,
    "operation": "AND",
    "where": "BEFORE",
}
_LEX: list[object] = ["-", "+"]
_GIVEN: dict[str, list[object]] = {
    "hset": ["f", 1],
    "zlexcount": _LEX,
    "zrangebylex": _LEX,
    "zremrangebylex": _LEX,
    "zrevrangebylex": _LEX,
}
# these are not called, or take keys in lists; their other arguments come first
_OTHERWISE = {"memoize", "exists", "touch", "delete", "mget", "aget_or_set", "geosearch"}


def keyed_methods() -> Iterator[tuple[str, list[object]]]:
    """The methods whose first parameter is a key, and what else they need."""
    for name in sorted(dir(Cache)):
        method = getattr(Cache, name)
        if name.startswith("_") or name in _OTHERWISE or not callable(method):
            continue
        parameters = [*inspect.signature(method).parameters.values()][1:]
        if not parameters or parameters[0].name not in ("key", "source", "newkey"):
            continue
        needed = [
            _PLAUSIBLE.get(each.name, _default(str(each.annotation)))
            for each in parameters[1:]
            if each.default is inspect.Parameter.empty
            and each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        yield name, _GIVEN.get(name, needed)


def _default(annotation: str) -> object:
    return 1 if annotation in ("int", "float", "i64") else "1"


def wrong_keys() -> list[tuple[str, str, str]]:
    """Each method that takes a key, called with what is none."""
    return [
        (f"c.{name}(*{[key, *needed]!r})".replace(repr(int), "int"), "TypeError", "")
        for name, needed in keyed_methods()
        for key in (1, None, b"bytes")
    ]


WRONG_CALLS = [*WRITTEN, *wrong_keys()]
