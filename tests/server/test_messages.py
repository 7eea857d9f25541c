"""Messages between clients and the process, MONITOR, and subscribers that are too slow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import shlex
import threading

import pytest
import redis
from real_servers import HOST, RealServer
from servers import Client, our_server

from cachestorm import Cache
from cachestorm.channels import CHANNEL, PATTERN, Broker, Message, Subscriber
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ArgumentError, MessagesMissedError
from cachestorm.subscription import Subscription
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.monitoring import without_passwords
from cachestorm_server.output_limits import parse_limits
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

assert declares_commands

HELLO = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"


class Inbox(Carrier):
    """What a client has heard."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.is_disconnected = False

    def send(self, data: bytes) -> None:
        self.data += data

    def disconnect(self) -> None:
        self.is_disconnected = True


def a_client(endpoint: Endpoint) -> tuple[Session, Inbox]:
    session = Session(endpoint, "127.0.0.1:9")
    session.carrier = inbox = Inbox()
    return session, inbox


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(Cache(), REGISTRY, Settings())


# -- clients and the process


def test_the_process_reaches_clients(endpoint: Endpoint) -> None:
    session, inbox = a_client(endpoint)
    session.receive(b"SUBSCRIBE c\r\n")
    assert endpoint.cache.publish("c", "hello") == 1
    endpoint.deliver()
    assert inbox.data == HELLO


def test_clients_reach_the_process(endpoint: Endpoint) -> None:
    session, _ = a_client(endpoint)
    with endpoint.cache.subscribe("c", patterns=["c*"], shards=["c"]) as messages:
        assert session.receive(b"PUBLISH c hello\r\nSPUBLISH c shard\r\n") == b":2\r\n:1\r\n"
        found = [messages.get(0) for _ in range(3)]
    assert found == [b"hello", b"hello", b"shard"]
    assert [message.pattern for message in found if message is not None] == [None, "c*", None]


def test_a_channel_is_the_same_in_every_namespace() -> None:
    cache = Cache()
    with cache.subscribe("c") as messages:
        cache.namespace("shop").publish("c", 1)
        assert messages.get(0) == b"1"


def test_what_was_published_before_an_unsubscribe_comes_before_its_reply(
    endpoint: Endpoint,
) -> None:
    session, inbox = a_client(endpoint)
    session.receive(b"SUBSCRIBE c\r\n")
    endpoint.cache.publish("c", "hello")
    said = session.receive(b"PING\r\nUNSUBSCRIBE\r\n")
    assert said == HELLO + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" + (
        b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"
    )
    assert inbox.data == b""


def test_who_publishes_to_itself_is_answered_first_also_in_a_transaction(
    endpoint: Endpoint,
) -> None:
    session, inbox = a_client(endpoint)
    session.receive(b"HELLO 3\r\nSUBSCRIBE c\r\n")
    push = HELLO.replace(b"*", b">", 1)
    assert session.receive(b"PUBLISH c hello\r\nGET k\r\n") == b":1\r\n" + push + b"_\r\n"
    assert session.receive(b"MULTI\r\nPUBLISH c hello\r\nGET k\r\nEXEC\r\n").endswith(
        b"*2\r\n:1\r\n_\r\n" + push
    )
    assert inbox.data == b""


def test_messages_to_whom_replies_are_switched_off_come_all_the_same(
    endpoint: Endpoint,
) -> None:
    session, inbox = a_client(endpoint)
    said = session.receive(b"CLIENT REPLY OFF\r\nSUBSCRIBE c\r\n")
    assert said == b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    endpoint.cache.publish("c", "hello")
    endpoint.deliver()
    assert inbox.data == HELLO


def test_a_client_that_goes_is_no_subscriber_any_more(endpoint: Endpoint) -> None:
    session, _ = a_client(endpoint)
    session.receive(b"SUBSCRIBE c\r\nPSUBSCRIBE c*\r\nSSUBSCRIBE c\r\n")
    session.close()
    assert endpoint.cache.publish("c", 1) == 0
    assert [endpoint.broker.count_names(kind) for kind in range(3)] == [0, 0, 0]


