"""The RESP server over real sockets, beside the real servers that this machine has."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from fake_transport import FakeTransport
from real_servers import HOST, RealServer
from servers import Client, conversation, our_server

import cachestorm_cli.commands
from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.keyspace.shared_state import SLICE
from cachestorm_server.config import variable_of
from cachestorm_server.config_sections import keys
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.net import DENIED, TOO_MANY_CLIENTS, Connection, is_this_host
from cachestorm_server.server import TELL_EVERY_S, RespServer
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


@pytest.fixture(scope="module")
def server() -> Iterator[RespServer]:
    with our_server() as running:
        yield running


BULK = b"*1\r\n$4\r\nPING\r\n"
# What every server says alike, to the byte, and whether it hangs up after it.
ALIKE = [
    b"*2147483648\r\n",
    b"*abc\r\n" + BULK,
    b"*-5\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*01\r\n",
    b"*+1\r\n",
    b"*\r\n",
    b"*1\r\nxPING\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$0\r\n\r\n",
    BULK + b"*x\r\n" + BULK,
    b"PING\nPING\r\n\r\n   \r\nPING\n",
    b'SET "a\r\n',
    b'ECHO "\\x41\\n\\q\\""\r\n',
    b"ECHO 'a\\'b\\x41'\r\n",
    b"POST / HTTP/1.1\r\nPING\r\n",
    b"Host: x\r\n",
    b"QUIT\r\nPING\r\n",
    b"FOO a b\r\nPING\r\n",
    b"*2\r\n$3\r\nFOO\r\n$3\r\na\nb\r\n",
    b"ECHO\r\nECHO a b\r\nPING a b\r\nTIME x\r\n",
    b"HELLO 4\r\n",
    b"HELLO x\r\n",
    b"HELLO 3 FOO\r\n",
    b'HELLO 3 SETNAME "a b"\r\n',
    b"RESET\r\n",
    b"SELECT 0\r\nSELECT 15\r\nSELECT 16\r\nSELECT -1\r\nSELECT x\r\n",
    b"AUTH\r\nAUTH x\r\nAUTH a b c\r\nAUTH a b\r\nAUTH default b\r\n",
    b"CLIENT\r\nCLIENT FOO\r\nCLIENT ID x\r\nCLIENT LIST TYPE x\r\n",
    b"CLIENT GETNAME\r\nCLIENT SETNAME ada\r\nCLIENT GETNAME\r\nCLIENT SETNAME ''\r\n",
    b'CLIENT SETNAME "a b"\r\nCLIENT SETNAME\r\nCLIENT GETNAME\r\n',
    b"CLIENT REPLY x\r\nCLIENT NO-EVICT x\r\nCLIENT NO-EVICT on\r\nCLIENT GETREDIR\r\n",
    b"CLIENT KILL\r\nCLIENT KILL ID 99999\r\nCLIENT KILL ID 0\r\nCLIENT KILL 1.2.3.4:5\r\n",
    b"CLIENT KILL TYPE x\r\nCLIENT KILL USER x\r\nCLIENT KILL SKIPME maybe\r\n",
    b"CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n",
    b"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n",
    b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n",
    b"CONFIG GET save\r\nCONFIG GET none\r\nCONFIG GET\r\nCONFIG GET a timeout b\r\n",
    b"CONFIG SET foo x\r\nCONFIG SET timeout\r\nCONFIG SET timeout -1\r\n",
    b"CONFIG SET timeout x\r\nCONFIG SET timeout 0 timeout 0\r\nCONFIG SET timeout 0\r\n",
    b"CONFIG SET maxmemory x\r\nCONFIG SET maxmemory 1.5mb\r\nCONFIG SET maxmemory -1\r\n",
    b"CONFIG SET maxmemory 100k\r\nCONFIG GET maxmemory\r\nCONFIG SET maxmemory 1gb\r\n",
    b"CONFIG GET maxmemory\r\nCONFIG SET maxmemory 0\r\nCONFIG GET maxmemory\r\n",
    b"CONFIG SET maxclients 0\r\nCONFIG SET protected-mode x\r\nCONFIG RESETSTAT\r\n",
    b"COMMAND FOO\r\nCOMMAND COUNT x\r\nCOMMAND LIST FILTERBY x y\r\nCOMMAND INFO foo\r\n",
    b"COMMAND LIST FILTERBY MODULE x FILTERBY MODULE x\r\nCOMMAND LIST FILTERBY MODULE x\r\n",
    b"COMMAND INFO 'client list' nothing\r\nCOMMAND GETKEYS EVAL s 0 a\r\n",
    b"INFO nothing\r\n",
]


@pytest.mark.parametrize("wire", ALIKE, ids=repr)
def test_every_server_answers_alike(
    server: RespServer, real_server: RealServer, wire: bytes
) -> None:
    assert conversation(server.port, wire) == conversation(real_server.port, wire)


@pytest.mark.parametrize("name", ["get", "set", "getex", "hgetall", "lpop", "pfcount"])
@pytest.mark.parametrize("protocol", [b"2", b"3"])
def test_commands_are_described_as_by_valkey(
    server: RespServer, valkey: RealServer, protocol: bytes, name: str
) -> None:
    wire = b"HELLO %s\r\nECHO <end>\r\nCOMMAND INFO %s\r\n" % (protocol, name.encode())
    ours, theirs = [conversation(port, wire) for port in (server.port, valkey.port)]
    assert ours.partition(b"<end>\r\n")[2] == theirs.partition(b"<end>\r\n")[2]


@pytest.mark.parametrize("size", [65_536, 70_000])
@pytest.mark.parametrize("start", [b"*", b"*1\r\n$", b"x"])
def test_a_line_without_end_is_refused(server: RespServer, start: bytes, size: int) -> None:
    reply = conversation(server.port, start + b"1" * (size - len(start)))
    assert reply.startswith(b"-ERR Protocol error: too big ") is (size > 65_536)


def test_it_serves_redis_py_in_both_protocols(server: RespServer) -> None:
    for protocol in (2, 3):
        client = redis.Redis(HOST, server.port, protocol=protocol, client_name="ada")
        assert client.ping()
        assert client.set("py", b"\0\xff", ex=100)
        assert client.get("py") == b"\0\xff"
        assert 0 < client.ttl("py") <= 100
        assert client.client_getname() in ("ada", b"ada")
        assert client.client_info()["lib-name"] == "redis-py"
        assert client.info()["redis_version"].startswith("7.4.")
        assert client.config_get("maxclients") == {"maxclients": "10000"}
        assert client.command_count() == len(REGISTRY.names())
        assert "get" in client.command()
        with client.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set(f"py:{number}", number)
                pipe.get(f"py:{number}")
            assert pipe.execute()[1::2] == [b"%d" % number for number in range(1000)]
        client.close()


@pytest.mark.skipif(not shutil.which("redis-cli"), reason="no redis-cli here")
def test_it_serves_a_pipe_of_redis_cli(server: RespServer) -> None:
    lines = b"".join(b"SET pipe:%d %d\r\n" % (number, number) for number in range(20_000))
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), "--pipe"],
        input=lines,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"errors: 0, replies: 20000" in done.stdout


def test_a_client_that_ends_its_side_still_gets_all_replies(server: RespServer) -> None:
    with Client(server.port) as client:
        value = b"x" * 100_000
        client.ask(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$100000\r\n" + value + b"\r\n", 5)
    reply = conversation(server.port, b"GET big\r\n" * 200)
    assert reply == (b"$100000\r\n" + value + b"\r\n") * 200


def connected(
    settings: Settings, peer: str = HOST
) -> tuple[Connection, FakeTransport, Endpoint]:
    endpoint = Endpoint(Cache(), REGISTRY, settings)
    transport = FakeTransport(peer)
    protocol = transport.protocol = Connection(endpoint)
    protocol.connection_made(transport)  # type: ignore[arg-type]
    return protocol, transport, endpoint


def test_a_client_that_takes_no_replies_is_not_read_from() -> None:
    protocol, transport, endpoint = connected(Settings())
    endpoint.cache.set("big", b"x" * 500_000)
    transport.congested_above = 600_000
    protocol.data_received(b"GET big\r\n" * 20)
    assert not transport.reading
    assert len(transport.sent) < 2_000_000
    transport.congested_above = 1 << 60
    protocol.resume_writing()
    assert transport.reading
    assert len(transport.sent) == 20 * (500_000 + 11)


def test_a_client_that_sends_much_at_once_lets_others_be_read_from_in_between() -> None:
    protocol, transport, endpoint = connected(Settings())

    async def send() -> None:
        protocol.data_received(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\n")
        assert transport.reading
        for _ in range(2):
            protocol.data_received(b"x" * 200_000)
            assert not transport.reading
            await asyncio.sleep(0)
            assert transport.reading
        protocol.data_received(b"\r\n")
        assert transport.reading

    asyncio.run(send())
    assert (bytes(transport.sent), endpoint.cache.strlen("k")) == (b"+OK\r\n", 400_000)


def test_a_memory_hungry_request_is_disconnected() -> None:
    protocol, transport, _ = connected(Settings(max_query_bytes=10_000))
    protocol.data_received(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n")
    protocol.data_received(b"x" * 20_000)
    assert transport.closing
    assert transport.sent == b""


def test_protected_mode_lets_nobody_in_from_afar() -> None:
    _, transport, endpoint = connected(Settings(), peer="10.0.0.7")
    assert (bytes(transport.sent), transport.closing) == (DENIED, True)
    assert len(endpoint.sessions) == 0
    for settings in (Settings(password="sesame"), Settings(protected_mode=False)):
        _, transport, _ = connected(settings, peer="10.0.0.7")
        assert (bytes(transport.sent), transport.closing) == (b"", False)


def test_who_is_denied_is_told_of_settings_and_flags_that_are_there() -> None:
    told = DENIED.decode()
    settings = {".".join(path) for path in keys()}
    assert set(re.findall(r"[a-z_]+(?:\.[a-z_]+)+", told)) <= settings
    assert set(re.findall(r"CACHESTORM_[A-Z_]+", told)) <= {
        variable_of(path) for path in keys()
    }
    (option,) = re.findall(r"--[a-z-]+", told)
    assert option in inspect.getsource(cachestorm_cli.commands)
    (line,) = re.findall(r"'(CONFIG [^']+)'", told)
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    assert Session(endpoint).receive(line.encode() + b"\r\n") == b"+OK\r\n"
    assert not endpoint.settings.protected_mode


@pytest.mark.parametrize(
    "container", ["CLIENT", "COMMAND", "CONFIG", "MEMORY", "OBJECT", "SCRIPT"]
)
def test_a_container_describes_its_subcommands(container: str) -> None:
    session = Session(Endpoint(Cache(), REGISTRY, Settings()))
    replies = session.receive(b"%s help\r\n" % container.encode())
    lines = [line.removeprefix("+") for line in replies.decode().split("\r\n")[1:-1]]
    assert lines[0] == f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    names = {line.split()[0] for line in lines[1:] if not line.startswith(" ")}
    told = REGISTRY.docs(container)
    assert told is not None
    children = told["subcommands"]
    assert isinstance(children, dict)
    assert {name.partition("|")[2].upper() for name in children} == names
    assert not [line for line in lines if ":<" in line]


def test_every_container_has_a_help() -> None:
    containers = {each.container for each in REGISTRY if each.subcommand}
    assert [name for name in containers if REGISTRY.get(f"{name} HELP") is None] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        ("", True),
        (("10.0.0.1", 1), False),
        (("::ffff:10.0.0.1", 1, 0, 0), False),
    ],
)
def test_loopback_addresses_are_this_host(name: object, expected: bool) -> None:
    assert is_this_host(name) is expected


def test_a_client_too_many_is_told_so() -> None:
    with our_server(Settings(port=0, max_clients=1)) as server, Client(server.port) as one:
        assert one.ask(b"PING\r\n", 7) == b"+PONG\r\n"
        with Client(server.port) as two:
            assert two.read_until_closed() == TOO_MANY_CLIENTS


def test_the_log_tells_of_refusals_rarely_and_with_their_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("cachestorm"), "propagate", True)
    server = RespServer(Cache(), Settings(max_clients=1))
    endpoint = server.endpoint

    def come(peer: str) -> None:
        protocol = Connection(endpoint)
        protocol.connection_made(FakeTransport(peer))  # type: ignore[arg-type]

    for peer in (HOST, HOST, HOST):
        come(peer)
    server._tell_of_refusals()
    assert [record.getMessage() for record in caplog.records] == [
        "clients refused: 2; there is room for 1 (server.max_connections)"
    ]
    caplog.clear()
    endpoint.settings.max_clients = 2
    come("10.0.0.7")
    endpoint.tick += TELL_EVERY_S - 1
    server._tell_of_refusals()
    assert caplog.records == []
    endpoint.tick += 1
    monkeypatch.setattr("cachestorm_server.server.run_out", lambda: True)
    server._tell_of_refusals()
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("clients of other hosts refused: 1;")
    assert told[1].startswith("no file descriptor is left:")


def test_hundreds_of_clients_are_served_at_once(server: RespServer) -> None:
    clients = [Client(server.port) for _ in range(300)]
    try:
        for number, client in enumerate(clients):
            client.socket.sendall(
                b"SET many:%d %d\r\nGET many:%d\r\n" % (number, number, number)
            )
        for number, client in enumerate(clients):
            digits = b"%d" % number
            due = b"+OK\r\n$%d\r\n%s\r\n" % (len(digits), digits)
            assert client.read(len(due)) == due
    finally:
        for client in clients:
            client.__exit__()


def test_an_idle_client_is_disconnected() -> None:
    with our_server(Settings(port=0, timeout_s=1)) as server, Client(server.port) as client:
        assert client.ask(b"PING\r\n", 7) == b"+PONG\r\n"
        assert client.read_until_closed() == b""


def test_a_killed_client_is_disconnected(server: RespServer) -> None:
    with Client(server.port) as one, Client(server.port) as two:
        number = one.ask(b"CLIENT ID\r\n", 1) and one.socket.recv(100).split()[0]
        assert two.ask(b"CLIENT KILL ID %s\r\n" % number, 4) == b":1\r\n"
        assert one.read_until_closed() == b""


def test_keys_that_are_due_go_without_being_asked_for() -> None:
    cache = Cache()
    with our_server(cache=cache):
        cache.set("due", "v", ttl=0.01)
        deadline = time.monotonic() + 60
        while cache.stats().keys and time.monotonic() < deadline:
            time.sleep(0.02)
        assert cache.stats().keys == 0
        assert cache.stats().expired == 1


def test_stop_hangs_up_on_everybody() -> None:
    with our_server() as server:
        client = Client(server.port)
        assert client.ask(b"PING\r\n", 7) == b"+PONG\r\n"
    assert client.read_until_closed() == b""
    client.__exit__()


def until(true: Callable[[], bool]) -> None:
    """Waits for what the server does next."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def only_session(server: RespServer) -> Session:
    (session,) = server.endpoint.sessions.values()
    return session


