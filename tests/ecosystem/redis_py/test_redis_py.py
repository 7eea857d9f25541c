"""redis-py: what programs do with it beyond single commands."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_clients import Clients

WAIT_S = 60


def later(call: Callable[[], object]) -> Callable[[], Any]:
    """Calls a function in a thread. Returns what waits for its result."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()

    def result() -> object:
        thread.join(WAIT_S)
        return results[0]

    return result


def until_blocked(client: redis.Redis, count: int = 1) -> None:
    """Waits until so many clients wait for something."""
    while client.info("clients")["blocked_clients"] < count:
        pass


def next_message(pubsub: Any) -> dict[str, Any]:
    """The next message, which must come."""
    message = pubsub.get_message(timeout=WAIT_S)
    assert message is not None
    return message


def message(kind: str, channel: str, data: Any, pattern: str | None = None) -> dict[str, Any]:
    """A message as redis-py tells it."""
    return {
        "type": kind,
        "pattern": pattern and pattern.encode(),
        "channel": channel.encode(),
        "data": data,
    }


def test_the_client_is_of_the_version_that_was_asked_for() -> None:
    wanted = os.environ.get("REDIS_PY", redis.__version__.partition(".")[0])
    assert redis.__version__.partition(".")[0] == wanted


# -- pipelines


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_returns_its_results_in_order(
    client: redis.Redis, transaction: bool
) -> None:
    with client.pipeline(transaction=transaction) as pipe:
        pipe.set("a", 1).incr("a").lpush("l", "x", "y").hset("h", "f", "v").hgetall("h")
        pipe.zadd("z", {"m": 1.5}).zrange("z", 0, -1, withscores=True).get("none")
        found = pipe.execute()
    scored = found.pop(6)
    assert [tuple(pair) for pair in scored] == [(b"m", 1.5)]
    assert found == [True, 2, 2, 1, {b"f": b"v"}, 1, None]


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_tells_which_command_failed_and_runs_the_others(
    client: redis.Redis, transaction: bool
) -> None:
    pipe = client.pipeline(transaction=transaction).set("a", "x").lpush("a", 1).set("b", 2)
    with pytest.raises(redis.ResponseError, match=r"Command # 2 \(LPUSH a 1\).*wrong kind"):
        pipe.execute()
    pipe.set("c", 3).lpush("c", 1).get("b")
    ok, error, value = pipe.execute(raise_on_error=False)
    assert (ok, value) == (True, b"2")
    assert isinstance(error, redis.ResponseError)


def test_a_command_that_cannot_be_queued_aborts_the_transaction(client: redis.Redis) -> None:
    pipe = client.pipeline().set("a", 1)
    pipe.execute_command("HSET", "only a key")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        pipe.execute()
    assert client.exists("a") == 0


def test_a_pipeline_of_thousands_of_commands_is_one_transaction(client: redis.Redis) -> None:
    pipe = client.pipeline()
    for number in range(5000):
        pipe.rpush("l", number)
    assert pipe.execute() == list(range(1, 5001))


def test_a_watched_key_that_is_written_fails_the_transaction(
    client: redis.Redis, clients: Clients
) -> None:
    client.set("a", 1)
    with client.pipeline() as pipe, clients() as other:
        pipe.watch("a")
        assert pipe.get("a") == b"1"
        other.set("a", 5)
        pipe.multi()
        pipe.set("a", 2)
        with pytest.raises(redis.WatchError):
            pipe.execute()
        pipe.watch("a")
        pipe.unwatch()
        other.set("a", 6)
        assert pipe.set("b", 1).execute() == [True]
    assert client.get("a") == b"6"


def test_a_transaction_is_repeated_until_nobody_else_writes(
    client: redis.Redis, clients: Clients
) -> None:
    client.set("a", 1)
    read = []
    with clients() as other:

        def add(pipe: Any) -> None:
            read.append(int(pipe.get("a")))
            if len(read) == 1:
                other.set("a", 10)
            pipe.multi()
            pipe.set("a", read[-1] + 1)

        assert client.transaction(add, "a") == [True]
    assert (read, client.get("a")) == ([1, 10], b"11")