def test_a_session_that_listens_to_nothing_any_more_is_not_guarded(endpoint: Endpoint) -> None:
    session, _ = a_client(endpoint)
    session.receive(b"SUBSCRIBE c\r\n")
    assert session.guarded
    session.receive(b"UNSUBSCRIBE\r\n")
    assert not session.guarded


def test_client_list_and_info_tell_of_subscribers(endpoint: Endpoint) -> None:
    session, _ = a_client(endpoint)
    other, _ = a_client(endpoint)
    session.receive(b"SUBSCRIBE c d\r\nPSUBSCRIBE c*\r\nSSUBSCRIBE x\r\n")
    text = other.receive(b"CLIENT LIST TYPE pubsub\r\n").decode()
    assert " flags=P " in text
    assert " sub=2 psub=1 ssub=1 " in text
    assert "id=2" not in text
    text = other.receive(b"INFO stats\r\n").decode()
    for line in ("pubsub_channels:2", "pubsub_patterns:1", "pubsubshard_channels:1"):
        assert f"\r\n{line}\r\n" in text
    assert other.receive(b"CLIENT KILL TYPE pubsub\r\n") == b":1\r\n"


@pytest.mark.parametrize("end", [b"CLIENT KILL TYPE pubsub", b"ACL DELUSER ann"])
def test_who_was_disconnected_is_no_receiver_and_not_listed(
    endpoint: Endpoint, end: bytes
) -> None:
    """In the same batch of requests: a message counted for it would reach nobody."""
    session, inbox = a_client(endpoint)
    other, _ = a_client(endpoint)
    other.receive(b"ACL SETUSER ann on nopass +@all ~* &*\r\n")
    session.receive(b"AUTH ann any\r\nSUBSCRIBE c\r\n")
    replies = other.receive(end + b"\r\nPUBLISH c x\r\nCLIENT LIST TYPE pubsub\r\n")
    assert replies == b":1\r\n:0\r\n$0\r\n\r\n"
    assert inbox.is_disconnected


def test_a_subscriber_that_never_reads_is_disconnected_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with our_server() as server, Client(server.port) as client:
        endpoint = server.endpoint
        endpoint.settings.output_limits |= parse_limits("pubsub 4mb 0 0")
        assert client.ask(b"SUBSCRIBE c\r\n", 30).endswith(b"$1\r\nc\r\n:1\r\n")
        publisher = redis.Redis(HOST, server.port)
        with caplog.at_level(logging.WARNING):
            for _ in range(1000):
                if publisher.publish("c", b"x" * 100_000) == 0:
                    break
        assert publisher.publish("c", b"x") == 0
        assert publisher.info("stats")["client_output_buffer_limit_disconnections"] == 1
        publisher.close()
    assert "bytes of output wait for it" in caplog.text


# -- subscriptions of the process


def test_a_thread_takes_messages_until_the_subscription_is_closed() -> None:
    cache = Cache()
    taken: list[tuple[bytes, str]] = []
    messages = cache.subscribe("a", patterns=["b*"])

    def take() -> None:
        taken.extend((bytes(message), message.channel) for message in messages)

    with messages:
        thread = threading.Thread(target=take)
        thread.start()
        assert [cache.publish(name, "x") for name in ("a", "b1", "c")] == [1, 1, 0]
    thread.join(60)
    assert taken == [(b"x", "a"), (b"x", "b1")]
    assert cache.publish("a", "x") == 0


def test_a_subscription_can_be_opened_again_and_begins_anew() -> None:
    cache = Cache()
    messages = cache.subscribe("a")
    with messages:
        cache.publish("a", 1)
    cache.publish("a", 2)
    with messages:
        cache.publish("a", 3)
        assert (messages.get(0), messages.get(0)) == (b"3", None)
    assert messages.get() is None


