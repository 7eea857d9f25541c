"""A server with a warm tier: clients wait for their own values, and for nobody else's."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from pathlib import Path
from typing import Any

import redis
from broken_stores import MemoryStore, on_memory, tiers_of

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.tiers.tiers import Tiers
from cachestorm.tiers.warm import WarmLevel
from cachestorm_server.config import load
from cachestorm_server.described import make_cache
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.fetching import OF_KEYS, Fetching
from cachestorm_server.info import info_text
from cachestorm_server.metrics import Metrics, MetricsSettings
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

sys.path.append(str(Path(__file__).parent.parent / "server"))

from servers import our_server

KB = b"0123456789abcdef" * 64


class Served:
    """Sessions on a cache whose values are all on a disk that can be stopped."""

    def __init__(self, folder: Path) -> None:
        self.cache: Cache[Any]
        self.warm: WarmLevel
        self.disk: MemoryStore
        self.cache, self.warm, self.disk = on_memory(folder)
        self.tier: Tiers = tiers_of(self.cache)
        self.endpoint = Endpoint(self.cache, REGISTRY, Settings())
        for number in range(10):
            self.cache.set(f"k{number}", b"%d:" % number + KB)
        self.cache.rpush("l", *range(100))
        for key in self.cache:
            assert self.cache.demote(key)
        self.tier.flush()
        assert len(self.disk.blobs) == 11

    def session(self) -> Session:
        return Session(self.endpoint)

    def stop_disk(self) -> None:
        self.disk.gate.clear()

    def start_disk(self, session: Session) -> bytes:
        """Has reads go on. Returns what the session says once its values are there."""
        waiting = session.long_command
        assert isinstance(waiting, Fetching) and session.is_blocked()
        awake = threading.Event()
        waiting.notifier = awake.set
        self.disk.gate.set()
        if waiting.sleeps:
            assert awake.wait(60)
        return session.receive(b"")


def test_a_client_waits_for_its_value_and_nobody_else_does(tmp_path: Path) -> None:
    served = Served(tmp_path)
    one, other = served.session(), served.session()
    served.stop_disk()
    assert one.receive(b"GET k1\r\n") == b""
    # what has no value to wait for is answered meanwhile
    for line, reply in (
        (b"SET k2 new", b"+OK"),
        (b"GET k2", b"$3\r\nnew"),
        (b"EXISTS k3", b":1"),
        (b"TTL k3", b":-1"),
        (b"TYPE l", b"+list"),
        (b"DEL k4", b":1"),
        (b"OBJECT TIER k1", b"$4\r\nwarm"),
        (b"DBSIZE", b":10"),
        (b"RPUSH l2 x", b":1"),
    ):
        assert other.receive(line + b"\r\n") == reply + b"\r\n"
    assert served.disk.reads == 1
    assert served.start_disk(one) == b"$1026\r\n1:" + KB + b"\r\n"
    assert served.tier.ahead.fetched == {}
    served.cache._check()


def test_what_is_asked_after_it_is_answered_after_it(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    assert session.receive(b"PING\r\nGET k1\r\nECHO last\r\n") == b"+PONG\r\n"
    assert served.start_disk(session) == b"$1026\r\n1:" + KB + b"\r\n$4\r\nlast\r\n"


def test_a_command_of_several_keys_waits_once(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    assert session.receive(b"MGET k1 k2 none\r\n") == b""
    reply = served.start_disk(session)
    assert (
        reply
        == b"*3\r\n"
        + b"".join(b"$1026\r\n%d:" % number + KB + b"\r\n" for number in (1, 2))
        + b"$-1\r\n"
    )
    assert (served.disk.reads, served.cache.object_tier("k1")) == (2, "memory")


def test_a_container_is_changed_when_it_is_there(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    assert session.receive(b"RPUSH l more\r\n") == b""
    assert served.start_disk(session) == b":101\r\n"
    assert served.cache.lrange("l", 99, -1) == [99, b"more"]
    served.cache._check()


def test_a_transaction_waits_before_its_first_command(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    queued = session.receive(b"MULTI\r\nSET k9 new\r\nSTRLEN k1\r\nLLEN l\r\n")
    assert queued == b"+OK\r\n" + b"+QUEUED\r\n" * 3
    assert session.receive(b"EXEC\r\n") == b""
    assert served.cache.object_tier("k9") == "warm"
    assert served.start_disk(session) == b"*3\r\n+OK\r\n:1026\r\n:100\r\n"
    assert served.cache.get("k9") == b"new"


def test_a_script_waits_for_its_keys(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    script = b"return redis.call('strlen', KEYS[1])"
    request = b"*4\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n1\r\n$2\r\nk1\r\n" % (
        len(script),
        script,
    )
    assert session.receive(request) == b""
    assert served.start_disk(session) == b":1026\r\n"


def test_who_waits_gets_what_is_there_when_its_turn_comes(tmp_path: Path) -> None:
    for line, reply in ((b"SET k1 new", b"$3\r\nnew\r\n"), (b"DEL k1", b"$-1\r\n")):
        served = Served(tmp_path / line.decode()[:3])
        one, other = served.session(), served.session()
        served.stop_disk()
        assert one.receive(b"GET k1\r\n") == b""
        other.receive(line + b"\r\n")
        assert served.start_disk(one) == reply
        assert served.warm.losses == 0
        served.cache._check()


def test_a_client_that_goes_while_it_waits_leaves_nothing_behind(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.stop_disk()
    assert session.receive(b"GET k1\r\n") == b""
    waiting = session.long_command
    assert waiting is not None
    session.close()
    served.disk.gate.set()
    served.cache.close()
    assert served.tier.ahead.fetched == {}
    served.cache._check()


def test_a_damaged_value_is_a_miss_of_its_client(tmp_path: Path) -> None:
    served = Served(tmp_path)
    session = served.session()
    served.disk.damage = lambda blob: blob[:-1]
    served.stop_disk()
    assert session.receive(b"GET k1\r\n") == b""
    assert served.start_disk(session) == b"$-1\r\n"
    assert (served.warm.losses, served.cache.exists("k1")) == (1, 0)


def test_what_waits_is_not_unblocked_by_another_client(tmp_path: Path) -> None:
    served = Served(tmp_path)
    one, other = served.session(), served.session()
    served.stop_disk()
    assert one.receive(b"GET k1\r\n") == b""
    assert other.receive(b"CLIENT UNBLOCK %d ERROR\r\n" % one.id) == b":0\r\n"
    assert served.start_disk(one).startswith(b"$1026\r\n")


def test_clients_of_a_small_server_read_all_that_they_wrote(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="256kb", warm={"path": tmp_path, "engine": "sqlite"})
    wrong: list[object] = []

    def talk(port: int, name: int) -> None:
        chance = random.Random(name)
        own: dict[str, bytes] = {}
        with redis.Redis(port=port) as client:
            for step in range(150):
                with client.pipeline(transaction=bool(step % 2)) as pipe:
                    asked = []
                    for _ in range(4):
                        key = f"{name}:{chance.randrange(120)}"
                        if chance.random() < 0.5:
                            own[key] = b"%d:" % chance.randrange(1000) + KB
                            pipe.set(key, own[key])
                            asked.append((key, True))
                        else:
                            pipe.get(key)
                            asked.append((key, own.get(key)))
                    for (key, wanted), found in zip(asked, pipe.execute(), strict=True):
                        if found != wanted:
                            wrong.append((key, wanted, found))

    with our_server(cache=cache) as server:
        threads = [threading.Thread(target=talk, args=(server.port, n)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with redis.Redis(port=server.port) as client:
            told = client.info("tiers")
    assert wrong == []
    assert told["warm_engine"] == "sqlite" and told["warm_demotions"] > 0
    assert told["warm_hits"] > 0 and told["warm_losses"] == 0
    assert cache.store_stats().used_memory <= 300 << 10
    cache._check()
    cache.close()


def test_the_metrics_tell_of_a_tier_where_there_is_one(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.cache.get("k1")

    def series(endpoint: Endpoint) -> dict[str, str]:
        metrics = Metrics(endpoint, MetricsSettings(), lambda: 0, lambda: 0.0)
        lines = asyncio.run(metrics.exposition()).decode().splitlines()
        return dict(
            line.rsplit(" ", 1) for line in lines if line.startswith("cachestorm_tier_")
        )

    told = series(served.endpoint)
    assert told['cachestorm_tier_values{tier="warm"}'] == "11.0"
    assert told['cachestorm_tier_hits_total{tier="warm"}'] == "1.0"
    assert series(Endpoint(Cache(), REGISTRY, Settings())) == {}


def test_the_commands_that_look_at_no_value_are_there() -> None:
    assert {plan.name for plan in map(REGISTRY.get, OF_KEYS) if plan is not None} == OF_KEYS


def test_a_server_without_tiers_tells_of_none() -> None:
    assert info_text(Endpoint(Cache(), REGISTRY, Settings()), ["tiers"]) == "# Tiers\r\n"


def test_the_configuration_says_where_the_tier_is(tmp_path: Path) -> None:
    file = tmp_path / "cachestorm.yaml"
    file.write_text(
        f"memory:\n  max_memory: 1mb\n"
        f"tiers:\n  warm:\n    path: {tmp_path}/warm\n    max_size: 1gb\n    engine: sqlite\n"
    )
    cache = make_cache(load(file))
    warm = cache.tier_stats()["warm"]
    assert (warm.path, warm.max_size, warm.engine) == (f"{tmp_path}/warm", 1 << 30, "sqlite")
    cache.close()
