"""Where commands on the server, clients and scripts answer otherwise: see `differences.py`."""

from __future__ import annotations

from typing import Final

from conditions import has_word, is_more
from difference import (
    ARGUMENTS_FIRST,
    ARRAY,
    NOTHING,
    NUMBER,
    ONE_NAMED,
    PLACES_FIRST,
    SYNTAX,
    VALUES_FIRST,
    Difference,
)

CLIENT_ID: Final = "-ERR client-id should be greater than 0"

OF_SERVERS: Final = [
    Difference(
        "CLIENT",
        [
            SYNTAX,
            CLIENT_ID,
            "-ERR No such client",
            "-ERR No such user '*'",
            "-ERR Unknown client type '*'",
        ],
        [
            SYNTAX,
            CLIENT_ID,
            "-ERR Invalid client ID",
            "-ERR No such user '*'",
            "-ERR Unknown client type '*'",
        ],
        "KILL names one of several mistakes, which may be another one",
    ),
    Difference(
        "CLIENT",
        [":*", "$*", "=*"],
        [CLIENT_ID, "-ERR Invalid client ID"],
        "an id is a number, as in Redis 7.2",
        "valkey",
    ),
    Difference(
        "CLIENT",
        [":*", NUMBER],
        ["-ERR unknown subcommand or wrong number of arguments for *"],
        "too many arguments are refused, as in Redis 7.2",
        "valkey",
    ),
    Difference(
        "CLIENT",
        [CLIENT_ID],
        ["$*", "=*"],
        "a number that cannot be an id finds no client, as in Redis 7.2",
        "valkey",
    ),
    Difference(
        "FUNCTION",
        ["-ERR Unknown argument *"],
        ["-ERR Unknown argument *"],
        "line ends in a refusal are blanks, and those at its end are left out",
    ),
    Difference(
        "CONFIG",
        [SYNTAX],
        ["-ERR wrong number of arguments for 'config|set' command"],
        "a parameter without a value is a wrong number of arguments, as in MSET",
    ),
    Difference(
        "COMMAND",
        ["-ERR wrong number of arguments for 'command|getkeys*' command", SYNTAX],
        ["-ERR Invalid command specified", "-ERR Invalid number of arguments *", ARRAY],
        "as in Redis 7.2",
        "redis",
    ),
    Difference(
        "COMMAND",
        [ARRAY],
        ["-ERR Invalid arguments specified for command"],
        "GETKEYS refuses an invalid call; they look only at the positions of arguments",
    ),
    Difference(
        "HELLO",
        ["-NOPROTO *", "-WRONGPASS *", "-ERR Client names *"],
        ["-ERR Syntax error in HELLO option *", "-WRONGPASS *"],
        PLACES_FIRST,
    ),
    Difference("MIGRATE", ["+NOKEY"], ["-IOERR *"], ARGUMENTS_FIRST),
    Difference(
        "MIGRATE", ["-ERR When using MIGRATE KEYS option, *"], [NUMBER, SYNTAX], VALUES_FIRST
    ),
    Difference(
        "MEMORY",
        [":*"],
        [":*"],
        "USAGE is the size that limits and evictions are based on",
    ),
    Difference(
        "MEMORY",
        [":*"],
        [NOTHING],
        "USAGE of an expired key is nil; theirs has a size until it is removed",
        "redis",
    ),
    Difference(
        "MEMORY",
        ["$*", "=*", ARRAY],
        ["$*", "=*", ARRAY],
        "DOCTOR, STATS and MALLOC-STATS describe a different store",
    ),
    Difference(
        "DBSIZE",
        [":*"],
        [":*"],
        "a key that is set with a deadline in the past is gone; theirs is counted for a while",
        "redis",
        is_more,
    ),
    Difference(
        "OBJECT MEMORY", [ARRAY], [ARRAY], "HELP has other lines: it describes what is here"
    ),
    Difference(
        "SAVE BGSAVE BGREWRITEAOF",
        ["+*", "-ERR Background *", "-ERR Another child process *", SYNTAX],
        ["-ERR nothing is kept on disk: *", "+*"],
        "without a data directory it says that nothing is kept on disk",
    ),
    Difference(
        "READONLY READWRITE",
        ["-ERR This instance has cluster support disabled"],
        ["+OK"],
        "OK outside of a cluster, where it changes nothing, as in Valkey; theirs refuses it",
        "redis",
    ),
    Difference(
        "CLIENT",
        ["-ERR The client ID you want redirect to does not exist"],
        [SYNTAX],
        ONE_NAMED,
        condition=has_word(b"TRACKING"),
    ),
    Difference(
        "ACL",
        ["-ERR This instance is not configured to use an ACL file. *"],
        ["-ERR This Redis instance is not configured to use an ACL file. *"],
        "Redis' words",
        "valkey",
    ),
    Difference(
        "ACL",
        [ARRAY],
        [ARRAY],
        "CAT has tags and namespaces too, and both sides have commands of their own",
        condition=has_word(b"CAT"),
    ),
    Difference(
        "EVALSHA EVALSHA_RO",
        ["-NOSCRIPT *"],
        ["-NOSCRIPT *", "-ERR Number of keys *", "-ERR value is not *"],
        "the error text is that of Redis; the number of keys is checked before the digest",
    ),
    Difference(
        "CLIENT",
        ["-ERR The client ID you want redirect to does not exist"],
        ["+OK"],
        "TRACKING REDIRECT to a number that is a client's on one side alone",
    ),
    Difference(
        "LOLWUT",
        [
            "-ERR value is not an integer or out of range",
            "-ERR Syntax error. Use: LOLWUT [columns rows] [real imaginary]",
        ],
        ["$*", "=*"],
        "it draws nothing, and ignores its arguments",
    ),
    Difference(
        "LOLWUT",
        ["$*", "=*", "-ERR Syntax error. Use: LOLWUT [columns rows] [real imaginary]"],
        [SYNTAX, "-ERR value is not an integer or out of range"],
        "VERSION needs a number",
    ),
    Difference(
        "CLIENT",
        ["-ERR CLIENT CACHING can be called only *"],
        [SYNTAX],
        "the syntax is checked before the state of the client",
        condition=has_word(b"CACHING"),
    ),
    Difference(
        "CLIENT",
        ["-ERR value is not an integer or out of range"],
        [SYNTAX],
        "the syntax is checked before the client id",
        condition=has_word(b"TRACKING"),
    ),
    Difference(
        "CLIENT",
        [":*"],
        [SYNTAX],
        "a filter without a value is refused",
        "valkey",
        condition=has_word(b"KILL"),
    ),
    Difference(
        "SCRIPT",
        ["-ERR SCRIPT FLUSH only support SYNC|ASYNC option"],
        [SYNTAX],
        "ASYNC or SYNC may be said once; what is more is a syntax error",
        condition=has_word(b"FLUSH"),
    ),
    Difference(
        "FCALL FCALL_RO",
        ["-ERR Function not found"],
        ["-ERR Function not found", "-ERR Number of keys *", "-ERR Bad number *"],
        "the number of keys is checked before the function",
    ),
    Difference(
        "FUNCTION",
        ["-ERR Unknown option given: *", "-ERR Missing library metadata"],
        ["-ERR Unknown option given: *", SYNTAX],
        "LOAD takes the first argument that is no option for the library",
    ),
    Difference(
        "FUNCTION",
        ["-ERR library name argument was not given"],
        ["-ERR Unknown argument *"],
        "LIST does not say what is missing after LIBRARYNAME",
    ),
    Difference(
        "FUNCTION",
        ["$*"],
        ["$*"],
        "DUMP does not compress; each server reads the dumps of the others",
    ),
    Difference("FUNCTION", [ARRAY], [ARRAY], "HELP has other lines: it describes what is here"),
]
