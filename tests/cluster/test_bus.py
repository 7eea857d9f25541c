"""The bus: what nodes say to each other over TCP, and what they do not take."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
import trustme
from redis.asyncio import Redis

from cachestorm import Cache
from cachestorm_server.cluster.joining import Joining
from cachestorm_server.cluster.link_map import Link
from cachestorm_server.cluster.messages import (
    PING,
    Member,
    Message,
    MessageError,
    Query,
    Result,
)
from cachestorm_server.cluster.migration import Migration
from cachestorm_server.cluster.node import Node
from cachestorm_server.cluster.op_log import Operation, Share
from cachestorm_server.cluster.slot_map import Run
from cachestorm_server.cluster.wire import HEAD_BYTES, FrameError, Wire
from cachestorm_server.config_cluster import ClusterConfig
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings
from cachestorm_server.tls import TlsFiles
from tests.real_servers import free_port

NOW_MS = 1_800_000_000_000
A, B = "a" * 40, "b" * 40
SENT = "cluster_stats_messages_sent"


def a_message() -> Message:
    sender = Member(A, "n1", "127.0.0.1", 6380, 7946, 1, 2, "now")
    other = Member(B, "", "::1", 6380, 7946, 0, 0, "then")
    return Message(
        PING,
        7,
        (A,),
        sender,
        3,
        4,
        (other,),
        (B,),
        (Run(0, 5, 1, A),),
        done=(("now", 3),),
        shares=(Share("o", 1, 0, (Operation("o", 2, "default", ("INVALIDATE", "t")),)),),
        queries=(Query("k", "default", ("TAGKEYS", "t")),),
        results=(Result("k", 3), Result("k", ("a", "b"), 1)),
        link_digest=5,
        links=(Link("default", "p", "tag of any bytes \udcff", 1, A, True),),
        ended=("then",),
    )


def test_a_message_comes_back_as_it_was() -> None:
    writer, reader = Wire("s"), Wire("s")
    frame = writer.written(a_message(), NOW_MS)
    assert reader.length(frame[:HEAD_BYTES]) == len(frame) - HEAD_BYTES
    assert reader.read(frame[HEAD_BYTES:], NOW_MS) == a_message()


def test_a_frame_of_another_secret_or_that_was_changed_is_refused() -> None:
    frame = Wire("s").written(a_message(), NOW_MS)[HEAD_BYTES:]
    with pytest.raises(FrameError, match="not signed"):
        Wire("other").read(frame, NOW_MS)
    for at in range(0, len(frame), 7):
        forged = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        with pytest.raises(FrameError, match="not signed"):
            Wire("s").read(forged, NOW_MS)


def test_a_frame_is_good_once_and_for_a_minute() -> None:
    frame = Wire("s").written(a_message(), NOW_MS)[HEAD_BYTES:]
    reader = Wire("s")
    reader.read(frame, NOW_MS)
    with pytest.raises(FrameError, match="come before"):
        reader.read(frame, NOW_MS + 30_000)
    with pytest.raises(FrameError, match="61 s off"):
        Wire("s").read(frame, NOW_MS + 61_000)


def test_a_length_beyond_all_frames_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError, match="a frame of 4294967295 bytes"):
        Wire("s").length(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (msgpack.packb([2, NOW_MS, b"", []]), "version 2 of the bus; this node speaks 1"),
        (msgpack.packb("x"), "no message"),
        (b"\xc1", "no msgpack"),
        (msgpack.packb([1, NOW_MS, b"", ["ping"]]), "no list of 17"),
    ],
)
def test_a_signed_body_that_is_no_message_is_refused(body: bytes, text: str) -> None:
    wire = Wire("s")
    with pytest.raises(MessageError, match=text):
        wire.read(wire._sign(body) + body, NOW_MS)


def test_every_part_of_a_message_is_looked_at() -> None:
    wire = Wire("")
    plain = a_message().to_plain()

    def broken(value: object, bad: object) -> list[object]:
        """All the values that differ in one place, which is bad."""
        if not isinstance(value, list):
            return [bad]
        return [
            [*value[:at], each, *value[at + 1 :]]
            for at in range(len(value))
            for each in broken(value[at], bad)
        ]

    refused = 0
    for bad in (None, -1, 1.5, [[]]):
        for each in broken(plain, bad):
            body = msgpack.packb([1, NOW_MS, b"", each], unicode_errors="surrogateescape")
            with pytest.raises(MessageError):
                wire.read(wire._sign(body) + body, NOW_MS)
            refused += 1
    assert refused > 100


# -- real sockets


async def until(holds: Callable[[], object]) -> None:
    for _ in range(6000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


class Running:
    """Nodes of one process, each with a server and a bus."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.joinings: list[Joining] = []

    async def add(
        self, *seeds: int, secret: str = "s", files: TlsFiles | None = None
    ) -> Joining:
        port = free_port()
        server = await self._stack.enter_async_context(RespServer(Cache(), Settings(port=0)))
        config = replace(
            ClusterConfig(),
            bind_addr="127.0.0.1",
            bind_port=port,
            seeds=tuple(f"127.0.0.1:{seed}" for seed in seeds),
            secret=secret,
            probe_interval=150,
            probe_timeout=300,
            answer_timeout=10_000,
        )
        folder = str(self._folder / str(len(self.joinings)))
        joining = Joining(config, server.endpoint, folder, files)
        await joining.start(server.port)
        self._stack.push_async_callback(joining.stop)
        self.joinings.append(joining)
        return joining

    def nodes(self) -> list[Node]:
        return [joining.membership.node for joining in self.joinings]


