"""A script that runs for long: what others are told meanwhile, and how they end it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import redis
from real_servers import HOST, RealServer
from servers import our_server

from cachestorm.cache import Cache

LOOP = "while true do end"
WRITER = "redis.call('SET', KEYS[1], 1) while redis.call('GET', KEYS[1]) do end"
CALLS = "while true do redis.call('GET', 'k') end"
CAUGHT = "while true do pcall(function() while true do end end) end"
LIBRARY = """#!lua name=endless
redis.register_function('spin', function() while true do end end)
"""
BUSY = "BUSY Redis is busy running a script. You can only call {} KILL or SHUTDOWN NOSAVE."
KILLED = "Script killed by user with SCRIPT KILL."


@pytest.fixture(params=["ours", "redis"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param == "ours":
        with our_server() as server:
            yield server.port
        return
    found: RealServer = request.getfixturevalue("redis_server")
    with client(found.port) as one:
        one.flushall()
        one.function_flush()
    yield found.port
    with client(found.port) as one:
        one.config_set("busy-reply-threshold", 5000)


@contextmanager
def client(port: int) -> Iterator[redis.Redis]:
    with redis.Redis(HOST, port, socket_timeout=60, decode_responses=True) as one:
        yield one


class Runner:
    """A client that runs a script, in a thread of its own; it is over when the block is."""

    def __init__(self, port: int, ask: Callable[[redis.Redis], object]) -> None:
        self.reply: object = None
        self._client = redis.Redis(HOST, port, socket_timeout=60, decode_responses=True)
        self._ask = ask
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.reply = self._ask(self._client)
        except redis.RedisError as error:
            self.reply = str(error)

    def __enter__(self) -> Runner:
        self._thread.start()
        return self

    def join(self) -> None:
        """Waits for the reply."""
        self._thread.join(60)

    def __exit__(self, *exc_info: object) -> None:
        self.join()
        self._client.close()
        assert not self._thread.is_alive()


def until_busy(one: redis.Redis) -> str:
    """Asks until the server is busy. Returns what it says then."""
    while True:
        try:
            one.get("k")
        except redis.RedisError as error:
            return str(error)


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(redis.RedisError) as caught:
        ask()
    return str(caught.value)


@pytest.mark.parametrize("script", [LOOP, CALLS, CAUGHT])
def test_others_are_told_and_kill_it(port: int, script: str) -> None:
    with client(port) as one, client(port) as other:
        one.config_set("busy-reply-threshold", 20)
        assert other.ping()
        with Runner(port, lambda each: each.eval(script, 0)) as runner:
            assert until_busy(one) == BUSY.format("SCRIPT")
            assert refusal(lambda: other.set("k", 1)) == BUSY.format("SCRIPT")
            with client(port) as late:
                # who comes now is let in, and served
                assert refusal(late.dbsize) == BUSY.format("SCRIPT")
                assert refusal(late.function_kill) == BUSY.format("SCRIPT")
                assert refusal(partial(late.execute_command, "SHUTDOWN")) == BUSY.format(
                    "SCRIPT"
                )
                assert late.script_kill()
                runner.join()
                assert late.set("k", 2)
        assert str(runner.reply).startswith(KILLED)
        assert one.get("k") == "2"
        assert refusal(one.script_kill) == "NOTBUSY No scripts in execution right now."
        assert one.eval("return 1", 0) == 1


def test_a_script_that_has_written_cannot_be_killed(port: int) -> None:
    script = "redis.call('SET', KEYS[1], 1) for i = 1, 3e7 do end return 7"
    with client(port) as one:
        one.config_set("busy-reply-threshold", 20)
        with Runner(port, lambda each: each.eval(script, 1, "w")) as runner:
            assert until_busy(one) == BUSY.format("SCRIPT")
            assert refusal(one.script_kill) == (
                "UNKILLABLE Sorry the script already executed write commands against the "
                "dataset. You can either wait the script termination or kill the server in a "
                "hard way using the SHUTDOWN NOSAVE command."
            )
        assert runner.reply == 7
        assert one.get("w") == "1"


def test_a_function_is_killed_by_its_own_command(port: int) -> None:
    with client(port) as one:
        one.config_set("busy-reply-threshold", 20)
        one.function_load(LIBRARY)
        with Runner(port, lambda each: each.fcall("spin", 1, "a", "b")) as runner:
            assert until_busy(one) == BUSY.format("FUNCTION")
            running = one.function_stats()["running_script"]
            assert running["name"] == "spin"
            assert [word.lower() for word in running["command"]] == [
                *("fcall", "spin", "1", "a", "b")
            ]
            assert running["duration_ms"] >= 20
            assert refusal(one.script_kill) == BUSY.format("FUNCTION")
            assert one.function_kill()
        assert str(runner.reply).startswith(KILLED)


def test_a_transaction_is_queued_meanwhile_and_refused(port: int) -> None:
    with client(port) as one, client(port) as other:
        one.config_set("busy-reply-threshold", 20)
        connection = other.connection_pool.get_connection()
        with Runner(port, lambda each: each.eval(LOOP, 0)):
            assert until_busy(one) == BUSY.format("SCRIPT")
            connection.send_command("MULTI")
            assert connection.read_response() == "OK"
            connection.send_command("GET", "k")
            assert refusal(connection.read_response) == BUSY.format("SCRIPT")
            assert one.script_kill()
        connection.send_command("EXEC")
        assert refusal(connection.read_response).startswith("Transaction discarded")
        connection.disconnect()


def test_what_is_sent_in_pieces_is_put_together(port: int) -> None:
    with client(port) as one, socket.create_connection((HOST, port), 60) as raw:
        one.config_set("busy-reply-threshold", 20)
        raw.sendall(b"PING\r\n")
        assert raw.recv(100) == b"+PONG\r\n"
        with Runner(port, lambda each: each.eval(LOOP, 0)):
            until_busy(one)
            raw.sendall(b"*2\r\n$3\r\nGE")
            assert refusal(one.dbsize) == BUSY.format("SCRIPT")
            raw.sendall(b"T\r\n$1\r\nk\r\nPI")
            assert raw.recv(100).startswith(b"-BUSY ")
            assert one.script_kill()
        raw.sendall(b"NG\r\n")
        assert raw.recv(100) == b"+PONG\r\n"


def test_the_client_of_a_script_may_go() -> None:
    with our_server() as server, client(server.port) as one:
        one.config_set("busy-reply-threshold", 20)
        with socket.create_connection((HOST, server.port)) as raw:
            raw.sendall(b"EVAL '" + LOOP.encode() + b"' 0\r\n")
            assert until_busy(one) == BUSY.format("SCRIPT")
        assert refusal(one.dbsize) == BUSY.format("SCRIPT")
        assert one.script_kill()
        # it has gone by the time that this is answered
        assert one.dbsize() == 0
        assert one.eval("return 1", 0) == 1


def test_a_client_that_comes_and_goes_meanwhile_leaves_nothing() -> None:
    with our_server() as server, client(server.port) as one:
        one.config_set("busy-reply-threshold", 20)
        with Runner(server.port, lambda each: each.eval(LOOP, 0)):
            until_busy(one)
            for _ in range(3):
                with client(server.port) as late:
                    assert refusal(late.dbsize) == BUSY.format("SCRIPT")
            assert one.script_kill()
        while one.info("clients")["connected_clients"] > 1:
            pass
        assert len(server.endpoint.sessions) == 1


def test_a_password_is_asked_for_also_while_a_script_runs() -> None:
    with our_server() as server, client(server.port) as one:
        one.config_set("busy-reply-threshold", 20)
        with Runner(server.port, lambda each: each.eval(LOOP, 0)):
            until_busy(one)
            server.endpoint.users.set_password("secret")
            with socket.create_connection((HOST, server.port), 60) as late:
                late.sendall(b"SCRIPT KILL\r\n")
                assert late.recv(100) == b"-NOAUTH Authentication required.\r\n"
                late.sendall(b"AUTH secret\r\nSCRIPT KILL\r\n")
                assert late.recv(100) == b"+OK\r\n+OK\r\n"


def test_a_server_is_shut_down_in_spite_of_a_script() -> None:
    cache = Cache()
    with our_server(cache=cache) as server, client(server.port) as one:
        server.endpoint.shut_down = server.stop_soon
        one.config_set("busy-reply-threshold", 20)
        with Runner(server.port, lambda each: each.eval(WRITER, 1, "w")) as runner:
            until_busy(one)
            one.shutdown(nosave=True)
        assert str(runner.reply).startswith(KILLED)
    assert cache.get("w") == b"1"


def test_in_process_a_script_is_ended_when_its_time_is_up() -> None:
    one = Cache().redis()
    one.config_set("busy-reply-threshold", 20)
    assert refusal(lambda: one.eval(LOOP, 0)).startswith("Script killed: it ran for longer")
    assert refusal(lambda: one.eval(CALLS, 0)).startswith("Script killed: it ran for longer")


def test_in_process_another_thread_may_kill_a_script() -> None:
    cache = Cache()
    one = cache.redis()
    one.config_set("busy-reply-threshold", 0)
    replies = []
    thread = threading.Thread(target=lambda: replies.append(refusal(lambda: one.eval(LOOP, 0))))
    thread.start()
    while True:
        try:
            one.script_kill()
            break
        except redis.RedisError as error:
            assert str(error) == "NOTBUSY No scripts in execution right now."
    thread.join(60)
    assert replies[0].startswith(KILLED)


def test_a_script_that_was_killed_writes_no_more() -> None:
    cache = Cache()
    one = cache.redis()
    one.config_set("busy-reply-threshold", 0)
    script = "while redis.call('GET', 'go') ~= '1' do end redis.call('SET', 'late', 1)"
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(refusal(lambda: one.eval(script, 0)))
    )
    thread.start()
    while True:
        try:
            one.script_kill()
            break
        except redis.RedisError:
            pass
    thread.join(60)
    assert replies[0].startswith(KILLED)
    assert cache.get("late") is None