def test_stop_lets_a_slow_client_take_all_its_replies() -> None:
    cache = Cache()
    cache.set("big", b"x" * 100_000)
    taken: list[bytes] = []
    with our_server(cache=cache) as server, Client(server.port) as client:
        client.socket.sendall(b"GET big\r\n" * 300)
        until(lambda: len(server.endpoint.sessions) == 1 and only_session(server).backlog)

        def read_slowly() -> None:
            until(lambda: not server._listeners)
            taken.append(client.read_until_closed())

        reader = threading.Thread(target=read_slowly)
        reader.start()
        server.stop_soon()
        reader.join()
    assert len(taken[0]) == 300 * (len(b"$100000\r\n\r\n") + 100_000)


def test_stop_waits_for_a_long_command_and_what_was_sent_with_it() -> None:
    cache = Cache()
    for number in range(20 * SLICE):
        cache.set(f"k{number}", b"v", tags=["t"])
    with our_server(cache=cache) as server, Client(server.port) as client:
        client.socket.sendall(b"INVALIDATE t\r\nPING\r\n")
        until(lambda: server.endpoint.commands > 0)
        server.stop_soon()
        assert client.read_until_closed() == b":%d\r\n+PONG\r\n" % (20 * SLICE)


def test_what_comes_after_stop_is_not_read() -> None:
    protocol, transport, endpoint = connected(Settings())
    endpoint.cache.set("big", b"x" * 500_000)
    transport.congested_above = 600_000
    protocol.data_received(b"GET big\r\n" * 4)

    async def stop() -> None:
        protocol.leave()
        protocol.data_received(b"GET big\r\n")
        assert not transport.reading
        assert not transport.closing
        transport.congested_above = 1 << 60
        protocol.resume_writing()
        # asyncio is in the middle of a write then: closed, it would tell of the end twice
        assert not transport.closing

    asyncio.run(stop())
    assert transport.closing
    assert len(transport.sent) == 4 * (500_000 + 11)
    # asyncio and uvloop call it as they empty the buffer of a transport that closes
    protocol.resume_writing()
    assert len(transport.sent) == 4 * (500_000 + 11)


@pytest.mark.parametrize("has_gone", [True, False])
def test_who_does_not_take_the_last_replies_is_cut_off_unless_gone(has_gone: bool) -> None:
    protocol, transport, endpoint = connected(Settings())
    endpoint.cache.set("big", b"x" * 500_000)
    transport.congested_above = 600_000
    protocol.data_received(b"GET big\r\n" * 4)
    timers: list[Callable[[], None]] = []

    async def stop() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later = lambda delay, do: timers.append(do)  # type: ignore[assignment]
        protocol.leave()

    asyncio.run(stop())
    if has_gone:
        protocol.connection_lost(None)
    (timer,) = timers
    timer()
    assert transport.aborted is not has_gone


def test_bytes_that_come_one_at_a_time_are_answered(server: RespServer) -> None:
    with Client(server.port) as client:
        for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nPING\r\n":
            client.socket.sendall(bytes([byte]))
        assert client.read(12) == b"+OK\r\n+PONG\r\n"
