"""Settling: whose replies are forced to the disk together, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from cachestorm_server.endpoint import Carrier
from cachestorm_server.settling import Settling


class Client(Carrier):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bool] = []

    def settle(self, is_written: bool) -> None:
        self.told.append(is_written)


class Disk:
    """Takes a while for each write, by a clock of its own."""

    def __init__(self, takes_s: float) -> None:
        self.now_s = 0.0
        self.writes = 0
        self.works = True
        self._takes_s = takes_s
        self.settling = Settling(self.write, lambda: self.now_s)

    def write(self) -> bool:
        self.writes += 1
        self.now_s += self._takes_s
        return self.works


def on_a_loop(scene: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 60))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_all_of_one_turn_are_written_together_and_told_how_it_went() -> None:
    async def scene() -> None:
        disk = Disk(0.0)
        clients = [Client() for _ in range(3)]
        for client in clients:
            disk.settling.add(client, True)
        await turns()
        assert (disk.writes, [client.told for client in clients]) == (1, [[True]] * 3)
        disk.works = False
        disk.settling.add(clients[0], True)
        await turns()
        assert [client.told for client in clients] == [[True, False], [True], [True]]

    on_a_loop(scene)


def test_as_many_as_came_the_last_time_are_waited_for() -> None:
    async def scene() -> None:
        # half of that is longer than the test waits for anything
        disk = Disk(1000.0)
        clients = [Client() for _ in range(3)]
        for client in clients:
            disk.settling.add(client, True)
        await turns()
        for client in clients[:2]:
            disk.settling.add(client, True)
            await turns()
        assert disk.writes == 1
        disk.settling.add(clients[2], True)
        await turns()
        assert (disk.writes, [client.told for client in clients]) == (2, [[True] * 2] * 3)

    on_a_loop(scene)


def test_where_nothing_is_forced_nobody_is_waited_for() -> None:
    async def scene() -> None:
        disk = Disk(1000.0)
        clients = [Client() for _ in range(3)]
        for client in clients:
            disk.settling.add(client, False)
        await turns()
        disk.settling.add(clients[0], False)
        await turns()
        assert (disk.writes, [len(client.told) for client in clients]) == (2, [2, 1, 1])

    on_a_loop(scene)


def test_who_is_alone_waits_for_nobody() -> None:
    async def scene() -> None:
        disk, client = Disk(1000.0), Client()
        for count in range(1, 4):
            disk.settling.add(client, True)
            await turns()
            assert (disk.writes, len(client.told)) == (count, count)

    on_a_loop(scene)


def test_who_does_not_come_again_is_waited_for_once_and_not_for_long() -> None:
    async def scene() -> None:
        disk = Disk(0.01)
        stays, goes = Client(), Client()
        disk.settling.add(stays, True)
        disk.settling.add(goes, True)
        await turns()
        disk.settling.add(stays, True)
        await turns()
        assert disk.writes == 1
        while len(stays.told) < 2:
            await asyncio.sleep(0.001)
        disk.settling.add(stays, True)
        await turns()
        assert (disk.writes, len(stays.told), len(goes.told)) == (3, 3, 1)

    on_a_loop(scene)


def test_who_must_not_wait_has_all_written_at_once() -> None:
    async def scene() -> None:
        disk = Disk(1000.0)
        clients = [Client() for _ in range(2)]
        for client in clients:
            disk.settling.add(client, True)
        await turns()
        disk.settling.add(clients[0], True)
        await turns()
        disk.settling.settle()
        assert (disk.writes, len(clients[0].told)) == (2, 2)
        await turns()
        # nobody is left, so nothing is written
        assert disk.writes == 2

    on_a_loop(scene)
