"""Clients that wait, over sockets: redis-py, timeouts, those who leave, and who serves them."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import redis
import redis.asyncio
from conversing import sessions_of, turn
from real_servers import HOST
from servers import RunningServer, our_server

from cachestorm import Cache
from cachestorm_server import server as declares_commands

assert declares_commands

# how long a test waits for what must come
SOON_S = 60


def client_of(server: RunningServer, protocol: int = 2) -> redis.Redis:
    return redis.Redis(HOST, server.port, protocol=protocol, decode_responses=True)


def await_blocked(client: redis.Redis, count: int) -> None:
    """Returns when so many clients wait."""
    gives_up_at = time.monotonic() + SOON_S
    while client.info("clients")["blocked_clients"] != count:
        assert time.monotonic() < gives_up_at
        time.sleep(0.002)


class Waiting:
    """A client of redis-py that waits in a thread of its own."""

    def __init__(
        self, server: RunningServer, protocol: int, method: str, *args: object
    ) -> None:
        self.client = client_of(server, protocol)
        self.id = self.client.client_id()
        self._outcome: list[object] = []
        self._thread = threading.Thread(target=self._run, args=(method, args), daemon=True)
        self._thread.start()

    def _run(self, method: str, args: tuple[object, ...]) -> None:
        try:
            self._outcome.append(getattr(self.client, method)(*args))
        except redis.RedisError as error:
            self._outcome.append(str(error))

    def ended(self) -> object:
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()
        self.client.close()
        return self._outcome[0]


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_client_is_served_by_another_and_by_a_thread(protocol: int) -> None:
    cache = Cache()
    with our_server(cache=cache) as server, client_of(server, protocol) as other:
        waiting = Waiting(server, protocol, "blpop", ["q", "r"], SOON_S)
        await_blocked(other, 1)
        other.rpush("q", "of a client")
        assert list(waiting.ended()) == ["q", "of a client"]
        waiting = Waiting(server, protocol, "bzpopmax", ["z"], SOON_S)
        await_blocked(other, 1)
        cache.zadd("z", {"of a thread": 1.5})
        assert list(waiting.ended()) == ["z", "of a thread", 1.5]
        waiting = Waiting(server, protocol, "blmove", "q", "m", SOON_S, "LEFT", "RIGHT")
        await_blocked(other, 1)
        with other.pipeline() as pipe:
            pipe.rpush("q", "gone")
            pipe.delete("q")
            pipe.rpush("q", "stays")
            pipe.execute()
        assert waiting.ended() == "stays"
        await_blocked(other, 0)
    cache._check()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_timeout_ends_the_waiting_after_that_time(protocol: int) -> None:
    with our_server() as server, client_of(server, protocol) as client:
        began_s = time.monotonic()
        assert client.blpop("q", 0.05) is None
        assert client.bzmpop(0.05, 1, ["z"], min=True) is None
        assert client.blmove("q", "m", 0.05) is None
        assert time.monotonic() - began_s >= 0.15
        assert client.rpush("q", "later") == 1
        assert client.llen("q") == 1
        # the alarm of one that was served does not end the next one
        assert client.blpop("q", 0.05) is not None
        with client_of(server) as other:
            timer = threading.Timer(0.2, other.rpush, ["q", "late"])
            timer.start()
            assert list(client.blpop("q", SOON_S)) == ["q", "late"]
            timer.join()
        assert server.endpoint.cache._space.waiting is None


def test_a_task_of_redis_py_waits_as_well() -> None:
    async def ask(port: int) -> object:
        async with (
            redis.asyncio.Redis(port=port) as client,
            redis.asyncio.Redis(port=port) as two,
        ):
            waiting = asyncio.create_task(client.blpop(["q"], SOON_S))
            while (await two.info("clients"))["blocked_clients"] != 1:
                await asyncio.sleep(0.002)
            await two.rpush("q", "x")
            return list(await waiting)

    with our_server() as server:
        assert asyncio.run(ask(server.port)) == [b"q", b"x"]


def test_a_client_that_is_unblocked_hears_why() -> None:
    with our_server() as server, client_of(server) as other:
        first = Waiting(server, 2, "blpop", ["q"], 0)
        second = Waiting(server, 2, "blpop", ["q"], 0)
        await_blocked(other, 2)
        assert other.client_unblock(first.id) == 1
        assert first.ended() is None
        assert other.client_unblock(second.id, error=True) == 1
        assert second.ended() == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
        assert other.client_unblock(second.id) == 0
        other.rpush("q", "x")
        assert other.llen("q") == 1


def test_clients_that_vanish_or_are_killed_take_nothing_with_them() -> None:
    cache = Cache()
    with our_server(cache=cache) as server, client_of(server) as other:
        vanishing = redis.Connection(HOST, server.port)
        vanishing.connect()
        vanishing.send_command("BLPOP", "q", 0)
        await_blocked(other, 1)
        killed = Waiting(server, 2, "blpop", ["q"], 0)
        await_blocked(other, 2)
        last = Waiting(server, 2, "blpop", ["q"], 0)
        await_blocked(other, 3)
        # in one turn of the loop, so that their connections have not ended when it is pushed
        vanishing.disconnect()
        with other.pipeline(transaction=False) as pipe:
            pipe.client_kill_filter(_id=killed.id)
            pipe.rpush("q", "x")
            assert pipe.execute()[0] == 1
        assert list(last.ended()) == ["q", "x"]
        await_blocked(other, 0)
        assert other.exists("q") == 0
    cache._check()


def test_a_server_that_stops_ends_all_waiting() -> None:
    cache = Cache()
    with our_server(cache=cache) as server, client_of(server) as other:
        waiting = Waiting(server, 2, "blpop", ["q"], 0)
        await_blocked(other, 1)
        server.stop_soon()
        # redis-py tries to come back, in vain
        assert isinstance(waiting.ended(), str)
    assert cache._space.waiting is None
    assert cache.rpush("q", 1) == 1


# -- without sockets


def test_a_woken_session_does_not_write_into_the_reply_of_another() -> None:
    cache = Cache()
    (waits, inbox), (busy, _) = sessions_of(cache, 2)
    assert waits.receive(b"BLPOP q 0\r\n") == b""
    # a guarded session delivers what was posted before and after each of its replies
    said = busy.receive(b"MULTI\r\nRPUSH q 1\r\nEXEC\r\nMULTI\r\nPING\r\nEXEC\r\nPING\r\n")
    assert said == b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n+PONG\r\n"
    assert inbox.data == b""
    turn(busy.endpoint)
    assert inbox.data == b"*2\r\n$1\r\nq\r\n$1\r\n1\r\n"


def test_what_was_taken_for_a_session_that_closes_goes_to_the_next() -> None:
    cache = Cache()
    (first, _), (second, inbox), (busy, _) = sessions_of(cache, 3)
    first.receive(b"BLPOP q 0\r\n")
    second.receive(b"BLPOP q 0\r\n")
    busy.receive(b"RPUSH q 1\r\n")
    first.close()
    turn(busy.endpoint)
    assert inbox.data == b"*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    assert cache.dbsize() == 0


def test_a_thousand_sessions_wait_for_one_key_and_are_served_in_order() -> None:
    cache = Cache()
    *waiting, (busy, _) = sessions_of(cache, 1001)
    for session, _ in waiting:
        assert session.receive(b"BLPOP q 0\r\n") == b""
    cache._check()
    for number in range(1000):
        busy.receive(b"RPUSH q %d\r\n" % number)
    turn(busy.endpoint)
    for number, (_, inbox) in enumerate(waiting):
        assert inbox.data.endswith(b"\r\n%d\r\n" % number)
    assert cache.dbsize() == 0
    cache._check()


def test_a_session_that_starts_over_while_it_waits_is_served_first() -> None:
    cache = Cache()
    (waits, inbox), (busy, _) = sessions_of(cache, 2)
    waits.receive(b"BLPOP q 0\r\nRESET\r\n")
    busy.receive(b"RPUSH q 1\r\n")
    turn(busy.endpoint)
    assert inbox.data == b"*2\r\n$1\r\nq\r\n$1\r\n1\r\n+RESET\r\n"