# -- publish and subscribe


def test_subscribers_are_told_of_channels_and_patterns(client: redis.Redis) -> None:
    with client.pubsub() as pubsub:
        pubsub.subscribe("news", "sport")
        pubsub.psubscribe("n*")
        begun = [next_message(pubsub) for _ in range(3)]
        assert begun == [
            message("subscribe", "news", 1),
            message("subscribe", "sport", 2),
            message("psubscribe", "n*", 3),
        ]
        assert client.publish("news", "hello") == 2
        assert next_message(pubsub) == message("message", "news", b"hello")
        assert next_message(pubsub) == message("pmessage", "news", b"hello", "n*")
        pubsub.unsubscribe()
        pubsub.punsubscribe()
        ended = [next_message(pubsub) for _ in range(3)]
        assert {end["channel"] for end in ended} == {b"news", b"sport", b"n*"}
        assert ended[-1]["data"] == 0
        assert not pubsub.subscribed


def test_a_subscriber_may_ping(client: redis.Redis) -> None:
    with client.pubsub() as pubsub:
        pubsub.subscribe("news")
        next_message(pubsub)
        pubsub.ping("there?")
        assert next_message(pubsub)["data"] == b"there?"
        client.publish("news", "still here")
        assert next_message(pubsub)["data"] == b"still here"


def test_a_thread_of_the_client_hands_messages_to_functions(client: redis.Redis) -> None:
    heard: list[Any] = []
    came = threading.Event()

    def hear(told: Any) -> None:
        heard.append(told["data"])
        came.set()

    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(news=hear)
    thread = pubsub.run_in_thread(sleep_time=0.1)
    while client.publish("news", "hello") == 0:
        pass
    assert came.wait(WAIT_S)
    thread.stop()
    thread.join(WAIT_S)
    assert heard == [b"hello"]


def test_a_subscriber_that_was_disconnected_subscribes_again(
    client: redis.Redis, clients: Clients
) -> None:
    retries = {"retry": Retry(NoBackoff(), 3), "retry_on_error": [redis.ConnectionError]}
    with clients(**retries) as other, other.pubsub() as pubsub:
        pubsub.subscribe("news")
        next_message(pubsub)
        assert client.client_kill_filter(_type="pubsub") == 1
        assert next_message(pubsub) == message("subscribe", "news", 1)
        assert client.publish("news", "again") == 1
        assert next_message(pubsub) == message("message", "news", b"again")


def test_shard_channels_are_apart(client: redis.Redis) -> None:
    with client.pubsub() as pubsub:
        pubsub.ssubscribe("news")
        assert next_message(pubsub)["type"] == "ssubscribe"
        assert client.publish("news", "not this") == 0
        assert client.spublish("news", "but this") == 1
        assert next_message(pubsub) == message("smessage", "news", b"but this")
        pubsub.sunsubscribe()
        assert next_message(pubsub)["type"] == "sunsubscribe"
    counts = [tuple(pair) for pair in client.pubsub_numsub("news")]
    assert (client.pubsub_channels(), counts) == ([], [(b"news", 0)])


def test_notifications_tell_of_writes(client: redis.Redis) -> None:
    client.config_set("notify-keyspace-events", "KEA")
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("__keyevent@0__:*")
        pubsub.get_message(timeout=WAIT_S)
        client.set("a", 1)
        assert next_message(pubsub)["channel"] == b"__keyevent@0__:set"
        client.delete("a")
        assert next_message(pubsub)["data"] == b"a"
    client.config_set("notify-keyspace-events", "")


def test_a_monitor_is_shown_commands(client: redis.Redis) -> None:
    with client.monitor() as monitor:
        client.set("a", "with a blank")
        shown = next(told for told in monitor.listen() if told["command"].startswith("SET"))
    assert (shown["db"], shown["command"]) == (0, "SET a with a blank")


# -- waiting


