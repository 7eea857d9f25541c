"""What a client is told unasked: its place among the replies, and who is too slow for it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from servers import Client, our_server

from cachestorm.cache import Cache
from cachestorm.channels import CHANNEL
from cachestorm.declare.declaration import Declaration, Declarations
from cachestorm.declare.registry import REGISTRY, Registry
from cachestorm.keyspace.shared_state import SLICE
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm_server import clients, configuration, connection, introspection
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.output_limits import OutputLimit, parse_limits
from cachestorm_server.replies import Push
from cachestorm_server.server import RespServer
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

COMMANDS = (clients, configuration, connection, introspection)  # imported: declared


class Wire(Carrier):
    """A carrier that keeps what it is given, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.unsent = 0
        self.resumed = 0
        self.aborted = False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def unsent_bytes(self) -> int:
        return self.unsent

    def resume(self) -> None:
        self.resumed += 1

    def abort(self) -> None:
        self.aborted = True


class Sleeper(LongCommand):
    """A long command that sleeps until it is woken, so many times."""

    def __init__(self, cache: Cache, naps: int = 1, nap_s: float = 0.0) -> None:
        super().__init__(cache._space)
        self.nap_s = nap_s
        self.naps = naps
        self.steps = 0
        self.abandoned = False

    def step(self) -> bool:
        self.steps += 1
        if self.naps == 0 or self.is_unblocked:
            return True
        if self.nap_s:
            self.wakes_at = time.monotonic() + self.nap_s
        self.naps -= 1
        self.sleeps = True
        return False

    def abandon(self) -> None:
        self.abandoned = True

    def result(self) -> object:
        return b"timeout" if self.is_unblocked else b"woken"


def sleeping_registry(found: list[Sleeper], naps: int = 1) -> Registry:
    """The registry, and NAP, which makes a sleeper and runs its first slice."""
    declarations = Declarations()
    command = partial(
        Declaration, declarations=declarations, group="server", complexity="O(1)", summary="!"
    )

    @command("NAP")
    def nap(cache: Cache) -> object:
        sleeper = Sleeper(cache, naps)
        found.append(sleeper)
        sleeper.step()
        raise Unfinished(sleeper)

    @command("DOZE")
    def doze(cache: Cache) -> object:
        sleeper = Sleeper(cache, 1, 0.02)
        found.append(sleeper)
        sleeper.step()
        raise Unfinished(sleeper)

    @command("WAKE")
    def wake(cache: Cache) -> object:
        found[-1].wake()
        return b"woke"

    @command("ECHO message:blob")
    def echo(cache: Cache, message: bytes) -> bytes:
        return message

    return Registry(declarations)


def a_session(
    registry: Registry = REGISTRY, cache: Cache | None = None, hello: int = 3
) -> tuple[Session, Wire]:
    session = Session(Endpoint(cache or Cache(), registry, Settings()), "1.2.3.4:5")
    wire = Wire()
    session.carrier = wire
    session.resp3 = hello == 3
    return session, wire


def test_a_push_is_a_push_in_resp3_and_no_reply_in_resp2() -> None:
    session, wire = a_session()
    session.push(Push([b"news", 1, None]))
    assert wire.sent == [b">3\r\n$4\r\nnews\r\n:1\r\n_\r\n"]
    session, wire = a_session(hello=2)
    session.push(Push([b"news"]))
    assert wire.sent == []


def test_a_push_to_who_is_being_answered_comes_after_the_reply() -> None:
    declarations = Declarations()
    command = partial(
        Declaration, declarations=declarations, group="server", complexity="O(1)", summary="!"
    )

    @command("TELL", connection=True)
    def tell(session: Session) -> list[int]:
        session.endpoint.executing = session
        session.push(Push([b"one"]))
        session.push(Push([b"two"]))
        session.endpoint.executing = None
        return [1, 2]

    session, wire = a_session(Registry(declarations))
    told = b"*2\r\n:1\r\n:2\r\n>1\r\n$3\r\none\r\n>1\r\n$3\r\ntwo\r\n"
    assert session.receive(b"TELL\r\nTELL\r\n") == told + told
    assert wire.sent == []
    assert not session.guarded


