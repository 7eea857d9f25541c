"""A session without a socket: bytes in, bytes out."""

from __future__ import annotations

import logging

import pytest

from cachestorm.cache import Cache
from cachestorm.declare.declaration import Declaration, Declarations
from cachestorm.declare.registry import REGISTRY, Registry
from cachestorm.eviction.policies import POLICIES
from cachestorm_server import clients, configuration, connection, introspection
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.requests import LARGE_BYTES
from cachestorm_server.session import REPLY_CHUNK_BYTES, Session
from cachestorm_server.settings import Settings

COMMANDS = (clients, configuration, connection, introspection)  # imported: declared


def a_session(password: str = "", cache: Cache | None = None) -> Session:
    return Session(
        Endpoint(cache or Cache(), REGISTRY, Settings(password=password)), "1.2.3.4:5"
    )


def test_one_answer_holds_the_replies_to_all_requests() -> None:
    session = a_session()
    wire = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"
    assert session.receive(wire) == b"+OK\r\n$2\r\nvv\r\n+PONG\r\n"


def test_names_of_commands_are_known_in_any_case() -> None:
    assert a_session().receive(b"PiNg\r\nping\r\nPING\r\n") == b"+PONG\r\n" * 3


def test_keys_and_values_carry_any_bytes() -> None:
    session = a_session()
    key, value = b"\0\xff\r\n", bytes(range(256))
    session.receive(b"*3\r\n$3\r\nSET\r\n$4\r\n%s\r\n$256\r\n%s\r\n" % (key, value))
    assert (
        session.receive(b"*2\r\n$3\r\nGET\r\n$4\r\n%s\r\n" % key) == b"$256\r\n%s\r\n" % value
    )


