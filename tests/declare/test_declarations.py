"""What holds for all declared commands."""

from __future__ import annotations

import pytest

import cachestorm_server.app  # noqa: F401  with cachestorm, it declares all commands
from cachestorm import Cache
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import NeedsConnectionError


@pytest.mark.parametrize(
    "declaration", [pytest.param(each, id=each.full_name) for each in REGISTRY]
)
def test_a_command_is_of_a_group_and_of_a_release(declaration: Declaration) -> None:
    assert declaration.group.replace("-", "").islower()
    assert declaration.since == "0.1"
    assert declaration.complexity
    assert declaration.summary.endswith(".")


@pytest.mark.parametrize(
    "name", [each.name for each in REGISTRY if each.connection], ids=str.lower
)
def test_a_command_of_a_connection_is_refused_in_process(name: str) -> None:
    with pytest.raises(NeedsConnectionError) as caught:
        Cache().execute(*name.split())
    command = name.lower().replace(" ", "|")
    assert str(caught.value) == f"'{command}' belongs to a connection: it works over RESP only"


# Older names, text for people, and what says nothing that another method does not.
FOR_PROTOCOLS = {
    *("BITFIELD_RO", "HMSET", "MEMINFO", "NAMESPACEINFO", "PSETEX", "SORT_RO"),
    *("GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"),
    *("MEMORY HELP", "MEMORY MALLOC-STATS", "MEMORY PURGE", "MEMORY STATS"),
    *("OBJECT HELP", "OBJECT REFCOUNT", "PFDEBUG"),
}


def test_these_commands_are_no_methods_of_a_cache() -> None:
    functions = {each.name for each in REGISTRY if not each.method and not each.connection}
    assert functions == FOR_PROTOCOLS
    methods = {each.method for each in REGISTRY if each.method}
    assert [name for name in methods if not callable(getattr(Cache, name, None))] == []