def test_a_push_is_not_switched_off_with_the_replies() -> None:
    session, wire = a_session()
    session.receive(b"CLIENT REPLY OFF\r\n")
    session.push(Push([b"news"]))
    assert wire.sent == [b">1\r\n$4\r\nnews\r\n"]


def test_a_long_command_lets_pushes_out_before_its_reply() -> None:
    cache = Cache()
    for number in range(3 * SLICE):
        cache.set(f"k{number}", b"v", tags=["t"])
    session, wire = a_session(cache=cache)
    assert session.receive(b"PING\r\nINVALIDATE t\r\nPING\r\n") == b"+PONG\r\n"
    session.push(Push([b"news"]))
    assert wire.sent == [b">1\r\n$4\r\nnews\r\n"]
    replies = b""
    while session.backlog:
        replies += session.receive(b"")
    assert replies == b":%d\r\n+PONG\r\n" % (3 * SLICE)


def test_who_has_gone_is_told_nothing_and_nobody_fails() -> None:
    session, wire = a_session()
    endpoint = session.endpoint
    endpoint.post(session.id, Push([b"late"]))
    session.close()
    endpoint.post(session.id, Push([b"later"]))
    endpoint.deliver()
    session.push(Push([b"latest"]))
    assert wire.sent == []


def test_who_is_leaving_is_told_nothing_after_the_last_reply() -> None:
    session, wire = a_session()
    assert session.receive(b"QUIT\r\n") == b"+OK\r\n"
    session.push(Push([b"late"]))
    assert wire.sent == []


def test_what_has_no_form_in_resp_is_logged_and_the_next_one_arrives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session, wire = a_session()
    session.endpoint.post(session.id, Push([object()]))
    session.endpoint.post(session.id, Push([b"news"]))
    with caplog.at_level(logging.ERROR):
        session.endpoint.deliver()
    assert wire.sent == [b">1\r\n$4\r\nnews\r\n"]
    assert "cannot be told of" in caplog.text


def test_posts_of_many_wake_the_loop_once_and_arrive_in_order() -> None:
    session, wire = a_session()
    endpoint = session.endpoint
    calls: list[int] = []
    endpoint.wake = lambda: calls.append(1)
    for number in range(100):
        endpoint.post(session.id, Push([number]))
    assert len(calls) == 1
    endpoint.deliver()
    # in one piece: a write is dear
    assert wire.sent == [b"".join(b">1\r\n:%d\r\n" % number for number in range(100))]
    endpoint.post(session.id, Push([0]))
    assert len(calls) == 2


def test_a_delivery_takes_no_more_than_there_was_and_asks_to_be_called_again() -> None:
    session, _ = a_session()
    endpoint = session.endpoint
    calls: list[int] = []
    endpoint.wake = lambda: calls.append(1)

    class Talkative(Wire):
        def send(self, data: bytes) -> None:
            super().send(data)
            endpoint.post(session.id, Push([b"more"]))

    session.carrier = wire = Talkative()
    endpoint.post(session.id, Push([b"first"]))
    endpoint.deliver()
    assert (len(wire.sent), len(calls)) == (1, 2)
    endpoint.deliver()
    assert (len(wire.sent), len(calls)) == (2, 3)


# -- blocked


def test_a_blocked_session_reads_on_answers_nothing_and_is_no_backlog() -> None:
    found: list[Sleeper] = []
    session, wire = a_session(sleeping_registry(found))
    assert session.receive(b"ECHO a\r\nNAP\r\nECHO b\r\nEC") == b"$1\r\na\r\n"
    assert (session.is_blocked(), session.backlog) == (True, False)
    assert session.receive(b"HO c\r\n") == b""
    assert session.receive(b"") == b""
    assert found[0].steps == 1
    session.push(Push([b"news"]))
    assert wire.sent == [b">1\r\n$4\r\nnews\r\n"]
    found[0].wake()
    assert wire.resumed == 0
    session.endpoint.deliver()
    assert wire.resumed == 1
    assert session.receive(b"") == b"$5\r\nwoken\r\n$1\r\nb\r\n$1\r\nc\r\n"
    assert (session.is_blocked(), session.backlog) == (False, False)