def test_waiting_commands_return_what_comes(client: redis.Redis, clients: Clients) -> None:
    waits: list[tuple[Callable[[redis.Redis], object], Callable[[], object], object]] = [
        (lambda c: c.blpop(["l", "k"], WAIT_S), lambda: client.rpush("k", 1), (b"k", b"1")),
        (lambda c: c.brpop("l", WAIT_S), lambda: client.rpush("l", 1, 2), (b"l", b"2")),
        (lambda c: c.blmove("s", "d", WAIT_S), lambda: client.rpush("s", "x"), b"x"),
        (lambda c: c.brpoplpush("s", "d", WAIT_S), lambda: client.rpush("s", "x"), b"x"),
        (
            lambda c: c.blmpop(WAIT_S, 2, "l2", "l3", direction="LEFT", count=2),
            lambda: client.rpush("l3", "a", "b", "c"),
            [b"l3", [b"a", b"b"]],
        ),
        (
            lambda c: c.bzpopmin("z", WAIT_S),
            lambda: client.zadd("z", {"m": 1.5}),
            (b"z", b"m", 1.5),
        ),
        (
            lambda c: c.bzpopmax(["y", "z"], WAIT_S),
            lambda: client.zadd("z", {"m": 2}),
            (b"z", b"m", 2.0),
        ),
    ]
    with clients() as other:
        for wait, give, expected in waits:
            result = later(lambda wait=wait: wait(other))
            until_blocked(client)
            give()
            found = result()
            assert (tuple(found) if isinstance(expected, tuple) else found) == expected


def test_a_wait_ends_at_its_timeout(client: redis.Redis) -> None:
    assert client.blpop("none", 0.01) is None
    assert client.blmove("none", "d", 0.01) is None
    assert client.bzpopmin("none", 0.01) is None
    assert client.bzmpop(0.01, 1, ["none"], min=True) is None


def test_the_client_that_began_to_wait_first_is_first_given_something(
    client: redis.Redis, clients: Clients
) -> None:
    with clients() as first, clients() as second:
        one = later(lambda: first.blpop("l", WAIT_S))
        until_blocked(client)
        two = later(lambda: second.blpop("l", WAIT_S))
        until_blocked(client, 2)
        client.pipeline().rpush("l", "for one").rpush("l", "for two").execute()
        assert (one()[1], two()[1]) == (b"for one", b"for two")


def test_a_wait_can_be_ended_by_another_client(client: redis.Redis, clients: Clients) -> None:
    with clients() as other, other.client() as waiting:
        number = waiting.client_id()
        result = later(lambda: waiting.blpop("l", WAIT_S))
        until_blocked(client)
        assert client.client_unblock(number) == 1
        assert result() is None


# -- locks


def test_a_lock_has_one_owner(client: redis.Redis) -> None:
    lock = client.lock("job", timeout=10)
    assert lock.acquire(blocking=False)
    assert (lock.owned(), lock.locked()) == (True, True)
    other = client.lock("job", timeout=10, blocking_timeout=0.05, sleep=0.01)
    assert not other.acquire()
    assert 0 < client.pttl("job") <= 10_000


def test_a_lock_is_released(client: redis.Redis) -> None:
    with client.lock("job", timeout=10) as lock:
        lock.extend(5)
        lock.reacquire()
    assert client.exists("job") == 0


# -- connections


def test_a_connection_introduces_itself_and_changes_its_database(clients: Clients) -> None:
    with clients(db=3, client_name="me", decode_responses=True) as client:
        info = client.client_info()
        assert (info["name"], info["db"], info["lib-name"]) == ("me", 3, "redis-py")
        client.set("a", "ä")
        assert client.get("a") == "ä"
        client.flushdb()


def test_connections_of_a_pool_are_checked_and_shared(clients: Clients) -> None:
    with clients(max_connections=4, health_check_interval=0.001) as client:
        client.delete("n")
        threads = [
            threading.Thread(target=lambda: [client.incr("n") for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert client.get("n") == b"200"
