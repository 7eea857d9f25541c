"""The diary: what has changed in a container, as records that do it again to a copy.

Kept by a container whose `diary` is a list, for journals and replicas; taken out by the
keyspace as a change ends. A record is a tuple. It says what is there now, not what was asked:

| container  | record                            | says                                      |
|------------|-----------------------------------|-------------------------------------------|
| hash       | `PUT, field, held, due_ms`        | the value and the deadline of a field     |
|            | `DUE, field, due_ms`              | the deadline of a field that is there     |
|            | `DROP, field`                     | it is gone                                |
| set        | `PUT, member`                     | it is there                               |
|            | `DROP, member`                    | it is gone                                |
| sorted set | `PUT, member, score`              | its score                                 |
|            | `DROP, member`                    | it is gone                                |
|            | `CUT, lowest, highest, in_order`  | the rows from one to another are gone     |
| list       | `PUT, generation, position, held` | the element at a position                 |
|            | `KEEP, generation, first, stop`   | the positions that are left               |
|            | `INSERT, generation, index, held` | a new element, before the one at an index |
|            | `PLUCK, generation, indices`      | the elements at these indices are gone    |
| buffer     | `LENGTH, length`                  | how long it is                            |
|            | `WRITE, offset, raw`              | the bytes from an offset on               |

A deadline is 0 for never. A value is as the container holds it.

1. A copy on which all records since it was made are replayed, in order, equals the container:
   elements, order, deadlines, scores and size.
2. Records may be older than the copy, as long as none is left out: what they bring back or take
   away, later ones set right. Then only the order of names may differ.
3. A record is as small as the change. One of many elements is a range, or the indices of those
   that have gone.
"""

from __future__ import annotations

from typing import Final

Record = tuple[object, ...]

PUT: Final = "put"
DROP: Final = "drop"
DUE: Final = "due"
CUT: Final = "cut"
KEEP: Final = "keep"
INSERT: Final = "insert"
PLUCK: Final = "pluck"
LENGTH: Final = "length"
WRITE: Final = "write"
