"""Notifications: what subscribers hear of keys and tags, beside real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from conversations import Heard, Ours, Theirs
from real_servers import RealServer

from cachestorm import Cache, Interest, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.hosting import serve
from cachestorm_server.settings import Settings

GIVEN = [
    "",
    "A",
    "KEA",
    "AKE",
    "Ex",
    "xE",
    "KE$",
    "hzKg",
    "KEgg",
    "m",
    "g$lshzxetd",
    "KEtd",
    "KEm",
]
REFUSED = ["KEq", "K E", "x,E", "é"]

# what is said with each choice of letters; b says it while a listens
SAID = """\
SET k v
SET k v EX 100
GET missing
INCR n
RPUSH l a b
LPOP l
RPOP l
HSET h f 1
HDEL h f
SADD s a
SPOP s
ZADD z 1 a
ZREM z a
EXPIRE k 100
PERSIST k
RENAME k k2
COPY k2 k3
MOVE k3 1
DEL k2
APPEND a x
DEL a a missing
MULTI
SET k 1
RPUSH l x
EXEC
SELECT 3
SET there 1
SELECT 0
FLUSHALL
""".splitlines()
CHOSEN = ["", "K", "A", "KA", "EA", "KEA", "Kg", "E$l", "Khs", "Ez", "KEx"]


@pytest.fixture(params=["resp2", "resp3"])
def resp3(request: pytest.FixtureRequest) -> bool:
    return request.param == "resp3"


@pytest.fixture
def theirs(real_server: RealServer, resp3: bool) -> Iterator[Theirs]:
    side = Theirs(real_server, resp3)
    yield side
    side.say("z", "CONFIG SET notify-keyspace-events ''")
    side.close()


@pytest.fixture
def ours(resp3: bool) -> Iterator[Ours]:
    side = Ours(resp3)
    yield side
    side.close()
    side.cache._check()
    side.cache._store.broker._check()


def choose(side: Ours | Theirs, letters: str) -> Heard:
    return side.say("b", f"CONFIG SET notify-keyspace-events '{letters}'")


def chosen(side: Ours | Theirs) -> Heard:
    return side.say("b", "CONFIG GET notify-keyspace-events")


@pytest.mark.parametrize("letters", CHOSEN)
def test_subscribers_hear_the_same(letters: str, theirs: Theirs, ours: Ours) -> None:
    for side in (theirs, ours):
        choose(side, letters)
        side.say("a", "PSUBSCRIBE __key*__:*")
    for line in SAID:
        assert ours.say("b", line) == theirs.say("b", line), line


@pytest.mark.parametrize("line", ["GET missing", "MGET missing k", "HGET missing f", "TTL k"])
def test_reads_that_find_no_key_are_told_alike(line: str, theirs: Theirs, ours: Ours) -> None:
    for side in (theirs, ours):
        side.say("b", "SET k v")
        choose(side, "KEm")
        side.say("a", "PSUBSCRIBE __key*__:*")
    assert ours.say("b", line) == theirs.say("b", line)


@pytest.mark.parametrize("letters", GIVEN)
def test_letters_are_shown_as_redis_shows_them(
    letters: str, theirs: Theirs, ours: Ours
) -> None:
    assert choose(ours, letters) == choose(theirs, letters)
    assert chosen(ours) == chosen(theirs)


@pytest.mark.parametrize("letters", REFUSED)
def test_other_letters_are_refused_and_change_nothing(
    letters: str, theirs: Theirs, ours: Ours
) -> None:
    choose(ours, "KEA")
    choose(theirs, "KEA")
    # ours has a letter more
    (refusal,) = choose(ours, letters)["b"]
    assert {"b": [refusal.replace(b"mdnT'", b"mdn'")]} == choose(theirs, letters)
    assert chosen(ours) == chosen(theirs)


def test_n_is_shown_beside_a_as_in_redis_7_2(ours: Ours) -> None:
    choose(ours, "TnAmEK")
    assert chosen(ours)["b"][0].split(b"\r\n")[-2] == b"AKEmnT"


# -- without a real server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000)


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


@pytest.fixture
def endpoint(cache: Cache) -> Endpoint:
    return Endpoint(cache, REGISTRY, Settings())


class Listener:
    """Who hears all notifications, in the process."""

    def __init__(self, cache: Cache) -> None:
        self._messages = cache.subscribe(patterns=["__*__:*"])
        self._messages.open()

    def told(self) -> list[tuple[str, bytes]]:
        found = []
        while (message := self._messages.get(0)) is not None:
            found.append((message.channel, bytes(message)))
        return found


def test_writes_of_the_process_are_told(cache: Cache, endpoint: Endpoint) -> None:
    endpoint.notifications.set("KEA")
    listener = Listener(cache)
    cache.set("k", 1)
    assert listener.told() == [("__keyspace@0__:k", b"set"), ("__keyevent@0__:set", b"k")]


def test_a_namespace_without_a_number_is_told_by_its_name(
    cache: Cache, endpoint: Endpoint
) -> None:
    endpoint.notifications.set("KA")
    listener = Listener(cache)
    cache.namespace("shop").set("k", 1)
    cache.database(2).set("k", 1)
    assert listener.told() == [("__keyspace@shop__:k", b"set"), ("__keyspace@2__:k", b"set")]


def test_an_expired_key_is_told(cache: Cache, clock: ManualClock, endpoint: Endpoint) -> None:
    endpoint.notifications.set("Ex")
    listener = Listener(cache)
    cache.set("k", 1, ttl=10)
    clock.advance(11)
    cache.reap()
    assert listener.told() == [("__keyevent@0__:expired", b"k")]


def test_an_evicted_key_is_told(endpoint: Endpoint, cache: Cache) -> None:
    endpoint.notifications.set("Ee")
    listener = Listener(cache)
    cache.policy = "allkeys-lru"
    for number in range(100):
        cache.set(f"k{number}", "v" * 1000)
    cache.max_memory = 50_000
    told = listener.told()
    assert {channel for channel, _ in told} == {"__keyevent@0__:evicted"}
    assert len(told) == 100 - len(cache)


def test_a_missing_key_that_is_read_and_a_new_one_are_told(
    cache: Cache, endpoint: Endpoint
) -> None:
    endpoint.notifications.set("Emn$")
    listener = Listener(cache)
    cache.get("k")
    cache.set("k", 1)
    cache.set("k", 2)
    events = [channel.rpartition(":")[2] for channel, _ in listener.told()]
    assert events == ["keymiss", "new", "set", "set"]


def test_what_happens_to_tags_is_told_for_t_alone(cache: Cache, endpoint: Endpoint) -> None:
    endpoint.notifications.set("T")
    listener = Listener(cache)
    cache.set("k", 1, tags=["user:1"])
    cache.taglink("users", "user:1")
    cache.invalidate("user:1", soft=True)
    cache.invalidate("users", cascade=True)
    cache.tagunlink("users", "user:1")
    assert listener.told() == [
        ("__tag@0__:users", b"linked"),
        ("__tag@0__:user:1", b"softened"),
        ("__tag@0__:users", b"invalidate"),
        ("__tag@0__:user:1", b"invalidate"),
        ("__tag@0__:users", b"unlinked"),
    ]
    endpoint.notifications.set("KEA")
    cache.invalidate("users")
    assert listener.told() == []


@pytest.mark.parametrize("letters", ["", "K", "A", "g$lshzxe", "KE", "KEtd", "mn"])
def test_without_a_channel_and_a_class_nothing_listens(
    letters: str, cache: Cache, endpoint: Endpoint
) -> None:
    endpoint.notifications.set("KEAmnT")
    endpoint.notifications.set(letters)
    assert cache._store.effects.listenings == []


def test_expired_keys_alone_cost_a_write_nothing(cache: Cache, endpoint: Endpoint) -> None:
    endpoint.notifications.set("Ex")
    assert cache._store.effects.interest_in("default") == Interest.EXPIRED


def test_keys_and_tags_of_any_bytes_are_told(endpoint: Endpoint, cache: Cache) -> None:
    endpoint.notifications.set("K$")
    listener = Listener(cache)
    cache.set("a\udcff:é", 1)
    assert listener.told() == [("__keyspace@0__:a\udcff:é", b"set")]


def test_two_endpoints_of_a_cache_share_what_is_told_and_tell_it_once(cache: Cache) -> None:
    one, other = [Endpoint(cache, REGISTRY, Settings()) for _ in range(2)]
    one.notifications.set("KEA")
    other.notifications.set("K$")
    listener = Listener(cache)
    cache.set("k", 1)
    assert listener.told() == [("__keyspace@0__:k", b"set")]
    assert (one.notifications.letters, other.notifications.letters) == ("$K", "$K")
    one.notifications.set("K")
    assert other.notifications.letters == "K"
    assert cache._store.effects.listenings == []


def test_notifications_outlast_the_server_that_was_told_to_publish_them(cache: Cache) -> None:
    with serve(cache, port=0) as server, redis.Redis(port=server.resp.port) as client:
        client.config_set("notify-keyspace-events", "KEA")
    listener = Listener(cache)
    cache.set("k", 2)
    assert len(listener.told()) == 2
    with serve(cache, port=0) as server, redis.Redis(port=server.resp.port) as client:
        assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "AKE"}
        client.config_set("notify-keyspace-events", "")
    cache.set("k", 3)
    assert listener.told() == []
