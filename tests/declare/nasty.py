"""The commands that are hard to declare, on a target that only writes down its calls.

Used by the tests of declarations. Each method returns what it was called with, so that a
test sees exactly what a binding made of the words.
"""

from __future__ import annotations

from cachestorm.declare.declaration import Declaration, Declarations
from cachestorm.declare.registry import Registry
from cachestorm.markers import MISSING, UNSET

NASTY = Declarations()
TABLE = Registry(NASTY)

EXPIRATION = (
    "EX ttl:seconds | PX ttl:milliseconds | EXAT ttl:unix-seconds | PXAT ttl:unix-milliseconds"
)


def command(spec, **facts):
    """Declares with facts that most tests do not care about."""
    defaults = {"group": "string", "complexity": "O(1)", "summary": "A test."}
    return Declaration(spec, declarations=NASTY, **{**defaults, **facts})


class Recorder:
    """A target whose commands return their arguments: positional ones, then those by name."""

    @command("GET key", fast=True, reply="stored")
    def get(self, key, default=None):
        return default if key == "nokey" else (key, default)

    @command(
        f"SET key:rw-access-update-variable_flags value [NX | XX] [GET] [{EXPIRATION} | "
        "KEEPTTL] [TAGS tags:tag [tag ...]]",
        grows=True,
        reply="set",
    )
    def set(
        self,
        key,
        value,
        ttl=UNSET,
        *,
        nx=False,
        xx=False,
        get=False,
        keepttl=False,
        tags=(),
    ):
        return (key, value, ttl, nx, xx, get, keepttl, tags)

    @command("DEL key:rm-delete [key ...]", group="generic")
    def delete(self, *keys):
        return keys

    @command("MSET key:ow-update value [key value ...]", grows=True, reply="ok")
    def mset(self, mapping):
        return mapping

    @command("INCR key:rw-access-update", grows=True, fast=True)
    def incr(self, key, amount=1):
        return (key, amount)

    @command("APPEND key:rw-insert value", grows=True, fast=True)
    def append(self, key, value):
        return (key, value)

    @command(
        "EXPIRE key:rw-update ttl:seconds [NX | XX | GT | LT]",
        group="generic",
        fast=True,
        stray="Unsupported option {arg}",
    )
    def expire(self, key, ttl, *, nx=False, xx=False, gt=False, lt=False):
        return (key, ttl, nx, xx, gt, lt)

    @command("TTL key", group="generic", fast=True, reply="ttl")
    def ttl(self, key):
        return {"never": None, "nokey": MISSING}.get(key, 1.5)

    @command(
        "SCAN cursor [MATCH pattern] [COUNT count:scan-count] [TYPE type:string]",
        group="generic",
        reply="scan",
    )
    def scan(self, cursor=0, pattern=None, count=10, type_=None):
        return (cursor, [pattern, count, type_])

    @command(
        "COPY source destination:ow-update [DB destination-db:integer] [REPLACE]",
        group="generic",
        grows=True,
    )
    def copy(self, source, destination, *, destination_db=None, replace=False):
        return (source, destination, destination_db, replace)

    @command("OBJECT ENCODING key:ro", group="generic")
    def object_encoding(self, key):
        return key

    @command("OBJECT HELP", group="generic")
    def object_help(self):
        return ["help"]

    @command(
        "HSET key:rw-update field value [field value ...]",
        group="hash",
        grows=True,
        fast=True,
    )
    def hset(self, key, field=None, value=None, mapping=None):
        return (key, field, value, mapping)

    @command("HGETALL key", group="hash", reply="mapping")
    def hgetall(self, key):
        return {"f": key}

    @command(
        "HEXPIRE key:rw-update ttl:seconds [NX | XX | GT | LT] FIELDS numfields field "
        "[field ...]",
        group="hash",
        fast=True,
        stray="Unsupported option {arg}",
    )
    def hexpire(self, key, ttl, *fields, nx=False, xx=False, gt=False, lt=False):
        return (key, ttl, fields, nx, xx, gt, lt)

    @command("LPUSH key:rw-insert element [element ...]", group="list", grows=True, fast=True)
    def lpush(self, key, *elements):
        return (key, *elements)

    @command(
        "LPOP key:rw-access-delete [count:positive]",
        group="list",
        fast=True,
        reply="picked",
        stray="arity",
    )
    def lpop(self, key, count=None):
        return key if count is None else [key] * count

    @command("LRANGE key start stop", group="list", reply="stored_all")
    def lrange(self, key, start, stop):
        return [key, start, stop]

    @command(
        "LMPOP numkeys key:rw-access-delete [key ...] where:<LEFT | RIGHT> [COUNT "
        "count:pop-count]",
        group="list",
        reply="keyed",
        once="COUNT",
    )
    def lmpop(self, keys, where, count=1):
        return (keys[0], [*keys, where, count])

    @command(
        "LMOVE source:rw-access-delete destination:rw-insert wherefrom:<LEFT | RIGHT> "
        "whereto:<LEFT | RIGHT>",
        group="list",
        grows=True,
        reply="bulk",
    )
    def lmove(self, source, destination, wherefrom="LEFT", whereto="RIGHT"):
        return (source, destination, wherefrom, whereto)

    @command("LINSERT key:rw-insert <BEFORE | AFTER> pivot element", group="list", grows=True)
    def linsert(self, key, pivot, element, *, before=False, after=False):
        return (key, pivot, element, before, after)

    @command(
        "BLPOP key:rw-access-delete [key ...] timeout",
        group="list",
        flags="blocking",
        reply="keyed",
    )
    def blpop(self, keys, timeout):
        return [*keys, timeout]

    @command("SADD key:rw-insert member [member ...]", group="set", grows=True, fast=True)
    def sadd(self, key, *members):
        return (key, *members)

    @command("SINTERSTORE destination:ow-update key [key ...]", group="set", grows=True)
    def sinterstore(self, destination, *keys):
        return (destination, *keys)

    @command(
        "ZADD key:rw-update [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        group="sorted-set",
        grows=True,
        fast=True,
    )
    def zadd(
        self, key, mapping, *, nx=False, xx=False, gt=False, lt=False, ch=False, incr=False
    ):
        return (key, mapping, nx, xx, gt, lt, ch, incr)

    @command(
        "ZRANGE key start:bound stop:bound [BYSCORE | BYLEX] [REV] [LIMIT offset count] "
        "[WITHSCORES]",
        group="sorted-set",
        reply="scored",
        once="BYSCORE BYLEX REV",
    )
    def zrange(
        self,
        key,
        start,
        stop,
        *,
        byscore=False,
        bylex=False,
        rev=False,
        limit=None,
        withscores=False,
    ):
        return [(key, start), (stop, limit)]

    @command(
        "ZREVRANGEBYSCORE key max:score-bound min:score-bound [WITHSCORES] "
        "[LIMIT offset count]",
        group="sorted-set",
        reply="scored",
    )
    def zrevrangebyscore(self, key, max_, min_, *, withscores=False, limit=None):
        return (key, max_, min_)

    @command("ZLEXCOUNT key min:lex-bound max:lex-bound", group="sorted-set", fast=True)
    def zlexcount(self, key, min_, max_):
        return (key, min_, max_)

    @command(
        "ZUNION numkeys:input-keys key [key ...] [WEIGHTS weight [weight ...]] "
        "[AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        group="sorted-set",
        reply="scored",
    )
    def zunion(self, keys, *, weights=None, aggregate="SUM", withscores=False):
        return [(tuple(keys), weights), (aggregate, withscores)]

    @command(
        "SORT key [BY by:pattern] [LIMIT offset count] [GET get:pattern [GET pattern ...]] "
        "[order:<ASC | DESC>] [ALPHA] [STORE destination:ow-update]",
        group="generic",
        grows=True,
        reply="sort",
        flags="@set @sortedset @list @dangerous",
    )
    def sort(
        self,
        key,
        *,
        by=None,
        offset=0,
        count=-1,
        get=(),
        order="ASC",
        alpha=False,
        destination=None,
    ):
        return (key, by, offset, count, get, order, alpha, destination)

    @command(
        "HRANDFIELD key [count:draws [WITHVALUES]]",
        group="hash",
        reply="fields",
        once="WITHVALUES",
    )
    def hrandfield(self, key, count=None, *, withvalues=False):
        return (key, count, withvalues)

    @command("PING [message:value]", group="connection", fast=True, reply="pong", stray="arity")
    def ping(self, message=None):
        return message

    # By declaration alone: what binds is all there is to see.

    @command(
        "CLIENT KILL filter:<addr:string | "
        "new-format:<[ID client-id [client-id ...]] | "
        "[TYPE client-type:<NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] | "
        "[USER username:string] | [ADDR addr:string] | [LADDR laddr:string] | "
        "[SKIPME skipme:<YES | NO>] | [MAXAGE maxage:integer]> [new-format ...]>",
        group="connection",
        connection=True,
        flags="admin noscript loading stale @connection",
    )
    def client_kill(
        self,
        addr=None,
        client_ids=(),
        client_type=None,
        username=None,
        laddr=None,
        skipme="YES",
        maxage=None,
    ):
        return (addr, client_ids, client_type, username, laddr, skipme, maxage)

    @command(
        "EVAL script:blob numkeys:script-keys [key [key ...]] [arg:value [arg ...]]",
        group="scripting",
        writes=True,
        flags="noscript stale skip_monitor no_mandatory_keys",
    )
    def eval(self, script, keys=(), args=()):
        return (script, keys, args)

    @command(
        "BITFIELD key:rw-access-update-variable_flags [operation:<GET encoding:string "
        "offset:string | "
        "[OVERFLOW <WRAP | SAT | FAIL>] "
        "<SET encoding:string offset:string value:integer | "
        "INCRBY encoding:string offset:string increment>> [operation ...]]",
        group="bitmap",
        grows=True,
    )
    def bitfield(self, key, operations=()):
        return (key, operations)

    @command(
        "BITFIELD_RO key [GET encoding:field-type offset:field-offset "
        "[GET encoding offset ...]]",
        group="bitmap",
        fast=True,
    )
    def bitfield_ro(self, key, *gets):
        return (key, gets)
