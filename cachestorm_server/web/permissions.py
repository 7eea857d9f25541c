"""Permissions: which commands a path stands for, so that users are limited there as elsewhere.

Called for each request of a user that is limited.

1. A path that stands for no command is for those who may do everything.
2. What a handler runs as a command is looked at once more, when it is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachestorm_server.acl.denial import NoPermissionError
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.cluster.gate import Router
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.settings import COMMANDS_PATH
from cachestorm_server.web.commands import NAMESPACE_HEADER
from cachestorm_server.web.entries import tags_of
from cachestorm_server.web.routes import Call, Route
from cachestorm_server.web.tags import cdn_tags

Calls = Callable[[Call], list[list[object]]]


def _of_key(name: str) -> Calls:
    return lambda call: [[name, call.segments["key"]]]


def _of_tags(call: Call) -> list[list[object]]:
    tag = call.segments.get("tag")
    return [["INVALIDATE", each] for each in (cdn_tags(call.query) if tag is None else [tag])]


def _of_tag(name: str) -> Calls:
    return lambda call: [[name, call.segments["tag"]]]


def _of_link(name: str) -> Calls:
    return lambda call: [[name, call.segments["tag"], call.segments["child"]]]


def _of_set(call: Call) -> list[list[object]]:
    tags = tags_of(call)
    return [["SET", call.segments["key"], b"", *(["TAGS", *tags] if tags else [])]]


# The calls of commands with arguments that the path of a request stands for.
_CALLS: Final[dict[str, Calls]] = {
    "GET": _of_key("GET"),
    "SET": _of_set,
    "DEL": _of_key("DEL"),
    "INVALIDATE": _of_tags,
    "TAGKEYS": _of_tag("TAGKEYS"),
    "TAGLINK": _of_link("TAGLINK"),
    "TAGUNLINK": _of_link("TAGUNLINK"),
    "NAMESPACEDEL": lambda call: [["NAMESPACEDEL", call.segments["namespace"]]],
    "NAMESPACEINFO": lambda call: [["NAMESPACEINFO", call.segments["namespace"]]],
    "SCAN": lambda call: [["SCAN", "0"]],
    "CONFIG GET": lambda call: [["CONFIG", "GET", "*"]],
}


def check(endpoint: Endpoint, visitor: Visitor, route: Route, call: Call) -> None:
    """Refuses a request that its user may not make.

    Raises:
        NoPermissionError: with Redis' text.
        CacheStormError: for words that the command would refuse, too.
    """
    if visitor.user.is_free or route.is_open or route.path == COMMANDS_PATH:
        return
    name = route.needs or route.acts_as
    if not name:
        raise NoPermissionError(
            f"User {visitor.user.name} has no permissions to use {route.method} {route.path}"
        )
    found = _CALLS.get(name)
    calls = [list[object](name.split())] if found is None else found(call)
    for argv in calls:
        plan = endpoint.registry.resolve(argv)
        plan.check_size(argv)
        visitor.check(plan, argv, _namespace_of(endpoint, call))


def check_place(router: Router, endpoint: Endpoint, call: Call) -> None:
    """Refuses a request about a key that another node of a cluster has.

    Raises:
        CacheStormError: with the words of Redis, which name that node.
    """
    key = call.segments.get("key")
    if key is not None:
        argv: list[object] = ["GET", key]
        router.check_visitor(endpoint.cache, endpoint.registry.resolve(argv), argv)


def _namespace_of(endpoint: Endpoint, call: Call) -> str:
    """The namespace that a request is about, whether there is one or not."""
    for name in (
        call.segments.get("namespace"),
        call.query.text("namespace"),
        call.query.text(NAMESPACE_HEADER),
    ):
        if name is not None:
            return name
    return endpoint.cache.name
