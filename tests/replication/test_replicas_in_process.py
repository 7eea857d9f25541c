"""Replicas hold what their primaries do: values, tags, deadlines, links, settings."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from contents import contents
from nodes import Client, caught_up, change, complaint, fill, node, of, on_a_loop, until
from vocabulary import random_command

from cachestorm_server.replication.follower import State
from cachestorm_server.web.reports import unready
from tests.real_servers import free_port


def test_a_replica_gets_what_is_there_and_what_changes() -> None:
    async def scene() -> None:
        async with node() as primary:
            fill(primary)
            async with node(primary) as replica:
                await caught_up(primary, replica)
                assert contents(replica.cache) == contents(primary.cache)
                change(primary)
                await caught_up(primary, replica)
                assert contents(replica.cache) == contents(primary.cache)
                replica.cache._check()

    on_a_loop(scene)


@pytest.mark.parametrize("seed", range(3))
def test_random_commands_come_to_the_same(seed: int) -> None:
    async def scene() -> None:
        chance = random.Random(seed)
        async with node() as primary, node(primary) as replica:
            client = await Client.of(primary)
            for turn in range(4):
                for _ in range(150):
                    argv = random_command(chance)
                    words = b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in argv])
                    client.writer.write(b"*%d\r\n%b" % (len(argv), words))
                    await client._reply()
                await caught_up(primary, replica)
                assert contents(replica.cache) == contents(primary.cache), turn
                if turn == 1:
                    # it begins anew with a copy, in the midst of it
                    assert of(replica).promote()
                    of(replica).follow("127.0.0.1", primary.resp.port)
            replica.cache._check()
            client.close()

    on_a_loop(scene)


def test_a_copy_that_is_taken_while_all_changes_is_exact() -> None:
    async def scene() -> None:
        async with node() as primary:
            cache = primary.cache
            chance = random.Random(7)
            for number in range(3000):
                cache.set(f"k{number}", number, tags=[f"t{number % 7}"])
                cache.hset(f"h{number % 50}", f"f{number}", number)
            async with node(primary) as replica:
                while not (
                    of(replica).following is not None
                    and of(replica).following.follower.state is State.CONNECTED
                ):
                    number = chance.randrange(3000)
                    if cache.exists(f"k{number}"):
                        cache.rename(f"k{number}", f"m{number}")
                    cache.hset(f"h{number % 50}", f"f{number}", -number)
                    cache.set(f"n{number}", 1)
                    cache.delete(f"k{number // 2}")
                    if number < 30:
                        cache.swapdb(0, 2)
                        cache.invalidate(f"t{number % 7}")
                    await asyncio.sleep(0)
                await caught_up(primary, replica)
                assert contents(replica.cache) == contents(primary.cache)
                replica.cache._check()

    on_a_loop(scene)


def test_a_replica_that_was_away_gets_what_it_has_missed_and_no_more() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as replica:
            primary.cache.set("a", 1)
            await caught_up(primary, replica)
            following = of(replica).following
            assert following is not None
            history = following.follower.history
            # only who gets all of it loses this
            replica.cache.set("mark", 1)
            (session,) = [each for each in primary.resp.endpoint.sessions.values()]
            session.carrier.abort()
            await until(lambda: following.follower.state is not State.CONNECTED)
            primary.cache.set("b", 2)
            await caught_up(primary, replica)
            assert replica.cache.mget("a", "b", "mark") == [1, 2, 1]
            assert following.follower.history == history

    on_a_loop(scene)


def test_a_backlog_that_is_too_short_ends_in_a_copy() -> None:
    async def scene() -> None:
        async with node(replication__backlog_size="100") as primary, node(primary) as replica:
            await caught_up(primary, replica)
            following = of(replica).following
            assert following is not None
            replica.cache.set("mark", 1)
            (session,) = [each for each in primary.resp.endpoint.sessions.values()]
            session.carrier.abort()
            await until(lambda: following.follower.state is not State.CONNECTED)
            for number in range(20):
                primary.cache.set(f"k{number}", "x" * 100)
                of(primary).stream.flush()
            await caught_up(primary, replica)
            assert contents(replica.cache) == contents(primary.cache)
            assert not replica.cache.exists("mark")

    on_a_loop(scene)


def test_nothing_expires_at_a_replica_by_itself_and_what_is_due_is_hidden() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as replica:
            # as if the primary had stopped to look
            primary.cache._store.rest()
            primary.cache.set("a", 1, ttl=0.05)
            await caught_up(primary, replica)
            await asyncio.sleep(0.3)
            client = await Client.of(replica)
            assert await client.ask("GET a") is None
            assert await client.ask("EXISTS a") == 0
            assert "a" in replica.cache._space.entries
            primary.cache._store.end_rest()
            assert not primary.cache.exists("a")
            await caught_up(primary, replica)
            assert "a" not in replica.cache._space.entries
            client.close()

    on_a_loop(scene)


def test_a_replica_evicts_nothing_by_itself() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary, memory__max_memory="1mb") as replica:
            for number in range(300):
                primary.cache.set(f"k{number}", "x" * 10_000)
            await caught_up(primary, replica)
            assert len(replica.cache) == 300
            of(replica).promote()
            assert 0 < len(replica.cache) < 110

    on_a_loop(scene)


def test_a_replica_refuses_writes_however_they_come() -> None:
    async def scene() -> None:
        refusal = b"-READONLY You can't write against a read only replica."
        async with node() as primary, node(primary) as replica:
            primary.cache.set("a", 1)
            await caught_up(primary, replica)
            client = await Client.of(replica)
            for line in (
                "SET a 2",
                "DEL a",
                "INVALIDATE t",
                "FLUSHALL",
                "EXPIRE a 1",
                "SETTAG a 1 t",
            ):
                assert await client.ask(line) == refusal, line
            assert await client.ask("MULTI") == b"OK"
            assert await client.ask("SET a 2") == refusal
            assert (await client.ask("EXEC")).startswith(b"-EXECABORT")
            assert (await client.ask('EVAL \'return redis.call("SET","a",1)\' 0')).startswith(
                b"-READONLY"
            )
            assert await client.ask("GET a") == b"1"
            assert await client.ask("PING") == b"PONG"
            assert await client.ask("REPLICAOF NO ONE") == b"OK"
            assert await client.ask("SET a 2") == b"OK"
            client.close()

    on_a_loop(scene)


def test_replicas_of_replicas_get_the_same() -> None:
    async def scene() -> None:
        async with node() as first:
            fill(first)
            async with node(first) as second:
                await caught_up(first, second)
                async with node(second) as third:
                    await caught_up(second, third)
                    change(first)
                    await caught_up(first, second)
                    await caught_up(second, third)
                    assert contents(third.cache) == contents(first.cache)
                    first.cache.flushall()
                    first.cache.set("after", 1)
                    await caught_up(first, second)
                    await caught_up(second, third)
                    assert contents(third.cache) == contents(first.cache)

    on_a_loop(scene)


def test_a_circle_is_refused() -> None:
    async def scene() -> None:
        async with node() as first, node(first) as second:
            await caught_up(first, second)
            for primary, why in ((first, "itself"), (second, "circle")):
                of(first).follow("127.0.0.1", primary.resp.port)
                assert why in await complaint(first)
                of(first).promote()

    on_a_loop(scene)


def test_two_that_follow_each_other_at_once_notice_it() -> None:
    async def scene() -> None:
        async with node() as first, node() as second:
            of(first).follow("127.0.0.1", second.resp.port)
            of(second).follow("127.0.0.1", first.resp.port)
            followings = [of(first).following, of(second).following]
            await until(lambda: all(each and each.follower.failures for each in followings))
            of(first).promote()
            await caught_up(first, second)

    on_a_loop(scene)


def test_a_replica_gives_its_name_and_password() -> None:
    async def scene() -> None:
        given = {"plugins__auth__enabled": True, "plugins__auth__password": "secret"}
        async with node(**given) as primary:
            async with node(primary) as stranger:
                assert "NOAUTH" in await complaint(stranger)
            async with node(primary, replication__primary_password="secret") as replica:
                primary.cache.set("a", 1)
                await caught_up(primary, replica)
                assert replica.cache.get("a") == 1

    on_a_loop(scene)


def test_a_user_may_be_allowed_to_follow_and_nothing_else() -> None:
    async def scene() -> None:
        async with node() as primary:
            client = await Client.of(primary)
            assert await client.ask("ACL SETUSER copy on >pw +follow") == b"OK"
            given = {
                "replication__primary_user": "copy",
                "replication__primary_password": "pw",
            }
            async with node(primary, **given) as replica:
                primary.cache.set("a", 1)
                await caught_up(primary, replica)
                assert replica.cache.get("a") == 1
            client.close()

    on_a_loop(scene)


def test_a_server_that_is_none_of_ours_is_refused() -> None:
    async def scene() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"-ERR unknown command 'FOLLOW'\r\n")
            # else Python 3.12 and newer wait for this connection as the listener is closed
            writer.close()

        async with (
            await asyncio.start_server(speak, "127.0.0.1", 0) as other,
            node() as replica,
        ):
            of(replica).follow("127.0.0.1", other.sockets[0].getsockname()[1])
            following = of(replica).following
            assert following is not None
            await until(lambda: "unknown command 'FOLLOW'" in following.follower.why)
            of(replica).promote()

    on_a_loop(scene)


def test_a_primary_that_ends_in_a_copy_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with node() as primary:
            for number in range(5000):
                primary.cache.set(f"k{number}", "x" * 1000)
            async with node(primary) as replica:
                following = of(replica).following
                assert following is not None
                await until(lambda: following.follower.state is State.SYNC)
                client = await Client.of(replica)
                assert (await client.ask("GET k1")).startswith(b"-LOADING")
                assert unready(replica.resp.endpoint) == ["data is being loaded"]
                of(replica).promote()
                assert await client.ask("DBSIZE") == 0
                client.close()

    on_a_loop(scene)


def test_wait_counts_those_that_have_said_so() -> None:
    async def scene() -> None:
        async with node() as primary, node(primary) as one, node(primary) as two:
            await caught_up(primary, one)
            await caught_up(primary, two)
            client = await Client.of(primary)
            await client.ask("SET a 1")
            assert await client.ask("WAIT 2 0") == 2
            # one of them does not come to it
            following = of(two).following
            assert following is not None
            following._acknowledge = lambda: None  # type: ignore[method-assign]
            await client.ask("SET a 2")
            assert await client.ask("WAIT 1 0") == 1
            assert await client.ask("WAIT 2 30") == 1
            assert await client.ask("WAIT 0 0") == 1
            assert (await (await Client.of(one)).ask("WAIT 0 0")).startswith(
                b"-ERR WAIT cannot"
            )
            client.close()

    on_a_loop(scene)


def test_waitaof_counts_the_replicas_that_have_it_on_their_disks(tmp_path: Path) -> None:
    kept = {
        "persistence__enabled": True,
        "persistence__data_dir": str(tmp_path / "data"),
        "persistence__aof_sync": "no",
    }

    async def scene() -> None:
        async with node() as primary, node(primary, **kept) as one, node(primary) as two:
            await caught_up(primary, one)
            await caught_up(primary, two)
            client = await Client.of(primary)
            await client.ask("SET a 1")
            assert await client.ask("WAITAOF 0 1 0") == [0, 1]
            assert await client.ask("WAITAOF 0 2 20") == [0, 1]
            client.close()
            client = await Client.of(one)
            refusal = await client.ask("WAITAOF 1 0 0")
            assert refusal.startswith(b"-ERR WAITAOF cannot be used with replica instances")
            client.close()

    on_a_loop(scene)


def test_the_stream_ends_when_no_replica_is_there_for_long() -> None:
    async def scene() -> None:
        async with node(replication__backlog_ttl="1s") as primary:
            async with node(primary) as replica:
                await caught_up(primary, replica)
                assert primary.cache._store.recorder is not None
            await until(lambda: of(primary).stream.backlog is None)
            assert primary.cache._store.recorder is None
            assert primary.resp.endpoint.journal is None
            primary.cache.set("a", 1)
            async with node(primary) as replica:
                await caught_up(primary, replica)
                assert replica.cache.get("a") == 1

    on_a_loop(scene)


@pytest.mark.parametrize("aof", [True, False])
def test_a_snapshot_on_disk_is_taken_beside_the_replicas_and_not_sent_to_them(
    tmp_path: Path, aof: bool
) -> None:
    kept = {
        "persistence__enabled": True,
        "persistence__data_dir": str(tmp_path / "data"),
        "persistence__aof": aof,
    }

    async def scene() -> None:
        async with node(**kept) as primary, node(primary) as replica:
            fill(primary)
            for number in range(1000):
                primary.cache.set(f"k{number}", "x" * 100)
            await caught_up(primary, replica)
            before = of(primary).stream.offset
            await asyncio.to_thread(primary.cache.save)
            change(primary)
            await caught_up(primary, replica)
            assert of(primary).stream.offset - before < 5000
            held = contents(primary.cache)
            assert contents(replica.cache) == held
        async with node(**kept) as again:
            assert contents(again.cache) == held
            again.cache._check()

    on_a_loop(scene)


def test_a_server_that_ends_in_a_copy_keeps_nothing_of_it(tmp_path: Path) -> None:
    kept = {"persistence__enabled": True, "persistence__data_dir": str(tmp_path / "data")}

    async def scene() -> None:
        async with node() as primary:
            for number in range(5000):
                primary.cache.set(f"k{number}", "x" * 1000)
            async with node(primary, **kept) as replica:
                following = of(replica).following
                assert following is not None
                await until(lambda: following.follower.state is State.SYNC)
                await until(lambda: len(replica.cache) > 0)
                assert following.follower.state is State.SYNC
            async with node(**kept) as alone:
                assert len(alone.cache) == 0

    on_a_loop(scene)


def test_a_replica_speaks_tls_to_a_primary_that_it_trusts_and_to_no_other(
    tmp_path: Path,
) -> None:
    trustme = pytest.importorskip("trustme")
    authority, other = trustme.CA(), trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    files = {"tls.cert_file": "cert.pem", "tls.key_file": "key.pem"}
    files = {name: str(tmp_path / file) for name, file in files.items()}
    made.cert_chain_pems[0].write_to_path(files["tls.cert_file"])
    made.private_key_pem.write_to_path(files["tls.key_file"])
    for name, each in (("ca.pem", authority), ("other.pem", other)):
        each.cert_pem.write_to_path(str(tmp_path / name))

    async def scene() -> None:
        async with node(**files, **{"tls.port": free_port()}) as primary:
            fill(primary)
            address = f"127.0.0.1:{primary.resp.settings.tls_port}"
            following = {"replication.replica_of": address, "replication.tls": True}
            ca = {"tls.ca_file": str(tmp_path / "ca.pem")}
            async with node(**following, **ca) as replica:
                await caught_up(primary, replica)
                assert contents(replica.cache) == contents(primary.cache)
            wrong = {"tls.ca_file": str(tmp_path / "other.pem")}
            async with node(**following, **wrong) as replica:
                assert "certificate verify failed" in await complaint(replica)

    on_a_loop(scene)