def test_a_subscription_that_does_not_listen_yet_says_so_instead_of_waiting() -> None:
    messages = Cache().subscribe("a")
    with pytest.raises(RuntimeError, match="inside its 'with' block"):
        messages.get()
    with pytest.raises(RuntimeError, match="inside its 'with' block"):
        next(messages)


def test_who_is_too_far_behind_is_told_so_after_what_had_come() -> None:
    broker = Broker()
    with Subscription(broker, {CHANNEL: [b"c"]}, most_waiting_bytes=10) as messages:
        for _ in range(10):
            broker.publish(b"c", b"12345678")
        assert (messages.get(0), messages.get(0)) == (b"12345678", b"12345678")
        for _ in range(2):
            with pytest.raises(MessagesMissedError):
                messages.get(0)


def test_a_subscription_to_nothing_is_refused() -> None:
    cache = Cache()
    with pytest.raises(ArgumentError):
        cache.subscribe()
    with pytest.raises(TypeError, match="given as a list"):
        cache.subscribe(patterns="news.*")
    with pytest.raises(TypeError, match="not int"):
        cache.subscribe(1)  # type: ignore[arg-type]


def test_a_task_takes_messages_of_other_threads() -> None:
    cache = Cache()
    count = 500

    async def take() -> list[bytes]:
        taken: list[bytes] = []
        async with cache.subscribe("c") as messages:
            thread = threading.Thread(
                target=lambda: [cache.publish("c", number) for number in range(count)]
            )
            thread.start()
            async for message in messages:
                taken.append(message)
                if len(taken) == count:
                    break
        thread.join()
        return taken

    assert asyncio.run(take()) == [b"%d" % number for number in range(count)]
    assert cache.publish("c", 1) == 0


def test_two_tasks_take_messages_in_turn_and_both_notice_the_end() -> None:
    cache = Cache()

    async def converse() -> list[bytes]:
        messages = cache.subscribe("c")
        taken: list[bytes] = []

        async def take() -> None:
            async for message in messages:
                taken.append(message)

        async with messages:
            tasks = [asyncio.create_task(take()) for _ in range(2)]
            await asyncio.sleep(0)
            for number in range(10):
                cache.publish("c", number)
            await asyncio.sleep(0.01)
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return taken

    assert sorted(asyncio.run(converse())) == [b"%d" % number for number in range(10)]


def test_a_loop_that_has_ended_fails_no_publisher() -> None:
    cache = Cache()
    messages = cache.subscribe("c")

    async def enter() -> None:
        await messages.__aenter__()

    asyncio.run(enter())
    assert cache.publish("c", 1) == 1
    messages.close()


