"""What the calls of all examples do to their keys, against what real servers say."""

from __future__ import annotations

import pytest
from command_examples import examples
from real_servers import RealServer

from cachestorm.declare.registry import REGISTRY
from cachestorm_server.requests import split_inline

redis = pytest.importorskip("redis")

# calls of which options decide
MORE = [
    "SET k v",
    "SET k v GET",
    "BITFIELD k GET u8 0",
    "BITFIELD k GET u8 0 SET u8 0 1",
    "GEORADIUS k 1 1 1 m STORE d",
    "SORT k BY w_* STORE d",
]
LINES = sorted(
    {line.text for each in examples().values() for line in each.client if not line.mark}
    | set(MORE)
)
NO_KEYS = "The command has no key arguments"
# A slip of Redis 7.0: it is flagged as if it read its destination.
MEANT = {("redis", "SINTERSTORE")}


@pytest.mark.parametrize("line", LINES)
def test_a_call_accesses_its_keys_as_a_real_server_says(
    real_server: RealServer, line: str
) -> None:
    argv: list[object] = [arg for arg in split_inline(line.encode()) if isinstance(arg, bytes)]
    plan = REGISTRY.resolve(argv)
    connection = redis.Connection(port=real_server.port, protocol=3, decode_responses=True)
    connection.send_command("COMMAND", "GETKEYSANDFLAGS", *argv)
    try:
        theirs = [(key, sorted(flags)) for key, flags in connection.read_response()]
    except redis.ResponseError as error:
        if str(error) != NO_KEYS:
            pytest.skip(f"it has no such command: {error}")
        theirs = []
    finally:
        connection.disconnect()
    if (real_server.name, plan.name) not in MEANT:
        assert [(key, sorted(access.flags)) for key, access in plan.keys(argv)] == theirs


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("COPY a b", [("a", True, False), ("b", False, True)]),
        ("SMOVE a b m", [("a", True, True), ("b", True, True)]),
        ("SUNIONSTORE d a b", [("d", False, True), ("a", True, False), ("b", True, False)]),
        ("DEL a b", [("a", False, True), ("b", False, True)]),
        ("GET a", [("a", True, False)]),
    ],
)
def test_a_call_reads_and_writes_these_keys(
    line: str, expected: list[tuple[str, bool, bool]]
) -> None:
    argv: list[object] = [*line.split()]
    found = REGISTRY.resolve(argv).keys(argv)
    assert [(key, access.reads, access.writes) for key, access in found] == expected
