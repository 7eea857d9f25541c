"""What comes to replicas beside the keys: messages, and libraries of functions."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodes import Client, caught_up, node, of, on_a_loop, until

from cachestorm import Cache
from cachestorm.errors import PayloadError
from cachestorm_server.app import Application
from cachestorm_server.replication import link

LIBRARY = "#!lua name={0}\\nredis.register_function('{0}', function() return '{1}' end)"


def library(name: str, value: str) -> str:
    return 'FUNCTION LOAD REPLACE "' + LIBRARY.format(name, value) + '"'


async def listener(served: Application, line: str) -> Client:
    client = await Client.of(served)
    assert (await client.ask(line))[0].endswith(b"subscribe")
    return client


def test_what_is_published_is_heard_at_replicas_and_at_theirs() -> None:
    async def scene() -> None:
        async with node() as first, node(first) as second:
            await caught_up(first, second)
            async with node(second) as third:
                await caught_up(second, third)
                news = await listener(third, "SUBSCRIBE news")
                all_of_them = await listener(second, "PSUBSCRIBE n*")
                shard = await listener(third, "SSUBSCRIBE part")
                client = await Client.of(first)
                assert await client.ask("PUBLISH news hello") == 0
                assert await news.heard() == [b"message", b"news", b"hello"]
                assert await all_of_them.heard() == [b"pmessage", b"n*", b"news", b"hello"]
                assert await client.ask("SPUBLISH part there") == 0
                assert await shard.heard() == [b"smessage", b"part", b"there"]
                for each in (news, all_of_them, shard, client):
                    each.close()

    on_a_loop(scene)


def test_a_message_comes_behind_what_was_written_before_it_and_is_in_no_offset() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as replica:
            await caught_up(primary, replica)
            news = await listener(replica, "SUBSCRIBE news")
            client = await Client.of(primary)
            reader = await Client.of(replica)
            for number in range(20):
                assert await client.ask("MULTI") == b"OK"
                await client.ask(f"SET k {number}")
                await client.ask("PUBLISH news k")
                assert await client.ask("EXEC") == [b"OK", 0]
                assert await news.heard() == [b"message", b"news", b"k"]
                assert await reader.ask("GET k") == b"%d" % number
            offset = of(primary).stream.flush()
            await client.ask("PUBLISH news more")
            assert of(primary).stream.flush() == offset
            await caught_up(primary, replica)
            for each in (news, client, reader):
                each.close()

    on_a_loop(scene)


def test_a_program_publishes_to_replicas_as_well(tmp_path: Path) -> None:
    async def scene() -> None:
        more = {"persistence.enabled": True, "persistence.data_dir": str(tmp_path)}
        async with node(None, **more) as primary, node(primary) as replica:
            await caught_up(primary, replica)
            news = await listener(replica, "SUBSCRIBE news")
            primary.cache.publish("news", "hello")
            assert await news.heard() == [b"message", b"news", b"hello"]
            news.close()

    on_a_loop(scene)


def test_events_of_keys_are_told_by_each_server_itself() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as replica:
            await caught_up(primary, replica)
            client = await Client.of(primary)
            assert await client.ask("CONFIG SET notify-keyspace-events KEA") == b"OK"
            events = await listener(replica, "PSUBSCRIBE *")
            await client.ask("SET k v")
            await client.ask("PUBLISH news last")
            assert await events.heard() == [b"pmessage", b"*", b"news", b"last"]
            for each in (events, client):
                each.close()

    on_a_loop(scene)


def test_a_replica_has_the_functions_of_its_primary_and_no_others() -> None:
    async def scene() -> None:
        async with node() as first:
            client = await Client.of(first)
            assert await client.ask(library("before", "b")) == b"before"
            async with node() as second:
                own = await Client.of(second)
                assert await own.ask(library("own", "o")) == b"own"
                of(second).follow("127.0.0.1", first.resp.port)
                await caught_up(first, second)
                async with node(second) as third:
                    await caught_up(second, third)
                    asked = [own, await Client.of(third)]

                    async def calls(name: str, reply: bytes) -> None:
                        for each in asked:
                            await each.asks_until(f"FCALL {name} 0", reply)

                    await calls("before", b"b")
                    await calls("own", b"-ERR Function not found")
                    assert await client.ask(library("later", "l")) == b"later"
                    await calls("later", b"l")
                    assert await client.ask(library("later", "m")) == b"later"
                    await calls("later", b"m")
                    assert await client.ask("FUNCTION DELETE before") == b"OK"
                    await calls("before", b"-ERR Function not found")
                    assert await client.ask("FUNCTION FLUSH") == b"OK"
                    await calls("later", b"-ERR Function not found")
                    refused = await own.ask(library("own", "o"))
                    assert refused.startswith(b"-READONLY")
                    asked[1].close()
                own.close()
            client.close()

    on_a_loop(scene)


def test_who_comes_back_gets_the_functions_that_were_loaded_meanwhile() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as replica:
            primary.cache.set("a", 1)
            await caught_up(primary, replica)
            of(replica).follow_nobody()
            client, asked = await Client.of(primary), await Client.of(replica)
            await until(lambda: not of(primary).followers())
            assert await client.ask(library("meanwhile", "m")) == b"meanwhile"
            of(replica).follow("127.0.0.1", primary.resp.port)
            await caught_up(primary, replica)
            await asked.asks_until("FCALL meanwhile 0", b"m")
            for each in (client, asked):
                each.close()

    on_a_loop(scene)


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x01\x00\x00\x00", b"\x01\0\0\0\0x"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError):
        link.read_published(body)


def test_without_replicas_nothing_is_kept_of_what_is_published() -> None:
    cache = Cache()
    assert cache.publish("news", "hello") == 0
    assert cache._store.broker.relay is None
