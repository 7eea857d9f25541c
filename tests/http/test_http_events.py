"""The stream of events: what it tells, and to whom that comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from cachestorm_server.web import events


class Stream:
    """A client that follows."""

    def __init__(self, response) -> None:
        self._response = response

    def next(self) -> dict[str, str]:
        """The next event: its fields."""
        fields: dict[str, str] = {}
        while True:
            line = self._response.readline().decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                return fields
            else:
                fields = {}

    def told(self) -> tuple[str, object]:
        """The next event: its kind, and what it tells."""
        event = self.next()
        return event["event"], json.loads(event["data"])


@contextmanager
def following(client, query: str = "", **headers: str) -> Iterator[Stream]:
    connection = HTTPConnection("127.0.0.1", client.port, timeout=60)
    try:
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/v1/events" + query, headers=spelled)
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Type") == "text/event-stream"
        # the first line: by now it listens
        assert response.readline() == b"retry: 2000\n"
        yield Stream(response)
    finally:
        connection.close()


def test_an_invalidation_is_told(endpoint) -> None:
    endpoint.cache.set("k", 1, tags=["a\nb", "c"])
    with following(endpoint, "?kinds=invalidations") as stream:
        endpoint.cache.invalidate("a\nb")
        endpoint.cache.invalidate("c", soft=True)
        assert stream.told() == (
            "invalidations",
            {"namespace": "default", "tag": "a\nb", "soft": False},
        )
        assert stream.told()[1]["soft"] is True


def test_an_eviction_is_told(serve) -> None:
    endpoint = serve({"memory.max_entries": 2, "memory.eviction_policy": "allkeys-lru"})
    with following(endpoint, "?kinds=evictions") as stream:
        for key in "abc":
            endpoint.cache.set(key, 1)
        kind, data = stream.told()
    assert (kind, data["namespace"]) == ("evictions", "default")
    assert data["key"] in "abc"


def test_statistics_come_at_once_and_again(endpoint) -> None:
    endpoint.cache.set("k", 1)
    with following(endpoint, "?kinds=stats&every=1") as stream:
        first, second = stream.told(), stream.told()
    assert (first[0], first[1]["keys"]) == ("stats", 1)
    assert second[1]["at"] > first[1]["at"]


def test_a_namespace_can_be_followed_alone(endpoint) -> None:
    other = endpoint.cache.namespace("other")
    for cache in (endpoint.cache, other):
        cache.set("k", 1, tags=["t"])
    with following(endpoint, "?kinds=invalidations&namespace=other") as stream:
        endpoint.cache.invalidate("t")
        other.invalidate("t")
        assert stream.told()[1]["namespace"] == "other"


def test_who_comes_back_misses_nothing(endpoint) -> None:
    cache = endpoint.cache
    with following(endpoint, "?kinds=invalidations") as stream:
        cache.set("k", 1, tags=["one"])
        cache.invalidate("one")
        last = stream.next()["id"]
    for tag in ("two", "three"):
        cache.set("k", 1, tags=[tag])
        cache.invalidate(tag)
    with following(endpoint, "?kinds=invalidations", Last_Event_ID=last) as stream:
        assert [stream.told()[1]["tag"] for _ in range(2)] == ["two", "three"]


def test_who_was_away_for_too_long_is_told_so(endpoint) -> None:
    cache = endpoint.cache
    with following(endpoint, "?kinds=invalidations") as stream:
        cache.set("k", 1, tags=["one"])
        cache.invalidate("one")
        last = stream.next()["id"]
        for _ in range(events.KEPT + 5):
            cache.set("k", 1, tags=["t"])
            cache.invalidate("t")
    with following(endpoint, "?kinds=invalidations", Last_Event_ID=last) as stream:
        assert stream.told() == ("lost", {"events": 5})
    with following(endpoint, "?kinds=invalidations", Last_Event_ID="other-5") as stream:
        assert stream.told() == ("lost", {"events": 1})


def test_nobody_is_listened_for_when_nobody_follows(serve, monkeypatch) -> None:
    monkeypatch.setattr(events, "LINGER_S", 0.0)
    endpoint = serve()
    effects = endpoint.cache._store.effects
    assert effects.listenings == []
    with following(endpoint, "?kinds=invalidations") as stream:
        assert len(effects.listenings) == 1
        endpoint.cache.invalidate("t")
        endpoint.cache.set("k", 1, tags=["t"])
        endpoint.cache.invalidate("t")
        stream.told()
    gives_up_at = time.monotonic() + 60
    while effects.listenings:
        # that a client has gone is noticed when it is to be told something
        endpoint.cache.set("k", 1, tags=["t"])
        endpoint.cache.invalidate("t")
        assert time.monotonic() < gives_up_at
        time.sleep(0.01)


def test_a_server_that_stops_ends_its_streams(launch) -> None:
    with launch({}) as client:
        connection = HTTPConnection("127.0.0.1", client.port, timeout=60)
        connection.request("GET", "/v1/events?kinds=invalidations")
        response = connection.getresponse()
    assert response.read() == b"retry: 2000\n\n"
    connection.close()


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?kinds=gossip", {}),
        ("?kinds=", {}),
        ("?every=0", {}),
        ("?every=61", {}),
        ("?colour=red", {}),
        ("", {"Last_Event_ID": "x"}),
        ("", {"Last_Event_ID": "a-99999999999999999999"}),
    ],
)
def test_what_cannot_be_followed_is_refused(endpoint, query, headers) -> None:
    answer = endpoint.get("/v1/events" + query, **headers)
    assert (answer.status, answer.json["status"]) == (400, 400)
