"""Nodes of a cluster on one event loop, one of which is a replica of the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nodes import Client, caught_up, node, until

from cachestorm_server.app import Application
from cachestorm_server.cluster.node import Node
from tests.real_servers import free_port


def member(folder: Path, name: str) -> Application:
    given = {
        "cluster.enabled": True,
        "cluster.bind_port": free_port(),
        "cluster.probe_interval": "100ms",
        "persistence.data_dir": str(folder / name),
    }
    return node(None, **given)


def of(served: Application) -> Node:
    assert served.joining is not None
    return served.joining.membership.node


async def pair(one: Application, other: Application) -> tuple[Client, Client]:
    """Has one node have all slots, and the other be its replica."""
    clients = await Client.of(one), await Client.of(other)
    assert await clients[0].ask("CLUSTER ADDSLOTSRANGE 0 16383") == b"OK"
    of(one).meet(of(other).me.address, one.joining.membership.clock())
    await until(lambda: bool(of(one).members and of(other).members))
    assert await clients[1].ask(f"CLUSTER REPLICATE {of(one).me.id}") == b"OK"
    await caught_up(one, other)
    return clients


def test_a_replica_takes_over_when_it_is_told_to_and_again_the_other_way_round(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with member(tmp_path, "a") as one, member(tmp_path, "b") as other:
            at_one, at_other = await pair(one, other)
            assert await at_one.ask("SET k v") == b"OK"
            assert await at_one.ask("WAIT 1 0") == 1
            moved = f"-MOVED 7629 127.0.0.1:{one.resp.port}".encode()
            assert await at_other.ask("GET k") == moved
            assert await at_other.ask("READONLY") == b"OK"
            assert await at_other.ask("GET k") == b"v"
            assert await at_other.ask("SET k w") == moved
            assert await at_other.ask("CLUSTER FAILOVER") == b"OK"
            await until(lambda: of(one).me.primary == of(other).me.id)
            await until(lambda: of(other).me.primary == "")
            assert await at_other.ask("SET k w") == b"OK"
            # without a copy: it had all that the other one has begun with
            await caught_up(other, one)
            assert await at_one.ask("READONLY") == b"OK"
            assert await at_one.ask("GET k") == b"w"
            assert await at_one.ask("CLUSTER FAILOVER") == b"OK"
            await until(lambda: of(other).me.primary == of(one).me.id)
            await until(lambda: of(one).me.primary == "")
            assert await at_one.ask("SET k x") == b"OK"
            assert await at_one.ask("WAIT 1 0") == 1
            at_one.close()
            at_other.close()

    asyncio.run(scene())


def test_no_write_is_lost_and_none_is_taken_twice_while_a_replica_takes_over(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with member(tmp_path, "a") as one, member(tmp_path, "b") as other:
            at_one, at_other = await pair(one, other)
            asked = await Client.of(one)
            written = 0
            for number in range(1, 200):
                if number == 50:
                    assert await at_other.ask("CLUSTER FAILOVER") == b"OK"
                reply = await asked.ask(f"SET k {number}")
                if reply != b"OK":
                    assert reply.startswith(b"-MOVED 7629")
                    break
                written = number
            await until(lambda: of(other).me.primary == "")
            assert await at_other.ask("GET k") == str(written).encode()
            for client in (at_one, at_other, asked):
                client.close()

    asyncio.run(scene())


def test_a_node_follows_no_node_of_another_cluster_that_has_its_primarys_address(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with member(tmp_path, "a") as one, member(tmp_path, "c") as stranger:
            client = await Client.of(stranger)
            line = f"FOLLOW FROM 1 {'d' * 40} ? 0 7000 {of(one).me.id} {'e' * 40}"
            refusal = f"-ERR this is node {of(stranger).me.id}, and not {of(one).me.id}"
            assert await client.ask(line) == refusal.encode()
            client.close()

    asyncio.run(scene())