def test_one_that_is_woken_may_sleep_again() -> None:
    found: list[Sleeper] = []
    session, wire = a_session(sleeping_registry(found, 2))
    session.receive(b"NAP\r\n")
    found[0].wake()
    session.endpoint.deliver()
    assert session.receive(b"") == b""
    assert session.is_blocked()
    found[0].wake()
    session.endpoint.deliver()
    assert (wire.resumed, session.receive(b"")) == (2, b"$5\r\nwoken\r\n")


def test_one_that_is_woken_before_anybody_looks_is_a_backlog() -> None:
    found: list[Sleeper] = []
    registry = sleeping_registry(found)
    session, _ = a_session(registry)

    class Hasty(Sleeper):
        def step(self) -> bool:
            done = super().step()
            self.wake()
            return done

    declarations = Declarations()
    command = partial(
        Declaration, declarations=declarations, group="server", complexity="O(1)", summary="!"
    )

    @command("NAP")
    def nap(cache: Cache) -> object:
        sleeper = Hasty(cache)
        sleeper.step()
        raise Unfinished(sleeper)

    session, _ = a_session(Registry(declarations))
    assert session.receive(b"NAP\r\n") == b""
    assert (session.is_blocked(), session.backlog) == (False, True)
    assert session.receive(b"") == b"$5\r\nwoken\r\n"


def test_a_blocked_session_that_goes_abandons_its_long_command() -> None:
    found: list[Sleeper] = []
    session, wire = a_session(sleeping_registry(found))
    session.receive(b"NAP\r\n")
    session.close()
    found[0].wake()
    session.endpoint.deliver()
    assert (found[0].abandoned, wire.resumed) == (True, 0)