def test_all_subscribers_are_told_in_one_order() -> None:
    cache = Cache()
    subscriptions = [cache.subscribe("c") for _ in range(3)]
    for messages in subscriptions:
        messages.open()
    threads = [
        threading.Thread(target=lambda who=who: [cache.publish("c", who) for _ in range(500)])
        for who in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [[messages.get(0) for _ in range(2000)] for messages in subscriptions]
    assert taken[0] == taken[1] == taken[2]


def test_a_finalizer_may_publish_and_unsubscribe_in_the_middle_of_a_message() -> None:
    broker = Broker()
    heard: list[bytes] = []

    class Hearer(Subscriber):
        def receive(self, message: Message) -> None:
            heard.append(message.data)
            if message.data == b"first":
                gc.collect()

    class Goodbye:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            broker.publish(b"c", b"goodbye")
            broker.unsubscribe(second, CHANNEL, b"c")

    first, second = Hearer(), Hearer()
    broker.subscribe(first, CHANNEL, b"c")
    broker.subscribe(second, CHANNEL, b"c")
    gc.collect()
    Goodbye()
    broker.publish(b"c", b"first")
    assert heard == [b"first", b"goodbye", b"goodbye", b"first"]
    assert broker.publish(b"c", b"second") == 1
    broker._check()


def test_a_pattern_is_matched_by_bytes() -> None:
    broker = Broker()
    heard: list[bytes] = []

    class Hearer(Subscriber):
        def receive(self, message: Message) -> None:
            heard.append(message.pattern + b" " + message.channel)

    hearer = Hearer()
    broker.subscribe(hearer, PATTERN, b"h?llo\xff*")
    assert broker.publish(b"hallo\xff\x00", b"") == 1
    assert broker.publish(b"hallo", b"") == 0
    assert heard == [b"h?llo\xff* hallo\xff\x00"]


# -- MONITOR


def lines_of(data: bytes) -> list[str]:
    """What MONITOR showed, without the time."""
    shown = [line for line in data.decode().split("\r\n") if line]
    return [re.sub(r"^\+\d+\.\d{6} ", "", line) for line in shown]


def test_monitor_shows_what_others_ask_without_passwords(endpoint: Endpoint) -> None:
    watcher, inbox = a_client(endpoint)
    session, _ = a_client(endpoint)
    assert watcher.receive(b"MONITOR\r\n") == b"+OK\r\n"
    session.receive(b"SET k 'a\"b'\r\nSELECT 3\r\nMULTI\r\nGET k\r\nEXEC\r\n")
    session.receive(b"AUTH eve secret\r\nHELLO 2 AUTH eve secret\r\nCONFIG GET port\r\nFOO\r\n")
    assert lines_of(inbox.data) == [
        '[0 127.0.0.1:9] "SET" "k" "a\\"b"',
        '[3 127.0.0.1:9] "SELECT" "3"',
        '[3 127.0.0.1:9] "MULTI"',
        '[3 127.0.0.1:9] "GET" "k"',
        '[3 127.0.0.1:9] "EXEC"',
        '[3 127.0.0.1:9] "AUTH" "(redacted)" "(redacted)"',
        '[3 127.0.0.1:9] "HELLO" "2" "AUTH" "(redacted)" "(redacted)"',
    ]


SECRETS = [
    "CONFIG SET masterauth secret",
    "CONFIG SET maxmemory 0 masterauth secret masteruser secret",
    "CONFIG SET requirepass secret",
    "CONFIG GET masterauth maxmemory",
    "MIGRATE nowhere 1 k 0 1 AUTH secret",
    'MIGRATE nowhere 1 "" 0 1 AUTH2 secret secret KEYS auth other',
    "ACL SETUSER eve >secret",
]


@pytest.mark.parametrize("given", SECRETS)
def test_what_is_kept_from_the_slow_log_is_what_redis_keeps(
    given: str, redis_server: RealServer
) -> None:
    words = shlex.split(given)
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        with contextlib.suppress(redis.RedisError):
            client.execute_command(*words)
        if "requirepass" in words:
            client.execute_command("AUTH", "secret")
            client.config_set("requirepass", "")
        logged = [each["command"] for each in client.slowlog_get(10)]
        for name in ("masterauth", "masteruser"):
            client.config_set(name, "")
        client.config_set("slowlog-log-slower-than", 10_000)
        client.execute_command("ACL", "DELUSER", "eve")
    shown = without_passwords([word.encode() for word in words])
    assert b" ".join(shown) in logged  # type: ignore[arg-type]


def test_who_monitors_reads_no_keys_and_stops_by_reset(endpoint: Endpoint) -> None:
    watcher, _ = a_client(endpoint)
    session, _ = a_client(endpoint)
    watcher.receive(b"MONITOR\r\n")
    assert session.guarded
    assert watcher.receive(b"GET k\r\n") == b"-ERR Replica can't interact with the keyspace\r\n"
    said = watcher.receive(b"PING\r\n")
    assert said.startswith(b"+PONG\r\n+")
    assert " flags=O " in session.receive(b"CLIENT LIST ID 1\r\n").decode()
    assert watcher.receive(b"RESET\r\n") == b"+RESET\r\n"
    assert not session.guarded
    assert watcher.receive(b"MONITOR\r\n") == b"+OK\r\n"
    watcher.close()
    assert not session.guarded


def test_a_transaction_refuses_monitor_as_redis_does(endpoint: Endpoint) -> None:
    session, _ = a_client(endpoint)
    assert session.receive(b"MULTI\r\nMONITOR\r\nEXEC\r\n") == (
        b"+OK\r\n+QUEUED\r\n*1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n"
    )
    assert endpoint.monitors == {}


# -- redis-py


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_publishes_and_subscribes(protocol: int) -> None:
    with our_server() as server:
        client = redis.Redis(HOST, server.port, protocol=protocol)
        pubsub = client.pubsub()
        pubsub.subscribe("a")
        pubsub.psubscribe("b*")
        pubsub.ssubscribe("s")
        told = [pubsub.get_message(timeout=60) for _ in range(3)]
        assert [each and each["type"] for each in told] == [
            "subscribe",
            "psubscribe",
            "ssubscribe",
        ]
        assert client.publish("a", "1") == 1
        assert server.endpoint.cache.publish("b2", "2") == 1
        assert client.spublish("s", "3") == 1
        told = [pubsub.get_message(timeout=60) for _ in range(3)]
        assert [each and (each["type"], each["data"]) for each in told] == [
            ("message", b"1"),
            ("pmessage", b"2"),
            ("smessage", b"3"),
        ]
        assert client.pubsub_channels() == [b"a"]
        assert client.pubsub_numsub("a") == [(b"a", 1)]
        assert client.pubsub_numpat() == 1
        pubsub.ping()
        pong = pubsub.get_message(timeout=60)
        assert pong and pong["type"] == "pong"
        pubsub.unsubscribe()
        pubsub.close()
        client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_of_asyncio_publishes_and_subscribes(protocol: int) -> None:
    async def converse(port: int) -> list[bytes]:
        taken = []
        client = redis.asyncio.Redis(host=HOST, port=port, protocol=protocol)
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe("c")
            for number in range(3):
                await client.publish("c", number)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    taken.append(message["data"])
                if len(taken) == 3:
                    break
        return taken

    with our_server() as server:
        assert asyncio.run(converse(server.port)) == [b"0", b"1", b"2"]


def test_redis_py_monitors() -> None:
    with our_server() as server:
        client = redis.Redis(HOST, server.port)
        with client.monitor() as monitor:
            client.set("k", "v")
            seen = []
            while "SET k v" not in seen:
                seen.append(monitor.next_command()["command"])
        client.close()


LIBRARY = (
    "#!lua name=l\nredis.register_function('f', function() return redis.call('GET', 'q') end)"
)
MONITORED = (
    ("EVAL", "redis.call('SET', 'a', '1') return redis.pcall('NOPE')", "0"),
    ("EVAL", "redis.call('SELECT', '3') return redis.call('INCR', 'a')", "0"),
    ("EVAL", "not Lua", "0"),
    ("EVAL_RO", "return redis.call('GET', 'a')", "0"),
    ("EVALSHA", "0" * 40, "0"),
    ("FUNCTION", "LOAD", "REPLACE", LIBRARY),
    ("FCALL", "f", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("MULTI",),
    ("EVAL", "return redis.call('GET', 'y')", "0"),
    ("GET", "a"),
    ("EXEC",),
    ("ECHO", "end"),
)


def monitored(port: int) -> list[tuple[object, object, object]]:
    """What MONITOR shows of `MONITORED`: the database, the kind of client and the request."""
    client = redis.Redis(HOST, port, single_connection_client=True)
    other = redis.Redis(HOST, port)
    with other.monitor() as monitor:
        for request in MONITORED:
            try:
                client.execute_command(*request)
            except redis.ResponseError:
                pass
        seen = []
        while not seen or seen[-1][2] != "ECHO end":
            shown = monitor.next_command()
            seen.append((shown["db"], shown["client_type"], shown["command"]))
    client.close()
    other.close()
    return seen


def test_monitor_shows_what_scripts_ask_for_as_redis_does(redis_server: RealServer) -> None:
    with our_server() as server:
        assert monitored(server.port) == monitored(redis_server.port)
