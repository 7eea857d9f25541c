"""What the tests of durability share: all that a cache holds, to be compared."""

from __future__ import annotations

from typing import Any

from cachestorm import Cache
from cachestorm.entry import Entry, kind_name
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.keyspace.tiering import Demoted
from cachestorm.values.container import Container
from cachestorm.values.forms import Encoded
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet


def contents(cache: Cache[Any]) -> dict[str, object]:
    """By namespace: every live key with value, deadline and tags; settings and links."""
    store = cache._store
    store.enter()
    try:
        return {
            space.name: found
            for space in store.spaces()
            if (
                found := (
                    {
                        entry.key: (
                            kind_name(entry),
                            content_of(held_by(space, entry)),
                            deadline_of(space, entry),
                            tag_names_of(entry),
                        )
                        for entry in [*space.dense]
                        if space.peek(entry.key) is entry
                    },
                    sorted(space.tags.hierarchy.links()),
                    space.default_ttl_ms,
                    space.max_bytes,
                )
            )
            != ({}, [], 0, 0)
        }
    finally:
        store.leave()


def deadline_of(space: Keyspace, entry: Entry) -> object:
    """When it ends; of what ends when it is idle, how long that takes: hits are not kept."""
    idle = space.idle_of(entry)
    return entry.expires_at_ms if idle is None else ("idle", idle.idle_ms, idle.ends_at_ms)


def held_by(space: Keyspace, entry: Entry) -> object:
    """The value, wherever it is."""
    value = space.value(entry)
    if not isinstance(value, Demoted):
        return value
    tiering = space.shared.tiering
    assert tiering is not None
    held = tiering.read(value)
    assert held is not None
    return held.value


def content_of(held: object) -> object:
    """A value in a form that compares; a list also with its positions."""
    if not isinstance(held, Container):
        return cache_value(held)
    if isinstance(held, Hash):
        return {
            key: cache_value(value) for key, value in held.items().items()
        }, held.deadlines()
    if isinstance(held, ListValue):
        elements = [cache_value(each) for each in held.slice(0, len(held))]
        return elements, held.first(), held.generation
    if isinstance(held, SetValue):
        return sorted(held.members())
    if isinstance(held, SortedSet):
        return held.slice(0, len(held))
    return cache_value(bytes(held.data))  # type: ignore[attr-defined]


def cache_value(held: object) -> object:
    """With its type: 1, 1.0 and True are equal. Of what a codec has made, its bytes."""
    value = getattr(held, "value", held)
    return type(value).__name__, value.wire() if isinstance(value, Encoded) else value
