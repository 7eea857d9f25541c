"""`hotkeys`, `bigkeys` and `tagtree`: which keys and tags a server has, ranked.

Called by the commands of these names; they only read.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections import defaultdict
from typing import Final

from cachestorm.codec import bytes_of, text_of
from cachestorm_cli.client import Client
from cachestorm_cli.output import (
    bar,
    bytes_shown,
    count_shown,
    printable,
    show_rows,
)
from cachestorm_cli.printing import JSON, PEOPLE, RAW
from cachestorm_cli.top import ask_hot_keys
from cachestorm_cli.walking import answered, ask_all, pages

_BAR: Final = 20


def show_hot_keys(client: Client, most: int, form: str) -> None:
    """Prints the keys with most hits of late.

    Raises:
        ServerError: when the server does not count them.
    """
    answered(client.ask([b"HOTKEYS", b"1"]))
    rows = ask_hot_keys(client, most)
    hottest = max((hits for _, hits in rows), default=1)
    shown = [
        (f"{rank}", key, count_shown(hits), bar(hits / hottest, _BAR))
        for rank, (key, hits) in enumerate(rows, 1)
    ]
    plain = [(key, hits) for key, hits in rows]
    if form == PEOPLE:
        show_rows(["", "key", "hits", ""], shown, form, shown)
    else:
        show_rows(["key", "hits"], plain, form)


def show_big_keys(client: Client, most: int, match: str | None, form: str) -> None:
    """Prints the keys that take most memory, and what each type takes together.

    Raises:
        CacheStormError: when the server is not there, or refuses.
    """
    largest: list[tuple[int, str, str]] = []
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    seen = 0
    for _, names in pages(client, match):
        asked = [[b"TYPE", name] for name in names]
        asked += [[b"MEMORY", b"USAGE", name] for name in names]
        replies = ask_all(client, asked)
        for name, kind, size in zip(names, replies, replies[len(names) :]):
            if not isinstance(size, int):
                continue  # it has gone since
            kind_name = _text(kind)
            totals[kind_name][0] += 1
            totals[kind_name][1] += size
            row = (size, text_of(name), kind_name)
            if row in largest:
                continue  # a walk may come by twice
            if len(largest) < most:
                heapq.heappush(largest, row)
            else:
                heapq.heappushpop(largest, row)
        seen += len(names)
        if form == PEOPLE and sys.stderr.isatty():
            print(f"\r{count_shown(seen)} keys looked at", end="", file=sys.stderr)
    if form == PEOPLE and sys.stderr.isatty():
        print(file=sys.stderr)
    ranked = sorted(largest, key=lambda row: (-row[0], row[1]))
    rows = [(key, kind, size) for size, key, kind in ranked]
    people = [(key, kind, bytes_shown(size)) for key, kind, size in rows]
    show_rows(["key", "type", "bytes"], rows, form, people)
    if form == PEOPLE:
        print()
        sums = [(kind, n, size, size // n) for kind, (n, size) in sorted(totals.items())]
        people_sums = [
            (kind, count_shown(n), bytes_shown(size), bytes_shown(mean))
            for kind, n, size, mean in sums
        ]
        show_rows(["type", "keys", "bytes", "mean"], sums, form, people_sums)


def _text(reply: object) -> str:
    return reply.decode() if isinstance(reply, bytes) else getattr(reply, "text", "none")


class TagForest:
    """The links between tags, and how many keys each tag has.

    Attributes:
        counts: of each tag that has keys or links.
        children: of each tag that has some, sorted.
    """

    def __init__(self, client: Client) -> None:
        """Asks a server.

        Raises:
            ServerError: when it knows no tags.
        """
        self.children: Final[dict[str, list[str]]] = defaultdict(list)
        below: set[str] = set()
        names: set[str] = set()
        links = answered(client.ask([b"TAGLINKS"]))
        for link in links if isinstance(links, list) else []:
            parent, child = (text_of(part) for part in link)
            self.children[parent].append(child)
            below.add(child)
            names |= {parent, child}
        cursor = b"0"
        while True:
            reply = answered(client.ask([b"TAGSCAN", cursor, b"COUNT", b"1000"]))
            assert isinstance(reply, list)
            cursor = reply[0] if isinstance(reply[0], bytes) else str(reply[0]).encode()
            names |= {text_of(name) for name in reply[1]}
            if cursor == b"0":
                break
        ordered = sorted(names, key=bytes_of)
        counts = ask_all(client, [[b"TAGCOUNT", bytes_of(name)] for name in ordered])
        self.counts: Final = {name: int(str(n)) for name, n in zip(ordered, counts)}
        self._below: Final = below

    def roots(self) -> list[str]:
        """The tags that are nobody's children, sorted."""
        return [name for name in self.counts if name not in self._below]


def show_tag_tree(client: Client, tag: str | None, depth: int, form: str) -> int:
    """Prints the tree below a tag, or all of them. Returns an exit code.

    A tag with several parents is told once with all that is below it, and then by name.

    Raises:
        ServerError: when the server knows no tags.
    """
    forest = TagForest(client)
    if tag is not None and tag not in forest.counts:
        print(f"no key and no link has the tag {printable(tag)}", file=sys.stderr)
        return 1
    roots = [tag] if tag is not None else forest.roots()
    if form == JSON:
        rows = [
            {"tag": name, "keys": count, "children": forest.children.get(name, [])}
            for name, count in forest.counts.items()
        ]
        print(json.dumps(rows))
        return 0
    told: set[str] = set()
    # a stack, as trees may be deeper than Python's
    waiting = [(name, 0, "", "") for name in reversed(roots)]
    while waiting:
        name, level, mark, indent = waiting.pop()
        again = " (above)" if name in told and forest.children.get(name) else ""
        count = forest.counts[name]
        if form == RAW:
            print(f"{'  ' * level}{printable(name)}\t{count}{again}")
        else:
            keys = "1 key" if count == 1 else f"{count_shown(count)} keys"
            print(f"{indent}{mark}{printable(name)} · {keys}{again}")
        below = forest.children.get(name, [])
        if again or (depth and level + 1 >= depth):
            continue
        told.add(name)
        inner = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[mark]
        for index, child in enumerate(reversed(below)):
            branch = "└─ " if index == 0 else "├─ "
            waiting.append((child, level + 1, branch, inner))
    return 0