def running(folder: Path, story: Callable[[Running], Awaitable[None]]) -> None:
    async def play() -> None:
        async with AsyncExitStack() as stack:
            await story(Running(folder, stack))

    asyncio.run(play())


def test_nodes_find_each_other_by_a_seed(tmp_path: Path) -> None:
    async def story(cluster: Running) -> None:
        first = await cluster.add()
        seed = first.membership.node.me.bus_port
        # what is no frame ends its connection, and nothing else
        reader, writer = await asyncio.open_connection("127.0.0.1", seed)
        writer.write(b"\0\0\0\x40" + bytes(64))
        assert await reader.read() == b""
        writer.close()
        await cluster.add(seed)
        await cluster.add(seed)
        await until(lambda: [len(node.members) for node in cluster.nodes()] == [2, 2, 2])
        first.membership.node.assign(range(100), first.membership.node.me.id)
        first.membership.settle(first.membership.node.take_outbox())
        await until(lambda: len({node.slots.digest for node in cluster.nodes()}) == 1)
        assert [node.slots.counts for node in cluster.nodes()] == 3 * [
            {first.membership.node.me.id: 100}
        ]

    running(tmp_path, story)


def test_a_node_that_does_not_know_the_secret_stays_alone_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(cluster: Running) -> None:
        first = await cluster.add()
        await cluster.add(first.membership.node.me.bus_port, secret="wrong")
        await until(lambda: "not signed with the secret" in caplog.text)
        assert [len(node.members) for node in cluster.nodes()] == [0, 0]

    with caplog.at_level(logging.WARNING, "cachestorm.cluster"):
        running(tmp_path, story)
    assert caplog.text.count("not signed") == 1


def issued(folder: Path, name: str, ca: trustme.CA) -> TlsFiles:
    """A certificate of a node, in files."""
    made = ca.issue_cert(name)
    cert, key, signer = (str(folder / f"{name}.{suffix}") for suffix in ("pem", "key", "ca"))
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(signer)
    return TlsFiles(cert, key, signer)