def test_a_blocked_session_may_not_send_without_end() -> None:
    found: list[Sleeper] = []
    session, _ = a_session(sleeping_registry(found))
    session.endpoint.settings.max_query_bytes = 100
    session.receive(b"NAP\r\n")
    session.receive(b"x" * 60)
    assert not session.closing
    session.receive(b"x" * 60)
    assert session.closing


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something becomes true within some seconds."""
    ends_at = time.monotonic() + 60
    while not holds() and time.monotonic() < ends_at:
        time.sleep(0.005)
    return holds()


@pytest.fixture
def sleeping_server(monkeypatch: pytest.MonkeyPatch) -> list[Sleeper]:
    """The sleepers of servers that know NAP."""
    found: list[Sleeper] = []
    registry = sleeping_registry(found)
    before = RespServer.__init__
    monkeypatch.setattr(
        RespServer,
        "__init__",
        lambda self, cache, settings: before(self, cache, settings, registry),
    )
    return found


def test_a_blocked_client_is_woken_by_another_thread(sleeping_server: list[Sleeper]) -> None:
    with our_server() as server, Client(server.port) as client:
        client.socket.sendall(b"NAP\r\nECHO a\r\n")
        assert eventually(lambda: bool(sleeping_server))
        assert eventually(lambda: sleeping_server[0].notifier is not None)
        sleeping_server[0].wake()
        assert client.read(18) == b"$5\r\nwoken\r\n$1\r\na\r\n"


def test_one_client_wakes_another_in_the_middle_of_its_replies(
    sleeping_server: list[Sleeper],
) -> None:
    with our_server() as server, Client(server.port) as first, Client(server.port) as other:
        first.socket.sendall(b"NAP\r\nECHO a\r\n")
        assert eventually(lambda: bool(sleeping_server))
        (session,) = (one for one in server.endpoint.sessions.values() if not one.is_blocked())
        # who has subscribed looks at what was posted before and after each reply
        session.resp3 = True
        session.listening().begin(CHANNEL, b"c")
        session.watch_over()
        wire = b"ECHO b\r\nWAKE\r\nECHO c\r\n"
        expected = b"$1\r\nb\r\n$4\r\nwoke\r\n$1\r\nc\r\n"
        assert other.ask(wire, len(expected)) == expected
        assert first.read(18) == b"$5\r\nwoken\r\n$1\r\na\r\n"


def test_a_sleep_ends_by_itself_when_its_time_is_up(sleeping_server: list[Sleeper]) -> None:
    with our_server() as server, Client(server.port) as client:
        expected = b"$7\r\ntimeout\r\n$1\r\na\r\n"
        assert client.ask(b"DOZE\r\nECHO a\r\n", len(expected)) == expected
        assert sleeping_server[0].steps == 2


@pytest.mark.parametrize("half", [True, False])
def test_the_end_of_a_blocked_client_is_noticed(
    sleeping_server: list[Sleeper], half: bool
) -> None:
    with our_server() as server, Client(server.port) as client:
        client.socket.sendall(b"NAP\r\n")
        assert eventually(lambda: bool(sleeping_server))
        if half:
            client.socket.shutdown(socket.SHUT_WR)
            assert client.read_until_closed() == b""
        else:
            client.socket.close()
        assert eventually(lambda: sleeping_server[0].abandoned)
        assert eventually(lambda: not server.endpoint.sessions)


# -- output limits


def test_beyond_the_hard_limit_a_client_is_disconnected_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session, wire = a_session()
    endpoint = session.endpoint
    endpoint.settings.output_limits["normal"] = OutputLimit(1000, 0, 0)
    wire.unsent = 999
    session.push(Push([1]))
    assert not wire.aborted
    wire.unsent = 1000
    with caplog.at_level(logging.WARNING):
        session.push(Push([1]))
    assert wire.aborted
    assert "1000 bytes of output wait" in caplog.text
    session.push(Push([1]))
    assert len(wire.sent) == 2
    info = Session(endpoint).receive(b"INFO stats\r\n")
    assert b"client_output_buffer_limit_disconnections:1\r\n" in info


def test_beyond_the_soft_limit_a_client_has_some_seconds_to_catch_up() -> None:
    session, wire = a_session()
    endpoint = session.endpoint
    endpoint.settings.output_limits["normal"] = OutputLimit(0, 1000, 5)
    wire.unsent = 1000
    for tick in range(6):
        endpoint.tick = tick
        session.check_output()
        assert not wire.aborted
    wire.unsent = 999
    session.check_output()
    wire.unsent = 1000
    for tick in range(6, 12):
        endpoint.tick = tick
        session.check_output()
        assert not wire.aborted
    endpoint.tick = 12
    session.check_output()
    assert wire.aborted


def test_client_list_tells_what_waits_for_a_client() -> None:
    session, wire = a_session()
    wire.unsent = 1234
    line = session.receive(b"CLIENT INFO\r\n").decode()
    assert " obl=0 oll=1 omem=1234 " in line
    wire.unsent = 0
    line = session.receive(b"CLIENT INFO\r\n").decode()
    assert " obl=0 oll=0 omem=0 " in line


def test_config_shows_and_sets_the_limits_of_the_classes_that_it_names() -> None:
    session, _ = a_session(hello=2)
    shown = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    asked = b"CONFIG GET client-output-buffer-limit\r\n"
    assert session.receive(asked).decode().split("\r\n")[4] == shown
    done = session.receive(
        b'CONFIG SET client-output-buffer-limit "pubsub 1mb 512kb 10 Replica 1 2 3"\r\n'
    )
    assert done == b"+OK\r\n"
    shown = "normal 0 0 0 slave 1 2 3 pubsub 1048576 524288 10"
    assert session.receive(asked).decode().split("\r\n")[4] == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pubsub 1mb", "Wrong number of arguments in buffer limit configuration."),
        ("foo 1 1 1", "Invalid client class specified in buffer limit configuration."),
        (
            "pubsub a 1 1",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        (
            "pubsub 1 1 -1",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
    ],
)
def test_a_limit_that_is_none_is_refused_in_redis_words(text: str, reason: str) -> None:
    session, _ = a_session()
    asked = f'CONFIG SET client-output-buffer-limit "{text}"\r\n'
    assert session.receive(asked.encode()).decode() == (
        "-ERR CONFIG SET failed (possibly related to argument "
        f"'client-output-buffer-limit') - {reason}\r\n"
    )
    assert parse_limits("") == {}


def greet(client: Client) -> None:
    """Has a client speak RESP3."""
    said = client.ask(b"HELLO 3\r\n", 1)
    while not said.endswith(b"modules\r\n*0\r\n"):
        said += client.read(1)


def test_a_congested_client_is_told_when_it_reads_and_cut_off_when_it_never_does() -> None:
    large = Push([b"x" * 100_000])
    pushed = b">1\r\n$100000\r\n" + b"x" * 100_000 + b"\r\n"
    with our_server() as server:
        endpoint = server.endpoint
        with Client(server.port) as slow, Client(server.port) as dead:
            greet(slow)
            greet(dead)
            first, second = (endpoint.sessions[number] for number in sorted(endpoint.sessions))
            for _ in range(100):
                endpoint.post(first.id, large)
            assert eventually(lambda: first.carrier.unsent_bytes() > 1_000_000)
            endpoint.post(first.id, Push([b"last"]))
            expected = pushed * 100 + b">1\r\n$4\r\nlast\r\n"
            assert slow.read(len(expected)) == expected
            endpoint.settings.output_limits |= parse_limits("normal 5mb 0 0")
            for _ in range(300):
                endpoint.post(second.id, large)
            assert eventually(lambda: second.id not in endpoint.sessions)
            assert (int(endpoint.cut_off), list(endpoint.sessions)) == (1, [first.id])


@pytest.mark.parametrize("mode", [b"", b" BCAST"])
def test_a_client_that_tracks_and_never_reads_is_bounded_and_others_are_served(
    mode: bytes,
) -> None:
    with our_server() as server, Client(server.port) as dead, Client(server.port) as writer:
        endpoint = server.endpoint
        greet(dead)
        assert dead.ask(b"CLIENT TRACKING ON" + mode + b"\r\n", 5) == b"+OK\r\n"
        (tracking,) = endpoint.tracking.clients
        endpoint.settings.output_limits |= parse_limits("pubsub 200kb 0 0")
        # large names: what it is told soon fills what the system keeps for it
        names = [b"$100000\r\n%0100000d\r\n" % number for number in range(200)]
        for name in names:
            assert dead.ask(b"*2\r\n$3\r\nGET\r\n" + name, 3) == b"_\r\n"
        for name in names:
            assert writer.ask(b"*2\r\n$4\r\nINCR\r\n" + name, 4) == b":1\r\n"
        assert tracking not in endpoint.sessions
        assert (int(endpoint.cut_off), len(endpoint.tracking.clients)) == (1, 0)


def test_a_large_reply_is_not_held_to_the_limit_of_what_a_client_is_told() -> None:
    session, wire = a_session()
    session.endpoint.settings.output_limits["pubsub"] = OutputLimit(1000, 0, 0)
    wire.unsent = 1_000_000
    for _ in range(10):
        session.push(Push([1]))
    assert not wire.aborted
    for _ in range(200):
        session.push(Push([1]))
    assert wire.aborted


def test_what_a_client_has_taken_counts_no_more() -> None:
    session, wire = a_session()
    session.endpoint.settings.output_limits["pubsub"] = OutputLimit(1000, 0, 0)
    for _ in range(1000):
        wire.unsent = 0
        session.push(Push([1]))
    wire.unsent = 1_000_000
    session.push(Push([1]))
    assert not wire.aborted


def test_pushes_of_another_thread_come_between_replies_and_in_order() -> None:
    with our_server() as server, Client(server.port) as client:
        client.socket.sendall(b"HELLO 3\r\n")
        assert eventually(lambda: bool(server.endpoint.sessions))
        (session_id,) = server.endpoint.sessions
        session = server.endpoint.sessions[session_id]
        assert eventually(lambda: session.resp3)
        count = 2000

        def post() -> None:
            for number in range(count):
                server.endpoint.post(session_id, Push([number]))

        thread = threading.Thread(target=post)
        thread.start()
        for _ in range(count // 10):
            client.socket.sendall(b"ECHO +\r\n" * 10)
        thread.join()
        client.socket.sendall(b"QUIT\r\n")
        said = client.read_until_closed()
    said = said[said.index(b"modules") + len(b"modules\r\n*0\r\n") :]
    pushed, replies = [], 0
    while not said.startswith(b"+OK"):
        if said.startswith(b"$1\r\n+\r\n"):
            said = said[7:]
            replies += 1
        else:
            head, number, said = said.split(b"\r\n", 2)
            assert head == b">1"
            pushed.append(int(number[1:]))
    assert replies == count
    assert pushed == list(range(len(pushed)))
