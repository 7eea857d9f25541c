"""Export and import: the keys of a server as a file, or straight into another server.

`records` knows the two formats, `reading` and `writing` a server, `progress` a terminal and
what a later run goes on from.

1. A record is one key: value, type, deadline and tags. Links between tags are records too.
2. Whatever can be read by its type is; all other types travel as DUMP has them.
3. Nothing is overwritten unless that is asked for.
"""