def test_nodes_speak_tls_with_those_whose_certificate_is_signed_by_the_same(
    tmp_path: Path,
) -> None:
    ca, other = trustme.CA(), trustme.CA()

    async def story(cluster: Running) -> None:
        first = await cluster.add(files=issued(tmp_path, "one", ca))
        seed = first.membership.node.me.bus_port
        await cluster.add(seed, files=issued(tmp_path, "two", ca))
        stranger = await cluster.add(seed, files=issued(tmp_path, "three", other))
        plain = await cluster.add(seed)
        await until(lambda: [len(node.members) for node in cluster.nodes()][:2] == [1, 1])
        for outsider in (stranger, plain):
            # it has tried
            await until(lambda outsider=outsider: outsider.bus.traffic()[SENT] > 2)
            assert outsider.membership.node.members == {}
        assert [len(node.members) for node in cluster.nodes()] == [1, 1, 0, 0]
        # who shows no certificate learns nothing
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            reader, writer = await asyncio.open_connection("127.0.0.1", seed, ssl=trusting(ca))
            writer.write(bytes(100))
            await reader.readexactly(1)

    running(tmp_path, story)


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    ca.configure_trust(context)
    return context


async def on_its_way(cluster: Running, slot: int) -> tuple[Node, Node]:
    """Has the first node give a slot to the second, which both know."""
    source, target = cluster.joinings
    mine, other = cluster.nodes()
    mine.assign([slot], mine.me.id)
    source.membership.settle(mine.take_outbox())
    await until(lambda: other.slots.owners[slot] == mine.me.id)
    other.import_from(slot, mine.me.id)
    target.membership.settle(other.take_outbox())
    mine.migrate(slot, other.me.id)
    source.membership.settle(mine.take_outbox())
    return mine, other


def test_a_key_that_moves_keeps_its_idle_time_and_its_time_to_live(tmp_path: Path) -> None:
    async def story(cluster: Running) -> None:
        source = await cluster.add()
        target = await cluster.add(source.membership.node.me.bus_port)
        await until(lambda: [len(node.members) for node in cluster.nodes()] == [1, 1])
        here, there = (each.membership.endpoint.cache for each in (source, target))
        here.set("k", 1, ttl=3600, idle=60, tags=["t"])
        mine, other = await on_its_way(cluster, 7629)
        async with Redis(port=mine.me.port) as client:
            words = ["MIGRATE", "127.0.0.1", other.me.port, "k", 0, 5000]
            assert await client.execute_command(*words) == b"OK"
        assert here.entry("k") is None
        arrived = there.entry("k")
        assert arrived is not None
        assert (arrived.value, arrived.tags, arrived.idle) == (1, ("t",), 60)
        entry = there._space.peek("k")
        assert entry is not None
        idle = there._space.idle_of(entry)
        assert idle is not None
        # how long it may live, however often it is hit
        assert 3_590_000 < idle.ends_at_ms - there._space.shared.now_ms() <= 3_600_000

    running(tmp_path, story)


def test_a_key_that_is_deleted_and_set_while_it_is_sent_is_answered_for_by_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(cluster: Running) -> None:
        source = await cluster.add()
        await cluster.add(source.membership.node.me.bus_port)
        await until(lambda: [len(node.members) for node in cluster.nodes()] == [1, 1])
        mine, other = await on_its_way(cluster, 7629)
        take_away = Migration._take_away
        sent, written = asyncio.Event(), asyncio.Event()

        def looked(self: Migration) -> Generator[None, None, list[str]]:
            again = yield from take_away(self)
            sent.set()
            return again

        monkeypatch.setattr(Migration, "_take_away", looked)
        here, there = (each.membership.endpoint.cache for each in cluster.joinings)
        here.set("k", "old")
        async with Redis(port=mine.me.port) as mover, Redis(port=mine.me.port) as client:
            words = ["MIGRATE", "127.0.0.1", other.me.port, "k", 0, 5000]
            send = Migration._send

            async def delete_then_send(self: Migration, requests: list[bytes]) -> None:
                if not sent.is_set():
                    here.delete("k")
                elif not written.is_set():
                    await written.wait()
                await send(self, requests)

            monkeypatch.setattr(Migration, "_send", delete_then_send)
            moving = asyncio.create_task(mover.execute_command(*words))
            await sent.wait()
            # the removal is on its way: who sets the key now is not sent to the other node
            await client.set("k", "new")
            written.set()
            assert await moving == b"OK"
        assert (here.get("k"), there.get("k")) == (None, b"new")

    running(tmp_path, story)