def test_hello_switches_the_protocol_and_reset_switches_it_back() -> None:
    session = a_session()
    assert session.receive(b"HELLO 3\r\n").startswith(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n")
    assert session.receive(b"GET none\r\n") == b"_\r\n"
    assert session.receive(b"RESET\r\nGET none\r\n") == b"+RESET\r\n$-1\r\n"


def test_a_protocol_error_ends_the_session_after_the_replies_due() -> None:
    session = a_session()
    assert session.receive(b"PING\r\n*x\r\nPING\r\n") == (
        b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"
    )
    assert session.closing


def test_quit_ends_the_session_and_what_follows_is_not_read() -> None:
    session = a_session()
    assert session.receive(b"QUIT\r\nSET k v\r\n") == b"+OK\r\n"
    assert session.closing
    assert session.cache.get("k") is None


@pytest.mark.parametrize("line", [b"POST / HTTP/1.1\r\n", b"Host: evil\r\n", b"host:\r\n"])
def test_a_browser_is_disconnected_without_a_word(line: bytes) -> None:
    session = a_session()
    assert session.receive(line + b"PING\r\n") == b""
    assert session.closing


def test_a_namespace_belongs_to_the_connection() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    one, other = Session(endpoint), Session(endpoint)
    assert (
        one.receive(b"NAMESPACE shop\r\nSET k v\r\nGET k\r\n") == b"+OK\r\n+OK\r\n$1\r\nv\r\n"
    )
    assert other.receive(b"GET k\r\n") == b"$-1\r\n"
    assert one.receive(b"SELECT 0\r\nGET k\r\nSELECT 3\r\nSET k 3\r\n") == (
        b"+OK\r\n$-1\r\n+OK\r\n+OK\r\n"
    )
    assert other.receive(b"NAMESPACE db3\r\nGET k\r\nNAMESPACE shop\r\nGET k\r\n") == (
        b"+OK\r\n$1\r\n3\r\n+OK\r\n$1\r\nv\r\n"
    )


def test_a_stranger_is_asked_who_it_is() -> None:
    session = a_session("sesame")
    refused = b"-NOAUTH Authentication required.\r\n"
    wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    assert session.receive(b"GET k\r\n") == refused
    assert session.receive(b"AUTH open\r\n") == wrong
    assert session.receive(b"AUTH eve sesame\r\n") == wrong
    assert session.receive(b"HELLO 3\r\n").startswith(b"-NOAUTH HELLO must be called")
    assert session.receive(b"AUTH sesame\r\nGET k\r\n") == b"+OK\r\n$-1\r\n"
    assert session.receive(b"RESET\r\nGET k\r\n") == b"+RESET\r\n" + refused
    assert session.receive(b"HELLO 3 AUTH default sesame\r\nGET k\r\n").endswith(b"*0\r\n_\r\n")


def test_a_stranger_may_send_no_large_request() -> None:
    session = a_session("sesame")
    assert session.receive(b"*11\r\n") == (
        b"-ERR Protocol error: unauthenticated multibulk length\r\n"
    )
    friend = a_session("sesame")
    friend.receive(b"AUTH sesame\r\n")
    assert friend.receive(b"*11\r\n") == b""


def test_replies_are_switched_off_on_and_skipped() -> None:
    session = a_session()
    assert session.receive(b"CLIENT REPLY OFF\r\nPING\r\nFOO\r\n") == b""
    assert session.receive(b"CLIENT REPLY ON\r\nPING\r\n") == b"+OK\r\n+PONG\r\n"
    assert session.receive(b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n") == b"+PONG\r\n"


def test_a_large_answer_is_given_in_pieces() -> None:
    cache = Cache()
    cache.set("big", b"x" * 100_000)
    session = a_session(cache=cache)
    pieces = [session.receive(b"GET big\r\n" * 50)]
    while session.backlog:
        pieces.append(session.receive(b""))
    assert b"".join(pieces) == (b"$100000\r\n" + b"x" * 100_000 + b"\r\n") * 50
    assert max(len(piece) for piece in pieces) < REPLY_CHUNK_BYTES + 200_000


class Taker(Carrier):
    """A carrier that keeps what it is handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.taken.append(data)


def test_a_large_reply_is_handed_over_in_its_place_and_not_copied() -> None:
    value = b"x" * LARGE_BYTES
    cache = Cache()
    cache.set("large", value)
    session = a_session(cache=cache)
    taker = session.carrier = Taker()
    # one after the other: the client takes one before it is answered more
    taker.taken.append(session.receive(b"ECHO a\r\nGET large\r\nECHO b\r\nGET large\r\n"))
    while session.backlog:
        taker.taken.append(session.receive(b""))
    header = b"$%d\r\n" % LARGE_BYTES
    large = header + value + b"\r\n"
    assert b"".join(taker.taken) == b"$1\r\na\r\n" + large + b"$1\r\nb\r\n" + large
    assert [piece for piece in taker.taken if piece is value] == [value, value]
    assert session.endpoint.net_out_bytes == 2 * len(large) + 14


@pytest.mark.parametrize("state", [b"MULTI", b"CLIENT TRACKING ON", b"MONITOR"])
def test_a_large_reply_waits_for_others_where_something_is_unusual(state: bytes) -> None:
    cache = Cache()
    cache.set("large", b"x" * LARGE_BYTES)
    session = a_session(cache=cache)
    taker = session.carrier = Taker()
    session.receive(b"HELLO 3\r\n" + state + b"\r\n")
    session.receive(b"GET large\r\nEXEC\r\n")
    assert not [piece for piece in taker.taken if len(piece) >= LARGE_BYTES]


def test_a_command_that_fails_is_logged_and_the_session_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    declarations = Declarations()
    facts = {"declarations": declarations, "group": "server", "complexity": "O(1)"}

    @Declaration("BREAK", summary="!", **facts)
    def broken(cache: Cache) -> object:
        raise ZeroDivisionError("so it goes")

    @Declaration("ODD", summary="!", **facts)
    def odd(cache: Cache) -> object:
        return [1, object()]

    session = Session(Endpoint(Cache(), Registry(declarations), Settings()))
    with caplog.at_level(logging.ERROR):
        assert session.receive(b"BREAK\r\nODD\r\nBREAK\r\n") == b"-ERR internal error\r\n" * 3
    assert "so it goes" in caplog.text
    assert not session.closing


def test_client_list_has_a_line_for_every_session() -> None:
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    one, other = Session(endpoint, "1.1.1.1:1"), Session(endpoint, "2.2.2.2:2")
    one.receive(b"CLIENT SETNAME ada\r\nCLIENT SETINFO lib-name redis-py\r\n")
    text = other.receive(b"CLIENT LIST\r\n").decode()
    assert "id=1 addr=1.1.1.1:1" in text
    assert "name=ada" in text
    assert "lib-name=redis-py" in text
    assert "id=2 addr=2.2.2.2:2" in text
    one.close()
    assert "id=1" not in other.receive(b"CLIENT LIST\r\n").decode()


def test_info_counts_what_happened() -> None:
    session = a_session()
    session.receive(b"SET k v EX 100\r\nGET k\r\nGET none\r\nFOO\r\n")
    text = session.receive(b"INFO\r\n").decode()
    for line in (
        "redis_version:7.4.",
        "total_commands_processed:4",
        "total_error_replies:1",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "db0:keys=1,expires=1,avg_ttl=0",
        "role:master",
        "loading:0",
        "# CacheStorm",
    ):
        assert f"\r\n{line}" in text
    assert "# Memory" not in session.receive(b"INFO server clients\r\n").decode()
    assert session.receive(b"INFO nothing\r\n") == b"$0\r\n\r\n"


def test_info_of_namespaces_shows_the_named_ones_too_when_asked_for() -> None:
    session = Session(Endpoint(Cache(), REGISTRY, Settings()))
    session.receive(b"NAMESPACE a:b\r\nSETTAG k v t\r\nNAMESPACE default\r\nSET d 1\r\n")
    text = session.receive(b"INFO namespaces\r\n").decode()
    title, *rows = text.strip().splitlines()[1:]
    assert title == "# Namespaces"
    facts = dict(row.rsplit(":", 1) for row in rows)
    assert sorted(facts) == ["namespace_a:b", "namespace_default"]
    assert facts["namespace_a:b"].startswith("keys=1,expires=0,tags=1,memory=")
    for argv in (b"INFO", b"INFO all", b"INFO keyspace"):
        assert "namespace_" not in session.receive(argv + b"\r\n").decode()
    assert "namespace_a:b" in session.receive(b"INFO everything\r\n").decode()


def test_info_tells_the_hit_ratio_of_other_limits() -> None:
    cache = Cache(max_entries=50)
    session = a_session(cache=cache)
    assert "hit_ratios" not in session.receive(b"INFO cachestorm\r\n").decode()
    for number in range(300):
        cache.set(f"key:{number}", "v")
        cache.get(f"key:{number - 30}")
    text = session.receive(b"INFO cachestorm\r\n").decode()
    assert f"\r\nhit_ratios_db0:0.5={cache.hit_ratios()[0.5]:.4f},1=" in text


def test_config_set_changes_the_policy_with_all_keys_in_place() -> None:
    cache = Cache(max_entries=20)
    session = a_session(cache=cache)
    for number in range(20):
        cache.set(f"key:{number}", number, 1000 if number % 2 else None)
    for name in (*POLICIES, "Volatile-TTL"):
        assert session.receive(f"CONFIG SET maxmemory-policy {name}\r\n".encode()) == b"+OK\r\n"
        told = session.receive(b"CONFIG GET maxmemory-policy\r\n").decode()
        assert told.endswith(f"\r\n{name.lower()}\r\n")
        assert name.lower() == cache.policy
        assert len(cache) == 20
        cache._check()
    session.receive(b"CONFIG SET maxmemory-samples 20\r\nSET new v EX 9\r\n")
    assert (cache.sample_size, len(cache), cache.stats().evicted) == (20, 20, 1)
    assert all(cache.exists(f"key:{number}") for number in range(0, 20, 2))


def test_a_policy_or_sample_that_is_none_is_refused_in_redis_words() -> None:
    session = a_session()
    refused = "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-"
    names = ", ".join(POLICIES)
    assert session.receive(b"CONFIG SET maxmemory-policy lru\r\n").decode() == (
        f"{refused}policy') - argument(s) must be one of the following: {names}\r\n"
    )
    assert session.receive(b"CONFIG SET maxmemory-samples 65\r\n").decode() == (
        f"{refused}samples') - argument must be between 1 and 64 inclusive\r\n"
    )
    assert session.receive(b"CONFIG GET maxmemory-policy\r\n").endswith(b"adaptive\r\n")


def test_config_set_sets_all_or_nothing() -> None:
    session = a_session()
    assert session.receive(b"CONFIG SET timeout 7 maxclients none\r\n").startswith(
        b"-ERR CONFIG"
    )
    assert session.receive(b"CONFIG GET timeout\r\n") == b"*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n"
    assert session.receive(b"CONFIG SET timeout 7 maxclients 9\r\n") == b"+OK\r\n"
    assert session.receive(b"HELLO 3\r\nCONFIG GET TIME*\r\n").endswith(
        b"%1\r\n$7\r\ntimeout\r\n$1\r\n7\r\n"
    )


def test_every_declared_command_is_described() -> None:
    session = a_session()
    names = REGISTRY.names()
    assert session.receive(b"COMMAND COUNT\r\n") == b":%d\r\n" % len(names)
    assert session.receive(b"COMMAND\r\n").startswith(b"*%d\r\n*10\r\n" % len(names))
    all_names = {*names, *[each.full_name for each in REGISTRY]}
    assert session.receive(b"COMMAND LIST\r\n").startswith(b"*%d\r\n" % len(all_names))
    assert session.receive(b"COMMAND DOCS\r\n").startswith(b"*%d\r\n" % (2 * len(names)))
    assert session.receive(b"COMMAND INFO nope\r\n") == b"*1\r\n$-1\r\n"
    assert session.receive(b"COMMAND GETKEYS SET k v\r\n") == b"*1\r\n$1\r\nk\r\n"
